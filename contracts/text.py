"""What people may write where others read it: names, addresses, titles, reasons.

A text has at least one character that can be seen, in Unicode's composed form (NFC), so that what looks the same is the
same. Characters that control a terminal, or turn the direction of what stands around them, are refused (Unicode's
Technical Report 36). Single zero-width joiners stay: some scripts and emoji are written with them.
"""

import unicodedata

_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, separators of lines and paragraphs
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Letters and signs by category, but without any ink.
_BLANK = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_LINES = frozenset("\n\t\r")


def one_line(text: str) -> str:
    """The text without blanks around it. Raises ValueError with the reason."""
    text = _composed(text)
    if any(unicodedata.category(character) in _CONTROLS for character in text):
        raise ValueError("must be one line, without control characters")
    if not any(map(_is_visible, text)):
        raise ValueError("must have a character that can be seen")
    return text


def several_lines(text: str) -> str:
    """The same for a description, which may be empty and may have lines."""
    text = _composed(text)
    if any(unicodedata.category(character) in _CONTROLS and character not in _LINES for character in text):
        raise ValueError("must not have control characters")
    if text and not any(map(_is_visible, text)):
        raise ValueError("must be empty, or have a character that can be seen")
    return text


def _composed(text: str) -> str:
    if _TURNING.intersection(text):
        raise ValueError("must not have characters that turn the direction of writing")
    return unicodedata.normalize("NFC", text).strip()


def _is_visible(character: str) -> bool:
    """Letters, digits, punctuation and signs. Marks need one of them; separators and formats show nothing."""
    return unicodedata.category(character)[0] in "LNPS" and character not in _BLANK
