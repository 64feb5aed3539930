"""Runs the mailbox as its own process, which keeps its ports and mails across restarts."""

import json
import os
import sys
from pathlib import Path

from journey.admin.private_files import write_private
from journey.admin.progress_log import Log
from journey.devenv.infra import ready
from journey.devenv.infra.ports import free_ports, is_free
from journey.devenv.infra.processes import Processes

MAILBOX = "mailbox"
START_TIMEOUT_S = 30.0
ROOT = Path(__file__).resolve().parents[3]


async def start_mailbox(state_dir: Path, log: Log) -> tuple[str, str]:
    """Returns the addresses for SMTP and HTTP."""
    processes = Processes(state_dir)
    home = processes.state_dir / "mailbox"
    running = processes.running(MAILBOX) is not None
    smtp_port, http_port = _ports(home / "settings.json", must_be_free=not running)
    mailbox_url = f"http://127.0.0.1:{http_port}"
    if not running:
        log("starting a mailbox")
        command = [
            sys.executable,
            "-m",
            "journey.devenv.infra.fake_smtp.server",
            "--file",
            str(home / "mails.jsonl"),
        ]
        command += ["--smtp-port", str(smtp_port), "--http-port", str(http_port)]
        search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        env = os.environ | {"PYTHONPATH": search}
        processes.start(MAILBOX, command, log=home / "mailbox.log", env=env, cwd=home)

    async def responds() -> bool:
        return await ready.mailbox_responds(mailbox_url)

    await processes.wait_until_ready(MAILBOX, responds, timeout_s=START_TIMEOUT_S)
    return f"smtp://127.0.0.1:{smtp_port}", mailbox_url


def _ports(settings: Path, *, must_be_free: bool) -> tuple[int, int]:
    try:
        smtp_port, http_port = json.loads(settings.read_text())["ports"]
    except FileNotFoundError:
        smtp_port, http_port = free_ports(2)
    if must_be_free and not (is_free(smtp_port) and is_free(http_port)):
        smtp_port, http_port = free_ports(2)
    write_private(settings, json.dumps({"ports": [smtp_port, http_port]}) + "\n")
    return smtp_port, http_port
