"""The services, from the folders of the checkout whose names end in `_svc`."""

from pathlib import Path


def service_folders(root: Path) -> tuple[str, ...]:
    """The packages of the services, by name."""
    return tuple(sorted(path.name for path in root.glob("*_svc") if any(path.rglob("*.py"))))
