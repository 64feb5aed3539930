"""What somebody typed into a form, and what is wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request

from gateway.problems import said_in

_FOREWORD = "Value error, "


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

    def require(self, **sentences: str) -> None:
        """What to say when a field is empty."""
        self.wrong |= {name: sentence for name, sentence in sentences.items() if not self[name].strip()}

    def hear(self, answer: httpx.Response) -> None:
        """Takes over what a service found wrong."""
        problem = said_in(answer)
        for error in problem.errors:
            self.wrong[error.pointer.removeprefix("#/")] = _sentence(error.detail)
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
    text = text.removeprefix(_FOREWORD)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
