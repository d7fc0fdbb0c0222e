"""JSON endpoints: connections to providers. A key goes in and never comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.reauthentication import is_fresh
from apps.core import clock
from apps.core.errors import Forbidden
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.providers import services
from apps.providers.models import Connection
from apps.providers.selectors import connections
from apps.providers.serializers import ConnectionInput, ConnectionOutput, ConnectionPage, ConnectionPatch

BY_ADMINS: dict[str, Role] = dict.fromkeys(("POST", "PATCH", "DELETE"), Role.ADMIN)
BY_ADMIN_KEYS: dict[str, Scope] = dict.fromkeys(("POST", "PATCH", "DELETE"), Scope.ADMIN)


class SignInAgain(Forbidden):
    """A person must prove again who they are before this."""

    code = "sign_in_again"
    message = "Confirm your password under /accounts/reauthenticate/ first, or use the page under Settings, Providers."


def _require_fresh(request: ApiRequest) -> None:
    """Raise SignInAgain for a person whose sign-in is long ago; a key is let through."""
    if request.identity is None and not is_fresh(request._request):
        raise SignInAgain


def _shown(row: Connection) -> dict[str, Any]:
    return dict(ConnectionOutput(connections.line_of(row)).data)


class ConnectionsApi(ProjectApi):
    """The project's connections to providers."""

    roles: ClassVar[dict[str, Role]] = BY_ADMINS
    scopes: ClassVar[dict[str, Scope]] = BY_ADMIN_KEYS

    @extend_schema(responses=ConnectionPage)
    def get(self, request: ApiRequest) -> Response:
        """All connections, oldest first, without their keys. The test model needs none and is not among them."""
        items = connections.list_connections(request.project)
        return Response({"items": ConnectionOutput(items, many=True).data, "next": None})

    @extend_schema(request=ConnectionInput, responses={201: ConnectionOutput})
    def post(self, request: ApiRequest) -> Response:
        """Add a connection. Nothing is called."""
        body = validated(ConnectionInput, request)
        _require_fresh(request)
        secret, slug = body.pop("secret"), body.pop("slug")
        made = services.add_connection(
            project=request.project,
            slug=slug,
            values=services.ConnectionFields(**{**body, "models": tuple(body["models"])}),
            secret=secret,
            actor=request.actor,
            now=clock.now(),
        )
        return Response(_shown(made), status=201)


class ConnectionApi(ProjectApi):
    """One connection."""

    roles: ClassVar[dict[str, Role]] = BY_ADMINS
    scopes: ClassVar[dict[str, Scope]] = BY_ADMIN_KEYS

    @extend_schema(responses=ConnectionOutput)
    def get(self, request: ApiRequest, connection: str) -> Response:
        """The connection without its key."""
        return Response(_shown(connections.get_connection(request.project, connection)))

    @extend_schema(request=ConnectionPatch, responses=ConnectionOutput)
    def patch(self, request: ApiRequest, connection: str) -> Response:
        """Change what is named. Another protocol or address clears the key unless a new one is given with it."""
        body = validated(ConnectionPatch, request)
        _require_fresh(request)
        row, now = connections.get_connection(request.project, connection), clock.now()
        enabled = body.pop("enabled", None)
        secret = (body.pop("secret") or "") if "secret" in body else None
        if body or secret is not None:
            changes: dict[str, Any] = {
                name: tuple(value) if name == "models" else value for name, value in body.items()
            }
            values = replace(services.fields_of(row), **changes)
            row = services.change_connection(connection=row, values=values, secret=secret, actor=request.actor, now=now)
        if enabled is not None:
            row = services.switch_connection(connection=row, is_enabled=enabled, actor=request.actor, now=now)
        return Response(_shown(row))

    @extend_schema(responses={204: None})
    def delete(self, request: ApiRequest, connection: str) -> Response:
        """Remove the connection and its key, for good."""
        row = connections.get_connection(request.project, connection)
        services.remove_connection(connection=row, actor=request.actor, now=clock.now())
        return Response(status=204)
