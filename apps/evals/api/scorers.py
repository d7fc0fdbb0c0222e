"""JSON endpoints of scorers, their versions, trying them, and calibrations of judges."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import validated, validated_query
from apps.evals import scorer_serializers as shapes
from apps.evals.calibration_rows import BadLabels, read_rows
from apps.evals.models import Scorer
from apps.evals.selectors import calibrations as calibration_selectors
from apps.evals.selectors import scorers as selectors
from apps.evals.services import calibrations, trying
from apps.evals.services import scorers as services
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


class _EvalsApi(ProjectApi):
    """Viewers read; editors change. A key needs the scope `evals` for both."""

    role = Role.VIEWER
    scope = Scope.EVALS
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR, "PATCH": Role.EDITOR}


def _shown(scorer: Scorer) -> dict[str, object]:
    return dict(shapes.ScorerOutput(selectors.line_of(scorer)).data)


class ScorersApi(_EvalsApi):
    """`GET` and `POST /api/v1/scorers`"""

    @extend_schema(parameters=[shapes.ScorersQuery], responses=shapes.ScorersOutput, operation_id="scorers_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's scorers by name, each with its newest version."""
        query = validated_query(shapes.ScorersQuery, request)
        lines = selectors.list_scorers(request.project, with_archived=query["archived"])
        return Response(shapes.ScorersOutput({"items": lines}).data)

    @extend_schema(request=shapes.ScorerInput, responses={201: shapes.ScorerOutput}, operation_id="scorers_create")
    def post(self, request: ApiRequest) -> Response:
        """A scorer with its first version. 422 names each setting that needs a change; 409 `scorer_exists`."""
        body = validated(shapes.ScorerInput, request)
        scorer = services.create_scorer(project=request.project, actor=request.actor, now=clock.now(), **body)
        return Response(_shown(scorer), status=201)


class ScorerApi(_EvalsApi):
    """`GET` and `PATCH /api/v1/scorers/{scorer}`"""

    @extend_schema(responses=shapes.ScorerOutput, operation_id="scorers_get")
    def get(self, request: ApiRequest, scorer: str) -> Response:
        """One scorer with its newest version."""
        return Response(_shown(selectors.get_scorer(request.project, scorer)))

    @extend_schema(request=shapes.ScorerChanges, responses=shapes.ScorerOutput, operation_id="scorers_change")
    def patch(self, request: ApiRequest, scorer: str) -> Response:
        """Change name or description, archive or restore; what is left out stays. Settings change by a version."""
        body = validated(shapes.ScorerChanges, request)
        found = selectors.get_scorer(request.project, scorer)
        found = services.amend_scorer(
            scorer=found,
            actor=request.actor,
            now=clock.now(),
            name=body.get("name"),
            description=body.get("description"),
            is_archived=body.get("is_archived"),
        )
        return Response(_shown(found))


class ScorerVersionsApi(_EvalsApi):
    """`GET` and `POST /api/v1/scorers/{scorer}/versions`"""

    @extend_schema(responses=shapes.ScorerVersionsOutput, operation_id="scorer_versions_list")
    def get(self, request: ApiRequest, scorer: str) -> Response:
        """Every version, newest first."""
        found = selectors.get_scorer(request.project, scorer)
        return Response(shapes.ScorerVersionsOutput({"items": selectors.list_versions(found)}).data)

    @extend_schema(
        request=shapes.ScorerVersionInput,
        responses={201: shapes.ScorerVersionOutput},
        operation_id="scorer_versions_create",
    )
    def post(self, request: ApiRequest, scorer: str) -> Response:
        """The next version. When nothing differs from the newest, that one is answered and nothing is made."""
        body = validated(shapes.ScorerVersionInput, request)
        found = selectors.get_scorer(request.project, scorer)
        version = services.add_scorer_version(scorer=found, actor=request.actor, now=clock.now(), **body)
        return Response(shapes.ScorerVersionOutput(version).data, status=201)


class ScorerTryApi(_EvalsApi):
    """`POST /api/v1/scorers/{scorer}/try`"""

    @extend_schema(request=shapes.TryInput, responses=shapes.TriedOutput, operation_id="scorers_try")
    def post(self, request: ApiRequest, scorer: str) -> Response:
        """Score one case now. A judge is asked at once, which costs what its calls cost; nothing else is kept."""
        body = validated(shapes.TryInput, request)
        found = selectors.get_scorer(request.project, scorer)
        tried = trying.try_version(
            project=request.project,
            version=selectors.get_version(found, body["version"]),
            case=shapes.case_of(body["case"]),
            now=clock.now(),
        )
        return Response(shapes.TriedOutput(tried).data)


class ScorerCalibrationsApi(_EvalsApi):
    """`GET` and `POST /api/v1/scorers/{scorer}/calibrations`"""

    @extend_schema(responses=shapes.CalibrationsOutput, operation_id="scorer_calibrations_list")
    def get(self, request: ApiRequest, scorer: str) -> Response:
        """The judge's calibrations, newest first."""
        found = selectors.get_scorer(request.project, scorer)
        rows = calibration_selectors.list_calibrations(request.project, scorer_id=found.pk)
        return Response(shapes.CalibrationsOutput({"items": rows}).data)

    @extend_schema(
        request=shapes.CalibrationInput,
        responses={202: shapes.CalibrationOutput},
        operation_id="scorer_calibrations_create",
    )
    def post(self, request: ApiRequest, scorer: str) -> Response:
        """Set a judge beside people's labels. It is carried out by a job; ask the list for how far it is."""
        body = validated(shapes.CalibrationInput, request)
        found, now = selectors.get_scorer(request.project, scorer), clock.now()
        version = selectors.get_version(found, body["version"])
        if bool(body["rows"]) == (body["from_reviews_days"] is not None):
            raise Invalid(rows=["Give either rows or from_reviews_days."])
        if body["rows"]:
            try:
                items = read_rows(iter(enumerate(body["rows"], start=1)), calibration_selectors.grading_of(version))
            except BadLabels as error:
                raise Invalid(rows=error.problems) from None
        else:
            since = now - timedelta(days=body["from_reviews_days"])
            items = calibration_selectors.reviewed_cases(request.project, since=since)
        calibration = calibrations.start_calibration(
            project=request.project,
            version=version,
            items=items,
            labels_from="upload" if body["rows"] else "review",
            actor=request.actor,
            now=now,
            name=body["name"],
            floor=body["floor"],
        )
        return Response(shapes.CalibrationOutput(calibration).data, status=202)
