"""JSON endpoints of scores, and of links by which people give them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry import scoring, wire
from apps.telemetry.selectors import scores as selectors
from apps.telemetry.serializers import (
    FeedbackLinkInput,
    FeedbackLinkOutput,
    ScoreInput,
    ScorePageOutput,
    ScoreQuery,
    ScoresOutput,
)
from apps.telemetry.services import feedback, scores
from apps.telemetry.shapes import score_shape
from apps.telemetry.texts import clean_text
from apps.telemetry.types import Batch, Rejection

DEFAULT_RANGE = timedelta(hours=24)
LONGEST_RANGE = timedelta(days=400)
FILTERS = {
    "name": "name",
    "source": "source",
    "session": "session_id",
    "user": "user_id",
    "environment": "environment",
    "feature": "feature",
    "model": "model",
    "prompt_version": "prompt_version",
}
"""Query parameters, and the fields of a score that they name."""


class MalformedScores(DomainError):
    """The body cannot be read as a whole."""

    code, http_status = "malformed", 400


class TooManyScores(DomainError):
    """More scores than one request may bring."""

    code, http_status = "too_many_items", 413


class ScoreRefused(DomainError):
    """The only score of a request cannot be stored."""

    http_status = 422

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason.message)
        self.code = reason.code


def read_request(request: ApiRequest, *, source: str, now: datetime) -> tuple[Batch, bool, list[int]]:
    """The scores of the body as a batch, whether it is one alone, and the position of each in the request."""
    try:
        items, is_one = scoring.read_body(request._request.body, max_items=settings.INTAKE_MAX_ITEMS)
    except wire.MalformedBody as error:
        raise MalformedScores(str(error)) from error
    except wire.TooManyItems as error:
        raise TooManyScores(str(error)) from error
    read = scoring.read_scores(items, project_id=request.project.pk, received_at=now, source=source)
    batch = batch_of(request, read.records, read.rejected, received=len(items), now=now)
    return batch, is_one, read.positions


def batch_of(
    request: ApiRequest, records: list[Any], rejected: list[Rejection], *, received: int, now: datetime
) -> Batch:
    """These scores as a request of the intake."""
    return Batch(
        project_id=request.project.pk,
        key_id=request.identity.key_id if request.identity is not None else None,
        client=clean_text(request.headers.get("User-Agent", "")[:200])[0],
        received_at=now,
        received=received,
        spans=[],
        positions=[],
        rejected=rejected,
        scores=records,
    )


class ScoresApi(ProjectApi):
    """`/api/v1/scores`"""

    role: ClassVar[Role] = Role.VIEWER
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scope: ClassVar[Scope] = Scope.READ
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.INGEST}

    @extend_schema(parameters=[ScoreQuery], responses=ScorePageOutput)
    def get(self, request: ApiRequest) -> Response:
        """Scores, newest first."""
        query = _asked(request)
        start, end = _range(query)
        page = selectors.recent_scores(
            request.project.pk,
            start=start,
            end=end,
            matching=_filter(query),
            limit=query["limit"],
            cursor=query.get("cursor"),
        )
        return Response({"items": [score_shape(item) for item in page.items], "next": page.next_cursor})

    @extend_schema(request=ScoreInput(many=True), responses=ScoresOutput)
    def post(self, request: ApiRequest) -> Response:
        """Store one score or a list of up to 5,000.

        Sending the same again changes nothing. The same `id` with another value replaces it. In a list, a bad score is
        refused alone, with its index; one alone that is bad is answered with 422.
        """
        now = clock.now()
        source = "api" if request.identity is not None else "review"
        batch, is_one, positions = read_request(request, source=source, now=now)
        if request.membership is not None:
            for score in batch.scores:
                score.user_id = score.user_id or request.actor.name
        outcome = scores.store(batch, now=now)
        if is_one and outcome.rejected:
            raise ScoreRefused(outcome.rejected[0])
        ids: list[str | None] = [None] * batch.received
        for position, score in zip(positions, batch.scores, strict=True):
            ids[position] = str(score.score_id)
        return Response(
            {
                "stored": outcome.stored + outcome.updated,
                "updated": outcome.updated,
                "duplicates": outcome.duplicates,
                "rejected": [item.as_dict() for item in outcome.rejected],
                "ids": ids,
            }
        )


def _asked(request: ApiRequest) -> dict[str, Any]:
    """The query in its shape. Raises Invalid's kin for parameters that are wrong or not known."""
    unknown = sorted(set(request.query_params) - set(ScoreQuery().fields) - {"project"})
    if unknown:
        raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=sorted(ScoreQuery().fields))
    query = ScoreQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def _range(query: dict[str, Any]) -> tuple[datetime, datetime]:
    """The range asked for; without one, all time for the scores of one thing, else the last 24 hours."""
    end = query.get("to") or clock.now() + wire.MAX_AHEAD
    is_of_one_thing = any(name in query for name in ("trace_id", "span_id", "session"))
    start = query.get("from") or (scoring.EARLIEST if is_of_one_thing else end - DEFAULT_RANGE)
    if start >= end:
        raise Invalid("`from` must lie before `to`.")
    if not is_of_one_thing and end - start > LONGEST_RANGE:
        raise Invalid(f"A range may have {LONGEST_RANGE.days} days.")
    return start, end


def _filter(query: dict[str, Any]) -> selectors.ScoreFilter:
    wanted: dict[str, Any] = {field: query[name] for name, field in FILTERS.items() if name in query}
    wanted |= {name: bytes.fromhex(query[name]) for name in ("trace_id", "span_id") if name in query}
    return selectors.ScoreFilter(**wanted)


class FeedbackLinksApi(ProjectApi):
    """`POST /api/v1/feedback-links`"""

    role: ClassVar[Role] = Role.EDITOR
    scope: ClassVar[Scope] = Scope.INGEST

    @extend_schema(request=FeedbackLinkInput, responses={201: FeedbackLinkOutput})
    def post(self, request: ApiRequest) -> Response:
        """Make a link by which one person gives one score, without a key and without signing in.

        Put the link into an answer or a mail, or its token into a page with the script `feedback.js`. Whoever has the
        link can give this score, and change it, until it expires; nothing else.
        """
        body = validated(FeedbackLinkInput, request)
        link = feedback.make_link(
            project_id=request.project.pk,
            trace_id=body.get("trace_id", ""),
            span_id=body.get("span_id", ""),
            session_id=body.get("session_id", ""),
            kind=body["kind"],
            name=body.get("name", ""),
            user_id=body.get("user_id", ""),
            expires_in=timedelta(seconds=body["expires_in"]),
            now=clock.now(),
        )
        token = feedback.token_of(link)
        return Response(
            {"url": f"{settings.PUBLIC_URL.rstrip('/')}/f/{token}", "token": token, "expires_at": link.expires_at},
            status=201,
        )
