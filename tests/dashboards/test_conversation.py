"""Inputs and outputs as a conversation, whatever the client's library calls things."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apps.telemetry.conversation import MOST_CHARS, MOST_MESSAGES, read


def talk(input_: Any, output: Any = None, kind: str = "llm") -> list[tuple[str, list[str]]]:
    return [
        (message.role, [part.text for part in message.parts]) for message in read(input_, output, kind=kind).messages
    ]


CALL = 'lookup_order(order="70-4412")'


@pytest.mark.parametrize(
    ("input_", "output", "expected"),
    [
        ("Where?", "There.", [("user", ["Where?"]), ("assistant", ["There."])]),
        (None, None, []),
        ("", "", []),
        # OpenAI
        (
            [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]},
            [("system", ["Be kind."]), ("user", ["Hi"]), ("assistant", ["Hello"])],
        ),
        (
            {"model": "x", "messages": [{"role": "user", "content": "Hi"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "lookup_order", "arguments": '{"order": "70-4412"}'}}],
            },
            [("user", ["Hi"]), ("assistant", [CALL])],
        ),
        # Anthropic
        (
            {"system": "Be kind.", "messages": [{"role": "user", "content": "Hi"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "name": "lookup_order", "input": {"order": "70-4412"}}],
            },
            [("system", ["Be kind."]), ("user", ["Hi"]), ("assistant", [CALL])],
        ),
        (
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "sent"}]}],
            None,
            [("user", ["sent"])],
        ),
        # Gemini
        (
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            {"role": "model", "parts": [{"functionCall": {"name": "lookup_order", "args": {"order": "70-4412"}}}]},
            [("user", ["Hi"]), ("assistant", [CALL])],
        ),
        # OpenTelemetry
        (
            [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
            [
                {
                    "role": "assistant",
                    "parts": [{"type": "tool_call", "name": "lookup_order", "arguments": {"order": "70-4412"}}],
                }
            ],
            [("user", ["Hi"]), ("assistant", [CALL])],
        ),
        # Anything else is shown whole.
        ({"query": "x"}, [1, 2], [("user", ['{\n  "query": "x"\n}']), ("assistant", ["[\n  1,\n  2\n]"])]),
        (
            [{"role": "user"}, {"no": "role"}],
            5,
            [("user", [json.dumps([{"role": "user"}, {"no": "role"}], indent=2)]), ("assistant", ["5"])],
        ),
        ({"messages": "none"}, False, [("user", ['{\n  "messages": "none"\n}']), ("assistant", ["false"])]),
        ([], {}, [("user", ["[]"]), ("assistant", ["{}"])]),
        ({"role": 5, "content": "x"}, None, [("user", ['{\n  "role": 5,\n  "content": "x"\n}'])]),
    ],
)
def test_reads_what_clients_send(input_: Any, output: Any, expected: list[tuple[str, list[str]]]) -> None:
    assert talk(input_, output) == expected


def test_shows_a_tools_arguments_and_result_as_the_tools() -> None:
    assert talk({"order": 1}, "sent", kind="tool") == [("tool", ['{\n  "order": 1\n}']), ("tool", ["sent"])]


def test_indents_json_that_came_as_text() -> None:
    message = read('{"a":1}', None, kind="tool").messages[0]
    assert (message.parts[0].text, message.parts[0].is_code) == ('{\n  "a": 1\n}', True)
    assert read("{not json", None, kind="llm").messages[0].parts[0].is_code is False


@pytest.mark.parametrize("arguments", ["not json", "[1]", "", None, 5])
def test_writes_any_arguments(arguments: Any) -> None:
    ((_, (text,)),) = talk([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}])
    assert text.startswith("f(")


@pytest.mark.parametrize("calls", [[None], [5], ["x"], [{}], [{"function": 5}]])
def test_survives_calls_of_any_shape(calls: list[Any]) -> None:
    assert len(talk([{"role": "assistant", "tool_calls": calls}])) == 1


def test_cuts_long_texts_and_says_so() -> None:
    part = read("x" * (MOST_CHARS + 1), None, kind="llm").messages[0].parts[0]
    assert (len(part.text), part.is_cut) == (MOST_CHARS, True)
    assert not read("x" * MOST_CHARS, None, kind="llm").messages[0].parts[0].is_cut


def test_leaves_out_the_middle_of_a_long_conversation() -> None:
    messages = [{"role": "user", "content": str(number)} for number in range(200)]
    found = read(messages, None, kind="llm")
    assert found.left_out == 200 - MOST_MESSAGES
    shown = [message.parts[0].text for message in (*found.first_part, *found.last_part)]
    assert shown == [*map(str, range(30)), *map(str, range(170, 200))]
