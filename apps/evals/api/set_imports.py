"""JSON endpoints: importing and exporting the examples of a set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from django.http import HttpRequest, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import validated_query
from apps.evals.importing.formats import MEDIA_TYPES as IMPORTED
from apps.evals.importing.found import MAX_FILE
from apps.evals.importing.texts import ENCODINGS
from apps.evals.selectors.sets import get_revision, get_set
from apps.evals.services import set_imports
from apps.evals.services.set_imports import PIECE, FileTooLarge, Wish
from apps.evals.set_downloads import streamed
from apps.evals.set_import_serializers import ExportQuery, ImportedSetOutput, ImportQuery
from apps.evals.types import ReviewState
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


class JsonLines(JSONRenderer):
    """Lets `?format=jsonl` be asked for; errors are JSON."""

    format = "jsonl"


class Csv(JSONRenderer):
    """Lets `?format=csv` be asked for; errors are JSON."""

    format = "csv"


class AnyBody(BaseParser):
    """Lets bodies of any type in; they are read in pieces, not parsed here."""

    media_type = "*/*"


class SetImportApi(ProjectApi):
    """`POST /api/v1/eval-sets/{slug}/import`"""

    role: ClassVar[Role] = Role.EDITOR
    scope: ClassVar[Scope] = Scope.EVALS
    parser_classes = [MultiPartParser, AnyBody]

    @extend_schema(
        parameters=[ImportQuery],
        request=dict.fromkeys((*IMPORTED, "multipart/form-data"), OpenApiTypes.BINARY),
        responses=ImportedSetOutput,
        operation_id="eval_sets_import",
    )
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Add and change examples by a file of JSON, JSON Lines or CSV, as one revision.

        The body is the file, or a form with the file as `file`. Rows that cannot be examples are told of and left out;
        the others are taken. A key that is there already gets the new content, unless it is the same.
        """
        query = validated_query(ImportQuery, request)
        raw = request._request
        wish = Wish(
            mapping=query["mapping"],
            state=ReviewState(query["state"]),
            replaces_all=query["mode"] == "replace",
            format=IMPORTED.get(raw.content_type or "", "").lower(),
            encoding=query["encoding"] or _charset(raw),
        )
        filename, pieces = _file(raw)
        outcome = set_imports.import_at_once(
            eval_set=get_set(request.project, slug),
            filename=filename,
            pieces=pieces,
            wish=wish,
            actor=request.actor,
            author=request.membership.user if request.membership is not None else None,
            now=clock.now(),
            is_dry_run=query["dry_run"],
        )
        upload = outcome.upload
        answer = {
            "rows": upload.rows,
            **outcome.tally.as_dict(),
            "rejected_rows": upload.counts["rejected"],
            "rejected": upload.problems,
            "revision": None if outcome.revision is None else outcome.revision.number,
            "mapping": upload.mapping,
            "format": upload.format,
            "encoding": upload.encoding,
        }
        return Response(ImportedSetOutput(answer).data)


def _charset(raw: HttpRequest) -> str:
    """The encoding that the content type names; `auto` without one."""
    named = (raw.content_params or {}).get("charset", "").lower().replace("iso-8859-1", "latin-1")
    named = {"utf8": "utf-8", "latin1": "latin-1", "utf16": "utf-16"}.get(named, named)
    return named if named in ENCODINGS and raw.content_type != "multipart/form-data" else "auto"


def _file(raw: HttpRequest) -> tuple[str, Iterator[bytes]]:
    """The name and the bytes of what was sent, to be read in pieces. Raises FileTooLarge and Invalid."""
    length = raw.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > MAX_FILE + 1024 * 1024:
        raise FileTooLarge(limit=MAX_FILE // 1024 // 1024)
    if raw.content_type != "multipart/form-data":
        return "API", iter(lambda: raw.read(PIECE), b"")
    uploaded = raw.FILES.get("file")
    if uploaded is None:
        raise Invalid(file=["Send the file as a part called file."])
    return str(uploaded.name), iter(uploaded.chunks(PIECE))


class SetExportApi(ProjectApi):
    """`GET /api/v1/eval-sets/{slug}/export`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.EVALS
    renderer_classes = [JSONRenderer, JsonLines, Csv]

    @extend_schema(
        parameters=[ExportQuery],
        responses={
            (200, "application/x-ndjson"): OpenApiResponse(OpenApiTypes.STR, "one example a line"),
            (200, "application/json"): OpenApiResponse(OpenApiTypes.STR, '{"examples": […]}'),
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.STR, "for spreadsheets"),
        },
        operation_id="eval_sets_export",
    )
    def get(self, request: ApiRequest, slug: str) -> StreamingHttpResponse:
        """The examples of a revision as a file, streamed. JSON and JSON Lines import back into an equal revision."""
        query = validated_query(ExportQuery, request)
        eval_set = get_set(request.project, slug)
        number = eval_set.head if query["revision"] is None else get_revision(eval_set, query["revision"]).number
        return streamed(eval_set, number, query["format"])
