"""What the diagnosing commands print about services and queues."""

import pytest

from journey.admin.diagnosis.snapshot import ShopSnapshot
from journey.cli.snapshot_view import show_circumstances


def test_messages_that_wait_for_an_update_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = {"order_svc.commands.added": 1}
    show_circumstances(ShopSnapshot(depths={}, dead_letters=(), for_update=waiting), ())
    printed = " ".join(capsys.readouterr().out.split())
    assert "order_svc.commands.added holds 1 message of types" in printed
    assert "next update" in printed


def test_a_healthy_shop_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show_circumstances(ShopSnapshot(depths={}, dead_letters=()), ())
    assert capsys.readouterr().out == ""
