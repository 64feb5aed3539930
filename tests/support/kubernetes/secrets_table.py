"""The table of docs/kubernetes.md with the objects that exist before an overlay is applied."""

from tests.support.decision_tables import markdown
from tests.support.kubernetes import external
from tests.support.kubernetes.rendered import OVERLAYS

_KINDS = ("-broker", "-database", "-tls")


def secrets_table() -> str:
    """Secrets of one kind and with the same keys share a row."""
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for overlay in OVERLAYS:
        for name, keys in external.secrets(overlay).items():
            ending = next((each for each in _KINDS if name.endswith(each)), "")
            listed = rows.setdefault((ending, keys), [])
            listed += [name] if name not in listed else []
    return markdown(
        ("Object", "Keys"),
        [
            *(
                (", ".join(f"`{name}`" for name in names), ", ".join(f"`{key}`" for key in keys))
                for (_, keys), names in rows.items()
            ),
            *(
                (f"ConfigMap `{name}`", ", ".join(f"`{key}`" for key in keys))
                for name, keys in external.config_maps().items()
            ),
        ],
    )
