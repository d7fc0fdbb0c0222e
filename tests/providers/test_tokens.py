"""Token counts, context windows and what a call would cost: without the network, and honest about what is a guess."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from apps.projects.models import Project
from apps.providers import tokens
from apps.providers.models import Connection
from apps.providers.selectors.estimates import estimate_cost
from apps.providers.tokens import Method, TokenCount, context_window, count, count_messages
from tests.providers.conftest import Sync

EXACT, ESTIMATE = Method.EXACT, Method.ESTIMATE


# --- Counting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "model", "expected"),
    [
        ("", "gpt-4o", TokenCount(0, EXACT)),
        ("Hello world", "gpt-4o", TokenCount(2, EXACT)),
        ("Hello world", "gpt-4", TokenCount(2, EXACT)),
        ("Hello world", "OpenAI/GPT-4o-mini", TokenCount(2, EXACT)),
        ("Hello world", "my-connection/gpt-4.1", TokenCount(2, EXACT)),
        # From the examples that OpenAI publishes with the vocabularies.
        ("antidisestablishmentarianism", "gpt-4", TokenCount(6, EXACT)),
        ("2 + 2 = 4", "gpt-4", TokenCount(7, EXACT)),
        ("お誕生日おめでとう", "gpt-4", TokenCount(9, EXACT)),
        ("お誕生日おめでとう", "gpt-4o", TokenCount(8, EXACT)),
        # What looks like a control token is text here.
        ("<|endoftext|>", "gpt-4", TokenCount(7, EXACT)),
    ],
)
def test_counts_with_the_models_own_vocabulary(text: str, model: str, expected: TokenCount) -> None:
    assert count(text, model) == expected


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gemini/gemini-2.5-pro", "test/echo", "", "my-own-model"])
def test_other_models_are_estimated(model: str) -> None:
    assert count("Hello world", model) == TokenCount(2, ESTIMATE)


def test_a_vocabulary_that_is_not_right_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_vocabularies", tokens._Vocabularies())
    for wanted in tokens._VOCABULARIES.values():
        (tmp_path / wanted.file).write_bytes(b"IQ== 0\n")
    monkeypatch.setattr(tokens, "_folder", lambda: tmp_path)
    assert count("a" * 40, "gpt-4o") == TokenCount(10, ESTIMATE)
    assert count("日本", "gpt-4o") == TokenCount(2, ESTIMATE)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"IQ== 0\n"}
    monkeypatch.setattr(tokens, "_vocabularies", tokens._Vocabularies())
    monkeypatch.setattr(tokens, "_folder", lambda: None)
    assert count("a" * 41, "gpt-4o") == TokenCount(11, ESTIMATE)


def test_asks_nobody_and_leaves_the_environment_alone() -> None:
    program = """
import os, socket, sys
def refuse(*_arguments, **_named):
    raise AssertionError("the network was asked")
socket.getaddrinfo = socket.socket.connect = refuse
before = dict(os.environ)
from apps.providers import tokens
assert "tiktoken" not in sys.modules
assert tokens.count("Hello world", "gpt-4o").tokens == 2
assert tokens.context_window("gpt-4o") == 128000
assert dict(os.environ) == before
assert "litellm" not in sys.modules and "requests" not in sys.modules and "django" not in sys.modules
print("done")
"""
    root = Path(tokens.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        env={"PATH": os.environ["PATH"], "TIKTOKEN_CACHE_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "done\n", done.stderr


def test_threads_may_begin_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_vocabularies", tokens._Vocabularies())
    counts: list[TokenCount] = []
    threads = [threading.Thread(target=lambda: counts.append(count("Hello world", "gpt-4o"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert counts == [TokenCount(2, EXACT)] * 6


@pytest.mark.parametrize(
    "text", ["a" * 1_000_000, " " * 1_000_000 + "x", "\n" * 500_000, "日本" * 200_000, "!?" * 300_000]
)
def test_no_text_takes_long(text: str) -> None:
    count("", "gpt-4o")
    begun = time.process_time()
    assert 0 < count(text, "gpt-4o").tokens <= 3 * len(text)
    assert time.process_time() - begun < 5  # some 0.5 s


def test_messages_count_what_surrounds_them() -> None:
    one = {"role": "user", "content": "hello!"}
    assert count_messages([], "gpt-4o") == TokenCount(0, EXACT)
    # 3 for the answer's beginning, 3 for the message, 1 for the role, 2 for the text.
    assert count_messages([one], "gpt-4o") == TokenCount(9, EXACT)
    # 1 for having a name, 1 for the name.
    assert count_messages([{**one, "name": "ann"}], "gpt-4o") == TokenCount(11, EXACT)
    assert count_messages([one, {"role": "assistant", "content": None}], "gpt-4o") == TokenCount(13, EXACT)
    assert count_messages([one], "claude-sonnet-4-5").method is ESTIMATE


def test_tools_and_parts_make_it_an_estimate() -> None:
    one = {"role": "user", "content": "hello!"}
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    with_tool = count_messages([one], "gpt-4o", tools=[tool])
    assert with_tool.method is ESTIMATE
    assert with_tool.tokens > 15
    parts = count_messages([{"role": "user", "content": [{"type": "text", "text": "hello!"}]}], "gpt-4o")
    assert parts.method is ESTIMATE


# --- Windows and costs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "window"),
    [
        ("gpt-4o", 128_000),
        ("GPT-4o", 128_000),
        ("openai/gpt-4o", 128_000),
        ("my-connection/gpt-4o", 128_000),
        ("claude-sonnet-4-5", 200_000),
        ("anthropic/claude-sonnet-4-5", 200_000),
        ("no-such-model", None),
        ("test/echo", None),
        ("", None),
        ("/", None),
    ],
)
def test_context_windows_are_those_of_the_price_file(model: str, window: int | None) -> None:
    assert context_window(model) == window


def _connect(project: Project) -> None:
    Connection.objects.create(
        project=project,
        slug="on-azure",
        name="Azure",
        protocol="openai",
        provider="azure",
        base_url="https://example.com/v1",
    )


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-4o", Decimal("0.0035")),
        ("openai/gpt-4o", Decimal("0.0035")),
        ("on-azure/gpt-4o", Decimal("0.004")),
        ("nowhere/gpt-4o", None),
        ("no-such-model", None),
        # Two providers list it at different prices.
        ("gemini-ultra", None),
        ("test/echo", Decimal(0)),
    ],
)
def test_estimates_a_cost(project: Project, sync: Sync, now: datetime, model: str, usd: Decimal | None) -> None:
    sync()
    _connect(project)
    found = estimate_cost(project_id=project.pk, model=model, input_tokens=1000, output_tokens=100, now=now)
    assert found == usd


def test_a_bare_name_is_priced_as_where_it_goes(project: Project, sync: Sync, now: datetime) -> None:
    sync()
    _connect(project)
    Connection.objects.update(model_names=["gpt-4o"])
    ask = {"project_id": project.pk, "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100, "now": now}
    assert estimate_cost(**ask) == Decimal("0.004")
    Connection.objects.update(disabled_at=now)
    assert estimate_cost(**ask) == Decimal("0.0035")


def test_another_projects_connection_tells_nothing(
    project: Project, other_project: Project, sync: Sync, now: datetime
) -> None:
    sync()
    _connect(other_project)
    assert estimate_cost(project_id=project.pk, model="on-azure/gpt-4o", input_tokens=1000, now=now) is None
