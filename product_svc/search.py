"""The search words of an article. The index and the query are normalised in the same way.

Latin, Greek and Cyrillic words match by their prefixes, ignoring case and accents. Chinese, Japanese and
Korean are written without spaces, so there every character and every pair of adjacent characters is a word
(as in Lucene's CJKBigramFilter).
"""

import re
import unicodedata
from collections.abc import Iterator

# The version of the rules below. Raise it with every change of them: stored words are then renewed
# (finding.py).
WORDS_VERSION = 2

_CHARACTERS_MIN, _CHARACTERS_MAX = 2, 20  # of a prefix that can be searched for
_TYPO_CHARACTERS_MIN = 4  # in a shorter word, changing one letter gives another word
_ENTRIES_MAX = 200
_TERMS_MAX = 10
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]+|[^\W_{_CJK}]+")
_WITHOUT_SPACES = re.compile(f"[{_CJK}]")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def search_words(*texts: str) -> tuple[str, ...]:
    """Every word of the texts and its prefixes, without duplicates: "tea" gives te, tea.

    At most _ENTRIES_MAX.
    """
    entries: dict[str, None] = {}
    for word in _words(" ".join(texts)):
        if _WITHOUT_SPACES.search(word):
            entries |= dict.fromkeys((*word, *_pairs(word)))
        else:
            entries |= dict.fromkeys(word[:length] for length in range(_CHARACTERS_MIN, len(word) + 1))
    return tuple(entries)[:_ENTRIES_MAX]


def search_terms(query: str) -> list[str]:
    """The terms that an article's words must all contain, at most _TERMS_MAX. Single letters and symbols are
    left out.
    """
    terms: dict[str, None] = {}
    for word in _words(query):
        if _WITHOUT_SPACES.search(word):
            terms |= dict.fromkeys(_pairs(word) or word)
        elif len(word) >= _CHARACTERS_MIN:
            terms[word] = None
    return list(terms)[:_TERMS_MAX]


def similar_words(term: str) -> frozenset[str]:
    """What the term may stand for with one typing error: a letter missing, added, wrong, or swapped.

    Empty for a short term, of which one error may make any other word.
    """
    if len(term) < _TYPO_CHARACTERS_MIN:
        return frozenset()
    return frozenset(word for word in _one_error_away(term) if len(word) >= len(term) - 1)


def _one_error_away(term: str) -> set[str]:
    parts = [(term[:at], term[at:]) for at in range(len(term) + 1)]
    missing = {left + right[1:] for left, right in parts if right}
    swapped = {left + right[1] + right[0] + right[2:] for left, right in parts if len(right) > 1}
    wrong = {left + character + right[1:] for left, right in parts if right for character in _ALPHABET}
    added = {left + character + right for left, right in parts for character in _ALPHABET}
    return missing | swapped | wrong | added


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(_folded(text)):
        yield match.group()[:_CHARACTERS_MAX]


def _folded(text: str) -> str:
    """The text without case, accents and other variants of the same letter (Unicode Standard Annex 15)."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize(
        "NFKC", "".join(sign for sign in apart if unicodedata.category(sign) != "Mn")
    )


def _pairs(word: str) -> list[str]:
    return [word[at : at + 2] for at in range(len(word) - 1)]
