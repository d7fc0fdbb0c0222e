"""Scores as clients of other products send them: Langfuse's two addresses, and Opik's.

The key goes where those clients put theirs: as the password of HTTP Basic, or bare in `Authorization`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Scope
from apps.telemetry import foreign_scores
from apps.telemetry.api.scores import MalformedScores, ScoreRefused, TooManyScores, batch_of
from apps.telemetry.scoring import ScoreRecord, record_of, rejection
from apps.telemetry.serializers import OpikScoresInput
from apps.telemetry.services import scores
from apps.telemetry.texts import encode
from apps.telemetry.types import Rejection
from apps.telemetry.wire import Refused


class ForeignScoresApi(ProjectApi):
    """What these addresses share: a key of ours with the scope `ingest`, and nobody's session."""

    role = None
    scope: ClassVar[Scope] = Scope.INGEST

    def store(
        self, request: ApiRequest, items: list[Any], read: Callable[[Any], foreign_scores.Read]
    ) -> list[ScoreRecord | Rejection]:
        """Store these items and write them into the account; what became of each, in their order."""
        if len(items) > settings.INTAKE_MAX_ITEMS:
            raise TooManyScores(f"One request may bring {settings.INTAKE_MAX_ITEMS} items; split it.")
        now = clock.now()
        became: list[ScoreRecord | Rejection] = []
        for index, item in enumerate(items):
            try:
                said, source = read(item)
                became.append(record_of(said, project_id=request.project.pk, received_at=now, source=source))
            except Refused as reason:
                became.append(rejection(index, reason, encode(item)))
        records = [each for each in became if isinstance(each, ScoreRecord)]
        rejected = [each for each in became if isinstance(each, Rejection)]
        scores.store(batch_of(request, records, rejected, received=len(items), now=now), now=now)
        return became


@extend_schema(exclude=True)
class LangfuseScoresApi(ForeignScoresApi):
    """`POST /api/public/scores`: a score, or an array of them."""

    def post(self, request: ApiRequest) -> Response:
        """Store them; the answer names the id of one alone, or those of all."""
        is_one = not isinstance(request.data, list)
        items: list[Any] = [request.data] if is_one else list(request.data)
        became = self.store(request, items, foreign_scores.langfuse)
        refused = [each for each in became if isinstance(each, Rejection)]
        if refused and len(refused) == len(became):
            raise ScoreRefused(refused[0])
        ids = [_id_of(item, each) for item, each in zip(items, became, strict=True) if isinstance(each, ScoreRecord)]
        if is_one:
            return Response({"id": ids[0]})
        return Response({"ids": ids, "errors": [each.as_dict() for each in refused]})


@extend_schema(exclude=True)
class LangfuseIngestionApi(ForeignScoresApi):
    """`POST /api/public/ingestion`: a batch of events, of which scores are taken."""

    def post(self, request: ApiRequest) -> Response:
        """Store the scores and say of every event what became of it, as Langfuse does: always 207."""
        batch = request.data.get("batch") if isinstance(request.data, dict) else None
        if not isinstance(batch, list):
            raise MalformedScores('Send {"batch": [{"id", "type": "score-create", "body": {...}}]}.')
        became = self.store(request, batch, foreign_scores.langfuse_event)
        successes: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for event, each in zip(batch, became, strict=True):
            name = str(event.get("id") or "") if isinstance(event, dict) else ""
            if isinstance(each, ScoreRecord):
                successes.append({"id": name, "status": 201})
            else:
                errors.append({"id": name, "status": 400, "message": each.message, "error": each.code})
        return Response({"successes": successes, "errors": errors}, status=207)


class OpikScoresApi(ForeignScoresApi):
    """`PUT /api/v1/private/traces/feedback-scores` and the same of spans."""

    is_of_spans: ClassVar[bool] = False

    @extend_schema(request=OpikScoresInput, responses={204: None})
    def put(self, request: ApiRequest) -> Response:
        """Store the scores that Opik's client sends; a later one of the same name replaces the one before."""
        items = request.data.get("scores") if isinstance(request.data, dict) else None
        if not isinstance(items, list):
            raise MalformedScores('Send {"scores": [{"id", "name", "value"}]}.')
        read = foreign_scores.opik_span if self.is_of_spans else foreign_scores.opik_trace
        for each in self.store(request, items, read):
            if isinstance(each, Rejection):
                raise ScoreRefused(each)
        return Response(status=204)


class OpikSpanScoresApi(OpikScoresApi):
    """The scores of spans."""

    is_of_spans = True


@extend_schema(exclude=True)
class BareOpikScoresApi(OpikScoresApi):
    """The same at `/v1/private`, for clients whose address ends without `/api`."""


@extend_schema(exclude=True)
class BareOpikSpanScoresApi(OpikSpanScoresApi):
    """The same of spans."""


def _id_of(item: Any, record: ScoreRecord) -> str:
    """The client's own id, which it knows the score by; ours where it gave none."""
    return str(item.get("id") or record.score_id)
