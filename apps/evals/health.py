"""How far an eval set can be relied on: figures in, one line for each thing to look at out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

LEAST_RUNS = 3
"""Only after so many runs is it said that an example never, or always, fails."""
MOST_POINTS = 60
GROWTH_DAYS = 30


class Standing(StrEnum):
    """How a line stands. `unknown`: it was not measured, which is neither good nor bad."""

    OK = "ok"
    LOOK = "look"
    BAD = "bad"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What would make a line better."""

    ADD = "add"
    REVIEW = "review"
    SLICE = "slice"
    RUN = "run"
    FEATURE = "feature"
    DUPLICATES = "duplicates"
    TRAFFIC = "traffic"
    HARDER = "harder"
    NOTHING = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to look at: how it stands, the number, what it should be, and what would help. `number` is empty when
    it is not known."""

    name: str
    standing: Standing
    number: str
    target: str
    sentence: str
    action: Action = Action.NOTHING


@dataclass(frozen=True, slots=True)
class SliceCount:
    """Approved examples of a slice."""

    name: str
    approved: int


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Examples that ask the same. `similarity` is 1 for the same words."""

    keys: tuple[str, ...]
    texts: tuple[str, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A recent production call that no example is like."""

    trace_id: str
    span_id: str
    at: str
    text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class VersionUse:
    """Production calls of a version of a prompt, and whether it was ever run on this set."""

    version: str
    calls: int
    is_evaluated: bool


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Examples by what came out of them in the newest runs, of those that were in at least LEAST_RUNS. Keys are the
    first of each kind."""

    runs: int = 0
    judged: int = 0
    always_passed: int = 0
    always_failed: int = 0
    passed_keys: tuple[str, ...] = ()
    failed_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Growth:
    """How many examples there were at a moment."""

    at: str
    examples: int
    approved: int


@dataclass(frozen=True, slots=True)
class Health:
    """All figures of a set at a revision. Counts are of examples in the set now."""

    examples: int
    approved: int
    minimum_examples: int
    minimum_per_slice: int
    fresh_days: int
    stale: int
    """Approved examples that nobody changed or reviewed for longer than `fresh_days`."""
    oldest_days: int | None
    feature: str
    slices: tuple[SliceCount, ...] = ()
    outcomes: Outcomes = field(default_factory=Outcomes)
    duplicates: tuple[DuplicateGroup, ...] = ()
    duplicate_groups: int = 0
    duplicates_beyond: int = 0
    """Examples more than one in each group."""
    sampled: int = 0
    covered: int = 0
    uncovered: tuple[Uncovered, ...] = ()
    versions: tuple[VersionUse, ...] = ()
    growth: tuple[Growth, ...] = ()
    grown: int = 0
    """Examples more than GROWTH_DAYS ago."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON; `from_dict` gives it back equal."""
        return asdict(self)

    @property
    def text_coverage(self) -> float | None:
        """The share of sampled calls with an example like them; None without calls."""
        return self.covered / self.sampled if self.sampled else None

    @property
    def version_coverage(self) -> float | None:
        """The share of calls whose version of the prompt was run on the set; None without calls."""
        calls = sum(one.calls for one in self.versions)
        return sum(one.calls for one in self.versions if one.is_evaluated) / calls if calls else None


def from_dict(told: Mapping[str, Any]) -> Health:
    """The figures from JSON as `Health.as_dict` wrote it."""
    parts: dict[str, Any] = {
        "slices": tuple(SliceCount(**one) for one in told["slices"]),
        "outcomes": _outcomes(told["outcomes"]),
        "duplicates": tuple(
            DuplicateGroup(tuple(one["keys"]), tuple(one["texts"]), one["similarity"]) for one in told["duplicates"]
        ),
        "uncovered": tuple(Uncovered(**one) for one in told["uncovered"]),
        "versions": tuple(VersionUse(**one) for one in told["versions"]),
        "growth": tuple(Growth(**one) for one in told["growth"]),
    }
    return Health(**{**told, **parts})


def _outcomes(told: Mapping[str, Any]) -> Outcomes:
    keys = {name: tuple(told[name]) for name in ("passed_keys", "failed_keys")}
    return Outcomes(**{**told, **keys})


def lines(health: Health) -> list[Line]:
    """One line for each thing to look at, in the order in which they matter."""
    return [
        _size(health),
        _slices(health),
        _texts(health),
        _versions(health),
        _fresh(health),
        _never_fails(health),
        _always_fails(health),
        _duplicates(health),
        _growth(health),
    ]


def worst(found: Sequence[Line]) -> Standing:
    """The worst standing among the lines, not counting what is unknown."""
    standings = {line.standing for line in found}
    return next((one for one in (Standing.BAD, Standing.LOOK, Standing.OK) if one in standings), Standing.UNKNOWN)


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _size(health: Health) -> Line:
    have, need = health.approved, health.minimum_examples
    standing = Standing.OK if have >= need else Standing.LOOK if have * 2 >= need else Standing.BAD
    missing = need - have
    sentence = (
        "There are enough approved examples."
        if have >= need
        else f"{missing:,} more approved examples are needed before a verdict can be trusted."
    )
    drafts = health.examples - have
    action = Action.NOTHING if have >= need else Action.REVIEW if drafts >= missing else Action.ADD
    return Line("Approved examples", standing, f"{have:,}", f"{need:,}", sentence, action)


def _slices(health: Health) -> Line:
    target = f"{health.minimum_per_slice:,} in each slice"
    if not health.slices:
        sentence = "No example is in a slice, so what goes wrong in a part of the traffic cannot be seen."
        return Line("Slices", Standing.LOOK, "0", target, sentence, Action.SLICE)
    small = [one for one in health.slices if one.approved < health.minimum_per_slice]
    number = f"{len(health.slices) - len(small):,} of {len(health.slices):,} slices"
    if not small:
        return Line("Slices", Standing.OK, number, target, "Every slice has enough approved examples.")
    named = ", ".join(f"{one.name} ({one.approved})" for one in small[:5])
    standing = Standing.BAD if len(small) * 2 > len(health.slices) else Standing.LOOK
    return Line("Slices", standing, number, target, f"Too few approved examples: {named}.", Action.ADD)


def _texts(health: Health) -> Line:
    share, target = health.text_coverage, "80% of recent calls"
    if not health.feature:
        sentence = "The set names no feature, so it cannot be compared with production."
        return Line("Traffic that looks like it", Standing.UNKNOWN, "", target, sentence, Action.FEATURE)
    if share is None:
        sentence = f"No production call of {health.feature} with its input was recorded in 30 days."
        return Line("Traffic that looks like it", Standing.UNKNOWN, "", target, sentence)
    standing = Standing.OK if share >= 0.8 else Standing.LOOK if share >= 0.5 else Standing.BAD
    sentence = f"Of {health.sampled:,} recent calls of {health.feature}, {health.covered:,} have an example like them."
    action = Action.NOTHING if standing is Standing.OK else Action.TRAFFIC
    return Line("Traffic that looks like it", standing, _percent(share), target, sentence, action)


def _versions(health: Health) -> Line:
    share, target = health.version_coverage, "90% of recent calls"
    if share is None:
        sentence = "No production call that names its version of a prompt was recorded in 30 days."
        return Line("Versions in production", Standing.UNKNOWN, "", target, sentence)
    missing = [one.version for one in health.versions if not one.is_evaluated]
    standing = Standing.OK if share >= 0.9 else Standing.LOOK if share > 0 else Standing.BAD
    sentence = (
        f"Never run on this set: {', '.join(missing[:3])}." if missing else "Every version that is used was run on it."
    )
    action = Action.RUN if missing else Action.NOTHING
    return Line("Versions in production", standing, _percent(share), target, sentence, action)


def _fresh(health: Health) -> Line:
    target = f"at most 10% older than {health.fresh_days:,} days"
    if not health.approved:
        return Line("Staleness", Standing.UNKNOWN, "", target, "There is no approved example yet.", Action.ADD)
    share = health.stale / health.approved
    standing = Standing.OK if share <= 0.1 else Standing.LOOK if share <= 0.5 else Standing.BAD
    sentence = (
        f"The oldest was last looked at {health.oldest_days:,} days ago." if health.oldest_days else "All are new."
    )
    action = Action.NOTHING if standing is Standing.OK else Action.REVIEW
    return Line("Staleness", standing, _percent(share), target, sentence, action)


def _never_fails(health: Health) -> Line:
    name, target = "Examples nothing ever fails", "at most 50%"
    found = health.outcomes
    if not found.judged:
        return Line(name, Standing.UNKNOWN, "", target, _too_few_runs(found), Action.RUN)
    share = found.always_passed / found.judged
    standing = Standing.OK if share <= 0.5 else Standing.LOOK
    sentence = f"{found.always_passed:,} of {found.judged:,} passed in each of the last runs; they tell nothing apart."
    return Line(
        name, standing, _percent(share), target, sentence, Action.NOTHING if standing is Standing.OK else Action.HARDER
    )


def _always_fails(health: Health) -> Line:
    name, target = "Examples that always fail", "at most 10%"
    found = health.outcomes
    if not found.judged:
        return Line(name, Standing.UNKNOWN, "", target, _too_few_runs(found), Action.RUN)
    share = found.always_failed / found.judged
    standing = Standing.OK if share <= 0.1 else Standing.LOOK
    sentence = (
        f"{found.always_failed:,} of {found.judged:,} failed in each of the last runs: do they expect what is right?"
    )
    return Line(
        name, standing, _percent(share), target, sentence, Action.NOTHING if standing is Standing.OK else Action.REVIEW
    )


def _too_few_runs(found: Outcomes) -> str:
    return f"This is known after {LEAST_RUNS} finished runs; there are {found.runs}."


def _duplicates(health: Health) -> Line:
    target = "none"
    if not health.duplicates_beyond:
        return Line("Duplicates", Standing.OK, "0", target, "No two examples ask the same.")
    share = health.duplicates_beyond / max(1, health.examples)
    standing = Standing.LOOK if share <= 0.05 else Standing.BAD
    sentence = f"{health.duplicate_groups:,} groups ask the same, or almost; their examples count more than once."
    return Line("Duplicates", standing, f"{health.duplicates_beyond:,}", target, sentence, Action.DUPLICATES)


def _growth(health: Health) -> Line:
    target = f"some in {GROWTH_DAYS} days"
    standing = Standing.OK if health.grown > 0 else Standing.LOOK
    sentence = (
        "The set grows with what production shows."
        if health.grown > 0
        else "Nothing was added: failures that were seen in production belong into the set."
    )
    return Line(
        "Growth", standing, f"{health.grown:+,}", target, sentence, Action.NOTHING if health.grown > 0 else Action.ADD
    )


def growth_of(revisions: Sequence[tuple[datetime, int, int]], *, now: datetime) -> tuple[tuple[Growth, ...], int]:
    """Counts at even distances of time from the first revision up to now, and how much the set grew in GROWTH_DAYS.

    `revisions` are (when, examples, approved), oldest first.
    """
    if not revisions:
        return (), 0
    start = revisions[0][0]
    step = max((now - start) / MOST_POINTS, timedelta(hours=1))
    points = []
    moment, place = start, 0
    while True:
        moment = min(moment, now)
        while place + 1 < len(revisions) and revisions[place + 1][0] <= moment:
            place += 1
        points.append(Growth(moment.isoformat(), revisions[place][1], revisions[place][2]))
        if moment >= now:
            break
        moment += step
    before = [examples for at, examples, _ in revisions if at <= now - timedelta(days=GROWTH_DAYS)]
    return tuple(points), revisions[-1][1] - (before[-1] if before else 0)
