"""Every alert has a page in docs/runbooks, and the commands on these pages exist."""

import re
from typing import Any

import pytest
from typer.main import get_command

from journey.cli.app import app
from tests.support.alert_rules import ROOT, RUNBOOKS, alerts, page_name

PAGES = sorted(path.name for path in RUNBOOKS.glob("*.md") if path.name != "README.md")
SECTIONS = ("**What it means.**", "**What to look at.**", "**What to do.**", "**What not to do.**")
_COMMAND = re.compile(r"`journey ([^`]+)`")


def commands(text: str) -> list[str]:
    """Every `journey …` of a page, without its line breaks."""
    return [" ".join(found.split()) for found in _COMMAND.findall(text)]


def problem(command: str) -> str:
    """What of a command does not exist; empty if all does."""
    found: Any = get_command(app)
    arguments = command.split()
    while commands_here := getattr(found, "commands", None):
        name = arguments.pop(0) if arguments else ""
        if name not in commands_here:
            return f"{name!r} is no command of {found.name}"
        found = commands_here[name]
    known = {option for parameter in found.params for option in parameter.opts}
    return " ".join(argument for argument in arguments if argument.startswith("--") and argument not in known)


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert sorted({page_name(alert.name) for alert in alerts()}) == PAGES


def test_every_alert_names_its_page_and_a_severity() -> None:
    for alert in alerts():
        assert alert.runbook == f"docs/runbooks/{page_name(alert.name)}", alert.name
        assert alert.severity in ("page", "ticket"), alert.name


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_all_sections_and_only_existing_commands(page: str) -> None:
    text = (RUNBOOKS / page).read_text()
    [heading] = [line for line in text.splitlines() if line.startswith("# ")]
    assert page_name(heading.removeprefix("# ")) == page
    assert [section for section in SECTIONS if section not in text] == []
    assert {command: why for command in commands(text) if (why := problem(command))} == {}


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert problem("dlq list --error Forged") == ""
    assert problem("dlq burn") and problem("frobnicate") and problem("dlq list --colour") == "--colour"


def test_the_index_links_every_page() -> None:
    text = (RUNBOOKS / "README.md").read_text()
    assert [page for page in PAGES if f"]({page})" not in text] == []
    assert "docs/runbooks" in (ROOT / "docs" / "observability.md").read_text()
