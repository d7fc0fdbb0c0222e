"""Small words that several pages share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from apps.core import formats
from apps.core.periods import CUSTOM, Period
from apps.dashboards.scope import Scope
from apps.telemetry.addresses import not_said
from apps.telemetry.figures import Dimension, Interval

STEPS = {"1h": "1 h", "24h": "24 h", "7d": "7 d", "30d": "30 d", "90d": "90 d"}


def name_of(values: Sequence[str], dimension: str) -> str:
    """A group of one dimension as a chart and a table call it."""
    return values[0] or not_said(dimension)


def seen(at: datetime, interval: Interval, now: datetime) -> str:
    """When something was seen, as exactly as it is known: `at` is the start of the interval that it fell into."""
    if interval in (Interval.DAY, Interval.SIX_HOURS):
        return _("today") if at.date() == now.date() else formats.day(at, now)
    age = formats.age(at, now)
    return _("%(age)s ago") % {"age": age} if age[0].isdigit() else age


def by_interval(interval: Interval) -> str:
    """How a chart is cut, as in `by hour`."""
    return {
        Interval.MINUTE: _("by minute"),
        Interval.HOUR: _("by hour"),
        Interval.SIX_HOURS: _("every 6 h"),
        Interval.DAY: _("by day"),
        Interval.NONE: "",
    }[interval]


def compared_with(period: Period) -> str:
    """What a change is measured against, short: `the 24 h before`."""
    if period.key == CUSTOM:
        return _("the time before")
    return _("the %(length)s before") % {"length": STEPS[period.key].replace(" ", "\u00a0")}


def where(scope: Scope) -> str:
    """The environment a page looks at, as the beginning of a sentence."""
    return _("All environments") if scope.environment is None else scope.environment or not_said(Dimension.ENVIRONMENT)


@dataclass(frozen=True)
class Breakdown:
    """One link of the choice by what figures are broken down."""

    value: str
    label: str
    is_current: bool


def heading(dimension: Dimension) -> str:
    """What a table's first column is called."""
    return {
        Dimension.FEATURE: _("Feature"),
        Dimension.MODEL: _("Model"),
        Dimension.PROVIDER: _("Provider"),
        Dimension.PROMPT_VERSION: _("Prompt version"),
        Dimension.SOURCE: _("Source"),
        Dimension.ENVIRONMENT: _("Environment"),
    }[dimension]


def breakdowns(offered: Sequence[Dimension], chosen: Dimension) -> list[Breakdown]:
    """The choice by what figures are broken down; the first needs no parameter."""
    return [Breakdown("" if each is offered[0] else str(each), heading(each), each is chosen) for each in offered]


def worst_retrievals(name: str) -> str:
    """What a list of the worst retrievals is called: a question."""
    return {
        "empty": _("Which found nothing?"),
        "low_score": _("Which matched least?"),
        "unused": _("Which were used least?"),
        "slow": _("Which were slowest?"),
    }[name]


def worst_tasks(name: str) -> str:
    """What a list of the worst tasks is called: a question."""
    return {
        "looped": _("Which went in circles?"),
        "failed": _("Which did not succeed?"),
        "longest": _("Which took most steps?"),
    }[name]
