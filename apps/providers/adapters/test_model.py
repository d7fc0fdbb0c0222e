"""The test model that is shipped: it costs nothing, needs no key and no network, and answers the same request with the
same words for ever. It knows nothing and is not a language model.

Tokens are counted by a rule and not by a vocabulary: each word counts one for every four of its characters, begun ones
included. Its embeddings are hashed bags of words.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, NamedTuple

from apps.providers import labelling, schema_filling
from apps.providers.call_errors import ProviderCannot, ProviderRefused
from apps.providers.calls import Delta, EmbedReply, ModelReply, ModelRequest, Target, ToolCall
from apps.providers.presets import TEST_EMBEDDING_MODELS, TEST_MODELS
from apps.providers.pricing import Usage

DIMENSIONS = 256
CHARACTERS_A_TOKEN = 4
FAILS_ONE_IN = 4
"""One request in so many fails with the model `flaky`, always the same ones."""

PIECE = re.compile(r"\s*\S+\s*")

OPENINGS = (
    "Thank you for asking about {topic}.",
    "Here is what matters about {topic}.",
    "In short, {topic} comes down to one thing.",
    "Let me help you with {topic}.",
)
MIDDLES = (
    "The usual way is to check the details first and change one thing at a time.",
    "Most cases are settled within two working days once the reference is known.",
    "It depends on when it was ordered and on the plan that was chosen.",
    "The settings page shows the current state and what can still be changed.",
    "Two facts decide it: the date of the request and who made it.",
)
ENDINGS = (
    "Tell me if you want the steps one by one.",
    "If that does not help, a person will look at it.",
    "You will find a confirmation in your inbox.",
    "I can go into more detail if you like.",
)


class _Pace(NamedTuple):
    """How long it takes, in milliseconds: until the first word, and for each word."""

    first: int
    word: int


class _Answer(NamedTuple):
    """What is going to be said."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str


async def complete(target: Target, request: ModelRequest) -> ModelReply:
    """The whole answer at once, after the time that its words would take."""
    started = time.monotonic()
    digest = _digest(target, request)
    answer = _answer(target, request, digest)
    pace = _pace(target.model, digest)
    await asyncio.sleep((pace.first + pace.word * len(_pieces(answer.text))) / 1000)
    _fail_if_flaky(target, digest)
    return _reply(target, request, digest, answer, started, ttft_ms=None)


async def stream(target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
    """The answer word by word, and the reply at the end."""
    started = time.monotonic()
    digest = _digest(target, request)
    answer = _answer(target, request, digest)
    pace = _pace(target.model, digest)
    await asyncio.sleep(pace.first / 1000)
    _fail_if_flaky(target, digest)
    ttft_ms: int | None = None
    for delta in _deltas(answer):
        if ttft_ms is None:
            ttft_ms = _since(started)
            yield Delta(delta.text, delta.tool_call, delta.tool_name, ttft_ms)
            continue
        await asyncio.sleep(pace.word / 1000)
        yield delta
    yield _reply(target, request, digest, answer, started, ttft_ms=ttft_ms)


async def embed(target: Target, texts: Sequence[str]) -> EmbedReply:
    """One vector of unit length for each text: its words, hashed. Texts that share words are near each other."""
    started = time.monotonic()
    if target.model not in TEST_EMBEDDING_MODELS:
        raise ProviderCannot("embeddings in this test model; test/embed has them")
    usage = Usage(input_tokens=sum(map(count_tokens, texts)))
    return EmbedReply(tuple(map(_vector, texts)), target.model, usage, _since(started), attempts=1)


def count_tokens(text: str) -> int:
    """Tokens by the rule above."""
    return sum(math.ceil(len(word) / CHARACTERS_A_TOKEN) for word in text.split())


def text_of(message: Mapping[str, Any]) -> str:
    """What a message says, without its images and sounds."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping) and part.get("text"))


def _digest(target: Target, request: ModelRequest) -> str:
    """The request's hash; all that is picked is picked by it."""
    said = [
        target.model,
        list(request.messages),
        dict(request.parameters),
        list(request.tools),
        request.response_schema,
    ]
    canonical = json.dumps(said, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _number(digest: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{digest}:{purpose}".encode()).digest()[:6])


def _pace(model: str, digest: str) -> _Pace:
    if model == "slow":
        return _Pace(1500 + _number(digest, "pace") % 1500, 60)
    if model in {"steady", "flaky"}:
        return _Pace(40 + _number(digest, "pace") % 120, 12)
    return _Pace(2, 1)


def _fail_if_flaky(target: Target, digest: str) -> None:
    if target.model == "flaky" and _number(digest, "fails") % FAILS_ONE_IN == 0:
        raise ProviderRefused(503, "the test model test/flaky fails for one request in four, always the same ones")


def _answer(target: Target, request: ModelRequest, digest: str) -> _Answer:
    """What the model says. Raises ProviderRefused for a name it does not have."""
    if target.model not in TEST_MODELS:
        raise ProviderRefused(404, f"there is no test model {target.model}")
    if target.model in TEST_EMBEDDING_MODELS:
        raise ProviderCannot("answers in words; it only embeds")
    if target.model == "tools" and request.tools and not _ends_with_tool_result(request):
        return _Answer("", (_tool_call(request.tools[0], digest),), "tool_calls")
    return _cut(_text(target.model, request, digest), request.parameters)


def _text(model: str, request: ModelRequest, digest: str) -> str:
    asked = _last_of(request, "user")
    if model == "echo":
        return asked
    if request.response_schema is not None or model == "json":
        return _json(model, request, digest)
    if model == "classify":
        labels, text = _to_classify(request)
        return labelling.pick(labels, text, seed=digest) or "unknown"
    if model == "tools" and _ends_with_tool_result(request):
        return f"The tool answered: {text_of(request.messages[-1])}"
    return _sentence(asked, digest)


def _json(model: str, request: ModelRequest, digest: str) -> str:
    """The response schema, filled; `{"answer": ...}` without one."""
    if request.response_schema is None:
        return json.dumps({"answer": _sentence(_last_of(request, "user"), digest)}, ensure_ascii=False)
    choose = None
    if model == "classify":
        described, text = _to_classify(request)

        def choose(place: str, values: Sequence[Any]) -> Any:
            return labelling.matching(values, text, described, seed=f"{digest}:{place}")

    return json.dumps(schema_filling.fill(request.response_schema, seed=digest, choose=choose), ensure_ascii=False)


def _to_classify(request: ModelRequest) -> tuple[dict[str, str], str]:
    """The labels that the prompt lists, and the text that one is wanted for."""
    asked = _last_of(request, "user")
    others = [text_of(message) for message in request.messages if message.get("role") in {"system", "developer"}]
    if others:
        labels = labelling.labels_in("\n".join(others))
        return (labels, asked) if labels else (labelling.labels_in(asked), labelling.input_in(asked))
    text = labelling.input_in(asked)
    return labelling.labels_in(asked.removesuffix(text)) or labelling.labels_in(asked), text


def _sentence(asked: str, digest: str) -> str:
    """Three plausible sentences, the first about the two longest words of the question."""
    words = [word for word in re.findall(r"[^\W\d_]{4,}", asked[-2000:]) if word.lower() not in labelling.EMPTY_WORDS]
    longest = sorted(dict.fromkeys(word.lower() for word in words), key=len, reverse=True)[:2]
    topic = " and ".join(sorted(longest, key=asked.lower().find)) or "this"
    chosen = [
        texts[_number(digest, name) % len(texts)]
        for name, texts in (("opening", OPENINGS), ("middle", MIDDLES), ("ending", ENDINGS))
    ]
    return " ".join(chosen).format(topic=topic)


def _tool_call(tool: Mapping[str, Any], digest: str) -> ToolCall:
    function = tool.get("function", tool)
    function = function if isinstance(function, Mapping) else {}
    parameters = function.get("parameters", function.get("input_schema"))
    filled = schema_filling.fill(parameters, seed=digest) if isinstance(parameters, Mapping) else {}
    arguments = json.dumps(filled if isinstance(filled, dict) else {}, ensure_ascii=False)
    return ToolCall(f"call_{digest[:12]}", str(function.get("name", "tool")), arguments)


def _ends_with_tool_result(request: ModelRequest) -> bool:
    return bool(request.messages) and request.messages[-1].get("role") == "tool"


def _last_of(request: ModelRequest, role: str) -> str:
    """The last message of a role; the last message at all where there is none."""
    said = [message for message in request.messages if message.get("role") == role] or list(request.messages)
    return text_of(said[-1]) if said else ""


def _cut(text: str, parameters: Mapping[str, Any]) -> _Answer:
    """The text up to the first stop word and the most tokens that are allowed."""
    stops = parameters.get("stop") or ()
    for stop in [stops] if isinstance(stops, str) else stops:
        if isinstance(stop, str) and stop and stop in text:
            text = text[: text.index(stop)]
    allowed = parameters.get("max_completion_tokens") or parameters.get("max_tokens")
    if not isinstance(allowed, int) or count_tokens(text) <= allowed:
        return _Answer(text, (), "stop")
    kept, used = "", 0
    for piece in _pieces(text):
        used += count_tokens(piece)
        if used > allowed:
            break
        kept += piece
    return _Answer(kept.rstrip(), (), "length")


def _pieces(text: str) -> list[str]:
    """The words with the blanks around them; together they are the text."""
    return PIECE.findall(text) or ([text] if text else [])


def _deltas(answer: _Answer) -> list[Delta]:
    deltas = [Delta(text=piece) for piece in _pieces(answer.text)]
    for number, call in enumerate(answer.tool_calls):
        deltas.append(Delta(tool_call=number, tool_name=call.name))
        deltas += [Delta(text=piece, tool_call=number) for piece in _pieces(call.arguments)]
    return deltas


def _reply(
    target: Target, request: ModelRequest, digest: str, answer: _Answer, started: float, *, ttft_ms: int | None
) -> ModelReply:
    said = answer.text + "".join(f" {call.name} {call.arguments}" for call in answer.tool_calls)
    given = [text_of(message) for message in request.messages]
    given += [json.dumps(tool, sort_keys=True) for tool in request.tools]
    if request.response_schema is not None:
        given.append(json.dumps(request.response_schema, sort_keys=True))
    return ModelReply(
        text=answer.text,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        is_complete=True,
        model=target.model,
        response_id=f"test-{digest[:16]}",
        usage=Usage(input_tokens=sum(map(count_tokens, given)), output_tokens=count_tokens(said)),
        ttft_ms=ttft_ms,
        total_ms=_since(started),
        attempts=1,
    )


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _vector(text: str) -> tuple[float, ...]:
    values = [0.0] * DIMENSIONS
    for word in labelling.words_of(text):
        hashed = hashlib.sha256(word.encode()).digest()
        values[int.from_bytes(hashed[:4]) % DIMENSIONS] += 1.0 if hashed[4] % 2 else -1.0
    length = math.sqrt(math.fsum(value * value for value in values))
    if length == 0:
        return (1.0, *values[1:])
    return tuple(value / length for value in values)
