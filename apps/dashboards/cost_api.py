"""JSON endpoints about costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.clock import zone_named
from apps.core.errors import Invalid
from apps.core.periods import CUSTOM, LONGEST, Period
from apps.core.rest import validated, validated_query
from apps.dashboards import cost_selectors, optimise_words
from apps.dashboards.cost_serializers import (
    AnomaliesOutput,
    AnomaliesQuery,
    CostRangeQuery,
    RepriceAnswer,
    RepriceInput,
    RepriceOutput,
    RepricesOutput,
    SuggestionsOutput,
    UnpricedPage,
    told_preview,
)
from apps.dashboards.optimise_selectors import read_suggestions
from apps.dashboards.optimising import Kind
from apps.dashboards.scope import Scope as PageScope
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry.repricing import Wish
from apps.telemetry.selectors.repricing import list_reprices
from apps.telemetry.services import repricing

DEFAULT_RANGE = timedelta(days=90)
TICK = timedelta(microseconds=1)
FIRST_YEAR, LAST_YEAR = 1970, 9999


class UnpricedApi(ProjectApi):
    """`GET /api/v1/costs/unpriced`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ

    @extend_schema(parameters=[CostRangeQuery], responses=UnpricedPage, operation_id="costs_unpriced_list")
    def get(self, request: ApiRequest) -> Response:
        """Models whose calls have no price, with their calls and tokens."""
        scope = read_range(validated_query(CostRangeQuery, request), now=clock.now())
        found = cost_selectors.read_unpriced(request.project.pk, scope)
        return Response(UnpricedPage({"items": found, "next": None}).data)


class AnomaliesApi(ProjectApi):
    """`GET /api/v1/costs/anomalies`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ

    @extend_schema(parameters=[AnomaliesQuery], responses=AnomaliesOutput, operation_id="costs_anomalies_list")
    def get(self, request: ApiRequest) -> Response:
        """Days of the last two weeks whose spend is out of its usual range, and what drove each."""
        now, zone = clock.now(), zone_named(request.project.timezone)
        scope = read_range(validated_query(AnomaliesQuery, request), now=now)
        found = cost_selectors.read_anomalies(request.project.pk, scope, zone=zone, now=now)
        return Response(AnomaliesOutput({"items": found, "next": None}).data)


class SuggestionsApi(ProjectApi):
    """`GET /api/v1/costs/suggestions`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ

    @extend_schema(responses=SuggestionsOutput, operation_id="costs_suggestions_list")
    def get(self, request: ApiRequest) -> Response:
        """Where money could be saved, each with the numbers it rests on; and why the other kinds say nothing."""
        found = read_suggestions(request.project, now=clock.now())
        silences = {kind.value: optimise_words.silence(kind, found) for kind in Kind if not found.has(kind)}
        return Response(SuggestionsOutput({"items": found.suggestions, "not_found": silences, "next": None}).data)


class RepriceApi(ProjectApi):
    """`GET` and `POST /api/v1/costs/reprice`"""

    roles: ClassVar[dict[str, Role]] = {"GET": Role.VIEWER, "POST": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"GET": Scope.READ, "POST": Scope.ADMIN}

    @extend_schema(responses=RepricesOutput, operation_id="costs_reprices_list")
    def get(self, request: ApiRequest) -> Response:
        """What was worked out anew: by whom, when, and the sums before and after."""
        return Response(RepricesOutput({"items": list_reprices(request.project), "next": None}).data)

    @extend_schema(request=RepriceInput, responses=RepriceAnswer, operation_id="costs_reprice")
    def post(self, request: ApiRequest) -> Response:
        """Work the costs of one model's past calls out anew. Without `apply` it only tells what would change.

        Calls without a cost change, and with `includes_priced` the others too. The work is done in the background;
        while it is under way for the model, it is answered instead of a second one.
        """
        body = validated(RepriceInput, request)
        now, zone = clock.now(), zone_named(request.project.timezone)
        applies = body.pop("apply")
        wish = Wish(**body)
        if not applies:
            found = repricing.preview(project=request.project, wish=wish, zone=zone, now=now)
            return Response({"preview": told_preview(found), "reprice": None})
        work = repricing.request_reprice(project=request.project, wish=wish, zone=zone, actor=request.actor, now=now)
        return Response({"preview": None, "reprice": RepriceOutput(work).data})


def read_range(query: dict[str, Any], *, now: datetime) -> PageScope:
    """The calls that a query is about. Raises Invalid for a range that makes no sense."""
    end = query.get("to") or now + TICK
    start = query.get("from") or end - DEFAULT_RANGE
    if not (start.year > FIRST_YEAR and end.year < LAST_YEAR) or start >= end or end - start > LONGEST:
        raise Invalid(f"`from` must lie before `to`, and a range may have {LONGEST.days} days.")
    return PageScope(Period(CUSTOM, start, end), query.get("environment"), query.get("feature"))
