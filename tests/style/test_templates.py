"""Rules for the templates of all pages that a browser test would have to look for on each page."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from gateway.web.templating import unbroken
from tests.support.source_files import ROOT

TEMPLATES = sorted(
    path
    for service in ("gateway", "operations")
    for path in (ROOT / service / "web/templates").glob("*.html")
)
_TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
_HEADING = re.compile(r'<th scope="col"([^>]*)>(?:<span[^>]*>)?([^<]*)')
_CELL = re.compile(r"<td([^>]*)>(.*?)</td>", re.DOTALL)
_LABEL = re.compile(r'data-label="([^"]*)"')
_NUMERIC = re.compile(r"\{\{[^}]*(\|(count|money|rate)|quantity)[^}]*\}\}")
_RUNNING_TEXT = re.compile(r"<(p|h1|h2|summary|li)\b[^>]*>.*", re.IGNORECASE)
_BREAKABLE = re.compile(r'(?<!<span class="unbroken">)\be-mail', re.IGNORECASE)


def tables() -> Iterator[tuple[Path, str]]:
    for path in TEMPLATES:
        for table in _TABLE.findall(path.read_text()):
            yield path, table


def is_end_aligned(attributes: str) -> bool:
    return re.search(r'class="[^"]*\bend\b', attributes) is not None


def test_columns_of_numbers_are_aligned_at_their_end() -> None:
    found = 0
    for path, table in tables():
        columns: defaultdict[str, list[tuple[bool, bool]]] = defaultdict(list)
        for attributes, content in _CELL.findall(table):
            if named := _LABEL.search(attributes):
                columns[named[1]].append((bool(_NUMERIC.match(content)), is_end_aligned(attributes)))
        for label, cells in columns.items():
            if all(is_number for is_number, _ in cells):
                found += 1
                assert all(is_end for _, is_end in cells), f"{path.name}: {label}"
    assert found > 10


def test_headings_are_aligned_as_their_columns() -> None:
    found = 0
    for path, table in tables():
        headings = {text: is_end_aligned(attributes) for attributes, text in _HEADING.findall(table)}
        for attributes, _ in _CELL.findall(table):
            label = _LABEL.search(attributes)
            if label and label[1] in headings:
                found += 1
                assert headings[label[1]] == is_end_aligned(attributes), f"{path.name}: {label[1]}"
    assert found > 20


def test_running_text_does_not_break_within_email() -> None:
    """In a narrow column a line ends with "e-" otherwise."""
    for path in TEMPLATES:
        for line in path.read_text().splitlines():
            text = _RUNNING_TEXT.match(line.strip())
            if text and "<button" not in line:
                assert not _BREAKABLE.search(text[0]), f"{path.name}: {line.strip()}"


def test_an_unbroken_text_is_escaped() -> None:
    assert unbroken("<b> We e-mailed you.") == '&lt;b&gt; We <span class="unbroken">e-mailed</span> you.'
    assert unbroken("E-mail sent") == '<span class="unbroken">E-mail</span> sent'
    assert unbroken("the-mail") == "the-mail"
