"""The figures of a fault, and whether they are as they should be."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.faults.availability.cells import Cell
from benchmarks.faults.availability.records import MESSAGE, Record, met, outcomes, quantile, recovered, share

CLOSING_SECONDS = 5.0
"""Within which a breaker is closed again once it may try."""
NEARLY_ALL = 0.999
_BEGUN = "failed UNAVAILABLE MODEL_STREAM_BROKEN"
_DEAD = {"kill", "refuse", "reset"}


@dataclass(frozen=True, slots=True)
class Times:
    """When things happened, by the monotonic clock.

    Attributes:
        fault: it began.
        healed: what was broken does its work again.
        ended: the load was stopped.
        opened: the first breaker was seen open; None: none was.
        closed: the last of those was seen closed again or, where nobody called any more, refused its last call; None:
            not in time.
    """

    fault: float
    healed: float
    ended: float
    opened: float | None = None
    closed: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What should hold, what was found, and whether it holds."""

    what: str
    found: str
    ok: bool


@dataclass(slots=True)
class Row:
    """A fault's figures; shares are of the requests that met it: under way when it began, or begun before it was over.

    Attributes:
        name: of the cell.
        title: the same for people.
        seconds: how long the fault lasted.
        requests: that met it.
        success: the part of them that was answered at the first try.
        kept: the part that was answered in the end, as clients that are told to try again do.
        messages: the first of both, of messages alone.
        messages_kept: the second.
        degraded: the part of those answered that said that something was missing or old.
        p99: seconds, of all requests of the run of this fault.
        p99_fault: of those that met it.
        to_open: seconds from the fault to the first breaker open; None: none was seen.
        to_recover: seconds from the healing until, for a second, everything was answered at once; None: never.
        to_closed: seconds from the healing until the breakers were closed again, or refused their last call where too
            few came to close them; None: none was open, or not in time.
        after: requests begun after the healing that were not answered at the first try.
        steady: the same of those before the fault.
        hung: requests without an answer a second after their deadline.
        lag: seconds by which the load itself was late at most.
        leaked: processes, streams and replies more than before, when all was quiet again.
        outcomes: how requests failed.
        examples: of each way to fail: the route, and the request id that logs have.
        errors: what processes logged as errors.
        targets: what should hold.
        broken: what went wrong with the run itself.
    """

    name: str
    title: str
    seconds: float = 0.0
    requests: int = 0
    success: float | None = None
    kept: float | None = None
    messages: float | None = None
    messages_kept: float | None = None
    degraded: float | None = None
    p99: float | None = None
    p99_fault: float | None = None
    to_open: float | None = None
    to_recover: float | None = None
    to_closed: float | None = None
    after: int = 0
    steady: int = 0
    hung: int = 0
    lag: float = 0.0
    leaked: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return not self.broken and all(target.ok for target in self.targets)


def row_of(cell: Cell, records: Sequence[Record], times: Times, leaked: Sequence[str], lag: float = 0.0) -> Row:
    """Puts the figures together.

    Args:
        cell: the fault.
        records: of all requests of its run.
        times: when what happened.
        leaked: a sentence for each thing left behind.
        lag: seconds by which the load itself was late at most.
    """
    hit = met(records, times.fault, times.healed)
    talks = [record for record in hit if record.kind == MESSAGE]
    answered = [record for record in hit if record.ok]
    row = Row(
        cell.name,
        cell.title,
        seconds=times.healed - times.fault,
        requests=len(hit),
        success=share(hit),
        kept=share(hit, kept=True),
        messages=share(talks),
        messages_kept=share(talks, kept=True),
        degraded=sum(record.degraded for record in answered) / len(answered) if answered else None,
        p99=quantile((record.seconds or 0.0 for record in records), 0.99),
        p99_fault=quantile((record.seconds or 0.0 for record in hit), 0.99),
        to_open=None if times.opened is None else times.opened - times.fault,
        to_recover=recovered(records, times.healed, times.ended),
        to_closed=None if times.closed is None else max(0.0, times.closed - times.healed),
        after=sum(not record.ok for record in records if record.began >= times.healed),
        steady=sum(not record.ok for record in records if record.ended <= times.fault),
        hung=sum(record.hung(lag) for record in records),
        lag=lag,
        leaked=list(leaked),
        outcomes=outcomes(record for record in records if record.ended > times.fault),
    )
    for record in records:
        if record.ended > times.fault and not record.ok:
            example = f"{record.what} after {record.seconds:.1f} s, {record.request_id}"
            row.examples.setdefault(f"{record.kind} {record.outcome}", example)
    row.targets = list(_targets(cell, row, records, times))
    return row


def _targets(cell: Cell, row: Row, records: Sequence[Record], times: Times) -> list[Target]:
    since = [record for record in records if record.ended > times.fault]
    found = [Target("nothing hangs beyond its deadline", f"{row.hung} hung", row.hung == 0)]
    if cell.service == "search" and cell.house != "pairs":
        part = share([record for record in since if record.kind == MESSAGE]) or 0.0
        found.append(Target("search dead: every message answered", percent(part), part == 1.0))
    if cell.service == "model" and cell.kind in _DEAD:
        # What a model had begun to say when it died no other goes on with; its readers are told to ask again.
        part = sum(record.ok or (record.outcome == _BEGUN and record.answered) for record in since) / max(1, len(since))
        what = "primary model dead, another there: 99.9 %, replies begun before when asked for again"
        found.append(Target(what, percent(part), part >= NEARLY_ALL))
    if cell.house == "pairs" and cell.kind == "kill":
        # The connections of a dead gateway die with it: what counts is that their readers come back to all they missed.
        in_the_end = cell.service == "gateway"
        part = share(since, kept=in_the_end) or 0.0
        how = ", clients coming back" if in_the_end else ""
        found.append(Target(f"one of two dead: 99.9 %{how}", percent(part), part >= NEARLY_ALL))
    if times.opened is not None:
        most = cell.open_seconds + CLOSING_SECONDS
        said = "not closed" if row.to_closed is None else f"{row.to_closed:.1f} s after healing"
        ok = row.to_closed is not None and row.to_closed <= most
        found.append(Target(f"closed again {most:g} s after healing at the latest", said, ok))
    found.append(Target("nothing left behind", "; ".join(row.leaked) or "nothing", not row.leaked))
    return found


def percent(part: float | None) -> str:
    """A part in percent, never rounded up to all; ``-``: there is none."""
    if part is None:
        return "-"
    return "100 %" if part == 1.0 else f"{int(part * 10_000) / 100:.2f} %"
