"""The hot door of native telemetry: `POST /api/v1/telemetry`."""

from __future__ import annotations

from django.conf import settings

from apps.core.doors import HotRequest, HotResponse, encode
from apps.telemetry import scoring, wire
from apps.telemetry.doors import shared
from apps.telemetry.doors.shared import Arrival, Malformed, TooMany, WrongMediaType
from apps.telemetry.types import Batch, Outcome, Rejection


@shared.noted
async def telemetry(request: HotRequest) -> HotResponse:
    """Store spans and scores; 200 with the counts after the commit, or an error that says what to change or when to try
    again."""
    arrival = await shared.arrive(request)
    if shared.media_type(request) not in {*shared.JSON, ""}:
        raise WrongMediaType()
    batch = await shared.read(request, _read, arrival)
    return HotResponse(encode(answer(await shared.store(batch))))


def _read(body: bytes, arrival: Arrival) -> Batch:
    try:
        items = wire.read_body(body, max_items=settings.INTAKE_MAX_ITEMS)
    except wire.MalformedBody as error:
        raise Malformed(str(error)) from error
    except wire.TooManyItems as error:
        raise TooMany(str(error)) from error
    spans, positions, rejected = wire.read_spans(
        items.spans,
        project_id=arrival.identity.project_id,
        received_at=arrival.at,
        keep_since=arrival.keep_since,
    )
    scores = scoring.read_scores(items.scores, project_id=arrival.identity.project_id, received_at=arrival.at)
    return Batch(
        project_id=arrival.identity.project_id,
        key_id=arrival.identity.key_id,
        client=arrival.client,
        received_at=arrival.at,
        received=len(items.spans) + len(items.scores),
        spans=spans,
        positions=positions,
        rejected=rejected + scores.rejected,
        scores=scores.records,
    )


def answer(outcome: Outcome) -> dict[str, object]:
    """What became of the items, as the API writes it."""
    return {
        "stored": outcome.stored + outcome.updated,
        "updated": outcome.updated,
        "duplicates": outcome.duplicates,
        "rejected": [_rejection(item) for item in outcome.rejected],
    }


def _rejection(item: Rejection) -> dict[str, object]:
    entry: dict[str, object] = {"index": item.index, "code": item.code, "message": item.message}
    return entry if item.list_name == "spans" else {**entry, "list": item.list_name}
