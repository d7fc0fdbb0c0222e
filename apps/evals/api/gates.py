"""JSON endpoints of gates: their conditions, judging runs, the reports."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import validated, validated_query
from apps.evals import gate_words
from apps.evals.gate_serializers import (
    CheckInput,
    GateChange,
    GateInput,
    GateOutput,
    GatesOutput,
    GatesQuery,
    PendingOutput,
    ReportOutput,
    ReportQuery,
    ReportsOutput,
    ReportsQuery,
    WholeReportOutput,
)
from apps.evals.models import EvalRun, Gate
from apps.evals.selectors import gates as selectors
from apps.evals.selectors import runs as run_selectors
from apps.evals.selectors import sets as set_selectors
from apps.evals.services import gates as services
from apps.evals.types import RunSource, RunState
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.prompts import selectors as prompts

DRAFT = "draft"
FORMAT = OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "junit", "markdown"])
TYPES = {"junit": "application/xml; charset=utf-8", "markdown": "text/markdown; charset=utf-8"}


def may_lower(request: ApiRequest) -> bool:
    """Whether the caller is an admin, or a key that may do what an admin may."""
    if request.identity is not None:
        return Scope.ADMIN.value in request.identity.scopes
    return request.membership is not None and request.membership.rank.allows(Role.ADMIN)


class GatesApi(ProjectApi):
    """`GET` and `POST /api/v1/gates`"""

    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}

    @extend_schema(parameters=[GatesQuery], responses=GatesOutput, operation_id="gates_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's gates, in the order of their names."""
        query = validated_query(GatesQuery, request)
        eval_set = set_selectors.get_set(request.project, query["eval_set"]) if query["eval_set"] else None
        lines = selectors.list_gates(request.project, eval_set=eval_set, with_archived=query["archived"])
        return Response(GatesOutput({"items": [line.gate for line in lines]}).data)

    @extend_schema(request=GateInput, responses={201: GateOutput}, operation_id="gates_create")
    def post(self, request: ApiRequest) -> Response:
        """Make a gate over a set. Asking for fewer than 100 examples takes an admin (403 `admin_needed`).

        422 names each condition that cannot be used, such as `scorers.0.minimum_mean`.
        """
        body = validated(GateInput, request)
        new = services.NewGate(
            name=body["name"],
            slug=body["slug"],
            eval_set=set_selectors.get_set(request.project, body["eval_set"]),
            config=body["conditions"],
            description=body["description"],
            feature=body["feature"],
        )
        made = services.create_gate(
            project=request.project, gate=new, actor=request.actor, is_admin=may_lower(request), now=clock.now()
        )
        return Response(GateOutput(made).data, status=201)


class GateApi(ProjectApi):
    """`GET`, `PATCH` and `DELETE /api/v1/gates/{slug}`"""

    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"PATCH": Role.EDITOR, "DELETE": Role.EDITOR}

    @extend_schema(responses=GateOutput, operation_id="gates_get")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """One gate with its conditions."""
        return Response(GateOutput(selectors.get_gate(request.project, slug)).data)

    @extend_schema(request=GateChange, responses=GateOutput, operation_id="gates_change")
    def patch(self, request: ApiRequest, slug: str) -> Response:
        """Change a gate. Other conditions void the reports that were made by the old ones."""
        body = validated(GateChange, request)
        gate = selectors.get_gate(request.project, slug)
        now, archived, config = clock.now(), body.pop("archived", None), body.pop("conditions", None)
        if body or config is not None:
            gate = services.change_gate(
                gate=gate, actor=request.actor, is_admin=may_lower(request), now=now, config=config, **body
            )
        if archived is not None:
            gate = services.archive_gate(gate=gate, actor=request.actor, now=now, is_archived=archived)
        return Response(GateOutput(gate).data)

    @extend_schema(responses={204: None}, operation_id="gates_archive")
    def delete(self, request: ApiRequest, slug: str) -> Response:
        """Archive a gate; its reports stay."""
        gate = selectors.get_gate(request.project, slug)
        services.archive_gate(gate=gate, actor=request.actor, now=clock.now())
        return Response(status=204)


class GateCheckApi(ProjectApi):
    """`POST /api/v1/gates/{slug}/check`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=CheckInput, responses={201: ReportOutput, 202: PendingOutput}, operation_id="gates_check")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Judge a run: 201 with the report. Or name a prompt and its version: 202 with the run while it goes on.

        A run of that version that the gate started over the set as it is now is used again; without one, it is
        started. Ask again until the answer is 201.
        """
        body = validated(CheckInput, request)
        gate = selectors.get_gate(request.project, slug)
        run = self._run(request, gate, body)
        if not RunState(run.state).is_end:
            return Response(PendingOutput(run).data, status=202)
        baseline = run_selectors.get_run(request.project, body["baseline"]) if body["baseline"] else None
        report = services.check_gate(gate=gate, run=run, actor=request.actor, now=clock.now(), baseline=baseline)
        return Response(ReportOutput(selectors.view_of(report)).data, status=201)

    def _run(self, request: ApiRequest, gate: Gate, body: dict[str, str]) -> EvalRun:
        if body["run"]:
            return run_selectors.get_run(request.project, body["run"])
        found = prompts.get_prompt(request.project, body["prompt"])
        author = None if request.membership is None else request.membership.user
        if body["version"] == DRAFT:
            if author is None:
                raise Invalid(version=["A key has no draft. Publish it, and name the version."])
            version = None
        else:
            version = prompts.get_version(found, body["version"]) if body["version"] else prompts.latest_version(found)
            if version is None:
                raise Invalid(version=["Nothing of this prompt is published yet."])
        candidate = services.Candidate(found.name, version, body["model"])
        return services.run_for(
            gate=gate, candidate=candidate, actor=request.actor, source=RunSource.API, now=clock.now(), author=author
        )


class GateReportsApi(ProjectApi):
    """`GET /api/v1/gates/{slug}/reports`"""

    scope = Scope.EVALS

    @extend_schema(parameters=[ReportsQuery], responses=ReportsOutput, operation_id="gates_reports")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """What the gate said of runs, newest first."""
        query = validated_query(ReportsQuery, request)
        gate = selectors.get_gate(request.project, slug)
        found = selectors.list_reports(gate, before=query["cursor"], limit=query["limit"] + 1)
        shown = found[: query["limit"]]
        following = shown[-1].report.uuid if len(found) > len(shown) else None
        return Response(ReportsOutput({"items": shown, "next": following}).data)


class AnyFormat(DefaultContentNegotiation):
    """`format` is a parameter of the address here, and no name of a renderer."""

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        """All of them."""
        return list(renderers)


class GateReportApi(ProjectApi):
    """`GET /api/v1/gate-reports/{id}`"""

    scope = Scope.EVALS
    content_negotiation_class = AnyFormat

    @extend_schema(parameters=[FORMAT], responses=WholeReportOutput, operation_id="gate_reports_get")
    def get(self, request: ApiRequest, uuid: UUID) -> HttpResponse:
        """One report and whether it still holds. `?format=junit` for a build server, `markdown` for a pull request."""
        query = validated_query(ReportQuery, request)
        view = selectors.get_report(request.project, uuid)
        if query["format"] == "json":
            currency = services.is_current(view.report)
            return Response(WholeReportOutput(view, context={"currency": currency}).data)
        write = gate_words.as_junit if query["format"] == "junit" else gate_words.as_markdown
        return HttpResponse(write(told_of(view)), content_type=TYPES[query["format"]])


def told_of(view: selectors.ReportView) -> gate_words.Told:
    """The report as it is written out."""
    run = view.report.run
    named = " ".join(part for part in (run.prompt_name, run.prompt_version) if part) or "outputs"
    candidate = f"{named} on {run.model}" if run.model else named
    return gate_words.Told(view.report.gate.name, candidate, run.number, view.sentence, view.conditions, view.notes)
