"""docs/front-door.md names every check of tests/browser, and only existing ones."""

import re

from tests.support.source_files import ROOT, sources

NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_the_document_names_exactly_the_browser_tests() -> None:
    page = (ROOT / "docs" / "front-door.md").read_text()
    written = {
        (source.path.name, function.name)
        for source in sources("tests/browser")
        for function, _ in source.functions()
        if function.name.startswith("test_")
    }
    assert set(NAMED.findall(page)) == written
