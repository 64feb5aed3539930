"""Runs `journey` commands: in a fork of a process that has already loaded the code, as in fork_server.py,
or as a separate process that a test can kill while it runs.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory
from typing import Any

from journey.devenv.process_shop import ROOT

TIMEOUT_S = 60.0
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["journey.cli.app"])


def run_journey(home: Path, *arguments: str, **besides: str) -> CompletedProcess[str]:
    """Run to the end. `besides`: additional environment variables."""
    environment = _environment(home) | besides
    with TemporaryDirectory() as directory:
        output = [Path(directory) / name for name in ("stdout", "stderr", "code")]
        process = _processes.Process(target=_become, args=(arguments, environment, output))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            raise TimeoutExpired(arguments, TIMEOUT_S)
        # If several threads wait for children, multiprocessing may read an exit code in any of them, and only
        # once.
        stdout, stderr, code = (path.read_text() if path.exists() else "" for path in output)
        assert code, f"it ended otherwise: {process.exitcode} {stderr}"
        return CompletedProcess(arguments, int(code), stdout, stderr)


async def start_journey(home: Path, *arguments: str) -> asyncio.subprocess.Process:
    """A running command that can be killed; its output is read from its `stdout`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "journey.cli.app", *arguments),
        cwd=ROOT,
        env=_environment(home),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def finish_journey(home: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and the whole output."""
    process = await start_journey(home, *arguments)
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def printed_json(output: str) -> Any:
    """The JSON document in the whole output: a slow command also reports its progress, on stderr."""
    begin = re.search(r"^[\[{]", output, re.MULTILINE)
    assert begin, output
    return json.JSONDecoder().raw_decode(output, begin.start())[0]


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "JOURNEY_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def _become(arguments: Sequence[str], environment: Mapping[str, str], output: Sequence[Path]) -> None:
    from journey.cli.app import main

    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    *standard, code = output
    for number, path in enumerate(standard, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["journey", *arguments]
    try:
        main()
    except SystemExit as ended:
        code.write_text(str(ended.code or 0))
        raise
