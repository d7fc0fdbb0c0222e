"""JSON endpoints of prompt files: in and out."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.prompts.import_serializers import (
    ExportedFileOutput,
    ExportOutput,
    ExportQuery,
    ImportedOutput,
    ImportInput,
    ImportOutput,
    RefusedOutput,
)
from apps.prompts.selectors.imports import export_files
from apps.prompts.selectors.people import author_of
from apps.prompts.services import imports


class ImportApi(ProjectApi):
    """`POST /api/v1/prompts/import`"""

    role = Role.EDITOR
    scope = Scope.PROMPTS_WRITE

    @extend_schema(request=ImportInput, responses=ImportOutput, operation_id="prompts_import")
    def post(self, request: ApiRequest) -> Response:
        """Make prompts and versions of files, in our own format or another's; each whole or not at all.

        One that cannot be made keeps no other from being made: look at each `status`. Nothing is overwritten. With
        `dry_run`, nothing is made and the answer says what would be.
        """
        body = validated(ImportInput, request)
        files = {one["path"]: one["text"].encode("utf-8", "surrogatepass") for one in body["files"]}
        bases = {one["path"]: one["base"] for one in body["files"] if one["base"] is not None}
        if body["dry_run"]:
            plan = imports.plan_import(project=request.project, files=files, bases=bases)
            items = ImportedOutput(plan.steps, many=True).data
        else:
            plan, outcomes = imports.run_import(
                project=request.project,
                files=files,
                mode=imports.Mode(body["mode"]),
                author=author_of(request.membership, request.identity),
                actor=request.actor,
                now=clock.now(),
                note=body["note"],
                bases=bases,
            )
            items = ImportedOutput(outcomes, many=True).data
        return Response({"items": items, "refused": RefusedOutput(plan.refused, many=True).data})


class ExportApi(ProjectApi):
    """`GET /api/v1/prompts/export`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ

    @extend_schema(parameters=[ExportQuery], responses=ExportOutput, operation_id="prompts_export")
    def get(self, request: ApiRequest) -> Response:
        """The newest version of each prompt as a file in our own format, in the order of names."""
        query = validated_query(ExportQuery, request)
        page = export_files(
            request.project, name=query["name"], folder=query["folder"], after=query["cursor"], limit=query["limit"]
        )
        return Response({"items": ExportedFileOutput(page.items, many=True).data, "next": page.next})
