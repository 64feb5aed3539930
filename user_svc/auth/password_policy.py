"""Rejects passwords that are easy to guess.

zxcvbn estimates how many guesses a password takes: it knows common passwords, names and words in several
spellings, keyboard walks, sequences, repetitions and dates. Here it also knows the shop's words and the
user's e-mail address. There are no other rules about a password's content (NIST SP 800-63B, section 3.1.1.2).
"""

import re
import unicodedata
from threading import Lock

from zxcvbn import zxcvbn

GUESSES_MIN = 10**7  # zxcvbn estimates ten times as many for eight random characters
OWN_NAME_MIN = 3
_SHOP = ("order", "journey", "orderjourney", "order-journey", "shop", "shopping", "checkout")
# "Password" and "welcome" in other languages: zxcvbn's words are mostly English.
_FOREIGN = (
    *("passwort", "contrasena", "motdepasse", "wachtwoord", "senha", "heslo", "haslo", "salasana", "geheim"),
    *("willkommen", "bienvenue", "bienvenido", "benvenuto", "welkom"),
)

# zxcvbn's time grows with the square of the length, and with every different sign that can stand for a
# letter, to seconds for 72 characters. Within these limits it is 50 ms. What is cut off only makes a password
# harder to guess.
_CHARS_MAX = 32
_SIGNS_MAX = 3
_DISGUISES = frozenset("@({[<!|$+%")
_NO_DISGUISE = "~"

# A word with up to five digits and signs before and behind it. Attackers add years and signs to common words
# first; zxcvbn takes many years after 2019 for random digits.
_DECORATED = re.compile(r"[\W\d_]{0,5}(?P<word>[^\W\d_].{2,}[^\W\d_])[\W\d_]{0,5}", re.DOTALL)
_WORD_GUESSES_MIN = 10**4

_lock = Lock()  # zxcvbn keeps the words that it is given in a global dictionary


class PasswordTooCommon(Exception):
    """The password is easy to guess. `field`: the form field that held it."""

    REMEDY = "this password is too easy to guess; choose another one, for example several words"

    def __init__(self, field: str) -> None:
        super().__init__(self.REMEDY)
        self.field = field


def is_common(password: str, email: str = "") -> bool:
    """Whether the password is easy to guess for an attacker who knows the address.

    Takes 2 ms of CPU time, and up to 0.1 s for passwords that are made to take long.
    """
    judged = _within_limits(unicodedata.normalize("NFKC", password))
    known = [*_own_words(email), *_SHOP, *_FOREIGN]
    if _guesses(judged, known) < GUESSES_MIN:
        return True
    decorated = _DECORATED.fullmatch(judged)
    word = decorated["word"] if decorated else judged
    return word != judged and _guesses(word, known) < _WORD_GUESSES_MIN


def _guesses(password: str, known: list[str]) -> int:
    with _lock:
        return int(zxcvbn(password, user_inputs=known)["guesses"])


def _within_limits(password: str) -> str:
    signs: list[str] = []
    kept: list[str] = []
    for char in password[:_CHARS_MAX]:
        if char in _DISGUISES and char not in signs:
            signs.append(char)
        kept.append(_NO_DISGUISE if char in signs[_SIGNS_MAX:] else char)
    return "".join(kept)


def _own_words(email: str) -> list[str]:
    """The part before the @, and the names in it."""
    name = email.partition("@")[0]
    plain = "".join(char for char in name if char.isalnum())
    words = dict.fromkeys((name, plain, *re.split(r"[\W_]+", name)))
    return [word for word in words if len(word) >= OWN_NAME_MIN]
