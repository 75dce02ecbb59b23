"""What became of each request."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MESSAGE = "message"
GRACE_SECONDS = 1.0
"""After its deadline a request hangs."""


@dataclass(slots=True)
class Record:
    """One request; times by the monotonic clock.

    Attributes:
        kind: ``message``, ``search``, ``read``, ``login`` or ``opening``.
        what: the route, roughly.
        began: when it was due and sent.
        seconds: how long its first try took; None: it is under way.
        ok: whether its first try gave what was asked for.
        outcome: status and reason, e.g. ``200``, ``503 CIRCUIT_OPEN``, ``failed MODEL_BUSY``, ``ReadError``.
        degraded: whether it said that something was missing or old.
        deadline: seconds within which there must be an answer, yes or no.
        kept: whether it was answered in the end, with what a client does when it is refused; None: see ``ok``.
        kept_seconds: how long that took, all in all.
        request_id: of the last answer, as in the logs.
    """

    kind: str
    what: str
    began: float
    seconds: float | None = None
    ok: bool = False
    outcome: str = ""
    degraded: bool = False
    deadline: float = float("inf")
    kept: bool | None = None
    kept_seconds: float = 0.0
    request_id: str = ""

    @property
    def ended(self) -> float:
        """When its first try ended; infinity: it has not."""
        return float("inf") if self.seconds is None else self.began + self.seconds

    def hung(self, lag: float) -> bool:
        """Whether there was no answer a second after its deadline.

        Args:
            lag: seconds by which the load itself was late, which nobody else answers for.
        """
        return self.seconds is not None and self.seconds > self.deadline + GRACE_SECONDS + lag

    @property
    def answered(self) -> bool:
        """Whether it was answered in the end."""
        return self.ok if self.kept is None else self.kept


def share(records: Sequence[Record], *, kept: bool = False) -> float | None:
    """The part that succeeded at the first try, or in the end; None: there were none."""
    if not records:
        return None
    return sum(record.answered if kept else record.ok for record in records) / len(records)


def quantile(seconds: Iterable[float], part: float) -> float | None:
    """The nearest-rank quantile; None: of nothing."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def met(records: Sequence[Record], fault: float, healed: float) -> list[Record]:
    """Those that met the fault: under way when it began, or begun before it was over."""
    return [record for record in records if record.ended > fault and record.began < healed]


def recovered(records: Sequence[Record], healed: float, until: float) -> float | None:
    """Seconds from the healing to the first whole second in which every request that began was answered at once.

    Args:
        records: of the run.
        healed: when.
        until: when the last request began.

    Returns:
        The start of that second, in steps of a quarter; None: there was none.
    """
    at = healed
    while at + 1 <= until:
        window = [record for record in records if at <= record.began < at + 1]
        if window and all(record.ok for record in window):
            return at - healed
        at += 0.25
    return None


def outcomes(records: Iterable[Record]) -> dict[str, int]:
    """How often what came of what, failures only, the most frequent first."""
    found = Counter(f"{record.kind} {record.outcome}" for record in records if not record.ok)
    return dict(found.most_common())
