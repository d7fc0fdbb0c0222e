"""JSON endpoints of runs: starting, watching, results, outputs that are brought along."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import DomainError
from apps.core.rest import not_modified, validated, validated_query
from apps.evals import reports
from apps.evals.brought import BadOutput, Output, output_from_dict
from apps.evals.models import EvalRun, RunScorer
from apps.evals.reports import CaseLine, RunReport
from apps.evals.run_serializers import (
    EstimateOutput,
    OutputsInput,
    OutputsTaken,
    ResultsOutput,
    ResultsQuery,
    RunBaselineOutput,
    RunInput,
    RunOutput,
    RunQuery,
    RunsOutput,
    RunsQuery,
    spec_of,
)
from apps.evals.selectors import estimates, results, runs
from apps.evals.selectors.results import ResultFilter, ResultLine
from apps.evals.services import run_requests
from apps.evals.services import runs as running
from apps.evals.types import ResultState, RunSource, RunState, ScoreState
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.models import Project
from apps.projects.types import Role, Scope

WORST_NAMED = 10
PORTION = 200
PROBLEMS_NAMED = 20
FORMAT = OpenApiParameter("format", OpenApiTypes.STR, enum=["json", "junit", "markdown"])
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="the same key and body give the same run again",
)
TYPES = {"junit": "application/xml; charset=utf-8", "markdown": "text/markdown; charset=utf-8"}


class AnyFormat(DefaultContentNegotiation):
    """`format` is a parameter of the address here, and no name of a renderer."""

    def filter_renderers(self, renderers: Iterable[BaseRenderer], format: str) -> list[BaseRenderer]:
        """All of them."""
        return list(renderers)


def author_of(request: ApiRequest) -> User | None:
    """Whose draft is meant; a key has none."""
    return None if request.membership is None else request.membership.user


def told(project: Project, found: Sequence[EvalRun]) -> dict[str, Any]:
    """What writing these runs needs besides."""
    pages = settings.PUBLIC_URL.rstrip("/") + reverse("eval_runs", kwargs={"project": project.slug})
    return {"pages": pages, "scorers": runs.scorers_by_run(found)}


class RunsApi(ProjectApi):
    """`GET` and `POST /api/v1/eval-runs`"""

    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}

    @extend_schema(parameters=[RunsQuery], responses=RunsOutput, operation_id="eval_runs_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's runs, newest first."""
        query = validated_query(RunsQuery, request)
        before, limit = query.pop("cursor"), query.pop("limit")
        page = runs.list_runs(request.project, where=runs.RunFilter(**query), before=before, limit=limit)
        found = [line.run for line in page.items]
        return Response(RunsOutput({"items": found, "next": page.next}, context=told(request.project, found)).data)

    @extend_schema(
        parameters=[IDEMPOTENCY],
        request=RunInput,
        responses={201: RunOutput, 200: RunOutput},
        operation_id="eval_runs_start",
    )
    def post(self, request: ApiRequest) -> Response:
        """Start a run; a worker takes it within seconds. 200 when the same `Idempotency-Key` started it before.

        What is measured (prompt, model, parameters, examples, scorers) is frozen now. With a `budget_usd` the run ends
        when it is spent. 422 says what cannot be used, 429 that too many runs are under way.
        """
        body = validated(RunInput, request)
        now = clock.now()

        def start() -> EvalRun:
            return running.start_run(
                project=request.project,
                spec=spec_of(body),
                actor=request.actor,
                source=RunSource(body["source"]),
                now=now,
                author=author_of(request),
            )

        key = request.headers.get("Idempotency-Key", "").strip()
        run, is_new = run_requests.start_once(project=request.project, key=key, body=body, start=start, now=now)
        output = RunOutput(run, context=told(request.project, [run]))
        return Response(output.data, status=201 if is_new else 200)


class RunEstimateApi(ProjectApi):
    """`POST /api/v1/eval-runs/estimate`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=RunInput, responses=EstimateOutput, operation_id="eval_runs_estimate")
    def post(self, request: ApiRequest) -> Response:
        """What a run would take, in dollars and seconds. Starts nothing; refuses what starting would refuse."""
        spec = spec_of(validated(RunInput, request))
        found = estimates.estimate(request.project, spec, clock.now(), author=author_of(request))
        return Response(EstimateOutput(found.as_dict()).data)


class RunApi(ProjectApi):
    """`GET /api/v1/eval-runs/{id}`"""

    scope = Scope.EVALS
    content_negotiation_class = AnyFormat

    @extend_schema(parameters=[FORMAT], responses=RunOutput, operation_id="eval_runs_get")
    def get(self, request: ApiRequest, run: str) -> HttpResponse:
        """One run, by its id or its number. `?format=junit` for a build server, `markdown` for a pull request."""
        query = validated_query(RunQuery, request)
        found = runs.get_run(request.project, run)
        context = told(request.project, [found])
        if query["format"] == "json":
            return not_modified(request, Response(RunOutput(found, context=context).data))
        scorers = context["scorers"][found.pk]
        report = report_of(found, context["pages"])
        if query["format"] == "junit":
            text = reports.as_junit(report, (_case(line) for line in _all_lines(found, scorers)))
        else:
            page = results.list_results(found, scorers, limit=WORST_NAMED)
            text = reports.as_markdown(report, [_case(line) for line in page.items if not line.result.is_passed])
        return HttpResponse(text, content_type=TYPES[query["format"]])


def report_of(run: EvalRun, pages: str) -> RunReport:
    """The run as it is written out."""
    named = " ".join(part for part in (run.prompt_name, run.prompt_version) if part) or "outputs"
    return RunReport(
        number=run.number,
        candidate=f"{named} with {run.model}" if run.model else named,
        eval_set=run.eval_set.slug,
        revision=run.revision,
        state=RunState(run.state),
        sentence=run.sentence,
        summary=runs.summary_of(run),
        spent_usd=run.spent_usd + run.judge_spent_usd,
        url=f"{pages}/{run.number}",
    )


def _all_lines(run: EvalRun, scorers: Sequence[RunScorer]) -> Iterator[ResultLine]:
    """Every result of the run, a portion at a time."""
    cursor: str | None = ""
    while cursor is not None:
        page = results.list_results(run, scorers, cursor=cursor, limit=PORTION)
        yield from page.items
        cursor = page.next


def _case(line: ResultLine) -> CaseLine:
    result = line.result
    has_error = any(score.row.state == ScoreState.ERROR.value for score in line.scores)
    return CaseLine(
        key=line.key,
        repetition=result.repetition,
        is_passed=result.is_passed,
        is_error=result.state == ResultState.FAILED.value or (has_error and result.is_passed is not False),
        reason=line.reason,
        value=result.value,
        latency_ms=result.latency_ms,
    )


class RunResultsApi(ProjectApi):
    """`GET /api/v1/eval-runs/{id}/results`"""

    scope = Scope.EVALS

    @extend_schema(parameters=[ResultsQuery], responses=ResultsOutput, operation_id="eval_runs_results")
    def get(self, request: ApiRequest, run: str) -> Response:
        """What came out, the worst first, also while the run goes on."""
        query = validated_query(ResultsQuery, request)
        found = runs.get_run(request.project, run)
        where = ResultFilter(
            show=query["show"],
            scorer=query["scorer"],
            slice=query["slice"],
            text=query["q"],
            key=query["key"],
            against=runs.get_run(request.project, query["against"]) if query["against"] else None,
        )
        page = results.list_results(
            found,
            runs.scorers_of(found),
            where=where,
            cursor=query["cursor"],
            limit=query["limit"],
            whole=True,
        )
        return Response(ResultsOutput({"items": page.items, "next": page.next}).data)


class RunBaselineApi(ProjectApi):
    """`GET /api/v1/eval-runs/{id}/baseline`"""

    scope = Scope.EVALS

    @extend_schema(responses=RunBaselineOutput, operation_id="eval_runs_baseline")
    def get(self, request: ApiRequest, run: str) -> Response:
        """What the run is best compared with: the newest run over its set of what is live now, else the one before."""
        found = runs.baseline_of(runs.get_run(request.project, run))
        told = {"number": None if found is None else found.number, "id": None if found is None else found.uuid}
        return Response(RunBaselineOutput(told).data)


class RunOutputsApi(ProjectApi):
    """`POST /api/v1/eval-runs/{id}/outputs`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=OutputsInput, responses=OutputsTaken, operation_id="eval_runs_outputs")
    def post(self, request: ApiRequest, run: str) -> Response:
        """Bring up to 1,000 outputs for a run of the kind `outputs`; `"complete": true` with the last ones.

        All of them are taken, or none: 422 names the outputs that cannot be read, or that fit no example of the run.
        """
        body = validated(OutputsInput, request)
        found = runs.get_run(request.project, run)
        outputs = read_outputs(body["outputs"])
        taken = running.add_outputs(run=found, outputs=outputs, now=clock.now(), is_last=body["complete"])
        state = {"taken": taken, "state": found.state, "awaits_outputs": found.awaits_outputs}
        return Response(OutputsTaken(state).data)


class RunFinishApi(ProjectApi):
    """`POST /api/v1/eval-runs/{id}/finish`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=None, responses=RunOutput, operation_id="eval_runs_finish")
    def post(self, request: ApiRequest, run: str) -> Response:
        """No more outputs come: score those that are there. An example without one fails with `no_output`."""
        found = runs.get_run(request.project, run)
        running.add_outputs(run=found, outputs=[], now=clock.now(), is_last=True)
        return Response(RunOutput(found, context=told(request.project, [found])).data)


class RunCancelApi(ProjectApi):
    """`POST /api/v1/eval-runs/{id}/cancel`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=None, responses=RunOutput, operation_id="eval_runs_cancel")
    def post(self, request: ApiRequest, run: str) -> Response:
        """End the run early: no call begins more than five seconds later. 409 `run_ended` when it is over."""
        found = runs.get_run(request.project, run)
        running.cancel_run(run=found, actor=request.actor, now=clock.now())
        return Response(RunOutput(found, context=told(request.project, [found])).data)


class RunRetryApi(ProjectApi):
    """`POST /api/v1/eval-runs/{id}/retry`"""

    role = Role.EDITOR
    scope = Scope.EVALS

    @extend_schema(request=None, responses=RunOutput, operation_id="eval_runs_retry")
    def post(self, request: ApiRequest, run: str) -> Response:
        """Try what has no output, and scores that failed, once more; the rest stays. 409 `nothing_failed`."""
        found = runs.get_run(request.project, run)
        running.retry_failed(run=found, actor=request.actor, now=clock.now())
        return Response(RunOutput(found, context=told(request.project, [found])).data)


class BadOutputs(DomainError):
    """Some outputs cannot be read; `details` maps their places to what is wrong."""

    code, http_status = "invalid", 422
    message = "One or more outputs need a change. Nothing was taken."


def read_outputs(items: Sequence[dict[str, Any]]) -> list[Output]:
    """The outputs that the JSON objects tell. Raises BadOutputs."""
    found, problems = [], {}
    for place, item in enumerate(items):
        named = {("text" if name == "output" else name): value for name, value in item.items()}
        try:
            found.append(output_from_dict(named))
        except BadOutput as error:
            problems[f"outputs.{place}"] = {
                ("output" if name == "text" else name): list(sentences) for name, sentences in error.details.items()
            }
    if problems:
        raise BadOutputs(None, **dict(list(problems.items())[:PROBLEMS_NAMED]))
    return found
