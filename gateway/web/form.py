"""What somebody typed into a form, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from pydantic import ValidationError
from starlette.requests import Request

from contracts.problem import Problem

_FOREWORDS = ("Value error, ",)


@dataclass
class Form:
    """`wrong`: by the name of the field, a sentence; `refused`: a no that is about no single field."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    wrong: dict[str, str] = field(default_factory=dict)
    refused: str = ""

    @property
    def good(self) -> bool:
        return not self.wrong and not self.refused

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @staticmethod
    def of(**values: str) -> "Form":
        return Form(values)

    def require(self, **sentences: str) -> None:
        """What to say when a field is empty."""
        self.wrong |= {name: sentence for name, sentence in sentences.items() if not self[name].strip()}

    def hear(self, answer: httpx.Response, **named: str) -> None:
        """Takes over what a service found wrong. `named`: fields that are called otherwise over there."""
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            problem = Problem(title="", status=answer.status_code)
        for error in problem.errors:
            name = error.pointer.removeprefix("#/")
            self.wrong[named.get(name, name)] = _sentence(error.detail)
        if not self.wrong:
            self.refused = _sentence(problem.detail or problem.title or "The answer makes no sense; try again")


async def read(request: Request, *names: str) -> Form:
    """The named fields; one that is missing is empty. Blanks around a value are nobody's intent, but in a password."""
    sent = await request.form()
    found = {name: value for name in names if isinstance(value := sent.get(name, ""), str)}
    return Form({name: value if _is_secret(name) else value.strip() for name, value in found.items()})


def _is_secret(name: str) -> bool:
    return name in ("password", "current", "new")


def _sentence(text: str) -> str:
    for foreword in _FOREWORDS:
        text = text.removeprefix(foreword)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
