"""What a person types, in a process of its own: a fork of one that has loaded `journey` already, as in forked.py."""

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired
from tempfile import TemporaryDirectory

from journey.system import ROOT

TIMEOUT_S = 60.0
_processes = get_context("forkserver")
_processes.set_forkserver_preload(["journey.cli"])


def journey(home: Path, *words: str) -> CompletedProcess[str]:
    """Once it has ended."""
    environment = {"PATH": "/usr/bin:/bin", "JOURNEY_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    with TemporaryDirectory() as directory:
        said = [Path(directory) / name for name in ("stdout", "stderr")]
        process = _processes.Process(target=_become, args=(words, environment, said))
        process.start()
        process.join(TIMEOUT_S)
        if process.is_alive():
            process.kill()
            raise TimeoutExpired(words, TIMEOUT_S)
        assert process.exitcode is not None
        return CompletedProcess(words, process.exitcode, *(path.read_text() for path in said))


def _become(words: Sequence[str], environment: Mapping[str, str], said: Sequence[Path]) -> None:
    from journey.cli import main

    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for standard, path in enumerate(said, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), standard)
    sys.argv = ["journey", *words]
    main()
