"""JSON endpoints: API keys and the audit trail."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.reauthentication import is_fresh
from apps.core import clock
from apps.core.errors import Forbidden
from apps.core.rest import validated
from apps.projects import selectors, services
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.models import ApiKey, Role, Scope
from apps.projects.serializers import (
    AuditOutput,
    AuditPageOutput,
    AuditQuery,
    KeyInput,
    KeyOutput,
    KeyPage,
    NewKeyOutput,
)
from apps.projects.types import ROLE_SCOPES


class SignInAgain(Forbidden):
    """A person must prove again who they are before this."""

    code = "sign_in_again"
    message = "Confirm your password under /accounts/reauthenticate/ first, or use the page under Settings, Keys."


def _allowed(request: ApiRequest) -> frozenset[str]:
    """The scopes the caller may give: a key's own, or those of the person's role, who must be freshly signed in."""
    if request.identity is not None:
        return request.identity.scopes
    assert request.membership is not None
    if not is_fresh(request._request):
        raise SignInAgain
    return frozenset(ROLE_SCOPES[request.membership.rank])


def _maker_id(request: ApiRequest) -> int | None:
    """Whom a new key belongs to: the person, or the maker of the key that asks."""
    return request.identity.created_by_id if request.identity is not None else request.actor.id


def _own_key(request: ApiRequest, uuid: UUID) -> ApiKey:
    """The key, if the caller may manage it. Raises NotFound or Forbidden."""
    key = selectors.get_key(project=request.project, uuid=uuid)
    if request.membership is not None and not selectors.may_manage_key(key, viewer=request.membership):
        raise Forbidden("Only admins may change keys that others made.")
    return key


class KeysApi(ProjectApi):
    """API keys of the project."""

    scope = Scope.ADMIN
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}

    @extend_schema(responses=KeyPage)
    def get(self, request: ApiRequest) -> Response:
        """All keys, newest first, without their text."""
        return Response({"items": KeyOutput(selectors.list_keys(request.project), many=True).data, "next": None})

    @extend_schema(request=KeyInput, responses={201: NewKeyOutput})
    def post(self, request: ApiRequest) -> Response:
        """Make a key. Its text is in this answer and nowhere else."""
        body = validated(KeyInput, request)
        now = clock.now()
        made = services.create_key(
            project=request.project,
            name=body["name"],
            scopes=body["scopes"],
            allowed=_allowed(request),
            created_by_id=_maker_id(request),
            actor=request.actor,
            now=now,
            expires_at=body.get("expires_at", now + services.DEFAULT_LIFETIME),
        )
        return Response(NewKeyOutput(made).data, status=201)


class KeyRotationApi(ProjectApi):
    """Replacing a key."""

    role = Role.EDITOR
    scope = Scope.ADMIN

    @extend_schema(request=None, responses={201: NewKeyOutput})
    def post(self, request: ApiRequest, key: UUID) -> Response:
        """Make the key's successor; the old one works for another 24 hours."""
        made = services.rotate_key(
            key=_own_key(request, key),
            allowed=_allowed(request),
            created_by_id=_maker_id(request),
            actor=request.actor,
            now=clock.now(),
        )
        return Response(NewKeyOutput(made).data, status=201)


class KeyRevocationApi(ProjectApi):
    """Stopping a key."""

    role = Role.EDITOR
    scope = Scope.ADMIN

    @extend_schema(request=None, responses=KeyOutput)
    def post(self, request: ApiRequest, key: UUID) -> Response:
        """Revoke the key; it stops within five seconds. Repeating this changes nothing."""
        services.revoke_key(key=_own_key(request, key), actor=request.actor, now=clock.now())
        return Response(KeyOutput(selectors.get_key(project=request.project, uuid=key)).data)


class AuditApi(ProjectApi):
    """The project's audit trail."""

    role = Role.ADMIN
    scope = Scope.ADMIN

    @extend_schema(parameters=[AuditQuery], responses=AuditPageOutput)
    def get(self, request: ApiRequest) -> Response:
        """Entries, newest first, each with its hash and the one before."""
        query = AuditQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        chosen = query.validated_data
        page = selectors.list_audit(
            request.project,
            action=chosen["action"],
            actor=chosen["actor"],
            before=chosen["cursor"],
            limit=chosen["limit"],
        )
        following = None if page.next is None else str(page.next)
        return Response({"items": AuditOutput(page.items, many=True).data, "next": following})
