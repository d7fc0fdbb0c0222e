"""The sample as native spans: each real request as a call of an invented feature, with what stood around it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from apps.telemetry.sample import texts
from apps.telemetry.sample.dice import Dice, fixed_id
from apps.telemetry.sample.scenery import (
    BROKEN_OFF,
    DAY,
    FAILURES,
    HOURS,
    Calendar,
    Failure,
    Model,
    Scene,
    bad_day,
    choose_scene,
    is_bad,
)
from apps.telemetry.sample.scores import scores_of
from apps.telemetry.sample.steps import look_up, tool_runs
from apps.telemetry.sample.trace import RealCall, real_calls

Span = dict[str, Any]

MILLISECOND = timedelta(milliseconds=1)
CLIENT_PATIENCE_MS = 30_000
RERANKED_MS = 24
SOME_TEXTS = 0.008
RECENT_TEXTS = 0.10


class Dealt(NamedTuple):
    """A real call and the invented hour it was put into; the moment within the hour is real."""

    call: RealCall
    hour: int
    started_at: datetime
    bad_day: date


class Sample:
    """The sample that ends at `end`: every real call once, within the 30 days before."""

    def __init__(self, end: datetime) -> None:
        self.end = end
        calendars = {"conv": Calendar(end, "conv"), "code": Calendar(end, "code")}
        bad = bad_day(end)
        dealt = (_deal(call, calendars[call.service], bad) for call in real_calls())
        self._dealt = sorted(dealt, key=lambda one: (one.started_at, one.call.number), reverse=True)

    def __len__(self) -> int:
        return len(self._dealt)

    def spans(self, first: int, last: int) -> list[Span]:
        """The native spans of the calls from number `first` up to, not including, `last`; 0 is the newest."""
        return [span for dealt in self._dealt[first:last] for span in _spans(dealt)]

    def scores(self, first: int, last: int) -> list[dict[str, Any]]:
        """The native scores of the answers of these calls."""
        return [score for dealt in self._dealt[first:last] for score in scores_of(list(_spans(dealt)), self.end)]


def _deal(call: RealCall, calendar: Calendar, bad: date) -> Dealt:
    hour = calendar.hour(Dice(f"hour/{call.number}").share())
    return Dealt(call, hour, calendar.start + timedelta(hours=hour, milliseconds=call.offset_ms), bad)


def _spans(dealt: Dealt) -> Iterator[Span]:
    dice = Dice(f"call/{dealt.call.number}")
    scene = choose_scene(dealt.call.service, dealt.hour, dice)
    has_texts = dice.chance(_share_with_texts(dealt.hour))
    call = _call(dealt, scene, dice)
    if scene.name == "knowledge-search":
        yield from _searched(dealt, call, dice, has_texts)
    elif scene.name == "order-agent":
        yield from _run_errand(dealt, call, dice, has_texts)
    else:
        yield {**call, **_texts_alone(scene, call, dice)} if has_texts else call


def _share_with_texts(hour: int) -> float:
    """Whoever opens the sample sees its last hour first, so there everything has a text."""
    if hour == HOURS - 1:
        return 1.0
    return RECENT_TEXTS if hour >= HOURS - 24 else SOME_TEXTS


def _call(dealt: Dealt, scene: Scene, dice: Dice) -> Span:
    """The model call. Its service, moment in the hour, input and output tokens are real."""
    number, service, _, input_tokens, output_tokens = dealt.call
    model = dice.weigh(scene.models)
    failure = _failure(dealt, scene, model, dice)
    ttft_ms, latency_ms = _lengths(dealt, model, failure, dice)
    person = f"{scene.people_named}-{1 + int(scene.people * dice.share() ** 2.2):04d}"
    is_streamed = scene.name != "code-review"
    return {
        "trace_id": fixed_id(f"trace/{number}", 16),
        "span_id": fixed_id(f"call/{number}", 8),
        "kind": "llm",
        "name": scene.prompt,
        "started_at": dealt.started_at.isoformat(),
        "latency_ms": latency_ms,
        "ttft_ms": ttft_ms if is_streamed else None,
        "streamed": is_streamed,
        "environment": _environment(dice),
        "feature": scene.name,
        "service": service,
        "user_id": person,
        "session_id": f"{person}-{dealt.hour // 6}",
        "provider": model.provider,
        "request_model": model.requested,
        "response_model": model.answered,
        "prompt_name": scene.prompt,
        "prompt_version": scene.version,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        **_token_details(model, input_tokens, output_tokens, dice),
        **_ending(failure),
    }


def _environment(dice: Dice) -> str:
    share = dice.share()
    return "production" if share < 0.9 else "staging" if share < 0.97 else "development"


def _failure(dealt: Dealt, scene: Scene, model: Model, dice: Dice) -> Failure | None:
    if is_bad(model, dealt.started_at, dealt.bad_day) and dice.chance(0.24):
        return BROKEN_OFF
    return dice.pick(FAILURES) if dice.chance(scene.error_rate) else None


def _lengths(dealt: Dealt, model: Model, failure: Failure | None, dice: Dice) -> tuple[int, int]:
    """Time to the first token and in all, in milliseconds: reading, then writing, slower in busy hours."""
    _, service, _, input_tokens, output_tokens = dealt.call
    busy = 1 + 0.3 * DAY[service][dealt.started_at.hour] / 15
    if is_bad(model, dealt.started_at, dealt.bad_day):
        busy *= 2.4
    if dice.chance(0.012):
        busy *= 3 + 4 * dice.share()
    ttft = (model.first_token_ms + 1000 * input_tokens / model.reads) * busy * dice.spread(0.22)
    writing = 1000 * output_tokens / model.writes * busy * dice.spread(0.16)
    late = CLIENT_PATIENCE_MS if failure is not None and failure.is_late else 0
    return round(ttft), round(ttft + writing) + late


def _token_details(model: Model, input_tokens: int, output_tokens: int, dice: Dice) -> Span:
    """Invented parts of the real counts: tokens read from the provider's cache, and tokens spent on thinking."""
    details: Span = {}
    if model.caches:
        known = input_tokens * (0.4 + 0.4 * dice.share()) if input_tokens >= 1024 and dice.chance(0.55) else 0
        details["cached_input_tokens"] = int(known) // 128 * 128
    if model.reasons:
        details["reasoning_tokens"] = int(output_tokens * (0.15 + 0.45 * dice.share()))
    return details


def _ending(failure: Failure | None) -> Span:
    if failure is None:
        return {"status": "ok", "finish_reason": "stop"}
    ending = {"status": "error", "error_type": failure.kind, "error_message": failure.message}
    return {**ending, "finish_reason": failure.finish} if failure.finish else ending


# --- What stood around a call


def _around(call: Span, part: str, kind: str, name: str, started_at: datetime, latency_ms: int) -> Span:
    """A span of the call's trace that is not a call itself."""
    shared = ("trace_id", "environment", "feature", "service", "user_id", "session_id")
    return {
        **{field: call[field] for field in shared},
        "span_id": fixed_id(f"{part}/{call['span_id']}", 8),
        "kind": kind,
        "name": name,
        "started_at": started_at.isoformat(),
        "latency_ms": latency_ms,
        "status": "ok",
    }


def _whole(call: Span, kind: str, name: str, dealt: Dealt, before_ms: int) -> Span:
    """The trace's root, begun so many milliseconds before the call and ended shortly after it."""
    started_at = dealt.started_at - before_ms * MILLISECOND
    root = _around(call, "root", kind, name, started_at, before_ms + call["latency_ms"] + 4)
    if call["status"] == "error":
        root |= {field: call[field] for field in ("status", "error_type", "error_message")}
    return root


def _searched(dealt: Dealt, call: Span, dice: Dice, has_texts: bool) -> Iterator[Span]:
    """A chain of a look-up in the help pages, a reranking, and the call that answers from what was found."""
    looked_ms = round(85 * dice.spread(0.4))
    search = dice.pick(texts.SEARCHES)
    found = look_up(search, dealt.call.number, dealt.started_at, has_texts=has_texts)
    root = _whole(call, "chain", "answer from the help pages", dealt, looked_ms + RERANKED_MS + 6)
    started_at = dealt.started_at - (looked_ms + RERANKED_MS + 3) * MILLISECOND
    looked = _around(call, "retriever", "retriever", "search the help pages", started_at, looked_ms)
    looked |= {"documents": found.documents, "attributes": found.attributes}
    if has_texts:
        passages = "\n".join(f"[{place}] {each.text}" for place, each in enumerate(search.passages, start=1))
        looked |= {"input": search.question}
        call = {
            **call,
            "input": _messages(texts.SEARCH_SYSTEM, f"{passages}\n\nQuestion: {search.question}"),
            "output": _answer(call, search.answer),
        }
        root |= {"input": search.question, "output": call["output"]}
    yield root
    yield {**looked, "parent_span_id": root["span_id"]}
    if found.reranked is not None:
        at = dealt.started_at - (RERANKED_MS + 2) * MILLISECOND
        reranked = _around(call, "reranker", "reranker", "order the passages", at, RERANKED_MS)
        yield {**reranked, "documents": found.reranked, "parent_span_id": root["span_id"]}
    yield {**call, "parent_span_id": root["span_id"]}


def _run_errand(dealt: Dealt, call: Span, dice: Dice, has_texts: bool) -> Iterator[Span]:
    """An agent that used its tools before the call that words its answer."""
    errand = dice.pick(texts.ERRANDS)
    runs = tool_runs(errand, dealt.call.number, [round(140 * dice.spread(0.6)) for _ in errand.tools])
    tools_ms = sum(run.latency_ms for run in runs)
    root = _whole(call, "agent", "order desk", dealt, tools_ms + 10)
    root["agent_name"] = "order-desk"
    if has_texts:
        call = {**call, "input": _errand_messages(errand), "output": _answer(call, errand.answer)}
        root |= {"input": errand.task, "output": call["output"]}
    yield root
    at = dealt.started_at - (tools_ms + 6) * MILLISECOND
    for place, run in enumerate(runs):
        used = _around(call, f"tool{place}", "tool", run.tool.name, at, run.latency_ms)
        used |= {"tool_name": run.tool.name, "input": run.tool.arguments, "parent_span_id": root["span_id"]}
        if run.error_type:
            used |= {
                "status": "error",
                "error_type": run.error_type,
                "error_message": "The order system did not answer.",
            }
        elif has_texts:
            used["output"] = run.tool.result
        yield used
        at += run.latency_ms * MILLISECOND
    yield {**call, "parent_span_id": root["span_id"], "agent_name": "order-desk"}


# --- Texts


def _messages(system: str, *turns: str) -> list[texts.Message]:
    """A conversation: what the system was told, then user and assistant in turn."""
    roles = ("user", "assistant")
    said = [{"role": roles[place % 2], "content": turn} for place, turn in enumerate(turns)]
    return [{"role": "system", "content": system}, *said]


def _errand_messages(errand: texts.Errand) -> list[texts.Message]:
    messages = _messages(texts.ORDER_SYSTEM, errand.task)
    for place, tool in enumerate(errand.tools):
        function = {"name": tool.name, "arguments": tool.arguments}
        asked = {"id": f"call_{place}", "type": "function", "function": function}
        messages.append({"role": "assistant", "tool_calls": [asked]})
        messages.append({"role": "tool", "tool_call_id": f"call_{place}", "content": tool.result})
    return messages


def _answer(call: Span, answer: str) -> str:
    """The answer, or as much of it as there was before the call failed."""
    return answer if call["status"] == "ok" else answer[: len(answer) // 2]


def _texts_alone(scene: Scene, call: Span, dice: Dice) -> Span:
    """Input and output of a call that stands alone."""
    if scene.name == "support-chat":
        chat = dice.pick(texts.CHATS)
        turns = (chat.question, chat.answer, chat.follow_up) if dice.chance(0.5) else (chat.question,)
        answer = chat.closing if len(turns) > 1 else chat.answer
        return {"input": _messages(texts.SUPPORT_SYSTEM, *turns), "output": _answer(call, answer)}
    is_review = scene.name == "code-review"
    code = dice.pick(texts.REVIEWS if is_review else texts.COMPLETIONS)
    system = texts.REVIEW_SYSTEM if is_review else texts.COMPLETION_SYSTEM
    return {"input": _messages(system, code.shown), "output": _answer(call, code.written)}
