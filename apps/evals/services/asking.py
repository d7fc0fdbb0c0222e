"""The way from scorers to models and services: each call is counted, priced, kept to a bound and told to telemetry.

A Desk is made in a thread, because it reads the database; its askers are used in coroutines, one for each case, and
read nothing. What they did is stored by `tell`, in a thread again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from apps.core import clock, egress, sealing
from apps.core.errors import DomainError
from apps.evals.models import ScorerSecret, ScorerVersion
from apps.evals.scoring.kinds import Asked, Config
from apps.evals.types import Json
from apps.projects.models import Project
from apps.providers import client
from apps.providers.calls import ModelReply, ModelRequest, Target
from apps.providers.pricing import Usage, cost_of
from apps.providers.rates import PriceRates
from apps.providers.selectors.connections import target_for
from apps.providers.selectors.prices import price_book
from apps.telemetry import wire
from apps.telemetry.services import masking, store
from apps.telemetry.types import Batch

SOURCE = "judge"
CLIENT = "evals"
MOST_CALLS_A_CASE = 60
MOST_ANSWER_BYTES = 256 * 1024
MOST_TOLD = 200_000
"""So many characters of a question are told to telemetry."""

Hook = Callable[[str], Awaitable[None]]
"""Awaited with the model before each call: it may wait for its turn, or raise a DomainError to refuse the call."""


class TooManyCalls(DomainError):
    """A scorer asked more often for one case than it may."""

    code, http_status = "too_many_calls", 429
    message = "One case may take {most} calls."


class ScorerAnswer(DomainError):
    """An outside scorer answered with something that is no score."""

    code, http_status = "scorer_answer", 502
    message = "The scorer answered {status}{text}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is, what it costs, or why it cannot be asked."""

    target: Target | None
    rates: PriceRates | None = None
    refusal: DomainError | None = None


@dataclass(slots=True)
class Spent:
    """What the calls for one case cost. `unpriced` counts those whose cost is not known: then `usd` is too low."""

    calls: int = 0
    usd: Decimal = Decimal(0)
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Desk:
    """What askers of one project need to know. Make it with `desk_for`."""

    project: Project
    places: Mapping[str, Place]
    keys: Mapping[str, tuple[str, str]]
    """Of outside scorers: the address and the key, by the name that settings give the key."""
    before: Hook | None = None
    feature: str = ""
    environment: str = "evals"
    attributes: Mapping[str, Json] = field(default_factory=dict)

    def asker(self, *, trace_id: str = "", parent_span_id: str = "") -> ModelAsker:
        """A way to models for one case. Its spans join the trace that is given, else they make one of their own."""
        return ModelAsker(self, trace_id or secrets.token_hex(16), parent_span_id)


def desk_for(
    project: Project,
    versions: Iterable[ScorerVersion],
    *,
    now: datetime,
    before: Hook | None = None,
    feature: str = "",
    environment: str = "evals",
    attributes: Mapping[str, Json] | None = None,
) -> Desk:
    """The desk for these scorers: their models' connections with keys unsealed, prices as of now, keys of services."""
    configs = [version.config for version in versions]
    places = {model: _place(project, model, now) for config in configs for model in models_in(config)}
    keys = _keys(project, {str(config["secret"]) for config in configs if config.get("secret")})
    return Desk(project, places, keys, before, feature, environment, dict(attributes or {}))


def models_in(config: Config) -> list[str]:
    """Every model that a scorer with these settings asks."""
    named = [config.get("model"), *(config.get("more_models") or ())]
    return list(dict.fromkeys(model for model in named if isinstance(model, str) and model))


def _place(project: Project, model: str, now: datetime) -> Place:
    try:
        target = target_for(project, model)
    except DomainError as error:
        return Place(None, refusal=error)
    priced = price_book.price_for(project.pk, target.provider or None, target.model, now)
    return Place(target, None if priced is None else priced.rates)


def _keys(project: Project, names: set[str]) -> dict[str, tuple[str, str]]:
    found = {}
    for row in ScorerSecret.objects.filter(project=project, uuid__in=names):
        try:
            found[str(row.uuid)] = (row.url, sealing.unseal(row.sealed_secret, place=row.place))
        except sealing.CannotOpen:
            continue  # `post` says what is to be done
    return found


class ModelAsker:
    """Asks for one case; an Asker. `spent` adds up, `spans` wait for `tell`."""

    def __init__(self, desk: Desk, trace_id: str, parent_span_id: str) -> None:
        self.desk, self.trace_id, self.parent_span_id = desk, trace_id, parent_span_id
        self.spent = Spent()
        self.spans: list[dict[str, Any]] = []

    async def ask(self, model: str, request: ModelRequest) -> Asked:
        """The model's whole answer. Raises what `apps.providers.client` raises, NoConnection, TooManyCalls, and what
        the desk's hook raises."""
        place, target = await self._ready(model)
        span, started = self._begin(target, "llm", list(request.messages)), clock.now()
        try:
            reply = await client.complete(target, request)
        except DomainError as error:
            self._failed(span, started, error)
            raise
        cost = self._charge(place, reply.usage)
        self.spans.append(span | _said(reply) | {"started_at": _start(reply.total_ms).isoformat()})
        return Asked(reply, cost)

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """One vector for each text. Raises as `ask` does."""
        place, target = await self._ready(model)
        span, started = self._begin(target, "embedding", list(texts)), clock.now()
        try:
            reply = await client.embed(target, texts)
        except DomainError as error:
            self._failed(span, started, error)
            raise
        self._charge(place, reply.usage)
        said = {"latency_ms": reply.total_ms, "input_tokens": reply.usage.input_tokens, "status": "ok"}
        self.spans.append(span | said | {"started_at": _start(reply.total_ms).isoformat()})
        return reply.vectors

    async def post(self, url: str, body: Mapping[str, Any], *, secret: str, seconds: float) -> Json:
        """The JSON that an outside scorer answers. The key goes to the address it was given for and nowhere else.

        Raises EgressRefused, an EgressFailed, or ScorerAnswer.
        """
        self._count()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if secret:
            address, key = self.desk.keys.get(secret, ("", ""))
            if address != url:
                raise ScorerAnswer("The key of this scorer cannot be read. Enter it again.")
            headers["Authorization"] = f"Bearer {key}"
        sent = json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace")
        patience = egress.Patience(first_byte=seconds, idle=seconds)
        exchange = egress.Exchange(url, body=sent, headers=headers, patience=patience, max_bytes=MOST_ANSWER_BYTES)
        try:
            async with asyncio.timeout(seconds), exchange as answer:
                return _answered(answer.status, await answer.read())
        except TimeoutError:
            raise egress.TimedOut(egress.Stage.TOTAL, seconds) from None

    async def _ready(self, model: str) -> tuple[Place, Target]:
        self._count()
        place = self.desk.places.get(model) or Place(None)
        if place.target is None:
            raise place.refusal or DomainError(f"The model {model} is not among those of this scorer.")
        if self.desk.before is not None:
            await self.desk.before(model)
        return place, place.target

    def _count(self) -> None:
        if self.spent.calls >= MOST_CALLS_A_CASE:
            raise TooManyCalls(most=MOST_CALLS_A_CASE)
        self.spent.calls += 1

    def _charge(self, place: Place, usage: Usage) -> Decimal | None:
        cost = None if place.rates is None else cost_of(usage, place.rates)
        if cost is None or cost.usd is None:
            self.spent.unpriced += 1
            return None
        self.spent.usd += cost.usd
        return cost.usd

    def _begin(self, target: Target, kind: str, asked: list[Any]) -> dict[str, Any]:
        size = len(json.dumps(asked, default=str))
        desk = self.desk
        return {
            "trace_id": self.trace_id,
            "span_id": secrets.token_hex(8),
            "parent_span_id": self.parent_span_id,
            "kind": kind,
            "name": SOURCE,
            "feature": desk.feature,
            "environment": desk.environment,
            "provider": target.provider,
            "request_model": target.model,
            "input": asked if size <= MOST_TOLD else f"{size:,} characters, not kept",
            "attributes": dict(desk.attributes),
        }

    def _failed(self, span: dict[str, Any], started: datetime, error: DomainError) -> None:
        self.spent.unpriced += 1
        told = {"status": "error", "error_type": error.code, "error_message": error.text[:2000]}
        took = int((clock.now() - started).total_seconds() * 1000)
        self.spans.append(span | told | {"started_at": started.isoformat(), "latency_ms": max(took, 0)})


def _start(took_ms: int) -> datetime:
    return clock.now() - timedelta(milliseconds=took_ms)


def _said(reply: ModelReply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "latency_ms": reply.total_ms,
        "ttft_ms": reply.ttft_ms,
        "response_model": reply.model,
        "finish_reason": reply.finish_reason,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "output": [{"role": "assistant", "content": reply.text}],
        "status": "ok",
    }


def _answered(status: int, body: bytes) -> Json:
    if status != 200:
        raise ScorerAnswer(status=status, text=f": {body[:200].decode('utf-8', 'replace')}")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ScorerAnswer("The scorer's answer is not JSON.") from None


def tell(project: Project, askers: Iterable[ModelAsker], *, now: datetime) -> int:
    """Store the spans of these askers as telemetry, in one batch; how many were stored. An asker's are told once."""
    told = []
    for asker in askers:
        told += [{name: value for name, value in span.items() if value not in (None, "")} for span in asker.spans]
        asker.spans = []
    if not told:
        return 0
    body = json.dumps({"spans": told}, default=str).encode("utf-8", "replace")
    keep_since = now - timedelta(days=project.retention_days)
    records, positions, rejected = wire.read_spans(
        wire.read_body(body, max_items=len(told)).spans, project_id=project.pk, received_at=now, keep_since=keep_since
    )
    for record in records:
        record.source = SOURCE
    batch = Batch(
        project_id=project.pk,
        key_id=None,
        client=CLIENT,
        received_at=now,
        received=len(told),
        spans=records,
        positions=positions,
        rejected=rejected,
    )
    masking.mask(batch)
    try:
        store([batch])
    except (OperationalError, InterfaceError):
        connection.close()  # it may only be an old connection that is dead
        store([batch])
    return len(records)
