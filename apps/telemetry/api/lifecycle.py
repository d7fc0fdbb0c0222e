"""JSON endpoints: exporting spans, and erasing what names a user."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import StrictSerializer, validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry.downloads import streamed
from apps.telemetry.selectors import lifecycle
from apps.telemetry.services import erasing, exporting

DEFAULT_RANGE = timedelta(hours=24)
FIRST_YEAR, LAST_YEAR = 1970, 9999
FILTERS = {
    "environment": "environment",
    "feature": "feature",
    "model": "model",
    "provider": "provider",
    "status": "status",
    "user": "user_id",
    "session": "session_id",
    "prompt": "prompt_name",
    "prompt_version": "prompt_version",
    "kind": "kind",
    "service": "service",
}
"""Query parameters, and the columns that they name."""


class JsonLines(JSONRenderer):
    """Lets `?format=jsonl` be asked for; errors are JSON."""

    format = exporting.JSONL


class Parquet(JSONRenderer):
    """Lets `?format=parquet` be asked for; errors are JSON."""

    format = exporting.PARQUET


class ExportQuery(serializers.Serializer[Any]):
    """Which spans: a time range (the last 24 hours when left out) and what they must have."""

    format = serializers.ChoiceField(required=False, default=exporting.JSONL, choices=sorted(exporting.MEDIA_TYPES))
    vars()["from"] = serializers.DateTimeField(required=False, help_text="start of the range, included")
    to = serializers.DateTimeField(required=False, help_text="end of the range, not included")
    environment = serializers.CharField(required=False, max_length=64)
    feature = serializers.CharField(required=False, max_length=128)
    model = serializers.CharField(required=False, max_length=128)
    provider = serializers.CharField(required=False, max_length=64)
    status = serializers.ChoiceField(required=False, choices=["ok", "error"])
    user = serializers.CharField(required=False, max_length=256)
    session = serializers.CharField(required=False, max_length=256)
    prompt = serializers.CharField(required=False, max_length=128, help_text="the prompt's name")
    prompt_version = serializers.CharField(required=False, max_length=64, help_text="its version alone")
    kind = serializers.CharField(required=False, max_length=16)
    service = serializers.CharField(required=False, max_length=256)


class ExportApi(ProjectApi):
    """`GET /api/v1/export`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ
    renderer_classes = [JSONRenderer, JsonLines, Parquet]

    @extend_schema(
        parameters=[ExportQuery],
        responses={
            (200, exporting.MEDIA_TYPES[exporting.JSONL]): OpenApiResponse(OpenApiTypes.STR, "one span a line"),
            (200, exporting.MEDIA_TYPES[exporting.PARQUET]): OpenApiResponse(OpenApiTypes.BINARY, "a Parquet file"),
        },
    )
    def get(self, request: ApiRequest) -> StreamingHttpResponse:
        """Spans as a file, oldest first, streamed. Lines of JSON can be sent to `POST /api/v1/telemetry` again."""
        query = _asked(request.query_params)
        end = query.get("to") or clock.now() + timedelta(microseconds=1)
        start = query.get("from") or end - DEFAULT_RANGE
        if start >= end or not (start.year > FIRST_YEAR and end.year < LAST_YEAR):
            raise Invalid("`from` must lie before `to`.")
        filters = tuple((column, query[name]) for name, column in FILTERS.items() if name in query)
        export = exporting.Export(request.project.pk, start, end, filters)
        return streamed(export, query["format"], request.project.slug)


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(parameters) - set(ExportQuery().fields) - {"project"})
    if unknown:
        raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=sorted(ExportQuery().fields))
    query = ExportQuery(data=parameters)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


class ErasureInput(StrictSerializer):
    """Whose data to erase."""

    user_id = serializers.CharField(
        max_length=256, trim_whitespace=False, help_text="exactly as the telemetry has it, not its digest"
    )


class ErasureOutput(serializers.Serializer[Any]):
    """An erasure and its receipt. The user is named by a keyed digest alone."""

    id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=["waiting", "running", "finished"])
    user_digest = serializers.CharField(help_text="HMAC-SHA-256 of the user's id under the project's key")
    requested_by = serializers.CharField()
    requested_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="rows erased, by what they are")
    first_at = serializers.DateTimeField(allow_null=True, help_text="start of the first span that was erased")
    last_at = serializers.DateTimeField(allow_null=True, help_text="start of the last one")


class ErasurePageOutput(serializers.Serializer[Any]):
    """Erasures, newest first."""

    items = ErasureOutput(many=True)
    next = serializers.CharField(allow_null=True)


class ErasureQuery(serializers.Serializer[Any]):
    """Which page of the list."""

    cursor = serializers.IntegerField(required=False, min_value=1, help_text="`next` of the page before")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class ErasuresApi(ProjectApi):
    """`/api/v1/erasures`"""

    role: ClassVar[Role] = Role.ADMIN
    scope: ClassVar[Scope] = Scope.ADMIN

    @extend_schema(parameters=[ErasureQuery], responses=ErasurePageOutput)
    def get(self, request: ApiRequest) -> Response:
        """The receipts of all erasures."""
        query = ErasureQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        limit = query.validated_data["limit"]
        found = lifecycle.list_erasures(request.project.pk, limit=limit + 1, before=query.validated_data.get("cursor"))
        following = str(found[limit - 1].pk) if len(found) > limit else None
        return Response({"items": [erasing.receipt(erasure) for erasure in found[:limit]], "next": following})

    @extend_schema(request=ErasureInput, responses={202: ErasureOutput})
    def post(self, request: ApiRequest) -> Response:
        """Erase everything that names a user. It is done in the background; its receipt says when it is finished.

        Sending it again while it is under way answers with the same erasure. Spans of the user that arrive later are
        stored as usual.
        """
        body = validated(ErasureInput, request)
        erasure = erasing.request_erasure(
            project=request.project, user_id=body["user_id"], actor=request.actor, now=clock.now()
        )
        return Response(erasing.receipt(erasure), status=202)


class ErasureApi(ProjectApi):
    """`/api/v1/erasures/{id}`"""

    role: ClassVar[Role] = Role.ADMIN
    scope: ClassVar[Scope] = Scope.ADMIN

    @extend_schema(responses=ErasureOutput)
    def get(self, request: ApiRequest, erasure: UUID) -> Response:
        """One erasure and its receipt."""
        return Response(erasing.receipt(lifecycle.get_erasure(request.project.pk, erasure)))
