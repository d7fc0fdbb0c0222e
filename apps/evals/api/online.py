"""JSON endpoints of online evals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated, validated_query
from apps.evals.models import OnlineEval
from apps.evals.online_serializers import (
    ItemsQuery,
    OnlineChange,
    OnlineInput,
    OnlineItemsOutput,
    OnlineOutput,
    OnlineQuery,
    OnlinesOutput,
    RetriedOutput,
)
from apps.evals.selectors import online as selectors
from apps.evals.services import online as services
from apps.evals.types import ScorerChoice
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


def _choices(told: Iterable[Mapping[str, Any]]) -> tuple[ScorerChoice, ...]:
    return tuple(ScorerChoice(one["slug"], one["version"]) for one in told)


def _answer(online: OnlineEval, days: int = selectors.DAYS) -> dict[str, Any]:
    return dict(OnlineOutput(selectors.online_line(online, now=clock.now(), days=days)).data)


class OnlineEvalsApi(ProjectApi):
    """`GET` and `POST /api/v1/online-evals`"""

    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}

    @extend_schema(parameters=[OnlineQuery], responses=OnlinesOutput, operation_id="online_evals_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's online evals with their coverage, in the order of their names."""
        query = validated_query(OnlineQuery, request)
        lines = selectors.list_online_evals(request.project, now=clock.now(), days=query["days"])
        return Response(OnlinesOutput({"items": lines}).data)

    @extend_schema(request=OnlineInput, responses={201: OnlineOutput}, operation_id="online_evals_create")
    def post(self, request: ApiRequest) -> Response:
        """Score a part of the calls that arrive from now on. Scorers that need an expected output are refused."""
        body = validated(OnlineInput, request)
        spec = services.OnlineSpec(**{**body, "scorers": _choices(body["scorers"])})
        made = services.create_online_eval(project=request.project, spec=spec, actor=request.actor, now=clock.now())
        return Response(_answer(made), status=201)


class OnlineEvalApi(ProjectApi):
    """`GET`, `PATCH` and `DELETE /api/v1/online-evals/{id}`"""

    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"PATCH": Role.EDITOR, "DELETE": Role.EDITOR}

    @extend_schema(parameters=[OnlineQuery], responses=OnlineOutput, operation_id="online_evals_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One online eval, with what was matched, sampled and scored by day, and why the rest was not."""
        query = validated_query(OnlineQuery, request)
        return Response(_answer(selectors.get_online_eval(request.project, uuid), query["days"]))

    @extend_schema(request=OnlineChange, responses=OnlineOutput, operation_id="online_evals_change")
    def patch(self, request: ApiRequest, uuid: UUID) -> Response:
        """Change it, pause it or go on."""
        body = validated(OnlineChange, request)
        online, is_on, now = selectors.get_online_eval(request.project, uuid), body.pop("is_on", None), clock.now()
        if body:
            kept = spec_of(online)
            if "scorers" in body:
                body["scorers"] = _choices(body["scorers"])
            spec = services.OnlineSpec(**{**kept, **body})
            online = services.change_online_eval(online=online, spec=spec, actor=request.actor, now=now)
        if is_on is not None:
            online = services.pause(online=online, is_on=is_on, actor=request.actor, now=now)
        return Response(_answer(online))

    @extend_schema(responses={204: None}, operation_id="online_evals_delete")
    def delete(self, request: ApiRequest, uuid: UUID) -> Response:
        """Forget it and its account; scores in telemetry stay."""
        online = selectors.get_online_eval(request.project, uuid)
        services.delete_online_eval(online=online, actor=request.actor, now=clock.now())
        return Response(status=204)


def spec_of(online: OnlineEval) -> dict[str, Any]:
    """What the online eval does, as fields of an OnlineSpec."""
    line = selectors.online_line(online, now=clock.now(), days=1)
    return {
        "name": online.name,
        "scorers": tuple(ScorerChoice(one.version.scorer.slug, one.version.number) for one in line.scorers),
        "filters": online.filters,
        "percent": online.percent,
        "most_a_day": online.most_a_day,
        "budget_usd_a_day": online.budget_usd_a_day,
    }


class OnlineItemsApi(ProjectApi):
    """`GET /api/v1/online-evals/{id}/items`"""

    scope = Scope.EVALS

    @extend_schema(parameters=[ItemsQuery], responses=OnlineItemsOutput, operation_id="online_evals_items")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """The calls that were sampled and what became of them; `?trace=` says why a call was not scored."""
        query = validated_query(ItemsQuery, request)
        online = selectors.get_online_eval(request.project, uuid)
        page = selectors.list_items(
            online, trace=query["trace"], state=query["state"], before=query["cursor"], limit=query["limit"]
        )
        return Response(OnlineItemsOutput({"items": page.items, "next": page.next}).data)


class OnlineRetryApi(ProjectApi):
    """`POST /api/v1/online-evals/{id}/retry`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=None, responses=RetriedOutput, operation_id="online_evals_retry")
    def post(self, request: ApiRequest, uuid: UUID) -> Response:
        """Try again what failed in the last 30 days, and what the budget did not allow."""
        online = selectors.get_online_eval(request.project, uuid)
        return Response({"retried": services.retry_failed(online=online, actor=request.actor, now=clock.now())})
