"""`GET /api/v1/intake`: the numbers of the page on the intake's health."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock, money
from apps.core.errors import Invalid
from apps.core.periods import LONGEST
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import list_keys
from apps.projects.types import Role, Scope
from apps.telemetry import intake_words as words
from apps.telemetry.figures import Dimension, Interval
from apps.telemetry.intake_serializers import IntakeOutput, IntakeQuery
from apps.telemetry.selectors import intake as selectors
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.unpriced import unpriced_models

DEFAULT_RANGE = timedelta(hours=24)
FIRST_YEAR, LAST_YEAR = 1970, 9999
COUNTS = (*selectors.NAMES, "last_at")


class IntakeApi(ProjectApi):
    """`GET /api/v1/intake`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ

    @extend_schema(parameters=[IntakeQuery], responses=IntakeOutput)
    def get(self, request: ApiRequest) -> Response:
        """What was sent, what became of it and why some was refused: received = stored + updated + duplicates +
        rejected, by reason, key and client."""
        now = clock.now()
        start, end = _range(request, now)
        project_id = request.project.pk
        account = selectors.read_account(project_id, start=start, end=end, buckets=[start])
        recent = selectors.read_recent(project_id, now=now)
        priced = read_figures(
            project_id,
            start=start,
            end=end,
            group_by=(Dimension.PROVIDER, Dimension.MODEL),
            interval=Interval.DAY if end - start > timedelta(days=8) else Interval.HOUR,
            has_lengths=False,
        )
        names = {key.pk: key.name for key in list_keys(request.project)}
        body = {
            "from": start,
            "to": end,
            "total": _counts(account.total),
            "reasons": [_reason(each) for each in selectors.read_reasons(project_id, start=start, end=end)],
            "refused_requests": account.refused_requests,
            "refusals": [_refusal(each, names) for each in account.refusals],
            "keys": [{"name": names.get(pk or 0), **_counts(counts)} for pk, counts in account.by_key.items()],
            "clients": [
                {"name": name or None, **_counts(counts)} for name, counts in words.families(account.by_client.items())
            ],
            "unpriced": [_said(dataclasses.asdict(each)) for each in unpriced_models(priced)],
            "recent": _recent(recent),
            "backlog": dataclasses.asdict(recent.backlog),
        }
        return Response(IntakeOutput(body).data)


def _range(request: ApiRequest, now: datetime) -> tuple[datetime, datetime]:
    unknown = sorted(set(request.query_params) - {"from", "to", "project"})
    if unknown:
        raise Invalid(f"Unknown parameter: {', '.join(unknown)}.", known=["from", "to"])
    query = IntakeQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    end = query.validated_data.get("to") or now
    if not FIRST_YEAR < end.year < LAST_YEAR:
        raise Invalid(f"Times lie between the years {FIRST_YEAR} and {LAST_YEAR}.")
    start = query.validated_data.get("from") or end - DEFAULT_RANGE
    if start >= end:
        raise Invalid("`from` must lie before `to`.")
    if end - start > LONGEST:
        raise Invalid(f"A range may have {LONGEST.days} days.")
    return start, end


def _counts(counts: selectors.Counts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in COUNTS}


def _said(values: dict[str, Any]) -> dict[str, Any]:
    """Empty names as null: they were not said."""
    return {name: None if value == "" else value for name, value in values.items()}


def _reason(reason: selectors.Reason) -> dict[str, Any]:
    sample = reason.sample
    return {
        "code": reason.code or None,
        "items": reason.items,
        "mend": words.mend(reason.code),
        "first_at": sample.at if sample else None,
        "message": sample.message if sample else None,
        "sample": sample.text if sample else None,
    }


def _refusal(refusal: selectors.Refusal, names: dict[int, str]) -> dict[str, Any]:
    return {
        "key": names.get(refusal.key_id),
        "door": refusal.door,
        "code": refusal.code,
        "status": refusal.http_status,
        "requests": refusal.requests,
        "last_at": refusal.last_at,
        "client": refusal.client or None,
        "message": refusal.message,
        "mend": words.mend(refusal.code),
    }


def _recent(recent: selectors.Recent) -> dict[str, Any]:
    return {
        "spans": recent.spans,
        "since": recent.since,
        "scopes": [_said(dataclasses.asdict(scope)) for scope in recent.scopes],
        "flags": recent.flags,
        "lag": {
            "spans": recent.lag.spans,
            **{f"{name}_ms": getattr(recent.lag, name) for name in ("p50", "p95", "p99")},
        },
        "client_costs": [
            {
                "provider": each.provider or None,
                "model": each.model or None,
                "calls": each.calls,
                "cost_usd": money.as_json(each.cost_usd),
            }
            for each in recent.client_costs
        ],
    }
