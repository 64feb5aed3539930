"""README.md: its screenshots and those of docs/ exist, are small and come from `make screenshots`;
the paths that it names exist.
"""

import re

import pytest

from tests.browser.screenshots import DOCUMENT_SCREENSHOTS
from tests.support.source_files import ROOT

TEXT = (ROOT / "README.md").read_text()
SCREENSHOT_BYTES_MAX = 150_000


def test_documents_show_the_screenshots_that_make_screenshots_writes() -> None:
    shown = [
        str((document.parent / screenshot).relative_to(ROOT))
        for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for screenshot in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", document.read_text())
    ]
    assert sorted(shown) == sorted(each.file for each in DOCUMENT_SCREENSHOTS)


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
