"""The charts of the Retrieval and Agents pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _

from apps.core import charts, formats
from apps.dashboards import fact_sentences, words
from apps.dashboards.agents import AgentsPage
from apps.dashboards.retrieval import RetrievalPage
from apps.telemetry.figures import Interval
from apps.telemetry.utilisation import METHODS

GOOD_SLOT, NOTHING_SLOT, FAILED_SLOT, UNTOLD_SLOT = 7, 5, 8, charts.OTHER_SLOT
LOW_SLOT, MIDDLE_SLOT, HIGH_SLOT = 2, 1, 3
METHOD_SLOTS = dict(zip(METHODS, (3, 1, 6), strict=True))

SCORE = charts.Unit(fact_sentences.score, ((0, 1, ""),))
PLACES = charts.Unit(lambda value: formats.number(value, 2), ((0, 1, ""),))


def retrieval(page: RetrievalPage, times: Sequence[datetime], interval: Interval) -> dict[str, charts.Chart]:
    """The charts of the Retrieval page, by their names there."""
    rows = page.series
    by = {"by": words.by_interval(interval)}
    return {
        "found": charts.stacked_bars(
            id="chart-found",
            title=_("Is something found?"),
            subtitle=_("Retrievals %(by)s") % by,
            times=times,
            series=_told(
                charts.Series(_("found documents"), [row.found for row in rows], GOOD_SLOT),
                charts.Series(_("found nothing"), [row.empty for row in rows], NOTHING_SLOT),
                charts.Series(_("failed"), [row.failures for row in rows], FAILED_SLOT),
                charts.Series(_("did not say"), [row.untold for row in rows], UNTOLD_SLOT),
            ),
            unit=charts.COUNT,
        ),
        "score": charts.lines(
            id="chart-score",
            title=_("How well does the best document match?"),
            subtitle=_("Its score %(by)s") % by,
            times=times,
            series=[
                charts.Series("P90", [row.score_p90 for row in rows], HIGH_SLOT),
                charts.Series("P50", [row.score_p50 for row in rows], MIDDLE_SLOT),
                charts.Series("P10", [row.score_p10 for row in rows], LOW_SLOT),
            ],
            unit=SCORE,
        ),
        "use": charts.lines(
            id="chart-use",
            title=_("How much of it is used?"),
            subtitle=_("Documents used in the answer, mean %(by)s") % by,
            times=times,
            series=[
                charts.Series(
                    fact_sentences.method_name(method), [row.utilisation(method) for row in rows], METHOD_SLOTS[method]
                )
                for method in METHODS
                if page.total.uses(method)
            ],
            unit=charts.PERCENT,
        ),
        "shift": charts.lines(
            id="chart-shift",
            title=_("What does reranking change?"),
            subtitle=_("Places moved per reranking, mean %(by)s") % by,
            times=times,
            series=_told(
                charts.Series(_("places a document moved"), [row.mean_shift for row in rows], MIDDLE_SLOT),
                charts.Series(_("new among the first three"), [row.replaced_of_top3 for row in rows], LOW_SLOT),
            ),
            unit=PLACES,
        ),
    }


def agents(page: AgentsPage, times: Sequence[datetime], interval: Interval) -> dict[str, charts.Chart]:
    """The charts of the Agents page, by their names there."""
    rows, tools = page.series, page.tool_series
    by = {"by": words.by_interval(interval)}
    return {
        "outcomes": charts.stacked_bars(
            id="chart-outcomes",
            title=_("Do tasks succeed?"),
            subtitle=_("Tasks %(by)s") % by,
            times=times,
            series=_told(
                charts.Series(_("succeeded"), [row.success for row in rows], GOOD_SLOT),
                charts.Series(_("failed"), [row.failure for row in rows], FAILED_SLOT),
                charts.Series(_("ran out of time"), [row.timeout for row in rows], NOTHING_SLOT),
                charts.Series(_("no end yet"), [row.unended for row in rows], UNTOLD_SLOT),
            ),
            unit=charts.COUNT,
        ),
        "steps": charts.lines(
            id="chart-steps",
            title=_("How many steps does a task take?"),
            subtitle=_("Model calls and tool runs %(by)s") % by,
            times=times,
            series=[
                charts.Series("P99", [row.steps_p99 for row in rows], MIDDLE_SLOT),
                charts.Series("P50", [row.steps_p50 for row in rows], HIGH_SLOT),
            ],
            unit=charts.COUNT,
        ),
        "cost": charts.lines(
            id="chart-task-cost",
            title=_("What does a task cost?"),
            subtitle=_("Its model calls, $ %(by)s") % by,
            times=times,
            series=[
                charts.Series("P99", [row.cost_p99 for row in rows], MIDDLE_SLOT),
                charts.Series("P50", [row.cost_p50 for row in rows], HIGH_SLOT),
            ],
            unit=charts.USD,
        ),
        "tools": charts.stacked_bars(
            id="chart-tools",
            title=_("Do tools answer?"),
            subtitle=_("Tool runs %(by)s") % by,
            times=times,
            series=_told(
                charts.Series(_("answered"), [row.runs - row.failure - row.timeout for row in tools], GOOD_SLOT),
                charts.Series(_("failed"), [row.failure for row in tools], FAILED_SLOT),
                charts.Series(_("ran out of time"), [row.timeout for row in tools], NOTHING_SLOT),
            ),
            unit=charts.COUNT,
        ),
    }


def _told(first: charts.Series, *others: charts.Series) -> list[charts.Series]:
    """The first, and those of the others that have anything at all."""
    return [first, *(each for each in others if any(each.values))]
