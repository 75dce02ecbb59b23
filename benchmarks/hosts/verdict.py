"""The figures of a fault, and whether they are as they should be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.faults.availability.records import MESSAGE, Record, met, outcomes, quantile, recovered, share
from benchmarks.faults.availability.verdict import NEARLY_ALL, Target, percent
from benchmarks.faults.load import Report
from benchmarks.hosts.breaking import Fault, Kind
from benchmarks.hosts.town import OPEN_SECONDS

REDUNDANT_SECONDS = 10.0
"""Within which all is well again after one of two hosts was away."""
SINGLE_SECONDS = OPEN_SECONDS + 15.0
"""Within which all is well again after the only host of something was away: circuits close, connections are made."""
_BORNE = ("library->search/SearchService/unary",)
"""Circuits that may open: library asks search for a character for two seconds and then takes the one that it has kept,
so that half of its questions are unanswered before the lost connection is noticed; nobody waits for it, or lacks it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a fault beside requests; times by the monotonic clock.

    Attributes:
        fault: it began.
        healed: what was broken was there again.
        ended: the load was stopped.
        opened: circuits that opened, with the process that has them.
        cut_off: the processes of the hosts to which it happened.
        leaked: a sentence for each thing left behind.
        died: a sentence for each process that ended though nobody wanted it to.
        versions: what release processes say that they are of.
        version: what release those that were replaced should be of; empty: none was.
        lag: seconds by which the load itself was late at most.
    """

    fault: float
    healed: float
    ended: float
    opened: Sequence[str] = ()
    cut_off: Sequence[str] = ()
    leaked: Sequence[str] = ()
    died: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    lag: float = 0.0


@dataclass(slots=True)
class Row:
    """A fault's figures; shares are of the requests that met it: under way when it began, or begun before it was over.

    Attributes:
        name, title: of the fault.
        seconds: how long it lasted.
        replies, exact: those read word by word, and those of them that came out as they should.
        resumes, gateway_resumes: how often readers and gateways went on with a stream.
        seams, gaps: that readers met.
        requests: that met it.
        success, kept: the part of them that was answered at the first try, and in the end.
        messages, messages_kept: the same of messages alone.
        p99: seconds, of all requests that met it.
        to_recover: seconds from the healing until, for a second, everything was answered at once; None: never.
        opened: circuits that opened.
        hung: requests without an answer a second after their deadline.
        outcomes: how requests failed.
        given_up: a sentence for each message that was never answered.
        targets: what should hold on any machine.
        timed: what should hold where the machine has time for all that runs on it.
        broken: what went wrong with the run itself.
    """

    name: str
    title: str
    seconds: float = 0.0
    replies: int = 0
    exact: int = 0
    resumes: int = 0
    gateway_resumes: int = 0
    seams: int = 0
    gaps: int = 0
    requests: int = 0
    success: float | None = None
    kept: float | None = None
    messages: float | None = None
    messages_kept: float | None = None
    p99: float | None = None
    to_recover: float | None = None
    opened: list[str] = field(default_factory=list)
    hung: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    timed: list[Target] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether what should hold on any machine does."""
        return not self.broken and bool(self.targets) and all(target.ok for target in self.targets)

    @property
    def ok(self) -> bool:
        """Whether everything is as it should be."""
        return self.sound and all(target.ok for target in self.timed)


def row_of(fault: Fault, report: Report, records: Sequence[Record], seen: Seen) -> Row:
    """Puts the figures together.

    Args:
        fault: what happened.
        report: of the replies that were read word by word.
        records: of all other requests.
        seen: the rest.
    """
    hit = met(records, seen.fault, seen.healed)
    talks = [record for record in hit if record.kind == MESSAGE]
    row = Row(
        fault.name,
        fault.title,
        seconds=seen.healed - seen.fault,
        replies=report.replies,
        exact=report.exact,
        resumes=report.resumes,
        gateway_resumes=report.gateway_resumes,
        seams=report.seams,
        gaps=report.gaps,
        requests=len(hit),
        success=share(hit),
        kept=share(hit, kept=True),
        messages=share(talks),
        messages_kept=share(talks, kept=True),
        p99=quantile((record.seconds or 0.0 for record in hit), 0.99),
        to_recover=recovered(records, seen.healed, seen.ended),
        opened=sorted(seen.opened),
        hung=sum(record.hung(seen.lag) for record in records),
        outcomes=outcomes(hit),
        given_up=[_given_up(record, seen) for record in records if record.kind == MESSAGE and not record.answered],
        broken=[*report.wrong, *report.broken],
    )
    row.targets = _targets(fault, row, records, seen)
    row.timed = _timed(fault, row, seen)
    return row


def _targets(fault: Fault, row: Row, records: Sequence[Record], seen: Seen) -> list[Target]:
    since = [record for record in records if record.ended > seen.fault]
    most = REDUNDANT_SECONDS if fault.redundant else SINGLE_SECONDS
    # A reader whose minute was over before all had to be well again may have left without an answer.
    talks = [r for r in since if r.kind == MESSAGE and (r.answered or r.began + r.deadline > seen.healed + most)]
    kept = share(talks, kept=True) or 0.0
    found = [
        Target("every reply exact", f"{row.exact} of {row.replies}", row.exact == row.replies > 0),
        Target("nothing hangs beyond its deadline", f"{row.hung} hung", row.hung == 0),
        Target("every message answered in the end", percent(kept), kept == 1.0),
    ]
    if fault.kind is Kind.UPGRADE:
        old = sorted(name for name, version in seen.versions.items() if version != seen.version)
        what = f"{len(seen.versions)} of {seen.version}" if not old else f"not: {', '.join(old)}"
        found.append(Target("what was replaced is of the new build", what, bool(seen.versions) and not old))
    found.append(Target("nothing ended that should run", "; ".join(seen.died) or "nothing", not seen.died))
    found.append(Target("nothing left behind", "; ".join(seen.leaked) or "nothing", not seen.leaked))
    return found


def _timed(fault: Fault, row: Row, seen: Seen) -> list[Target]:
    most = REDUNDANT_SECONDS if fault.redundant else SINGLE_SECONDS
    said = "never" if row.to_recover is None else f"{row.to_recover:.1f} s"
    well = row.to_recover is not None and row.to_recover <= most
    found = [Target(f"all well {most:g} s after the healing", said, well)]
    if fault.redundant:
        part = row.kept or 0.0
        found.append(Target("99.9 % of all answered in the end", percent(part), part >= NEARLY_ALL))
        # Who is cut off may find that nobody is left.
        wrong = [name for name in row.opened if name.partition("->")[0] not in seen.cut_off and name not in _BORNE]
        found.append(Target("no circuit opens elsewhere: the other one is well", ", ".join(wrong) or "none", not wrong))
    return found


def _given_up(record: Record, seen: Seen) -> str:
    when = f"{record.what}, {record.began - seen.fault:.1f} s after the fault"
    return f"{when}: {record.outcome}; given up after {record.kept_seconds:.1f} s, {record.request_id}"
