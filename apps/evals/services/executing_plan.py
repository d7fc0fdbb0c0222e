"""What a worker needs to know of a run before it begins: the prompt, where calls go, what they cost, the scorers."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core import clock
from apps.core.errors import DomainError
from apps.evals import caching
from apps.evals.estimating import most_answer_tokens
from apps.evals.models import EvalRun, RunScorer
from apps.evals.pacing import MOST_INTERRUPTED
from apps.evals.requests import Given, request_for
from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.services import asking, telling
from apps.evals.services.executing_rows import Write
from apps.evals.types import Json, RunKind
from apps.prompts.content import Content, content_from_dict
from apps.prompts.types import Syntax
from apps.providers import tokens
from apps.providers.calls import ModelReply, ModelRequest, Target
from apps.providers.pricing import Usage, cost_of
from apps.providers.selectors.connections import target_for
from apps.providers.selectors.prices import price_book
from apps.providers.types import PricedModel

PRICES_BELIEVED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class ChosenScorer:
    """A scorer of the run. `kind` is None when it is not installed any more."""

    row_id: int
    slug: str
    kind: ScorerKind | None
    kind_name: str
    config: Config
    threshold: float


@dataclass(slots=True)
class Plan:
    """A run, ready to be executed. `target` is None when nothing is called; `refusal` says why nothing can be."""

    run: EvalRun
    retention_days: int
    content: Content | None
    target: Target | None
    refusal: DomainError | None
    scorers: tuple[ChosenScorer, ...]
    desk: asking.Desk
    prices: dict[str, tuple[float, PricedModel | None]] = field(default_factory=dict)

    @property
    def is_jinja(self) -> bool:
        """True when another process renders the prompt."""
        return self.content is not None and self.content.syntax is Syntax.JINJA

    @property
    def connection(self) -> str:
        """The name under which the pace of calls is kept."""
        return "" if self.target is None else self.target.connection or self.target.provider

    @property
    def asks(self) -> bool:
        """True when a scorer asks models."""
        return any(one.kind is not None and one.kind.ask is not None for one in self.scorers)

    def look_up_prices(self, model: str) -> None:
        """Keep what the model costs now. For a thread: it may ask the database."""
        assert self.target is not None
        priced = price_book.price_for(self.run.project_id, self.target.provider or None, model, clock.now())
        self.prices[model] = (time.monotonic(), priced)

    def knows_price(self, model: str) -> bool:
        """True when the price was looked up within the last minute."""
        found = self.prices.get(model)
        return found is not None and time.monotonic() - found[0] < PRICES_BELIEVED_SECONDS

    def cost_of(self, reply: ModelReply) -> Decimal | None:
        """What the answer costs, as telemetry will say it: by the model that answered, else by the one that was asked.
        Its prices must have been looked up."""
        assert self.target is not None
        usage = Usage(*reply.usage[:4], reasoning_tokens=reply.usage.reasoning_tokens)
        for model in dict.fromkeys((reply.model, self.target.model)):
            priced = self.prices.get(model, (0.0, None))[1]
            cost = None if priced is None else cost_of(usage, priced.rates)
            if cost is not None:
                return cost.usd
        return None

    def worst_cost(self, input_tokens: int, answers: Sequence[int] = ()) -> Decimal | None:
        """The most that a call is expected to cost; None without a price."""
        if self.target is None:
            return None
        priced = self.prices.get(self.target.model, (0.0, None))[1]
        most = most_answer_tokens(self.run.parameters, answers)
        cost = None if priced is None else cost_of(Usage(input_tokens, most), priced.rates)
        return None if cost is None else cost.usd


def plan_for(run_id: int, *, before: asking.Hook | None, now: datetime) -> Plan:
    """Read everything. For a thread."""
    run = EvalRun.objects.select_related("project", "eval_set").get(pk=run_id)
    chosen = RunScorer.objects.filter(run=run).select_related("version", "version__scorer")
    target: Target | None = None
    refusal: DomainError | None = None
    content = None if run.content is None else content_from_dict(run.content)
    if run.kind == RunKind.MODEL:
        try:
            found = target_for(run.project, run.model)
            target = replace(found, limits=replace(found.limits, attempts=1))
        except DomainError as error:
            refusal = error
    plan = Plan(
        run=run,
        retention_days=run.project.retention_days,
        content=content,
        target=target,
        refusal=refusal,
        scorers=tuple(
            ChosenScorer(one.pk, one.slug, KINDS.get(one.kind), one.kind, one.version.config, one.threshold)
            for one in chosen
        ),
        desk=_desk(run, [one.version for one in chosen], before, now),
    )
    if target is not None:
        plan.look_up_prices(target.model)
    return plan


class CutOffTooOften(DomainError):
    """The worker ended during each of the calls."""

    code, http_status = "interrupted", 500
    message = "The worker ended {times} times during this call. Look into its log before you try the example again."


JUDGE_ATTEMPTS = 3
"""A scorer's call is tried so often by the client, which keeps to what the provider asks for."""


def _desk(run: EvalRun, versions: Sequence[Any], before: asking.Hook | None, now: datetime) -> asking.Desk:
    desk = asking.desk_for(
        run.project,
        versions,
        now=now,
        before=before,
        feature=run.feature,
        environment=run.environment or telling.ENVIRONMENT,
        attributes={"eval.run": str(run.uuid)},
    )
    return replace(desk, places={model: _patient(place) for model, place in desk.places.items()})


def _patient(place: asking.Place) -> asking.Place:
    if place.target is None:
        return place
    limits = place.target.limits
    return replace(
        place, target=replace(place.target, limits=replace(limits, attempts=max(limits.attempts, JUDGE_ATTEMPTS)))
    )


@dataclass(slots=True)
class Hold:
    """What a call may cost at the worst, kept back from the budget of its run until it is known what it did cost."""

    usd: Decimal
    is_given_back: bool = False


@dataclass(slots=True)
class Item:
    """One result to be worked on: what is sent for it, or why nothing can be."""

    row: dict[str, Any]
    request: ModelRequest | None = None
    refusal: DomainError | None = None
    cache_key: str = ""
    cached: Mapping[str, Json] | None = None
    worst_usd: Decimal | None = None
    tries: int = 0
    """Calls begun that count against the retries; those that a worker's end cut off do not."""
    is_marked: bool = False
    trace_id: str = ""
    span_id: str = ""
    marking: asyncio.Future[None] | None = None
    """Done when it is written that the call begins."""
    kept: Write | None = None
    """The answer, as it waits to be written."""
    hold: Hold | None = None
    """What its call keeps back from the budget and from its connection while it is on its way."""

    @property
    def id(self) -> int:
        """The result's."""
        return int(self.row["id"])

    @property
    def is_answered(self) -> bool:
        """True when the output is there and only has to be scored."""
        return bool(self.row["state"] == "answered")


def prepared(plan: Plan, rows: Sequence[dict[str, Any]], answers: Sequence[int] = ()) -> list[Item]:
    """What is sent for each of these. For a thread: rendering may take its time."""
    return [_prepared(plan, row, answers) for row in rows]


def _prepared(plan: Plan, row: dict[str, Any], answers: Sequence[int]) -> Item:
    item = Item(row, tries=row["tries"] - row["interrupted"])
    if plan.content is None or plan.target is None:
        return item
    if row["interrupted"] >= MOST_INTERRUPTED and not item.is_answered:
        item.refusal = CutOffTooOften(times=row["interrupted"])
        return item
    given = Given(row["variables"], row["messages"], row["tools"], row["context"])
    try:
        item.request = request_for(plan.content, plan.run.parameters, given)
    except DomainError as error:
        item.refusal = error
        return item
    if item.is_answered:
        return item
    if plan.run.use_cache:
        item.cache_key = caching.key_of(plan.target, item.request, row["repetition"])
    if plan.run.budget_usd is not None:
        counted = tokens.count_messages(item.request.messages, plan.target.model, tools=item.request.tools).tokens
        if item.request.response_schema is not None:
            counted += tokens.count(json.dumps(item.request.response_schema), plan.target.model).tokens
        item.worst_usd = plan.worst_cost(counted, answers)
    return item
