"""JSON endpoints of latency targets and their evidence."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.budgets.latency_goals import FIELDS
from apps.budgets.latency_serializers import (
    LatencyEvidenceInput,
    LatencyEvidenceOutput,
    LatencyEvidenceQuery,
    LatencyEvidencesOutput,
    LatencyTargetInput,
    LatencyTargetOutput,
    LatencyTargetSettings,
    LatencyTargetStateOutput,
    LatencyTargetStatesOutput,
)
from apps.budgets.selectors import latency as selectors
from apps.budgets.services import latency_evidence, latency_targets
from apps.core import clock
from apps.core.rest import validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


def _goals(body: dict[str, Any]) -> dict[str, int | None]:
    return {name: body[name] for name in FIELDS}


class LatencyTargetsApi(ProjectApi):
    """`GET` and `POST /api/v1/latency-targets`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}

    @extend_schema(responses=LatencyTargetStatesOutput, operation_id="latency_targets_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's targets, and how each stands now."""
        targets = selectors.list_targets(request.project)
        states = selectors.read_states(request.project, targets, clock.now())
        return Response(LatencyTargetStatesOutput({"items": states}).data)

    @extend_schema(
        request=LatencyTargetInput, responses={201: LatencyTargetOutput}, operation_id="latency_targets_create"
    )
    def post(self, request: ApiRequest) -> Response:
        """Promise something for a feature in an environment."""
        body = validated(LatencyTargetInput, request)
        new = latency_targets.NewTarget(body["feature"], body["environment"], _goals(body), body["window_days"])
        target = latency_targets.create_target(
            project=request.project, target=new, actor=request.actor, now=clock.now()
        )
        return Response(LatencyTargetOutput(target).data, status=201)


class LatencyTargetApi(ProjectApi):
    """`GET`, `PUT` and `DELETE /api/v1/latency-targets/{uuid}`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"PUT": Role.ADMIN, "DELETE": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @extend_schema(responses=LatencyTargetStateOutput, operation_id="latency_targets_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One target, and how it stands now."""
        target = selectors.get_target(request.project, uuid)
        (state,) = selectors.read_states(request.project, [target], clock.now())
        return Response(LatencyTargetStateOutput(state).data)

    @extend_schema(request=LatencyTargetSettings, responses=LatencyTargetOutput, operation_id="latency_targets_change")
    def put(self, request: ApiRequest, uuid: UUID) -> Response:
        """Promise something else; what is left out is not promised. Evidence for other goals counts no more."""
        body = validated(LatencyTargetSettings, request)
        target = latency_targets.change_target(
            target=selectors.get_target(request.project, uuid),
            goals=_goals(body),
            window_days=body["window_days"],
            actor=request.actor,
            now=clock.now(),
        )
        return Response(LatencyTargetOutput(target).data)

    @extend_schema(responses={204: None}, operation_id="latency_targets_remove")
    def delete(self, request: ApiRequest, uuid: UUID) -> Response:
        """Promise nothing any more."""
        target = selectors.get_target(request.project, uuid)
        latency_targets.remove_target(target=target, actor=request.actor, now=clock.now())
        return Response(status=204)


class LatencyEvidencesApi(ProjectApi):
    """`GET` and `POST /api/v1/latency-evidence`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}

    @extend_schema(
        parameters=[LatencyEvidenceQuery], responses=LatencyEvidencesOutput, operation_id="latency_evidence_list"
    )
    def get(self, request: ApiRequest) -> Response:
        """What was measured, newest first: the last 100."""
        wanted = validated_query(LatencyEvidenceQuery, request).get("target")
        target = selectors.get_target(request.project, wanted) if wanted else None
        found = selectors.list_evidence(request.project, target=target)
        return Response(LatencyEvidencesOutput({"items": found}, context={"now": clock.now()}).data)

    @extend_schema(
        request=LatencyEvidenceInput, responses={201: LatencyEvidenceOutput}, operation_id="latency_evidence_take"
    )
    def post(self, request: ApiRequest) -> Response:
        """Measure real calls for a target. With too few of them it is refused with the number still needed."""
        body, now = validated(LatencyEvidenceInput, request), clock.now()
        evidence = latency_evidence.take_evidence(
            target=selectors.get_target(request.project, body["target"]),
            environment=body["environment"],
            start=body["start"],
            end=body["end"] or now,
            actor=request.actor,
            now=now,
        )
        return Response(LatencyEvidenceOutput(evidence, context={"now": now}).data, status=201)
