"""Why a program did not start: the cause from its log and the remedy, without a stack trace."""

import json
import sys
from pathlib import Path

import pytest

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.devenv.infra import causes
from journey.devenv.infra.processes import Processes

_STACK = (
    'Traceback (most recent call last):\n  File "x.py", line 1, '
    "in run\n    raise "
    "{0}\npymongo.errors.{0}: {1}\n"
)


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ('{"s":"E","c":"WT","msg":"WiredTiger error","attr":{"error":28,"message":"pwrite: No space left '
        'on device"}}\n'
         '{"s":"F","c":"-","msg":"Fatal assertion","attr":{"msgid":50853}}\n***aborting after fassert() '
         'failure\n',
         "the disk is full"),
        (json.dumps({"event": "crashed", "exception": _STACK.format("OperationFailure", "OutOfDiskSpace")}),
         "the disk is full"),
        ('{"event": "waiting", "error": "StoreUnavailable(\'the disk of MongoDB is '
        'full\')"}', "the disk is full"),
        ("BOOT FAILED\nexception error: {error,enospc}: ENOSPC", "the disk is full"),
        ("{\"msg\":\"Failed to set up listener: Address already in use\"}", "another program uses its port"),
        (json.dumps({"event": "cannot start", "error": "Authentication failed."}),
         "the user or the password"),
        (json.dumps({"event": "waiting", "error": "StoreUnavailable('MongoDB does not answer in time')"}),
         "MongoDB does not respond"),
    ],
)  # fmt: skip
def test_a_known_cause_is_named_with_what_helps(tmp_path: Path, log: str, cause: str) -> None:
    (tmp_path / "log").write_text("it starts\n" + log)
    found, helps = causes.why(tmp_path / "log")
    assert cause in found and str(tmp_path / "log") in helps and "its log" in helps
    assert "Traceback" not in found + helps and "pymongo" not in found + helps


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (json.dumps({"event": "crashed", "exception": _STACK.format("KeyError", "'shelf'")}), "crashed"),
        ("first\n\nlast word\n\n", "last word"),
        ("", "it wrote nothing"),
    ],
)
def test_an_unknown_cause_is_reported_without_the_stack(tmp_path: Path, log: str, expected: str) -> None:
    (tmp_path / "log").write_text(log)
    found, _ = causes.why(tmp_path / "log")
    assert expected in found and "Traceback" not in found and "File" not in found


async def test_a_full_disk_at_start_is_reported(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    program = "import os; raise OSError(28, os.strerror(28), 'data/journal')"
    processes.start("mongod", [sys.executable, "-c", program], log=tmp_path / "log")

    async def never() -> bool:
        return False

    with pytest.raises(InfrastructureUnavailable) as found:
        await processes.wait_until_ready("mongod", never, timeout_s=60)
    assert "mongod ended while it was starting: the disk is full" in found.value.reason
    assert "free space" in found.value.remedy and "Traceback" not in str(found.value)
