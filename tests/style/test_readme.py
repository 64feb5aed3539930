"""README.md: its screenshots and those of docs/ exist, are small and come from `make screenshots`;
the paths that it names exist.
"""

import re

import pytest

from bench.growth import Growth
from bench.growth_chart import draw
from tests.browser.screenshots import DOCUMENT_SCREENSHOTS
from tests.support.source_files import ROOT

TEXT = (ROOT / "README.md").read_text()
SCREENSHOT_BYTES_MAX = 150_000


def test_documents_show_the_screenshots_that_make_screenshots_writes() -> None:
    assert sorted(illustrations(".png")) == sorted(each.file for each in DOCUMENT_SCREENSHOTS)


def test_documents_show_growth_as_its_measurements_draw_it() -> None:
    charts = [ROOT / file for file in illustrations(".svg")]
    assert sorted(charts) == sorted(file.with_suffix(".svg") for file in (ROOT / "docs").glob("growth*.json"))
    for chart in charts:
        assert chart.read_text() == draw(Growth.read(chart.with_suffix(".json"))), chart


def illustrations(suffix: str) -> list[str]:
    """The files with this suffix that README and docs show."""
    return [
        str((document.parent / file).relative_to(ROOT))
        for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for file in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", document.read_text())
        if file.endswith(suffix)
    ]


@pytest.mark.parametrize("file", [each.file for each in DOCUMENT_SCREENSHOTS])
def test_screenshots_in_documents_are_small(file: str) -> None:
    content = (ROOT / file).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < SCREENSHOT_BYTES_MAX, f"{file} is too large; show less of the page"


def test_paths_in_the_readme_exist() -> None:
    named = set(re.findall(r"\]\(((?!https?:)[^)#]+)\)|`((?:tests|docs|chassis)/[\w./-]+)`", TEXT))
    paths = {link or code for link, code in named}
    assert len(paths) > 20
    assert not sorted(path for path in paths if not (ROOT / path).exists())
