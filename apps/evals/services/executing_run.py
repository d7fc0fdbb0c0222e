"""One run, driven in the loop of its worker: fed from the rows, called at the pace the provider takes, scored, told.

Nothing that matters is kept here alone. What is on its way when the process dies is found again as `calling`; what was
answered is only scored.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.core import clock
from apps.core.egress import EgressRefused
from apps.core.errors import DomainError
from apps.evals import caching, pacing
from apps.evals.pacing import Gate, Throttle
from apps.evals.services import executing_rows as rows
from apps.evals.services.executing_office import Line, Office
from apps.evals.services.executing_plan import Hold, Item, Plan, prepared
from apps.evals.services.executing_rows import LeaseLost, Write
from apps.evals.services.executing_scores import Judged, clean, judge, read_tool_calls
from apps.evals.services.executing_teller import Teller
from apps.evals.services.telling import Told
from apps.evals.types import RunState
from apps.prompts.templating.children import TemplatesBusy
from apps.providers import client
from apps.providers.call_errors import (
    ProviderAnswerMalformed,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnreachable,
    Stage,
)
from apps.providers.calls import ModelReply

log = logging.getLogger(__name__)

MOST_OUTPUT = 1_000_000
LOOK_AHEAD = 8
"""One call for so many that may be on their way is marked as begun before there is room for it."""
MOST_ANSWER_COUNTS = 2_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the run ends; without a state it does not end here: another worker goes on, or has it already."""

    state: RunState | None
    reason: str = ""
    sentence: str = ""


LOST = Verdict(None, "lost")
HANDED_BACK = Verdict(None, "handed_back")
CANCELED = Verdict(RunState.CANCELED, "canceled", "The run was canceled.")
OVER_BUDGET = (
    "The budget of {budget} USD does not cover another call: {spent} USD are spent. What is left was not called."
)


class BudgetSpent(DomainError):
    """A scorer may not ask: the budget of the run is spent."""

    code, http_status, message = "over_budget", 422, "The budget of the run is spent."


@dataclass(slots=True)
class Drive:
    """The run while this worker holds it."""

    office: Office
    plan: Plan
    token: uuid.UUID
    throttle: Throttle
    teller: Teller
    line: Line = field(init=False)
    gate: Gate = field(default_factory=Gate)
    """Whether the provider is there at all; of this run alone, since another one may ask for another model."""
    ready: deque[Item] = field(default_factory=deque)
    in_flight: int = 0
    later: int = 0
    is_fed: bool = False
    verdict: Verdict | None = None
    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    last_error: str = ""
    lasting: int = 0
    answers: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_ANSWER_COUNTS))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    hungry: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        run = self.plan.run
        self.line = self.office.line(run.project_id, self.plan.connection)
        self.spent = run.spent_usd + run.judge_spent_usd + run.lost_usd

    # --- From the outside

    def stop(self, verdict: Verdict) -> None:
        """Begin no further call. The first verdict stands."""
        if self.verdict is None:
            self.verdict = verdict
        self.wake.set()
        self.hungry.set()

    async def before_asking(self, _model: str) -> None:
        """The hook of scorers that ask: none of them begins a call beyond the budget, or after the end."""
        budget = self.plan.run.budget_usd
        if budget is not None and self.spent + self.reserved >= budget:
            self._over_budget()
            raise BudgetSpent

    async def drive(self) -> Verdict:
        """Work until everything is done, or somebody says stop; how it went. Raises LeaseLost."""
        if self.plan.refusal is not None:
            error = self.plan.refusal
            return Verdict(RunState.FAILED, error.code, error.text)
        await self.office.thread(
            "reads", rows.resume, self.plan.run.pk, self.token, self.plan.worst_cost(0) if self._has_budget else None
        )
        feeding = asyncio.create_task(self._feed())
        try:
            await self._dispatch(feeding)
            if self.verdict is not HANDED_BACK and self.tasks:
                await asyncio.wait(set(self.tasks))
            elif self.tasks:
                await asyncio.wait(set(self.tasks), timeout=IN_FLIGHT_SECONDS)
        finally:
            feeding.cancel()
            for task in set(self.tasks):
                task.cancel()
            await asyncio.gather(feeding, *self.tasks, return_exceptions=True)
        if self.verdict is not LOST:
            await self._put_back()
        return self.verdict or Verdict(RunState.FINISHED)

    @property
    def _has_budget(self) -> bool:
        return self.plan.run.budget_usd is not None

    # --- Feeding

    async def _feed(self) -> None:
        """Keep a few results ready, marked as begun, so that no call waits for the database."""
        try:
            after = 0
            while page := await self.office.thread("reads", rows.load_page, self.plan.run.pk, after):
                after = page[-1]["id"]
                for item in await self._prepare(page):
                    while len(self.ready) >= self._look_ahead and self.verdict is None:
                        self.hungry.clear()
                        await self.hungry.wait()
                    if self.verdict is not None:
                        return
                    self.ready.append(item)
                    self.wake.set()
        finally:
            self.is_fed = True
            self.wake.set()

    @property
    def _look_ahead(self) -> int:
        return max(2, self.plan.run.concurrency)

    async def _prepare(self, page: Sequence[dict[str, Any]]) -> list[Item]:
        """The items of these rows, with the answers that are kept for the same calls."""
        answers = list(self.answers)
        if self.plan.is_jinja:
            jobs = (self.office.thread("renders", prepared, self.plan, [row], answers) for row in page)
            items = [item for found in await asyncio.gather(*jobs) for item in found]
        else:
            items = await self.office.thread("reads", prepared, self.plan, page, answers)
        if keys := {item.cache_key for item in items if item.cache_key}:
            known = await self.office.thread("reads", rows.known_answers, self.plan.run.project_id, keys)
            for item in items:
                item.cached = known.get(item.cache_key) if item.cache_key else None
        return items

    # --- Dispatching

    async def _dispatch(self, feeding: asyncio.Task[None]) -> None:
        """Begin each result as soon as there is room, until there are no more."""
        while self.verdict is None:
            if feeding.done() and feeding.exception() is not None:
                raise feeding.exception() or AssertionError
            self._mark_ahead()
            wait = self._seconds_to_wait()
            if wait == 0.0:
                self._begin(self.ready.popleft())
                self.hungry.set()
                continue
            if self.is_fed and not self.ready and not self.in_flight and not self.later:
                return
            self.wake.clear()
            try:
                async with asyncio.timeout(wait):
                    await self.wake.wait()
            except TimeoutError:
                continue

    def _mark_ahead(self) -> None:
        """Mark the next few as begun while others are still on their way."""
        ahead = max(2, self.throttle.allowed // LOOK_AHEAD)
        room = max(0, self.throttle.allowed - self.in_flight)
        for place, item in enumerate(self.ready):
            if place >= ahead + room:
                return
            if not item.is_marked and self._is_called(item):
                self._mark(item)

    def _is_called(self, item: Item) -> bool:
        return not item.is_answered and item.cached is None and item.refusal is None and item.request is not None

    def _mark(self, item: Item) -> asyncio.Future[None]:
        """Note that the call begins, before it does."""
        item.is_marked = True
        item.tries += 1
        if not item.trace_id:
            item.trace_id, item.span_id = secrets.token_hex(16), secrets.token_hex(8)
        mark = {"id": item.id, "state": "calling", "tries": 1, "trace_id": item.trace_id, "span_id": item.span_id}
        item.marking = self.office.writer.put(Write(self.plan.run.pk, mark=mark, counts={"calls": 1}))
        return item.marking

    def _seconds_to_wait(self) -> float | None:
        """0 when the next result may begin now; None when something else must happen first."""
        if not self.ready or self.in_flight >= self.throttle.allowed:
            return None
        item = self.ready[0]
        if not self._is_called(item):
            return 0.0
        at = asyncio.get_running_loop().time()
        for gate, in_flight in ((self.gate, self.in_flight), (self.line.gate, self.line.in_flight)):
            if not gate.may_ask(at, in_flight):
                return gate.seconds_left(at) or LOOK_AGAIN_SECONDS
        if wait := self.line.bucket.wait(at):
            return wait
        return 0.0 if self._fits(item) else None

    def _fits(self, item: Item) -> bool:
        """True when the budget covers the worst of this call; the run is over when it never will."""
        budget = self.plan.run.budget_usd
        if budget is None:
            return True
        if item.worst_usd is not None and self.spent + self.reserved + item.worst_usd <= budget:
            return True
        if self.in_flight == 0:
            self._over_budget()
        return False

    def _over_budget(self) -> None:
        budget = self.plan.run.budget_usd
        sentence = OVER_BUDGET.format(budget=_money(budget), spent=_money(self.spent))
        self.stop(Verdict(RunState.OVER_BUDGET, "over_budget", sentence))

    def _begin(self, item: Item) -> None:
        """Begin it. What it may take is taken here, before the next one is looked at, and not when its task starts."""
        self.in_flight += 1
        hold = item.hold = self._take(item) if self._is_called(item) else None
        task = asyncio.create_task(self._one(item))
        self.tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            self.in_flight -= 1
            self._give_back(hold)
            self.wake.set()

        task.add_done_callback(ended)

    def _take(self, item: Item) -> Hold:
        hold = Hold(item.worst_usd or Decimal(0))
        self.reserved += hold.usd
        self.line.in_flight += 1
        self.line.bucket.begin(asyncio.get_running_loop().time())
        return hold

    def _give_back(self, hold: Hold | None) -> None:
        if hold is not None and not hold.is_given_back:
            hold.is_given_back = True
            self.reserved -= hold.usd
            self.line.in_flight -= 1

    # --- One result

    async def _one(self, item: Item) -> None:
        """Call, score, keep. Only what ends the run gets out of here, and not as an exception."""
        try:
            if item.is_answered:
                await self._score(item, item.row, is_kept=True)
            elif item.refusal is not None:
                self._refused(item, item.refusal)
            elif item.cached is not None:
                reply = caching.reply_from_dict(item.cached)
                await self._answered(item, reply, started=clock.now(), is_from_cache=True)
            else:
                await self._call(item)
        except LeaseLost:
            self.stop(LOST)
        except Exception as error:
            # A fault of ours in one result: it fails with a sentence, and the run goes on.
            log.exception("a result of run %s could not be worked on", self.plan.run.pk)
            if self.office.writer.broke is not None:
                self.stop(LOST)
            else:
                self._refused(item, DomainError(f"Something failed on our side: {type(error).__name__}."), "internal")

    async def _call(self, item: Item) -> None:
        target, request = self.plan.target, item.request
        assert target is not None
        assert request is not None
        await (item.marking if item.is_marked and item.marking is not None else self._mark(item))
        if self.verdict is not None:
            self.ready.append(item)  # put back with the others
            return
        started = clock.now()
        try:
            reply = await client.complete(target, request)
        except DomainError as error:
            self._give_back(item.hold)
            await self._failed(item, error, started, item.worst_usd or Decimal(0))
            return
        self.throttle.went_well()
        self.gate.went_well()
        self.line.gate.went_well()
        self.lasting = 0
        await self._answered(item, reply, started=started)

    async def _answered(self, item: Item, reply: ModelReply, *, started: datetime, is_from_cache: bool = False) -> None:
        """Keep the answer, before anything is made of it, and score it."""
        if not self.plan.knows_price(reply.model):
            await self.office.thread("reads", self.plan.look_up_prices, reply.model)
        cost = self.plan.cost_of(reply)
        settled = _settled(item, reply, cost, started, is_from_cache)
        counts: dict[str, int | Decimal] = {"from_cache": 1} if is_from_cache else {}
        if not is_from_cache:
            counts = {"unpriced_calls": 1} if cost is None else {"spent_usd": cost}
            self.spent += cost or Decimal(0)
            self._give_back(item.hold)  # not before it is known what was spent
            if reply.usage.output_tokens is not None:
                self.answers.append(reply.usage.output_tokens)
        cached = None
        if item.cache_key and not is_from_cache and reply.is_complete:
            cached = (self.plan.run.project_id, item.cache_key, _storable(caching.reply_as_dict(reply)))
        item.kept = Write(self.plan.run.pk, settle=settled, counts=counts, cached=cached)
        if not is_from_cache:
            self.teller.add(self._told(item, settled))
        await self._score(item, settled, is_kept=False)

    def _told(self, item: Item, settled: dict[str, Any]) -> Told:
        assert item.request is not None
        return Told(item.id, item.row["key"], item.row["repetition"], item.tries, settled, item.request)

    async def _score(self, item: Item, settled: dict[str, Any], *, is_kept: bool) -> None:
        """Score the answer. What takes no time goes into one write with the answer; else the answer is kept first."""
        kept = item.kept
        judging = asyncio.ensure_future(judge(self.plan, item, settled, self.office.pools["scores"]))
        if not is_kept and kept is not None:
            await asyncio.sleep(0)
            if not judging.done():
                self.office.writer.put(kept)
                is_kept = True
        judged = await judging
        counts: dict[str, int | Decimal] = {"done": 1}
        if judged.usd or judged.unpriced:
            counts |= {"judge_spent_usd": judged.usd, "unpriced_calls": judged.unpriced}
            self.spent += judged.usd
        if judged.askers:
            self.teller.add_askers(judged.askers)
        write = Write(self.plan.run.pk, scores=judged.scores, counts=counts)
        if is_kept:
            write.finish = {"id": item.id, "value": judged.value, "is_passed": judged.is_passed}
        elif kept is not None:
            write.settle = {**settled, "state": "done", "value": judged.value, "is_passed": judged.is_passed}
            write.counts = {**kept.counts, **counts}
            if "unpriced_calls" in kept.counts and "unpriced_calls" in counts:
                write.counts["unpriced_calls"] = kept.counts["unpriced_calls"] + counts["unpriced_calls"]
            write.cached = kept.cached
        _look_at(self, self.office.writer.put(write))

    # --- What fails

    async def _failed(self, item: Item, error: DomainError, started: datetime, worst: Decimal) -> None:
        """Try again later, or keep the failure; and learn from it how fast, or whether at all, to go on."""
        at = asyncio.get_running_loop().time()
        if isinstance(error, ProviderRateLimited):
            self.throttle.was_refused(at)
            wait = self.line.gate.was_refused(at, error.retry_after_seconds)
            pause = (self.plan.run.project_id, self.plan.connection, self.office.until(wait))
            self.office.writer.put(Write(self.plan.run.pk, pause=pause))
        else:
            self._note_failure(error, at)
        if perhaps_paid(error):
            self.spent += worst
            self.office.writer.put(Write(self.plan.run.pk, counts={"lost_calls": 1, "lost_usd": worst}))
        if is_worth_another(error) and item.tries <= pacing.RETRIES and self.verdict is None:
            item.is_marked, item.marking = False, None
            self._wait_again(item)
            chance = secrets.randbelow(1001) / 1000
            wait = pacing.backoff(item.tries, chance, getattr(error, "retry_after_seconds", None))
            if isinstance(error, ProviderRateLimited):
                wait = 0.0  # the connection's pause holds it back
            self.later += 1
            asyncio.get_running_loop().call_later(wait, self._again, item)
            return
        self._refused(item, error, started=started)

    def _wait_again(self, item: Item) -> None:
        """Note that its call is over and another one will be made: nothing of it is on its way."""
        mark = {"id": item.id, "state": "waiting", "tries": 0, "trace_id": item.trace_id, "span_id": item.span_id}
        self.office.writer.put(Write(self.plan.run.pk, mark=mark))

    def _again(self, item: Item) -> None:
        self.later -= 1
        self.ready.append(item)
        self.wake.set()

    def _note_failure(self, error: DomainError, at: float) -> None:
        """Whether the provider is there at all."""
        self.last_error = error.text
        if is_lasting(error):
            self.lasting += 1
            if self.lasting >= pacing.DOWN_AFTER:
                self._provider_down(error)
        elif says_down(error):
            if self.gate.could_not_be_made(at):
                self._provider_down(error)
        else:
            self.gate.went_well()

    def _provider_down(self, error: DomainError) -> None:
        sentence = (
            f"{pacing.DOWN_AFTER} calls in a row failed, and so did those that looked again. {error.text} "
            "Then try the failed examples again."
        )
        self.stop(Verdict(RunState.FAILED, "provider_down", sentence))

    def _refused(self, item: Item, error: DomainError, code: str = "", *, started: datetime | None = None) -> None:
        """Keep that there is no output, and why."""
        settled = {
            **_blank(item),
            "state": "failed",
            "error_code": (code or error.code)[:64],
            "error": clean(error.text, 4000),
            "started_at": (started or clock.now()).isoformat(),
            "latency_ms": None if started is None else _milliseconds(started),
        }
        put = self.office.writer.put(Write(self.plan.run.pk, settle=settled, counts={"failed": 1}))
        _look_at(self, put)
        if item.trace_id and item.request is not None and started is not None:
            self.teller.add(self._told(item, settled))

    async def _put_back(self) -> None:
        """What was marked and never called was not begun."""
        for item in list(self.ready):
            if item.is_marked:
                mark = {"id": item.id, "state": "waiting", "tries": -1, "trace_id": "", "span_id": ""}
                self.office.writer.put(Write(self.plan.run.pk, mark=mark, counts={"calls": -1}))
        self.ready.clear()
        await self.office.writer.put(Write(self.plan.run.pk))


IN_FLIGHT_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.25


def _look_at(drive: Drive, written: asyncio.Future[None]) -> None:
    """Stop the run when the write tells that the lease is lost, or that the database stays away."""

    def seen(future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, LeaseLost) or (error is not None and drive.office.writer.broke is not None):
            drive.stop(LOST)

    written.add_done_callback(seen)


def is_worth_another(error: DomainError) -> bool:
    """True when the same call may go well later."""
    if isinstance(error, ProviderRateLimited | ProviderTimeout | ProviderUnreachable | ProviderAnswerMalformed):
        return True
    return isinstance(error, TemplatesBusy) or (isinstance(error, ProviderError) and error.is_transient)


def is_lasting(error: DomainError) -> bool:
    """True when no call of this run will go well before somebody changes something."""
    if isinstance(error, ProviderRefused):
        return error.details.get("status") in {401, 403, 404}
    return isinstance(error, EgressRefused) or error.code in {"provider_redirected", "provider_key_unusable"}


def says_down(error: DomainError) -> bool:
    """True when the provider seems not to be there."""
    if isinstance(error, ProviderTimeout):
        return error.details.get("stage") is Stage.CONNECT
    return isinstance(error, ProviderUnreachable) or (isinstance(error, ProviderRefused) and error.is_transient)


def perhaps_paid(error: DomainError) -> bool:
    """True when the model may have answered all the same."""
    if isinstance(error, ProviderTimeout):
        return error.details.get("stage") is not Stage.CONNECT
    if isinstance(error, ProviderUnreachable):
        return not error.is_transient and "was_sent" in error.details
    return isinstance(error, ProviderAnswerMalformed)


def _settled(
    item: Item, reply: ModelReply, cost: Decimal | None, started: datetime, is_from_cache: bool
) -> dict[str, Any]:
    """The columns of a result that has its answer."""
    return {
        **_blank(item),
        "state": "answered",
        "output": clean(reply.text, MOST_OUTPUT),
        "tool_calls": _storable(read_tool_calls(reply.tool_calls)),
        "finish_reason": clean(reply.finish_reason or "", 64),
        "response_model": clean(reply.model, 200),
        "ttft_ms": reply.ttft_ms,
        "latency_ms": reply.total_ms,
        "input_tokens": reply.usage.input_tokens,
        "output_tokens": reply.usage.output_tokens,
        "cached_input_tokens": reply.usage.cached_input_tokens,
        "cache_write_tokens": reply.usage.cache_write_tokens,
        "reasoning_tokens": reply.usage.reasoning_tokens,
        "cost_usd": cost,
        "is_from_cache": is_from_cache,
        "started_at": started.isoformat(),
    }


def _blank(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "output": "",
        "tool_calls": [],
        "finish_reason": "",
        "response_model": "",
        "ttft_ms": None,
        "latency_ms": None,
        "input_tokens": None,
        "output_tokens": None,
        "cached_input_tokens": None,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
        "cost_usd": None,
        "is_from_cache": False,
        "error_code": "",
        "error": "",
        "trace_id": item.trace_id,
        "span_id": item.span_id,
        "value": None,
        "is_passed": None,
    }


def _storable(value: Any) -> Any:
    """The value without what PostgreSQL does not hold."""
    if isinstance(value, str):
        return (
            value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
            if not value.isascii() or "\x00" in value
            else value
        )
    if isinstance(value, dict):
        return {_storable(name): _storable(one) for name, one in value.items()}
    return [_storable(one) for one in value] if isinstance(value, list | tuple) else value


def _milliseconds(started: datetime) -> int:
    return max(0, int((clock.now() - started).total_seconds() * 1000))


def _money(amount: Decimal | None) -> str:
    return "0" if not amount else format(amount.normalize(), "f")


__all__ = ["CANCELED", "HANDED_BACK", "LOST", "Drive", "Judged", "Verdict"]
