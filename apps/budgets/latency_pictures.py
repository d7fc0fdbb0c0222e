"""The charts of a latency target: percentiles against their targets, and slow calls by day."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from apps.budgets.latency_goals import Goal, Measure
from apps.budgets.models import LatencyTarget
from apps.budgets.selectors.latency import Course
from apps.core import charts
from apps.core.formats import milliseconds

P50_SLOT, P99_SLOT = 3, 1


def percentiles(course: Course, goals: Sequence[Goal], measure: Measure) -> charts.Chart:
    """P50 and P99 of one length by day, with the target lines."""
    question = _("Do they begin in time?") if measure is Measure.TTFT else _("Are the answers in time?")
    return charts.lines(
        id=f"chart-target-{measure}",
        title=question,
        subtitle=_("TTFT by day") if measure is Measure.TTFT else _("Total by day"),
        times=course.days,
        series=[
            charts.Series("P99", course.measured[measure, 99], P99_SLOT),
            charts.Series("P50", course.measured[measure, 50], P50_SLOT),
        ],
        unit=charts.MS,
        targets=lines_of(goals, measure),
    )


def lines_of(goals: Sequence[Goal], measure: Measure) -> list[charts.Target]:
    """A line for each goal of this length."""
    wanted = [goal for goal in goals if goal.measure is measure]
    return [charts.Target(goal.most_ms, f"P{goal.percentile} ≤ {milliseconds(goal.most_ms)}") for goal in wanted]


def target_lines(target: LatencyTarget | None, measure: Measure) -> list[charts.Target]:
    """The lines of a target; none without one."""
    return [] if target is None else lines_of(target.goals, measure)


def slow_shares(course: Course, goals: Sequence[Goal]) -> charts.Chart:
    """The share of slow calls by day, as a multiple of what is allowed: above 1 the day breaks the promise."""
    slots = {"total_p50": 3, "total_p99": 1, "ttft_p50": 5, "ttft_p99": 2}
    return charts.lines(
        id="chart-target-burn",
        title=_("On which days is the promise kept?"),
        subtitle=_("Slow calls by day, as a multiple of those allowed"),
        times=course.days,
        series=[
            charts.Series(goal.name, [tally.burn_rate(goal) for tally in course.tallies[goal.key]], slots[goal.key])
            for goal in goals
        ],
        unit=charts.Unit(lambda value: "–" if value is None else f"{float(value):.2f} ×", ((0, 1, " ×"),)),
        targets=[charts.Target(1, _("allowed"))],
    )
