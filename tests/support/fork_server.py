"""Starts services as forks of one process that has already loaded their code,
which is most of the start-up time.

Each is a process like one started by `python -m`, with its own session, environment, log and exit. A kill at
a random moment then rarely hits it while it loads code.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

from journey.admin.registry import SERVICES, WEB_PROGRAMS
from journey.devenv.infra.processes import Processes
from journey.devenv.process_shop import ROOT

CHANGED_BY = "TEST_CHANGED_BY"
"""An environment variable: a test module whose `change()` runs in the process before its service starts."""


class ForkServerProcesses(Processes):
    """Forks for `python -m SERVICE`; starts everything else as usual."""

    def spawn(
        self, command: list[str], output: IO[bytes], env: Mapping[str, str] | None, cwd: Path | None
    ) -> int:
        if command[:2] != [sys.executable, "-m"] or command[2] not in (*SERVICES, *WEB_PROGRAMS):
            return super().spawn(command, output, env, cwd)
        forks = _forks(Path(env["PYTHONPATH"]) if env else ROOT)
        assert forks.stdin and forks.stdout and env is not None and cwd is not None, (
            "a service is given all of these"
        )
        wanted = {"service": command[2], "log": output.name, "env": dict(env), "cwd": str(cwd)}
        forks.stdin.write(json.dumps(wanted).encode() + b"\n")
        forks.stdin.flush()
        return int(forks.stdout.readline())


@cache
def _forks(tree: Path) -> subprocess.Popen[bytes]:
    """One fork server per test process and checkout, until that process ends.

    That of another checkout loads the code of that checkout, except this file.
    """
    serve = [sys.executable, "-P", __file__, *SERVICES, *WEB_PROGRAMS]
    env = {**os.environ, "PYTHONPATH": str(tree)}
    forks = subprocess.Popen(serve, cwd=tree, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(forks.communicate)
    return forks


def _serve(services: Sequence[str]) -> None:
    """Fork for each line on stdin and print the pid, until end of file."""
    for name in services:
        import_module(f"{name}.__main__")
    gc.freeze()  # otherwise garbage collection would copy the memory pages into each child
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nothing waits for the children: avoid zombies
    for line in sys.stdin:
        wanted = json.loads(line)
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _become(**wanted)
        print(pid, flush=True)


def _become(service: str, log: str, env: Mapping[str, str], cwd: str) -> None:
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND)
    for of, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(of, standard)
    if changed_by := env.get(CHANGED_BY):
        import_module(changed_by).change()
    import_module(f"{service}.__main__").main()
    sys.exit()


if __name__ == "__main__":
    _serve(sys.argv[1:])
