"""The images of compose.yaml and their programs."""

from pathlib import Path

import pytest

from tools.images import built_images


def test_images_have_the_compose_files_settings(eatery: Path) -> None:
    tea, rice, keeper = built_images(eatery)
    assert tea.as_matrix_entry() == {
        "service": "tea_svc",
        "image": "eatery/tea_svc",
        "target": "service",
        "build_args": "SERVICE=tea_svc\nPYTHON=python:3",
    }
    assert rice.programs == {"rice_svc", "kitchen.health"}
    assert keeper.programs == {"kitchen.keeper"}


def test_every_command_that_runs_an_image_is_its_program(eatery: Path) -> None:
    compose = (eatery / "compose.yaml").read_text()
    job = "  clean:\n    image: eatery/keeper\n    command: [python, -m, kitchen.ledger, --all]\n"
    (eatery / "compose.yaml").write_text(compose.rstrip() + "\n" + job)
    assert built_images(eatery)[-1].programs == {"kitchen.keeper", "kitchen.ledger"}


def test_an_image_without_a_program_is_refused(eatery: Path) -> None:
    (eatery / "Dockerfile").write_text('FROM python AS keeper\nCMD ["keeper"]\n')
    with pytest.raises(LookupError, match="keeper has no program"):
        built_images(eatery)
