"""The code that an image holds starts its program, and contains no foreign package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.image_requirements import programs
from tests.support.source_files import PACKAGES, ROOT
from tools.program_code import code_of


def in_image(image: str, app: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code with the image's part of the checkout, built into the folder `app`."""
    build = [sys.executable, f"{ROOT}/tools/program_code.py", str(ROOT), str(app), *programs(ROOT)[image]]
    subprocess.run(build, check=True)
    environment = {"PYTHONPATH": str(app), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-P", "-c", code]
    return subprocess.run(command, cwd=app, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("image", programs(ROOT))
def test_an_image_imports_its_program_and_no_foreign_service(image: str, tmp_path: Path) -> None:
    shown = ("operations", "operator")  # operations shows what each service handles, from its definition
    own = set(PACKAGES) if image == "operations" else {image, "contracts", "chassis"}
    own |= {"journey"} if image in shown else set()
    foreign = sorted({*PACKAGES, "bench", "tests", "tools"} - own)
    code = f"""
from importlib import import_module
from importlib.util import find_spec
import json
program = import_module({programs(ROOT)[image][0]!r})
print(json.dumps([program.__file__, [name for name in {foreign} if find_spec(name)]]))
"""
    done = in_image(image, tmp_path, code)
    assert done.returncode == 0, done.stderr
    file, found = json.loads(done.stdout)
    assert Path(file).is_relative_to(tmp_path)
    assert found == []


def test_product_svc_finds_its_drawings(tmp_path: Path) -> None:
    drawing = (
        "from product_svc.illustrations.illustration import render_illustration as draw;"
        " print(draw('A', 'kettle', ''))"
    )
    done = in_image("product_svc", tmp_path, drawing)
    assert done.stdout.startswith("<svg "), done.stderr


def test_python_runs_the_folder_as_the_program(tmp_path: Path) -> None:
    in_image("order_svc", tmp_path, "")
    done = subprocess.run([sys.executable, tmp_path], env={}, cwd="/", capture_output=True, text=True)
    assert "wrong settings" in done.stderr and "AMQP_URL" in done.stderr


def test_imports_for_types_and_of_no_module_are_recognised(tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "program.py").write_text(
        "from typing import TYPE_CHECKING\nfrom shop import prices\n"
        "if TYPE_CHECKING:\n    from shop import types\ndef late():\n    import library.part\n"
    )
    (package / "prices.py").write_text("import os\n")
    (package / "types.py").write_text("")
    (package / "logo.svg").write_text("<svg/>")
    found = code_of(tmp_path, ["shop.program"])
    names = ("__init__.py", "program.py", "prices.py", "logo.svg")
    assert found.files == {Path("shop", name) for name in names}
    assert found.libraries == {"library.part"}
    with pytest.raises(LookupError, match=r"no module shop\.gone"):
        code_of(tmp_path, ["shop.gone"])
    (package / "prices.py").write_text("from . import types\n")
    with pytest.raises(ValueError, match="whole name"):
        code_of(tmp_path, ["shop.program"])
