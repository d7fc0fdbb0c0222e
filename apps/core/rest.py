"""What all JSON endpoints share: closed by default, one shape of errors, validated input, cursors."""

from __future__ import annotations

import hashlib
import logging
from typing import IO, TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404
from rest_framework import exceptions, serializers, status
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from apps.core.errors import DomainError, Invalid

if TYPE_CHECKING:
    # DRF imports this module while its views are only half imported.
    from rest_framework.views import APIView

log = logging.getLogger(__name__)

STATUS_CODES = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
}


class DenyAll(BasePermission):
    """The default: an endpoint that declares nothing lets nobody in."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Always no."""
        return False


def error_response(error: DomainError) -> Response:
    """A domain error as the API writes it."""
    response = Response(error.as_dict(), status=error.http_status)
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def render_error(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer every expected failure as `{"error": {"code", "message", "details"}}`; the rest rises and is logged."""
    if isinstance(error, DomainError):
        return error_response(error)
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    if not isinstance(error, exceptions.APIException):
        return None
    details: Any = {}
    message = str(error.detail) if isinstance(error.detail, str) else "One or more fields need a change."
    code = error.status_code
    if isinstance(error, exceptions.ValidationError):
        details, code = error.detail, status.HTTP_422_UNPROCESSABLE_ENTITY
    response = Response(
        {"error": {"code": STATUS_CODES.get(code, "failed"), "message": message, "details": details}}, status=code
    )
    wait = getattr(error, "wait", None)  # what DRF's Throttled carries
    if wait:
        response["Retry-After"] = str(int(wait) + 1)
    return response


class StrictSerializer(serializers.Serializer[Any]):
    """Input that refuses fields it does not know: a typo in a budget costs money."""

    def to_internal_value(self, data: Any) -> Any:
        """Validate, naming each unknown field."""
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                known = ", ".join(sorted(self.fields))
                raise serializers.ValidationError({name: [f"Unknown field. Known are: {known}."] for name in unknown})
        return super().to_internal_value(data)


class DeepJSONParser(JSONParser):
    """JSON from anybody: one that is nested without end is refused like any other that cannot be read."""

    def parse(self, stream: IO[Any], media_type: Any = None, parser_context: Any = None) -> Any:
        """The value that the body spells. Raises ParseError."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise exceptions.ParseError("The JSON is nested too deeply.") from error


def validated(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body in the serializer's shape, or a 422 that names each field."""
    shape = serializer(data=request.data)
    shape.is_valid(raise_exception=True)
    return dict(shape.validated_data)


def validated_query(serializer: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """The query's parameters in the serializer's shape. Raises Invalid for unknown ones, and a 422 for bad ones."""
    known = serializer().fields
    unknown = sorted(set(request.query_params) - set(known) - {"project"})
    if unknown:
        raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=sorted(known))
    shape = serializer(data=request.query_params)
    shape.is_valid(raise_exception=True)
    return dict(shape.validated_data)


def not_modified(request: Request, response: Response) -> Response:
    """The response with an ETag over its data; a 304 without a body for a caller who has just that."""
    # JSONRenderer writes equal data as equal bytes: the order of keys is that of the serializers.
    tag = f'"{hashlib.sha256(JSONRenderer().render(response.data)).hexdigest()[:32]}"'
    asked = [one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")]
    if tag in asked or "*" in asked:
        response = Response(status=status.HTTP_304_NOT_MODIFIED)
    response["ETag"] = tag
    return response
