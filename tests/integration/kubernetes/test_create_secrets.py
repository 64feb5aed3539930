"""deploy/kubernetes/create-secrets.sh with a kubectl of the test: interrupted at any point, then repeated."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.kubernetes import external, fake_kubectl
from tests.support.source_files import ROOT

SCRIPT = ROOT / "deploy/kubernetes/create-secrets.sh"
CA_KEY = "journey-ca-key"
NEEDED = {**external.secrets("local"), **external.secrets("production")}
CERTIFICATES = sorted(name for name in NEEDED if name.endswith("-tls"))


@dataclass(frozen=True)
class Cluster:
    """What the script has created so far."""

    folder: Path
    path: str

    def run(self, changes_max: int | None = None) -> subprocess.CompletedProcess[str]:
        """`changes_max`: kubectl fails from the next change on, which ends the script."""
        (self.folder / "changes").unlink(missing_ok=True)
        limit = {} if changes_max is None else {"CHANGES_MAX": str(changes_max)}
        environment = {"PATH": self.path, "CLUSTER": str(self.folder), **limit}
        return subprocess.run(
            [SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    def secrets(self) -> dict[str, dict[str, bytes]]:
        """Name -> key -> content."""
        return {each.name: _contents(each) for each in (self.folder / "secret").glob("*")}

    def authority(self) -> bytes:
        return _contents(self.folder / "configmap" / "journey-ca")["ca.crt"]

    def delete(self, *names: str) -> None:
        for name in names:
            for file in (self.folder / name).iterdir():
                file.unlink()
            (self.folder / name).rmdir()


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    (tmp_path / "bin").mkdir()
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {sys.executable} -S {fake_kubectl.__file__} "$@"\n')
    kubectl.chmod(0o755)
    (tmp_path / "cluster").mkdir()
    return Cluster(tmp_path / "cluster", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


def is_complete(cluster: Cluster, tmp_path: Path) -> None:
    """Every Secret is there, the authority's key is not, and the authority has signed every certificate."""
    found = cluster.secrets()
    assert {name: set(keys) for name, keys in found.items()} == {
        name: set(keys) for name, keys in NEEDED.items()
    }
    assert all(content for keys in found.values() for content in keys.values())
    (tmp_path / "ca.crt").write_bytes(cluster.authority())
    for name in CERTIFICATES:
        (tmp_path / f"{name}.crt").write_bytes(found[name]["tls.crt"])
    files = [str(tmp_path / f"{name}.crt") for name in CERTIFICATES]
    subprocess.run(["openssl", "verify", "-CAfile", tmp_path / "ca.crt", *files], check=True)


AFTER = {
    "nothing": 0,
    "the namespace": 1,
    "the authority's key": 2,
    "the first certificate": 3,
    "all certificates": 2 + len(CERTIFICATES),
    "the ConfigMap": 3 + len(CERTIFICATES),
    "the certificates' part": 4 + len(CERTIFICATES),
    "the first password": 5 + len(CERTIFICATES),
    "all but one": len(NEEDED) + 3,
}


@pytest.mark.parametrize("changes", AFTER.values(), ids=AFTER)
def test_an_interrupted_run_is_completed_by_the_next(cluster: Cluster, tmp_path: Path, changes: int) -> None:
    interrupted = cluster.run(changes_max=changes)
    assert interrupted.returncode != 0, "it was not interrupted"
    before = cluster.secrets()
    repeated = cluster.run()
    assert repeated.returncode == 0, repeated.stderr
    is_complete(cluster, tmp_path)
    after = cluster.secrets() | {CA_KEY: before.get(CA_KEY, {})}
    assert {name: after[name] for name in before} == before, "existing Secrets stay"


def test_a_repeated_run_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.run().returncode == 0
    is_complete(cluster, tmp_path)
    before = cluster.secrets(), cluster.authority()
    repeated = cluster.run()
    assert repeated.returncode == 0 and "delete it and the Secrets *-tls to renew" in repeated.stderr
    assert (cluster.secrets(), cluster.authority()) == before


def test_a_certificate_that_cannot_be_added_is_named(cluster: Cluster) -> None:
    """For example after an interrupted run of an earlier version of the script."""
    assert cluster.run().returncode == 0
    cluster.delete("secret/gateway-tls", "secret/mail-tls")
    refused = cluster.run()
    assert refused.returncode == 1
    assert "the authority's key was thrown away: gateway-tls mail-tls" in refused.stderr


def test_certificates_of_two_authorities_are_not_mixed(cluster: Cluster, tmp_path: Path) -> None:
    assert cluster.run().returncode == 0
    cluster.delete("configmap/journey-ca", "secret/gateway-tls")
    refused = cluster.run()
    assert refused.returncode == 1 and "secret/rabbitmq-tls" in refused.stderr
    cluster.delete(*(f"secret/{name}" for name in CERTIFICATES if name != "gateway-tls"))
    assert cluster.run().returncode == 0
    is_complete(cluster, tmp_path)


def test_a_certificate_of_your_own_for_the_shop_stays(cluster: Cluster) -> None:
    own = cluster.folder / "secret" / "shop-tls"
    own.mkdir(parents=True)
    (own / "tls.crt").write_text("of a public authority")
    assert cluster.run().returncode == 0
    assert cluster.secrets()["shop-tls"] == {"tls.crt": b"of a public authority"}


def test_a_cluster_that_does_not_respond_ends_the_run(cluster: Cluster, tmp_path: Path) -> None:
    """An existing Secret that cannot be seen is not taken for a missing one."""
    (tmp_path / "bin" / "kubectl").write_text("#!/bin/sh\necho refused >&2\nexit 1\n")
    refused = cluster.run()
    assert refused.returncode == 1 and refused.stderr == "refused\n"
