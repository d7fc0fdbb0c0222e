"""The shipped test model: the same for the same request, free, and good enough to tell prompts apart."""

from __future__ import annotations

import json
import math
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.egress import run_in_loop
from apps.providers import client, labelling, presets, schema_filling
from apps.providers.adapters import test_model as shipped
from apps.providers.call_errors import ProviderCannot, ProviderRefused
from apps.providers.calls import Delta, ModelReply, ModelRequest, Protocol, Target
from apps.providers.pricing import Usage

ANSWERING = [model for model in presets.TEST_MODELS if model not in {"flaky", "slow", *presets.TEST_EMBEDDING_MODELS}]

LISTED = "Classify the ticket as one of: billing, delivery, account."
DESCRIBED = """Classify the ticket.
- billing: invoices, refunds, being charged twice, money back
- delivery: late parcels, shipping, tracking, arrived damaged
- account: password, login, changing the e-mail address, locked out
Answer with the label alone."""
TICKETS = {
    "I was charged twice, I want my money back": "billing",
    "my parcel arrived damaged": "delivery",
    "I am locked out and my password does not work": "account",
    "where is the tracking number of my parcel": "delivery",
    "the invoice has the wrong amount": "billing",
    "please change my e-mail address": "account",
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "label": {"enum": ["billing", "delivery", "account"]},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 12}, "minItems": 2},
        "when": {"type": "string", "format": "date"},
        "who": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/person"}]},
        "is_urgent": {"type": "boolean"},
    },
    "required": ["label", "score", "count", "tags", "when", "who", "is_urgent"],
    "additionalProperties": False,
    "$defs": {"person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "find_order",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
            "required": ["number"],
        },
    },
}


def target(model: str) -> Target:
    """The test model with this name."""
    return Target(Protocol.TEST, "test", model)


def ask(*said: tuple[str, str], **options: Any) -> ModelRequest:
    """A request with these messages."""
    return ModelRequest(tuple({"role": role, "content": content} for role, content in said), **options)


def answer(model: str, request: ModelRequest) -> ModelReply:
    """The whole answer."""
    return client.complete_now(target(model), request)


def streamed(model: str, request: ModelRequest) -> tuple[list[Delta], ModelReply]:
    """The answer word by word."""
    *deltas, reply = client.stream_now(target(model), request)
    assert isinstance(reply, ModelReply)
    return [delta for delta in deltas if isinstance(delta, Delta)], reply


def without_times(reply: ModelReply) -> tuple[object, ...]:
    """What has to be the same."""
    return (reply.text, reply.tool_calls, reply.finish_reason, reply.response_id, reply.usage, reply.model)


@pytest.mark.parametrize("model", ANSWERING)
def test_answers_the_same_for_the_same_request(model: str) -> None:
    request = ask(("system", LISTED), ("user", "my parcel is late"), tools=(TOOL,))
    first, second = answer(model, request), answer(model, request)
    deltas, third = streamed(model, request)
    assert without_times(first) == without_times(second) == without_times(third)
    assert first.is_complete
    spoken = "".join(delta.text for delta in deltas if delta.tool_call is None)
    assert spoken == first.text
    called = "".join(delta.text for delta in deltas if delta.tool_call == 0)
    assert called == "".join(call.arguments for call in first.tool_calls)
    assert deltas[0].ttft_ms is not None
    assert third.ttft_ms == deltas[0].ttft_ms <= third.total_ms
    assert (first.ttft_ms, first.model) == (None, model)


def test_says_other_things_to_other_requests() -> None:
    said = {answer("steady", ask(("user", f"Question {number} about parcels"))).text for number in range(12)}
    assert len(said) > 6


def test_echoes_the_last_user_message() -> None:
    text = "  Twice: {{braces}}\n\nand “quotes” \U0001f511 "
    request = ask(("system", "Do nothing"), ("user", "first"), ("assistant", "ok"), ("user", text))
    assert answer("echo", request).text == text
    parts = [
        {"type": "text", "text": "one"},
        {"type": "image_url", "image_url": {"url": "x"}},
        {"type": "text", "text": "two"},
    ]
    assert answer("echo", ModelRequest(({"role": "user", "content": parts},))).text == "one\ntwo"


def test_counts_tokens_by_its_rule() -> None:
    assert shipped.count_tokens("a four fives  extraordinary") == 1 + 1 + 2 + 4
    reply = answer("echo", ask(("system", "word"), ("user", "fives")))
    assert reply.usage == Usage(input_tokens=1 + 2, output_tokens=2)


def test_streams_word_by_word_with_time_between() -> None:
    deltas, reply = streamed("steady", ask(("user", "How do I return an order?")))
    assert len(deltas) > 10
    assert all(len(delta.text.split()) <= 1 for delta in deltas)
    assert reply.ttft_ms is not None
    assert reply.total_ms > reply.ttft_ms


def test_stops_where_it_is_told() -> None:
    request = ask(("user", "one two three STOP four"), parameters={"stop": ["STOP"]})
    assert (answer("echo", request).text, answer("echo", request).finish_reason) == ("one two three ", "stop")
    short = answer("echo", ask(("user", "one two three four"), parameters={"max_tokens": 2}))
    assert (short.text, short.finish_reason, short.usage.output_tokens) == ("one two", "length", 2)


@pytest.mark.parametrize("model", ["json", "steady", "classify"])
def test_fills_the_response_schema(model: str) -> None:
    for number in range(5):
        reply = answer(model, ask(("user", f"my parcel arrived damaged, {number}"), response_schema=SCHEMA))
        jsonschema.validate(json.loads(reply.text), SCHEMA)


def test_answers_with_json_without_a_schema() -> None:
    assert set(json.loads(answer("json", ask(("user", "anything"))).text)) == {"answer"}


SCHEMAS = st.recursive(
    st.one_of(
        st.just({"type": "string"}),
        st.just({"type": "boolean"}),
        st.just({"type": "null"}),
        st.just({"type": "string", "format": "date-time"}),
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
            st.integers(-9, 9),
            st.integers(0, 9),
        ),
        st.builds(lambda low: {"type": "number", "minimum": low}, st.integers(-9, 9)),
        st.builds(lambda least: {"type": "string", "minLength": least, "maxLength": least + 3}, st.integers(0, 40)),
        st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1, max_size=4)),
        st.builds(lambda value: {"const": value}, st.integers()),
    ),
    lambda inner: st.one_of(
        st.builds(lambda one, least: {"type": "array", "items": one, "minItems": least}, inner, st.integers(0, 3)),
        st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner),
        st.builds(
            lambda named: {"type": "object", "properties": named, "required": list(named)},
            st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=4),
        ),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS, st.text(max_size=5))
def test_fills_any_schema_of_the_usual_words(schema: dict[str, Any], seed: str) -> None:
    filled = schema_filling.fill(schema, seed=seed)
    jsonschema.validate(filled, schema)
    assert filled == schema_filling.fill(schema, seed=seed)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "https://example.com/schema.json"},
        {"type": "object", "properties": {"child": {"$ref": "#"}}, "required": ["child"]},
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"allOf": [{"$ref": "#"}]},
        {"type": 7, "properties": [], "required": "x", "enum": []},
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**9, "maxLength": 10**9},
        {"type": "integer", "minimum": 5, "maximum": 1},
        {"type": "number", "minimum": "x", "multipleOf": 0},
    ],
)
def test_is_not_brought_down_by_a_schema(schema: dict[str, Any]) -> None:
    assert len(json.dumps(schema_filling.fill(schema, seed="x"))) < 200_000


def test_calls_the_first_tool_and_then_speaks() -> None:
    reply = answer("tools", ask(("user", "Where is order 4711?"), tools=(TOOL,)))
    (call,) = reply.tool_calls
    assert (reply.finish_reason, reply.text, call.name) == ("tool_calls", "", "find_order")
    jsonschema.validate(json.loads(call.arguments), TOOL["function"]["parameters"])  # type: ignore[index]
    asked = ask(("user", "Where is order 4711?"), ("assistant", ""), ("tool", "on its way"), tools=(TOOL,))
    after = answer("tools", asked)
    assert (after.tool_calls, after.finish_reason) == ((), "stop")
    assert "on its way" in after.text


def test_fails_for_some_requests_and_always_the_same() -> None:
    def fails(number: int) -> bool:
        try:
            answer("flaky", ask(("user", f"Question {number}"), parameters={"max_tokens": 1}))
        except ProviderRefused as error:
            return bool(error.details["status"] == 503)
        return False

    first = [fails(number) for number in range(24)]
    assert first == [fails(number) for number in range(24)]
    assert 1 <= sum(first) <= 14


def test_takes_its_time() -> None:
    reply = answer("slow", ask(("user", "Hello"), parameters={"max_tokens": 1}))
    assert reply.total_ms > 1000


def right(prompt: str, *, in_one: bool = False) -> int:
    """How many tickets a prompt gets right."""
    found = 0
    for ticket, label in TICKETS.items():
        said = [("user", f"{prompt}\n\nTicket: {ticket}")] if in_one else [("system", prompt), ("user", ticket)]
        found += answer("classify", ask(*said)).text == label
    return found


def test_tells_a_better_prompt_from_a_worse_one() -> None:
    assert right(DESCRIBED) == right(DESCRIBED, in_one=True) == len(TICKETS)
    assert right(LISTED) < len(TICKETS)
    assert right("Say what the ticket is about.") == 0


def test_classifies_within_a_schema() -> None:
    for ticket, label in TICKETS.items():
        reply = answer("classify", ask(("system", DESCRIBED), ("user", ticket), response_schema=SCHEMA))
        assert json.loads(reply.text)["label"] == label


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("Answer with one of: spam, ham or unsure.", ["spam", "ham", "unsure"]),
        ('Labels: "very good", "good", "bad"', ["very good", "good", "bad"]),
        ("Choose the category from: a | b | c", ["a", "b", "c"]),
        ("1. yes\n2. no", ["yes", "no"]),
        ("* positive – praise\n* negative – complaint", ["positive", "negative"]),
        ("great stuff -> positive\nawful -> negative", ["positive", "negative"]),
        ("Write a poem about the sea.", []),
        ("", []),
    ],
)
def test_reads_the_labels_of_a_prompt(prompt: str, labels: list[str]) -> None:
    assert list(labelling.labels_in(prompt)) == labels


@pytest.mark.parametrize(
    "hostile",
    [" " * 20_000, "<input>" * 2800, "- " + " " * 20_000, "a -" * 7000, "one of " * 3000, "x or " * 4000, "-> " * 7000],
)
def test_is_not_held_up_by_a_hostile_prompt(hostile: str) -> None:
    assert answer("classify", ask(("user", hostile))).total_ms < 2000


def test_embeds_texts_with_shared_words_near_each_other() -> None:
    reply = client.embed_now(target("embed"), ["my parcel is late", "the parcel came late", "reset a password", ""])
    one, near, far, empty = reply.vectors
    assert all(math.isclose(math.fsum(value * value for value in vector), 1.0) for vector in reply.vectors)
    products = [math.fsum(a * b for a, b in zip(one, other, strict=True)) for other in (near, far)]
    assert products[0] > 0.5 > abs(products[1])
    assert len(empty) == shipped.DIMENSIONS
    assert client.embed_now(target("embed"), ["my parcel is late"]).vectors == (one,)


def test_says_which_of_its_models_does_what() -> None:
    with pytest.raises(ProviderCannot, match="test/embed"):
        client.embed_now(target("steady"), ["x"])
    with pytest.raises(ProviderCannot, match="it only embeds"):
        answer("embed", ask(("user", "x")))
    with pytest.raises(ProviderRefused, match="no test model"):
        answer("gpt-4o", ask(("user", "x")))


def test_can_be_left_in_the_middle() -> None:
    items = client.stream_now(target("steady"), ask(("user", "Hello")))
    assert isinstance(next(items), Delta)
    items.close()


def test_takes_an_empty_request() -> None:
    for model in ANSWERING:
        assert run_in_loop(client.complete(target(model), ModelRequest(()))).is_complete
