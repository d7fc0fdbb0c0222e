"""The verdict in words: one sentence, and the numbers it rests on. Rules are in `verdict`."""

from __future__ import annotations

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core import formats, money
from apps.core.periods import CUSTOM, Period
from apps.dashboards.costs import Costs
from apps.dashboards.latency import Latency
from apps.dashboards.verdict import FEW_CALLS, Finding, Kind, Verdict
from apps.telemetry.addresses import not_said
from apps.telemetry.figures import Dimension

MOST_CLAUSES = 2
LEADS = {Kind.ERRORS_UP, Kind.LATENCY_UP, Kind.SPEND_UP}
"""Findings that may follow another in the same sentence."""


def last(period: Period) -> str:
    """The period as in `the last 24 hours`."""
    if period.key == CUSTOM:
        return _("the chosen time")
    if period.length == timedelta(hours=1):
        return _("the last hour")
    if period.length <= timedelta(hours=24):
        return _("the last %(count)d hours") % {"count": period.length // timedelta(hours=1)}
    return _("the last %(count)d days") % {"count": period.length.days}


def before(period: Period) -> str:
    """What it is compared with, as in `the 24 hours before`."""
    if period.key == CUSTOM:
        return _("as long a time before")
    if period.length == timedelta(hours=1):
        return _("the hour before")
    if period.length <= timedelta(hours=24):
        return _("the %(count)d hours before") % {"count": period.length // timedelta(hours=1)}
    return _("the %(count)d days before") % {"count": period.length.days}


def answer(verdict: Verdict, period: Period) -> str:
    """The one sentence, with its full stop."""
    findings = list(verdict.findings)
    if not findings:
        return _calm(verdict, period)
    clauses = [_clause(findings[0], period)]
    follows = [finding for finding in findings[1:] if finding.kind in LEADS]
    if findings[0].kind in LEADS and follows:
        clauses.append(_clause(follows[0], period))
        text = _("%(first)s, and %(second)s.") % {"first": clauses[0], "second": clauses[1]}
    elif findings[0].kind in {Kind.SPEND_UP, Kind.SPEND_DOWN} and verdict.errors_are_steady:
        text = _("%(first)s; errors are steady.") % {"first": clauses[0]}
    else:
        text = f"{clauses[0]}."
    return text[:1].upper() + text[1:]


def _clause(finding: Finding, period: Period) -> str:
    """A finding as part of a sentence, in lower case and without a stop."""
    now, earlier = finding.pair.now, finding.pair.before
    names = {
        "feature": finding.feature or _("calls without a feature"),
        "calls": formats.number(now.calls),
        "earlier_calls": formats.number(earlier.calls),
        "unpriced": formats.number(now.unpriced_calls),
        "rate": formats.percent(now.error_rate),
        "p95": formats.milliseconds(finding.p95_ms[0]) if finding.p95_ms else "",
        "change": formats.percent(abs(finding.change), 0) if finding.change is not None else "",
        "last": last(period),
        "before": before(period),
    }
    return _pattern(finding) % names


def _pattern(finding: Finding) -> str:
    of_feature = finding.feature is not None
    match finding.kind:
        case Kind.SILENCE:
            return _("no calls in %(last)s, after %(earlier_calls)s in %(before)s")
        case Kind.ERRORS_UP:
            return _("errors rose to %(rate)s on %(feature)s") if of_feature else _("errors rose to %(rate)s")
        case Kind.LATENCY_UP:
            if of_feature:
                return _("latency rose to %(p95)s at P95 on %(feature)s")
            return _("latency rose to %(p95)s at P95")
        case Kind.UNPRICED:
            return _("the cost of %(unpriced)s of %(calls)s calls is unknown")
        case Kind.SPEND_UP:
            if of_feature:
                return _("spend is up %(change)s on %(before)s, most of it on %(feature)s")
            return _("spend is up %(change)s on %(before)s")
        case Kind.SPEND_DOWN:
            if of_feature:
                return _("spend is down %(change)s on %(before)s, most of it on %(feature)s")
            return _("spend is down %(change)s on %(before)s")
        case Kind.ERRORS_HIGH:
            return _("%(rate)s of calls failed in %(last)s")


def _calm(verdict: Verdict, period: Period) -> str:
    calls = verdict.whole.now.calls
    if not calls:
        return _("No calls in %(last)s.") % {"last": last(period)}
    if verdict.is_small:
        text = ngettext(
            "%(calls)s call in %(last)s, too few to judge.",
            "%(calls)s calls in %(last)s, too few to judge.",
            calls,
        )
    elif not verdict.whole.before.calls:
        text = _("%(calls)s calls in %(last)s, and none before to compare with.")
    else:
        text = _("Nothing unusual in %(last)s.")
    return text % {"calls": formats.number(calls), "last": last(period)}


def basis(verdict: Verdict) -> str:
    """What the sentence was judged by: how many calls, and for an alarm the numbers of both periods."""
    if not verdict.findings:
        return _counted(verdict)
    finding = verdict.findings[0]
    now, earlier = finding.pair.now, finding.pair.before
    names = {
        "errors": formats.number(now.errors),
        "calls": formats.number(now.calls),
        "earlier_calls": formats.number(earlier.calls),
        "earlier_rate": formats.percent(earlier.error_rate),
        "earlier_p95": formats.milliseconds(finding.p95_ms[1]) if finding.p95_ms else "",
        "cost": money.display(now.cost_usd),
        "earlier_cost": money.display(earlier.cost_usd),
    }
    match finding.kind:
        case Kind.SILENCE:
            return ""
        case Kind.ERRORS_UP:
            text = _("%(errors)s of %(calls)s calls failed; before, %(earlier_rate)s of %(earlier_calls)s.")
        case Kind.LATENCY_UP:
            text = _("P95 was %(earlier_p95)s before. %(calls)s calls against %(earlier_calls)s.")
        case Kind.UNPRICED:
            text = _("Their models have no price yet. What is known adds up to %(cost)s.")
        case Kind.SPEND_UP | Kind.SPEND_DOWN:
            text = _("%(cost)s for %(calls)s calls, against %(earlier_cost)s for %(earlier_calls)s.")
        case Kind.ERRORS_HIGH:
            text = _("%(errors)s of %(calls)s; before, %(earlier_rate)s of %(earlier_calls)s.")
    return text % names


def _counted(verdict: Verdict) -> str:
    now, earlier = verdict.whole.now, verdict.whole.before
    if not now.calls or not earlier.calls or verdict.is_small:
        return ""
    return _("%(calls)s calls, %(rate)s failed; before, %(earlier_calls)s and %(earlier_rate)s.") % {
        "calls": formats.number(now.calls),
        "rate": formats.percent(now.error_rate),
        "earlier_calls": formats.number(earlier.calls),
        "earlier_rate": formats.percent(earlier.error_rate),
    }


def costs(page: Costs, period: Period, by: Dimension) -> str:
    """The answer of the Costs page: how much, and on what most of it goes."""
    total = page.total
    if not total.calls:
        return _("No calls in %(last)s.") % {"last": last(period)}
    names = {
        "cost": money.display(total.cost_usd),
        "last": last(period),
        "calls": formats.number(total.calls),
    }
    if total.cost_usd is None:
        return _("The cost of all %(calls)s calls in %(last)s is unknown.") % names
    if page.dearest is None or len(page.rows) == 1:
        return _("%(cost)s in %(last)s.") % names
    share = formats.percent(page.dearest.share, 0)
    return _("%(cost)s in %(last)s, %(share)s of it on %(name)s.") % {
        **names,
        "share": share,
        "name": page.dearest.value or not_said(by),
    }


def latency(page: Latency, period: Period) -> str:
    """The answer of the Latency page: what nearly all calls stay below, and how many calls that rests on."""
    now = page.total.latency
    if now.p99 is None:
        return _("No latency was measured in %(last)s.") % {"last": last(period)}
    names = {"last": last(period), "half": formats.milliseconds(now.p50), "most": formats.milliseconds(now.p99)}
    if now.count < FEW_CALLS:
        text = ngettext(
            "%(count)s call in %(last)s, too few for percentiles.",
            "%(count)s calls in %(last)s, too few for percentiles.",
            now.count,
        )
        return text % {"count": formats.number(now.count), "last": last(period)}
    return _("Half of the calls took at most %(half)s, 99 %% at most %(most)s in %(last)s.") % names
