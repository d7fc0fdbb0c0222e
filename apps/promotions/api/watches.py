"""JSON endpoints of watches and notices."""

from __future__ import annotations

from typing import ClassVar, NamedTuple
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.promotions.selectors import notices as notice_selectors
from apps.promotions.selectors import people, watch_views
from apps.promotions.selectors import watches as selectors
from apps.promotions.services import notices as services
from apps.promotions.watch_serializers import (
    NoticesOutput,
    NoticesQuery,
    WatchesOutput,
    WatchesQuery,
    WatchOutput,
)


class NobodyReads(Invalid):
    """A key without a person behind it cannot have read anything."""

    message = "Nobody stands behind this key, so nobody can have read it."


class Reader(NamedTuple):
    """Whose notices: the person behind the call, and their role now; a viewer where there is none."""

    user: User | None
    role: Role


def _reader(request: ApiRequest) -> Reader:
    user = people.person_behind(request.user, request.identity)
    role = None if user is None else notice_selectors.role_of(request.project.pk, user.pk)
    return Reader(user, role or Role.VIEWER)


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


class NoticesApi(ProjectApi):
    """`GET /api/v1/notices`"""

    scope = Scope.READ

    @extend_schema(parameters=[NoticesQuery], responses=NoticesOutput, operation_id="notices_list")
    def get(self, request: ApiRequest) -> Response:
        """What people have to know, as far as the caller's role goes: unread first, newest first.

        A key sees what its person sees.
        """
        query = validated_query(NoticesQuery, request)
        reader = _reader(request)
        found = notice_selectors.list_notices(
            request.project,
            role=reader.role,
            user_id=reader.user.pk if reader.user else None,
            level=query["level"],
            only_unread=query["unread"],
            limit=query["limit"],
        )
        return Response(NoticesOutput({"items": found}).data)


class NoticeReadApi(ProjectApi):
    """`POST /api/v1/notices/{uuid}/read`"""

    scope = Scope.READ
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMOTIONS}

    @extend_schema(request=None, responses={204: None}, operation_id="notices_read")
    def post(self, request: ApiRequest, uuid: UUID) -> Response:
        """Note that the caller has read it, or the person behind the key. Repeating it changes nothing."""
        reader = _reader(request)
        notice = notice_selectors.get_notice(request.project, uuid, role=reader.role)
        if reader.user is None:
            raise NobodyReads
        services.mark_read(notice=notice, user=reader.user, now=clock.now())
        return Response(status=204)
