"""A `kubectl` for tests of deploy/kubernetes/create-secrets.sh, which keeps the objects in a folder.

The folder is that of the environment variable CLUSTER: it holds a folder `<kind>/<name>` per object, with a
file per key. After as many changes as CHANGES_MAX says, the next one fails before it changes anything.
"""

import base64
import os
import re
import shutil
import sys
from pathlib import Path

_KINDS = {"secrets": "secret", "configmaps": "configmap"}
_FLAG = re.compile(r"--(?P<flag>[a-z-]+)=(?P<value>.*)")
_JSONPATH = re.compile(r"jsonpath=\{\.data\.(?P<key>.*)\}")
_TLS_KEYS = {"cert": "tls.crt", "key": "tls.key"}


def main(arguments: list[str], cluster: Path, changes_max: int | None) -> int:
    if arguments[0] == "-n":
        arguments = arguments[2:]
    match arguments:
        case ["get", kinds, "-o", "name"]:
            print(*(name for kind in kinds.split(",") for name in _names(cluster, _KINDS[kind])), sep="\n")
        case ["get", "namespace", name, "--ignore-not-found", "-o", "name"]:
            print(*(each for each in _names(cluster, "namespace") if each == f"namespace/{name}"))
        case ["get", "secret", name, "-o", path]:
            found = _JSONPATH.fullmatch(path)
            assert found is not None, path
            content = (cluster / "secret" / name / found["key"].replace("\\.", ".")).read_bytes()
            print(base64.b64encode(content).decode(), end="")
        case ["create" | "delete", *_] if not _may_change(cluster, changes_max):
            print("error: the connection to the server was refused", file=sys.stderr)
            return 1
        case ["create", "secret", "generic" | "tls", name, *flags]:
            _create(cluster / "secret" / name, flags)
        case ["create", "namespace" | "configmap" as kind, name, *flags]:
            _create(cluster / kind / name, flags)
        case ["delete", "secret", name]:
            shutil.rmtree(cluster / "secret" / name)
        case _:
            raise AssertionError(f"the fake kubectl does not know: {arguments}")
    return 0


def _names(cluster: Path, kind: str) -> list[str]:
    return sorted(f"{kind}/{each.name}" for each in (cluster / kind).glob("*"))


def _may_change(cluster: Path, changes_max: int | None) -> bool:
    counter = cluster / "changes"
    count = int(counter.read_text()) if counter.exists() else 0
    counter.write_text(str(count + 1))
    return changes_max is None or count < changes_max


def _create(there: Path, flags: list[str]) -> None:
    there.mkdir(parents=True)
    for each in flags:
        found = _FLAG.fullmatch(each)
        assert found is not None, each
        if found["flag"] == "from-file":
            key, _, file = found["value"].rpartition("=")
            key = key or Path(file).name
        else:
            key, file = _TLS_KEYS[found["flag"]], found["value"]
        shutil.copyfile(file, there / key)


if __name__ == "__main__":
    limit = os.environ.get("CHANGES_MAX")
    sys.exit(main(sys.argv[1:], Path(os.environ["CLUSTER"]), None if limit is None else int(limit)))
