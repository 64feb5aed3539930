"""A submitted HTML form: its values and their errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from starlette.requests import Request

from chassis.web.problems import parse_problem

_FOREWORD = "Value error, "


@dataclass
class SubmittedForm:
    """`errors`: an error message for each invalid field. `error`: a message about the whole form."""

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    errors: dict[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def is_valid(self) -> bool:
        return not self.errors and not self.error

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def require(self, **sentences: str) -> None:
        """`sentences`: the error message of each required field. Adds those of the empty fields."""
        self.errors |= {name: sentence for name, sentence in sentences.items() if not self[name].strip()}

    def add_errors_from(self, response: httpx.Response) -> None:
        """Adds the errors of a service's problem details (RFC 9457)."""
        problem = parse_problem(response)
        for error in problem.errors:
            self.errors[error.pointer.removeprefix("#/")] = sentence(error.detail)
        if not self.errors:
            self.error = sentence(
                problem.detail or problem.title or "The service sent an invalid response; try again"
            )


async def read_form(request: Request, *names: str) -> SubmittedForm:
    """Reads the named fields; a missing one is empty. Strips whitespace, except of passwords."""
    sent = await request.form()
    found = {name: value for name in names if isinstance(value := sent.get(name, ""), str)}
    return SubmittedForm(
        {name: value if _is_secret(name) else value.strip() for name, value in found.items()}
    )


def _is_secret(name: str) -> bool:
    return name in ("password", "email_password", "current", "new")


def sentence(text: str) -> str:
    """What a service or pydantic says about a field, as a sentence."""
    text = text.removeprefix(_FOREWORD)
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
