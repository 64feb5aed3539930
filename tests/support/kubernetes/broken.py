"""Changes of the rendered objects, each of which a rule must refuse."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.kubernetes.rendered import Rendered, Rule, container_of
from tests.support.kubernetes.workload import Manifest

Change = Callable[[Rendered], Any]


@dataclass(frozen=True)
class Break:
    """`rule` must refuse the overlay after `change`, in a sentence with `complaint`."""

    rule: Rule
    change: Change
    complaint: str
    overlay: str = "production"


def removed(kind: str, name: str) -> Change:
    return lambda found: found.objects.remove(found.of(kind)[name])


def spec(kind: str, name: str) -> Callable[[Rendered], Manifest]:
    return lambda found: found.of(kind)[name]["spec"]


def pod(found: Rendered, name: str = "order-svc") -> Manifest:
    made: Manifest = found.of("Deployment")[name]["spec"]["template"]["spec"]
    return made


def container(found: Rendered, name: str = "order-svc") -> Manifest:
    return container_of(found.of("Deployment")[name]["spec"]["template"])


def variable(name: str, value: str) -> Change:
    """Sets an environment variable of order_svc."""

    def change(found: Rendered) -> None:
        own = container(found)["env"]
        own[:] = [each for each in own if each["name"] != name] + [{"name": name, "value": value}]

    return change


def setting(name: str, value: str | None) -> Change:
    return lambda found: (
        found.settings().pop(name) if value is None else found.settings().update({name: value})
    )


def triggers(name: str = "order-svc") -> Callable[[Rendered], list[Manifest]]:
    """Of the service's ScaledObject."""
    return lambda found: spec("ScaledObject", name)(found)["triggers"]


def labels(found: Rendered, name: str = "order-svc") -> dict[str, str]:
    """The labels of a program's pods."""
    made: dict[str, str] = found.of("Deployment")[name]["spec"]["template"]["metadata"]["labels"]
    return made
