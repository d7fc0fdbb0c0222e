"""JSON endpoints of the review queue."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import Invalid, NotFound
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry.models import ReviewItem
from apps.telemetry.review_serializers import (
    DecideInput,
    FlagInput,
    NoteInput,
    NoteOutput,
    NotesOutput,
    QueueQuery,
    ReviewItemOutput,
    ReviewPageOutput,
    WholeReviewItemOutput,
)
from apps.telemetry.selectors import review as selectors
from apps.telemetry.services import review as services


def _person(request: ApiRequest) -> User | None:
    """The person who asks; None for a key."""
    return request.membership.user if request.membership is not None else None


def _who(request: ApiRequest) -> str:
    person = _person(request)
    return str(person) if person is not None else request.actor.name


class ReviewItemsApi(ProjectApi):
    """`GET` and `POST /api/v1/review-items`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.INGEST}

    @extend_schema(parameters=[QueueQuery], responses=ReviewPageOutput, operation_id="review_items_list")
    def get(self, request: ApiRequest) -> Response:
        """What waits for a person, the longest waiting first; or what was decided, the newest first."""
        query = self._query(request)
        status = query["status"]
        page = selectors.queue(
            request.project.pk,
            selectors.QueueFilter(
                status=None if status == "all" else status, reason=query.get("reason"), feature=query.get("feature")
            ),
            limit=query["limit"],
            cursor=query.get("cursor"),
        )
        return Response({"items": ReviewItemOutput(page.items, many=True).data, "next": page.next_cursor})

    def _query(self, request: ApiRequest) -> dict[str, Any]:
        unknown = sorted(set(request.query_params) - set(QueueQuery().fields) - {"project"})
        if unknown:
            raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=sorted(QueueQuery().fields))
        query = QueueQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        return dict(query.validated_data)

    @extend_schema(request=FlagInput, responses={200: ReviewItemOutput, 201: ReviewItemOutput})
    def post(self, request: ApiRequest) -> Response:
        """Flag a trace or a span. What waits already is returned with 200 and not queued twice."""
        body = validated(FlagInput, request)
        flagged = services.flag(
            project_id=request.project.pk,
            trace_id=bytes.fromhex(body["trace_id"]),
            span_id=bytes.fromhex(body.get("span_id") or ""),
            reason=body["reason"],
            at=body.get("at"),
            source=ReviewItem.Source.API if request.identity is not None else ReviewItem.Source.PERSON,
            flagged_by=_who(request),
            now=clock.now(),
        )
        return Response(ReviewItemOutput(flagged.item).data, status=201 if flagged.is_new else 200)


class ReviewItemApi(ProjectApi):
    """`GET /api/v1/review-items/{id}`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ

    @extend_schema(responses=WholeReviewItemOutput)
    def get(self, request: ApiRequest, item: UUID) -> Response:
        """One item with what was asked and answered, and what the answer should have been."""
        return Response(WholeReviewItemOutput(selectors.get_item(request.project.pk, item)).data)


class DecideApi(ProjectApi):
    """`POST /api/v1/review-items/{id}/decide`"""

    role: ClassVar[Role] = Role.EDITOR
    scope: ClassVar[Scope] = Scope.EVALS

    @extend_schema(request=DecideInput, responses=WholeReviewItemOutput)
    def post(self, request: ApiRequest, item: UUID) -> Response:
        """Close an item with a verdict; 409 when somebody else is at it or it was decided already."""
        body = validated(DecideInput, request)
        decided = services.decide(
            item=selectors.get_item(request.project.pk, item),
            project=request.project,
            decision=services.Decision(**body),
            user=_person(request),
            actor=request.actor,
            now=clock.now(),
        )
        return Response(WholeReviewItemOutput(decided).data)


class DismissApi(ProjectApi):
    """`POST /api/v1/review-items/{id}/dismiss`"""

    role: ClassVar[Role] = Role.EDITOR
    scope: ClassVar[Scope] = Scope.EVALS

    @extend_schema(request=None, responses=ReviewItemOutput)
    def post(self, request: ApiRequest, item: UUID) -> Response:
        """Close an item without a verdict; 409 when somebody else is at it or it was decided already."""
        found = selectors.get_item(request.project.pk, item)
        services.dismiss_one(
            item=found, project=request.project, user=_person(request), actor=request.actor, now=clock.now()
        )
        return Response(ReviewItemOutput(selectors.get_item(request.project.pk, item)).data)


class NotesApi(ProjectApi):
    """`GET` and `POST /api/v1/traces/{trace_id}/notes`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.INGEST}

    @extend_schema(responses=NotesOutput)
    def get(self, request: ApiRequest, trace_id: str) -> Response:
        """The notes on a trace and its spans."""
        notes = selectors.notes_of_trace(request.project.pk, _trace(trace_id))
        return Response({"items": NoteOutput(notes, many=True).data, "next": None})

    @extend_schema(request=NoteInput, responses={201: NoteOutput})
    def post(self, request: ApiRequest, trace_id: str) -> Response:
        """Write a note on a trace or one of its spans."""
        body = validated(NoteInput, request)
        note = services.add_note(
            project_id=request.project.pk,
            trace_id=_trace(trace_id),
            span_id=bytes.fromhex(body.get("span_id") or ""),
            text=body["text"],
            author=_person(request),
            author_name=_who(request),
            now=clock.now(),
        )
        return Response(NoteOutput(note).data, status=201)


def _trace(text: str) -> bytes:
    """The trace's id. Raises NotFound for what is none."""
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise NotFound() from error
    if len(raw) != 16:
        raise NotFound()
    return raw
