"""JSON endpoints of what the dashboards tell."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.periods import CUSTOM, LONGEST, Period
from apps.core.rest import validated_query
from apps.dashboards.prompt_selectors import read_prompt_numbers
from apps.dashboards.scope import Scope
from apps.dashboards.serializers import NumbersOutput, NumbersQuery
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role
from apps.projects.types import Scope as KeyScope
from apps.prompts.selectors import get_prompt

DEFAULT_RANGE = timedelta(days=30)
TICK = timedelta(microseconds=1)
FIRST_YEAR, LAST_YEAR = 1970, 9999


class PromptNumbersApi(ProjectApi):
    """`GET /api/v1/prompts/{name}/numbers`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[KeyScope] = KeyScope.READ

    @extend_schema(parameters=[NumbersQuery], responses=NumbersOutput, operation_id="prompt_numbers_read")
    def get(self, request: ApiRequest, prompt: str) -> Response:
        """Calls, cost, latency, tokens, errors and scores of each version, from the calls that name it.

        Published versions from the newest on, also those that nobody called, then versions that only calls know.
        Percentiles are of the nearest rank, in whole milliseconds, and at most 0.5 % off.
        """
        query = validated_query(NumbersQuery, request)
        start, end = _range(query.get("from"), query.get("to"))
        found = get_prompt(request.project, prompt)
        numbers = read_prompt_numbers(found, Scope(Period(CUSTOM, start, end), query.get("environment")))
        told = {"from": start, "to": end, "items": numbers.rows, "next": None}
        return Response(NumbersOutput(told).data)


def _range(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    end = end or clock.now() + TICK
    if not FIRST_YEAR < end.year < LAST_YEAR:
        raise Invalid(f"Times lie between the years {FIRST_YEAR} and {LAST_YEAR}.")
    start = start or end - DEFAULT_RANGE
    if start >= end:
        raise Invalid("`from` must lie before `to`.")
    if end - start > LONGEST:
        raise Invalid(f"A range may have {LONGEST.days} days.")
    return start, end
