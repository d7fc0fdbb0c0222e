"""Watches as pages and the API show them: final words and numbers with their units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.core.charts import COUNT, MS, PERCENT, USD, Chart, Series, Target, Unit, lines
from apps.promotions import guardrail_words as words
from apps.promotions.guardrail_judging import RailReport, Report
from apps.promotions.models import Watch
from apps.promotions.selectors import watches as selectors
from apps.promotions.types import CandidateName, WatchState
from apps.prompts.models import Deployment

UNITS: dict[str, Unit] = {"share": PERCENT, "ms": MS, "usd": USD, "score": COUNT}
FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True)
class RailRow:
    """One guardrail in words."""

    key: str
    title: str
    state: str
    before: str
    after: str
    counts: str
    change: str
    interval: str
    allowed: str
    sentence: str
    method: str


@dataclass(frozen=True, slots=True)
class WatchView:
    """One watch, final. `report` is None before the first look."""

    watch: Watch
    state: WatchState
    candidate: str
    before: str
    environment: str
    sentence: str
    rails: tuple[RailRow, ...]
    report: Report | None
    chance: str
    share_over: float

    @property
    def is_open(self) -> bool:
        """True while it watches."""
        return self.state is WatchState.WATCHING


def view_of(watch: Watch, *, now: datetime) -> WatchView:
    """The watch in words."""
    report = selectors.report_of(watch)
    config = selectors.config_from(watch.guardrails)
    of, measured = (config.count, 0) if report is None else (len(report.rails), report.measured)
    sentence = words.summary(
        state=watch.state,
        measured=measured,
        of=of,
        calls=0 if report is None else report.after_calls,
        needed=config.minimum_calls,
        breach=watch.breach,
    )
    whole = (watch.until - watch.started_at).total_seconds() or 1.0
    return WatchView(
        watch=watch,
        state=WatchState(watch.state),
        candidate=_name_of(watch.deployment),
        before="" if watch.before is None else _name_of(watch.before),
        environment=watch.deployment.environment.slug,
        sentence=sentence,
        rails=() if report is None else tuple(_row(one) for one in report.rails),
        report=report,
        chance=f"{round((1 - config.confidence) * 100, 2):g} %",
        share_over=min(1.0, max(0.0, (now - watch.started_at).total_seconds() / whole)),
    )


def _name_of(deployment: Deployment) -> str:
    return str(CandidateName(deployment.prompt.name, str(deployment.version.number), deployment.model))


def _row(one: RailReport) -> RailRow:
    return RailRow(
        key=one.key,
        title=words.title_of(one.key),
        state=one.state,
        before=words.value(one.before, one.unit) if one.before is not None else "–",
        after=words.value(one.after, one.unit) if one.after is not None else "–",
        counts=f"{one.after_count:,} {words.noun_of(one.key)}, {one.before_count:,} before",
        change=words.moved(one),
        interval=words.interval(one),
        allowed=words.allowed(one),
        sentence=one.sentence,
        method=one.method,
    )


def charts_of(watch: Watch) -> list[Chart]:
    """A line for each guardrail over the looks that decided, with what it was before; none for fewer than three."""
    points = watch.figures.get("points", [])
    report = selectors.report_of(watch)
    if report is None or len(points) < FEWEST_POINTS:
        return []
    times = [datetime.fromisoformat(point["at"]) for point in points]
    return [
        lines(
            id=f"watch-{place}",
            title=words.title_of(one.key),
            subtitle=words.allowed(one),
            times=times,
            series=[Series(words.title_of(one.key), [point["values"].get(one.key) for point in points])],
            unit=UNITS[one.unit],
            targets=[] if one.before is None else [Target(one.before, "before")],
        )
        for place, one in enumerate(report.rails)
        if one.after is not None
    ]
