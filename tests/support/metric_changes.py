"""How the metrics of this process change during a test."""

from prometheus_client import REGISTRY

_Series = tuple[str, tuple[tuple[str, str], ...]]


class MetricChanges:
    """The values of the registry's samples since the test began."""

    def __init__(self) -> None:
        self._before: dict[_Series, float] = {}
        self._before = self._all()

    def __getitem__(self, name: str) -> float:
        return self.of(name)

    def of(self, name: str, **labels: str) -> float:
        """The sum of the samples with this name and these labels, to a millionth.

        Rounded, because what earlier tests of this process observed makes a difference of two sums inexact.
        """
        change = sum(
            value - self._before.get((found, given), 0.0)
            for (found, given), value in self._all().items()
            if found == name and labels.items() <= dict(given).items()
        )
        return round(change, 6)

    @staticmethod
    def _all() -> dict[_Series, float]:
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in REGISTRY.collect()
            for sample in family.samples
        }


def gauge(name: str, **labels: str) -> float | None:
    """The current value of the series with exactly these labels; None if there is none."""
    return REGISTRY.get_sample_value(name, labels)
