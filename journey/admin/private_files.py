"""Files and directories that only their owner can read."""

import os
from pathlib import Path


def private_dir(path: Path) -> Path:
    """Create the directory with permissions for its owner only."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def write_private(path: Path, text: str) -> None:
    """Replace the file atomically; readable by its owner only."""
    private_dir(path.parent)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)
