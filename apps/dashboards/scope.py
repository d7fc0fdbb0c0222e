"""What a page looks at, as its address says it: a stretch of time, an environment, a feature, a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.core.periods import Period, read_period
from apps.core.shell import ALL_ENVIRONMENTS
from apps.telemetry.addresses import read_value
from apps.telemetry.figures import Filters, Interval

MINUTES_UP_TO = timedelta(hours=3)
HOURS_UP_TO = timedelta(days=3)
SIX_HOURS_UP_TO = timedelta(days=8)


@dataclass(frozen=True)
class Scope:
    """The calls a page is about. None takes all; the empty text takes those that did not say."""

    period: Period
    environment: str | None = None
    feature: str | None = None
    model: str | None = None

    @property
    def filters(self) -> Filters:
        """The scope without its time, as figures are asked for."""
        return Filters(environment=self.environment, feature=self.feature, model=self.model)

    @property
    def interval(self) -> Interval:
        """How a chart cuts the period, so that it has 25 to 180 points."""
        steps = (
            (MINUTES_UP_TO, Interval.MINUTE),
            (HOURS_UP_TO, Interval.HOUR),
            (SIX_HOURS_UP_TO, Interval.SIX_HOURS),
        )
        return next((interval for length, interval in steps if self.period.length <= length), Interval.DAY)

    @property
    def is_filtered(self) -> bool:
        """True when the page is about some of the project's features or models only."""
        return self.feature is not None or self.model is not None


def read_scope(
    params: Mapping[str, str], *, now: datetime, environment: str = ALL_ENVIRONMENTS, default_range: str = "24h"
) -> Scope:
    """The scope an address names; `environment` is the one to take when it names none."""
    named = params.get("env") or environment
    return Scope(
        period=read_period(params, now=now, default=default_range),
        environment=None if named == ALL_ENVIRONMENTS else read_value(named),
        feature=read_value(params.get("feature")),
        model=read_value(params.get("model")),
    )
