"""What the Retrieval and Agents pages open with, in words. The rules are in `retrieval` and `agents`."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import formats
from apps.core.periods import Period
from apps.dashboards.agents import AgentFinding, AgentsPage
from apps.dashboards.retrieval import RetrievalFinding, RetrievalPage
from apps.dashboards.sentences import before, last
from apps.telemetry.utilisation import CITATION, MARKED, OVERLAP


def score(value: float | None) -> str:
    """A score to about two digits, which is what percentiles are good for: `0.62`, `0.034`, `12.4`."""
    if value is None:
        return formats.UNKNOWN
    size = abs(value)
    return formats.number(value, 3 if 0 < size < 0.1 else 2 if size < 10 else 1)


def method_name(method: str) -> str:
    """How utilisation was found, in words."""
    return {
        MARKED: _("marked by the client"),
        CITATION: _("cited in the answer"),
        OVERLAP: _("overlap of words with the answer"),
    }.get(method, _("unknown"))


def loop_name(loop: str) -> str:
    """The kind of a loop, in words."""
    return {
        "repeated": _("the same call in a row"),
        "cycle": _("the same calls in turn"),
        "often": _("the same call again and again"),
    }.get(loop, loop)


def retrieval(page: RetrievalPage, period: Period) -> str:
    """The answer of the Retrieval page."""
    now, earlier = page.total, page.before
    names = {
        "last": last(period),
        "before": before(period),
        "count": formats.number(now.retrievals),
        "empty": formats.percent(now.empty_rate),
        "empty_before": formats.percent(earlier.empty_rate),
        "score": score(now.score_p50),
        "score_before": score(earlier.score_p50),
        "use": formats.percent(page.utilisation, 0),
        "use_before": formats.percent(page.utilisation_before, 0),
    }
    match page.finding:
        case RetrievalFinding.NOTHING:
            text = _("No retrieval in %(last)s.")
        case RetrievalFinding.FEW:
            text = ngettext(
                "%(count)s retrieval in %(last)s, too few to judge.",
                "%(count)s retrievals in %(last)s, too few to judge.",
                now.retrievals,
            )
        case RetrievalFinding.EMPTY_UP:
            text = _("More retrievals find nothing: %(empty)s in %(last)s, %(empty_before)s in %(before)s.")
        case RetrievalFinding.SCORE_DOWN:
            text = _("The best documents match less: a score of %(score)s in the middle, %(score_before)s before.")
        case RetrievalFinding.USE_DOWN:
            text = _("Answers use less of what is found: %(use)s of the documents, %(use_before)s before.")
        case RetrievalFinding.EMPTY_HIGH:
            text = _("%(empty)s of retrievals found nothing in %(last)s.")
        case RetrievalFinding.CALM if now.empty_rate is None:
            text = _("%(count)s retrievals in %(last)s; none says what it found.")
        case RetrievalFinding.CALM:
            text = _("Nothing unusual: %(empty)s of %(count)s retrievals found nothing in %(last)s.")
    return text % names


def agents(page: AgentsPage, period: Period) -> str:
    """The answer of the Agents page."""
    now, earlier = page.total, page.before
    names = {
        "last": last(period),
        "before": before(period),
        "tasks": formats.number(now.tasks),
        "runs": formats.number(page.all_tools.runs),
        "failed": formats.percent(page.unsuccessful),
        "failed_before": formats.percent(page.unsuccessful_before),
        "succeeded": formats.percent(now.success_rate),
        "steps": formats.number(now.steps_p99),
        "steps_before": formats.number(earlier.steps_p99),
        "loops": formats.number(now.loops),
    }
    match page.finding:
        case AgentFinding.NOTHING:
            text = _("No task of an agent in %(last)s.")
        case AgentFinding.ONLY_TOOLS:
            text = _("%(runs)s tool runs in %(last)s, but no task of an agent.")
        case AgentFinding.FEW:
            text = ngettext(
                "%(tasks)s task in %(last)s, too few to judge.",
                "%(tasks)s tasks in %(last)s, too few to judge.",
                now.tasks,
            )
        case AgentFinding.FAILED_UP:
            text = _("More tasks fail: %(failed)s in %(last)s, %(failed_before)s in %(before)s.")
        case AgentFinding.STEPS_UP:
            text = _("The longest tasks take more steps: %(steps)s at P99 in %(last)s, %(steps_before)s before.")
        case AgentFinding.LOOPS:
            text = _("%(loops)s of %(tasks)s tasks went in circles in %(last)s.")
        case AgentFinding.FAILED_HIGH:
            text = _("%(failed)s of tasks failed or ran out of time in %(last)s.")
        case AgentFinding.CALM:
            text = _("Nothing unusual: %(succeeded)s of %(tasks)s tasks succeeded in %(last)s.")
    return text % names
