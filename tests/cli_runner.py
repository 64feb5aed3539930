"""What a person types: run to its end in a fork of a process that has loaded `run_journey` already, as in forked.py; or
begun as a program of its own, which may be struck while it is under way."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory

from journey.devenv.process_shop import ROOT

TIMEOUT_S = 60.0
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["journey.cli.app"])


def run_journey(home: Path, *words: str, **besides: str) -> CompletedProcess[str]:
    """Once it has ended. `besides`: what else is in its environment."""
    environment = _environment(home) | besides
    with TemporaryDirectory() as directory:
        said = [Path(directory) / name for name in ("stdout", "stderr", "code")]
        process = _processes.Process(target=_become, args=(words, environment, said))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            raise TimeoutExpired(words, TIMEOUT_S)
        # Where several threads wait for theirs, multiprocessing reads an exit code in any of them, and only once.
        stdout, stderr, code = (path.read_text() if path.exists() else "" for path in said)
        assert code, f"it ended otherwise: {process.exitcode} {stderr}"
        return CompletedProcess(words, int(code), stdout, stderr)


async def start_journey(home: Path, *words: str) -> asyncio.subprocess.Process:
    """While it is under way, and may be killed; all that it says comes from its `stdout`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "journey.cli.app", *words),
        cwd=ROOT,
        env=_environment(home),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def finish_journey(home: Path, *words: str) -> tuple[int, str]:
    """Its exit code, and all that it said."""
    process = await start_journey(home, *words)
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "JOURNEY_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def _become(words: Sequence[str], environment: Mapping[str, str], said: Sequence[Path]) -> None:
    from journey.cli.app import main

    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    *standard, code = said
    for number, path in enumerate(standard, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.argv = ["journey", *words]
    try:
        main()
    except SystemExit as finish_journey:
        code.write_text(str(finish_journey.code or 0))
        raise
