"""JSON endpoints of watches."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Scope
from apps.promotions.selectors import watch_views
from apps.promotions.selectors import watches as selectors
from apps.promotions.watch_serializers import (
    WatchesOutput,
    WatchesQuery,
    WatchOutput,
)


class WatchesApi(ProjectApi):
    """`GET /api/v1/watches`"""

    scope = Scope.READ

    @extend_schema(parameters=[WatchesQuery], responses=WatchesOutput, operation_id="watches_list")
    def get(self, request: ApiRequest) -> Response:
        """What went live and is, or was, watched: each guardrail with both sides; open ones first, then the newest."""
        query, now = validated_query(WatchesQuery, request), clock.now()
        found = selectors.list_watches(request.project, **query)
        return Response(WatchesOutput({"items": [watch_views.view_of(one, now=now) for one in found]}).data)


class WatchApi(ProjectApi):
    """`GET /api/v1/watches/{uuid}`"""

    scope = Scope.READ

    @extend_schema(responses=WatchOutput, operation_id="watches_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One watch with its newest figures."""
        watch = selectors.get_watch(request.project, uuid)
        return Response(WatchOutput(watch_views.view_of(watch, now=clock.now())).data)
