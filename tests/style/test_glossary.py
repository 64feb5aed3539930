"""docs/glossary.md explains each term once, and names only classes that exist."""

import re

from tests.support.source_files import PACKAGES, ROOT, sources

ROWS = re.findall(r"^\| ([^|]+) \| (.+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.M)


def test_each_term_is_explained_once() -> None:
    terms = [term for term, _ in ROWS if term != "Term"]
    assert len(terms) > 80
    assert sorted(terms) == sorted(set(terms)), "explain a term once, with one meaning"


def test_the_glossary_names_existing_classes() -> None:
    named = {name for _, meaning in ROWS for name in re.findall(r"`([A-Z]\w*[a-z]\w*)`", meaning)}
    defined = {
        name for source in sources(*PACKAGES, "tests") for name in re.findall(r"\bclass (\w+)", source.text)
    }
    assert named
    assert not named - defined
