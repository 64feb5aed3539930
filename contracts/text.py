"""Validation of texts that people write for others to read: names, addresses, titles, reasons.

A text has at least one visible character and is normalised to Unicode's composed form (NFC), so that texts
that look the same are equal. Control characters and characters that change the writing direction are rejected
(Unicode Technical Report 36). Zero-width joiners are allowed: some scripts and emoji need them.
"""

import unicodedata

_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # controls, lone surrogates, line and paragraph separators
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters and symbols by category, but blank.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_LINES = frozenset("\n\t\r")


def one_line(text: str) -> str:
    """The text, trimmed and normalised. Raises ValueError with the reason."""
    text = _composed(text)
    if any(unicodedata.category(character) in _CONTROLS for character in text):
        raise ValueError("must be one line, without control characters")
    if not any(map(_is_visible, text)):
        raise ValueError("must contain a visible character")
    return text


def several_lines(text: str) -> str:
    """Like one_line, for a description: it may be empty and may have several lines."""
    text = _composed(text)
    if any(unicodedata.category(character) in _CONTROLS and character not in _LINES for character in text):
        raise ValueError("must not contain control characters")
    if text and not any(map(_is_visible, text)):
        raise ValueError("must be empty, or contain a visible character")
    return text


def _composed(text: str) -> str:
    if _TURNING.intersection(text):
        raise ValueError("must not contain characters that change the writing direction")
    return unicodedata.normalize("NFC", text).strip()


def _is_visible(character: str) -> bool:
    """Letters, digits, punctuation and symbols are visible.

    Marks need one of them; separators and format characters are not.
    """
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
