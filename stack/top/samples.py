"""What processes' metrics say of a moment, and of the time between two."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]
Chosen = Callable[[Mapping[str, str]], bool]
"""Whether the series with these labels is meant."""

_BUCKET = "_bucket"


def every(_labels: Mapping[str, str]) -> bool:
    """All series."""
    return True


def having(**wanted: str) -> Chosen:
    """The series that have these labels."""
    return lambda labels: all(labels.get(name) == value for name, value in wanted.items())


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a process said.

    Attributes:
        at: when, in seconds of a clock that only goes forward.
        values: by name and labels; without what is not known just now.
    """

    at: float
    values: Mapping[str, Mapping[Labels, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, at: float, wanted: Iterable[str]) -> "Scrape":
        """Reads Prometheus' text format.

        Args:
            text: of all metrics.
            at: when they were read.
            wanted: beginnings of the names that count; the parser takes longer for the rest than a screen has.

        Raises:
            ValueError: it is not in that format.
        """
        beginnings = tuple(wanted)
        kept = "\n".join(line for line in text.splitlines() if line.startswith(beginnings))
        values: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(kept + "\n"):
            for sample in family.samples:
                if math.isfinite(sample.value):
                    values.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
        return cls(at, values)

    def total(self, name: str, chosen: Chosen = every) -> float | None:
        """The sum of a metric's series; None: there is none."""
        found = [value for labels, value in self.values.get(name, {}).items() if chosen(dict(labels))]
        return sum(found) if found else None

    def greatest(self, name: str, chosen: Chosen = every) -> float | None:
        """The greatest of a metric's series; None: there is none."""
        return max((value for labels, value in self.values.get(name, {}).items() if chosen(dict(labels))), default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """The time between two scrapes of one process.

    Attributes:
        before: the first; None: there was none.
        after: the second.
    """

    before: Scrape | None
    after: Scrape

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(self.after.at - self.before.at, 1e-3) if self.before is not None else math.inf

    def increases(self, name: str, chosen: Chosen = every) -> Mapping[Labels, float]:
        """By how much each series of a counter grew; one that is smaller than before began anew, with its process."""
        if self.before is None:
            return {}
        old = self.before.values.get(name, {})
        grown: dict[Labels, float] = {}
        for labels, value in self.after.values.get(name, {}).items():
            if chosen(dict(labels)):
                was = old.get(labels, 0.0)
                grown[labels] = value - was if value >= was else value
        return grown

    def increase(self, name: str, chosen: Chosen = every) -> float | None:
        """By how much a counter grew; None: there is none."""
        grown = self.increases(name, chosen)
        return sum(grown.values()) if grown else None

    def rate(self, name: str, chosen: Chosen = every) -> float | None:
        """The same a second."""
        grown = self.increase(name, chosen)
        return None if grown is None else grown / self.seconds

    def buckets(self, name: str, chosen: Chosen = every) -> dict[float, float]:
        """What a histogram counted, cumulated by upper bound; several series of it are one."""
        counts: dict[float, float] = {}
        for labels, grown in self.increases(name + _BUCKET, chosen).items():
            bound = float(dict(labels)["le"])
            counts[bound] = counts.get(bound, 0.0) + grown
        return counts


def merged(counts: Iterable[Mapping[float, float]]) -> dict[float, float]:
    """One histogram of several with the same bounds."""
    sums: dict[float, float] = {}
    for one in counts:
        for bound, count in one.items():
            sums[bound] = sums.get(bound, 0.0) + count
    return sums


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """The value that a share of the observations does not exceed, as Prometheus' `histogram_quantile` has it.

    Within a bucket the observations are taken to be spread evenly; beyond the last bound there is only that bound.

    Args:
        share: from 0 to 1.
        buckets: cumulated counts by upper bound, the last one infinite.

    Returns:
        None: nothing was observed.
    """
    bounds = sorted(buckets)
    if not bounds or not math.isinf(bounds[-1]) or buckets[bounds[-1]] <= 0:
        return None
    rank = share * buckets[bounds[-1]]
    lower, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= rank:
            if math.isinf(bound):
                return lower
            inside = buckets[bound] - below
            return bound if inside <= 0 else lower + (bound - lower) * (rank - below) / inside
        lower, below = bound, buckets[bound]
    return lower
