"""A small project with two services that stand on one framework."""

from pathlib import Path

import pytest

FILES = {
    "pyproject.toml": """
        [tool.importlinter]
        root_packages = ["tea_svc", "rice_svc", "kitchen"]
        exclude_type_checking_imports = true
    """,
    "compose.yaml": """
        services:
          broker: {image: rabbitmq}
          tea_svc:
            image: eatery/tea_svc
            build: {context: ., target: service, args: {SERVICE: tea_svc, PYTHON: "${PYTHON:-python:3}"}}
          rice_svc:
            image: eatery/rice_svc
            build: {context: ., target: service, args: {SERVICE: rice_svc}}
          keeper:
            image: eatery/keeper
            build: {context: ., target: keeper}
    """,
    "Dockerfile": """
        FROM python AS keeper
        CMD ["python", "-m", "kitchen.keeper"]
        FROM python AS service
        HEALTHCHECK CMD ["python", "-m", "kitchen.health"]
        CMD ["sh", "-c", "exec python -m ${SERVICE}"]
    """,
    "kitchen/__init__.py": "",
    "kitchen/stove/__init__.py": "",
    "kitchen/stove/flame.py": "",
    "kitchen/stove/colours.json": "{}",
    "kitchen/kettle.py": "from kitchen.stove import flame",
    "kitchen/pantry/__init__.py": "from kitchen.pantry import shelf",
    "kitchen/pantry/shelf.py": "",
    "kitchen/pantry/sugar.py": "",
    "kitchen/keeper.py": "import kitchen.ledger",
    "kitchen/ledger.py": "",
    "kitchen/health.py": "",
    "kitchen/unused.py": "import kitchen.kettle",
    "tea_svc/__init__.py": "",
    "tea_svc/__main__.py": "from kitchen import kettle\nimport kitchen.pantry.sugar",
    "tea_svc/cup.svg": "",
    "tea_svc/README.md": "",
    "rice_svc/__init__.py": "",
    "rice_svc/__main__.py": """
        from typing import TYPE_CHECKING

        if TYPE_CHECKING:
            from kitchen import kettle

        def boil() -> None:
            from kitchen import ledger
    """,
}


@pytest.fixture
def eatery(tmp_path: Path) -> Path:
    """The root of the project."""
    for name, text in FILES.items():
        lines = text.split("\n")
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n".join(line[indent:] for line in lines))
    return tmp_path
