"""Variables that no message uses any more: marked, and in nobody's way."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.playground.conftest import PAGE, start, the_run, typed
from tests.playground.test_playground_page import fields


@pytest.mark.parametrize(
    ("syntax", "used", "left"),
    [("mustache", "Hello there, {{who}}", "Hello there"), ("jinja", "{% if who %}Hello{% endif %}", "Hello there")],
)
def test_runs_when_no_message_uses_a_variable_any_more(
    alice_client: Client, committed: None, syntax: str, used: str, left: str
) -> None:
    row = {"variable": ["who"], "variable_type": ["text"], "variable_value": [""], "variable_rest": [""]}
    missing = alice_client.post(PAGE, {**typed(text=[used], syntax=syntax), **row, "act": "run"})
    assert missing.status_code == 422
    assert b"not used" not in missing.content
    shown = alice_client.post(PAGE, {**typed(text=[left], syntax=syntax), **row, "act": "find_variables"})
    assert fields(shown)["variable"] == ["who"]
    assert b"not used" in shown.content
    start(alice_client, text=[left], syntax=syntax, **row)
    assert the_run().messages == [{"role": "user", "content": left}]
