"""README.md: its pictures exist, are small and come from `make screenshots`;
the paths that it names exist.
"""

import re

import pytest

from tests.browser.screenshots import README_PICTURES
from tests.support.source_files import ROOT

TEXT = (ROOT / "README.md").read_text()
PICTURE_BYTES_MAX = 150_000


def test_readme_shows_the_pictures_that_make_screenshots_writes() -> None:
    assert sorted(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)) == sorted(
        each.file for each in README_PICTURES
    )


@pytest.mark.parametrize("file", [each.file for each in README_PICTURES])
def test_pictures_of_the_readme_are_small(file: str) -> None:
    content = (ROOT / file).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < PICTURE_BYTES_MAX, f"{file} is too large; show less of the page"


def test_paths_in_the_readme_exist() -> None:
    named = set(re.findall(r"\]\(((?!https?:)[^)#]+)\)|`((?:tests|docs|chassis)/[\w./-]+)`", TEXT))
    paths = {link or code for link, code in named}
    assert len(paths) > 20
    assert not sorted(path for path in paths if not (ROOT / path).exists())
