"""JSON endpoints of notices."""

from __future__ import annotations

from typing import ClassVar, NamedTuple
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.models import User
from apps.alerts.selectors import notices as selectors
from apps.alerts.serializers import NoticesOutput, NoticesQuery
from apps.alerts.services import notices as services
from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import person_behind
from apps.projects.types import Role, Scope


class NobodyReads(Invalid):
    """A key without a person behind it cannot have read anything."""

    message = "Nobody stands behind this key, so nobody can have read it."


class Reader(NamedTuple):
    """Whose notices: the person behind the call, and their role now; a viewer where there is none."""

    user: User | None
    role: Role


def _reader(request: ApiRequest) -> Reader:
    user = person_behind(request.user, request.identity)
    role = None if user is None else selectors.role_of(request.project.pk, user.pk)
    return Reader(user, role or Role.VIEWER)


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
        found = selectors.list_notices(
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
        notice = selectors.get_notice(request.project, uuid, role=reader.role)
        if reader.user is None:
            raise NobodyReads
        services.mark_read(notice=notice, user=reader.user, now=clock.now())
        return Response(status=204)
