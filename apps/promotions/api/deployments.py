"""JSON endpoints of what is live everywhere, and of what changed before a moment."""

from __future__ import annotations

from datetime import UTC, timedelta

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.promotions.deployment_serializers import (
    AllDeploymentsQuery,
    ChangesBeforeOutput,
    ChangesQuery,
    LinesOutput,
)
from apps.promotions.selectors.changes import changes_before
from apps.promotions.selectors.deployments import Where, deployments_page


class AllDeploymentsApi(ProjectApi):
    """`GET /api/v1/deployments`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ

    @extend_schema(parameters=[AllDeploymentsQuery], responses=LinesOutput, operation_id="deployments_list")
    def get(self, request: ApiRequest) -> Response:
        """What is live where, since when, by whom and with which evidence, and what was, newest first."""
        query = validated_query(AllDeploymentsQuery, request)
        page = deployments_page(request.project, **query)
        return Response(LinesOutput(page._asdict()).data)


class ChangesApi(ProjectApi):
    """`GET /api/v1/changes`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ

    @extend_schema(parameters=[ChangesQuery], responses=ChangesBeforeOutput, operation_id="changes_list")
    def get(self, request: ApiRequest) -> Response:
        """What changed in the hours before a moment, nearest to it first, each as a sentence."""
        query = validated_query(ChangesQuery, request)
        at = (query["at"] or clock.now()).astimezone(UTC)
        since = at - timedelta(hours=query["hours"])
        where = Where(query["prompt"], query["environment"], query["feature"], since=since, until=at)
        found = changes_before(request.project, where, at=at)
        told = {"at": at, "since": since, "items": found.items, "is_cut": found.is_cut}
        return Response(ChangesBeforeOutput(told).data)
