"""Rejects common passwords. The list holds plain words; rules cover the usual variations:

capitals, digits and signs before or after a word, "0" for "o" and similar, a word twice or two words,
keyboard walks, repetitions, dates, and the part before the @ of the user's address. There are no other rules
about a password's content.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ORNAMENT_MAX = 5
OWN_NAME_MIN = 3
_PERIOD_MAX = 4

_DISGUISES = str.maketrans("0134578@$!|€+", "oieastbasiiet")
_ROWS = ("1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
_COLUMNS = (
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "qazwsxedcrfvtgbyhnujm",
    "!@#$%^&*()",
    "abcdefghijklmnopqrstuvwxyz",
)
_WALKS = tuple(walk for row in (*_ROWS, *_COLUMNS) for walk in (row * 2, row[::-1] * 2))
_DATE = re.compile(r"(19|20)\d\d(0\d|1[0-2])([0-2]\d|3[01])|([0-2]\d|3[01])(0\d|1[0-2])(19|20)\d\d")
_DRESSED = re.compile(r"(?P<before>[\W\d_]*)(?P<word>.*?)(?P<behind>[\W\d_]*)", re.DOTALL)


class PasswordTooCommon(Exception):
    """The password is a common one. `field`: the form field that held it."""

    REMEDY = "this password is too common; choose another one, for example several words"

    def __init__(self, field: str) -> None:
        super().__init__(self.REMEDY)
        self.field = field


def is_common(password: str, email: str = "") -> bool:
    folded = unicodedata.normalize("NFKC", password).casefold()
    name = email.partition("@")[0]
    own = {part for part in (*re.split(r"\W+", name), _plain(name)) if len(part) >= OWN_NAME_MIN}
    words = own | _words()
    return any(_is_known(form, words) for form in _forms(folded))


def _forms(folded: str) -> Iterator[str]:
    """The text itself, with substituted characters restored, and without leading and trailing signs."""
    shown = [folded]
    dressed = _DRESSED.fullmatch(folded)
    if dressed and _is_ornament(dressed["before"]) and _is_ornament(dressed["behind"]):
        shown.append(dressed["word"])
    for form in shown:
        for undisguised in (form, form.translate(_DISGUISES)):
            yield undisguised
            if 2 * len(plain := _plain(undisguised)) > len(undisguised):
                yield plain


def _plain(text: str) -> str:
    """The text without characters that are neither letters nor digits."""
    return "".join(letter for letter in text if letter.isalnum())


def _is_ornament(signs: str) -> bool:
    return len(signs) <= ORNAMENT_MAX or _is_walk(signs) or _repeats(signs)


def _is_known(form: str, words: set[str]) -> bool:
    halves = ((form[:cut], form[cut:]) for cut in range(1, len(form)))
    return bool(form) and (
        form in words
        or _is_walk(form)
        or (_is_walk(form[::2]) and _is_walk(form[1::2]))  # 1q2w3e4r
        or _repeats(form)
        or _DATE.fullmatch(form) is not None
        or any(one in words and (other in words or _is_walk(other)) for one, other in halves)
    )


def _is_walk(form: str) -> bool:
    """One walk over the keyboard or through the alphabet, or several of at least three steps each."""
    steps = 0
    while steps < len(form) and any(form[: steps + 1] in walk for walk in _WALKS):
        steps += 1
    left = form[steps:]
    return not left or (steps > 2 and len(left) > 2 and _is_walk(left))


def _repeats(form: str) -> bool:
    """Repetitions of at most four characters: `aaaaaaaa`, `abcabcabc`."""
    periods = range(1, min(_PERIOD_MAX, len(form) // 2) + 1)
    return any(form == (form[:period] * len(form))[: len(form)] for period in periods)


@cache
def _words() -> frozenset[str]:
    return frozenset((Path(__file__).with_name("common_passwords.txt")).read_text().split())
