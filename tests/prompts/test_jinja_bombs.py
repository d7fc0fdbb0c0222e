"""Jinja templates that would take all time or memory are ended and reported, and nobody else notices."""

from __future__ import annotations

import os
import resource
import threading
import time
from typing import Any

import psutil
import pytest

from apps.prompts.content import Content, Message, Variable
from apps.prompts.templating import children as module
from apps.prompts.templating.children import Children, Stopped, children
from apps.prompts.templating.rendering import RenderFailed, check, names_used, read_ahead, render
from apps.prompts.types import Kind, Syntax, VariableType

# Promised are 3; what a busy machine adds is not the templates' doing.
REPORTED_SECONDS = 10.0
MOST_GROWTH_KIB = 48 * 1024
"""Of this process: the answers are at most some MiB."""

DEEP = 100_000
BOMBS = {
    "multiplication": "{{ 'a' * 200000000 }}",
    "multiplied list": "{{ [1] * 300000000 }}",
    "multiplication in steps": "{% set a = 'aaaaaaaaaa' * 100000 %}{% set b = a ~ a ~ a ~ a %}"
    + "{% set b = b ~ b %}" * 12
    + "{{ b|length }}",
    "power": "{{ 9 ** (9 ** 9) }}",
    "power of a power": "{{ (10 ** 400) ** 400 }}",
    "multiplied numbers": "{% set n = 3 ** 500 %}" + "{% set n = n * n %}" * 30 + "{{ n }}",
    "padded number": "{{ '%099999999d' % 1 }}",
    "padded by the filter": "{{ '%99999999s'|format('a') }}",
    "padded places": "{{ '%.99999999f' % 1 }}",
    "width from a value": "{{ '%*d' % (99999999, 1) }}",
    "indent": "{{ 'a\nb'|indent(1000000000) }}",
    "indent of many lines": "{{ ('a\n' * 500000)|indent(100000) }}",
    "batch": "{{ [1]|batch(1000000000, 'x')|list }}",
    "slice": "{{ [1]|slice(1000000000)|list }}",
    "replace": "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
    "replace in a chain": "{{ 'a'|replace('a', 'aa' * 400000)|replace('a', 'aa' * 400000)|length }}",
    "join": "{{ range(10000)|join('x' * 1000000) }}",
    "huge range": "{% for i in range(1000000000) %}{% endfor %}",
    "ranges of ranges": "{% for i in range(10000) %}{% for j in range(10000) %}{% endfor %}{% endfor %}",
    "nested loops": "{% for a in range(999) %}" * 3 + "{% endfor %}" * 3,
    "written loops": "{% for a in range(9999) %}" * 2 + "{{ 'word ' * 100 }}" + "{% endfor %}" * 2,
    "growing text": "{% for a in range(10000) %}{% set x = 'a' * 1000000 %}{% for b in range(10000) %}{{ x|length }}"
    "{% endfor %}{% endfor %}",
    "macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "macros that call each other": "{% macro a(n) %}{{ b(n) }}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}"
    "{% endmacro %}{{ a(1) }}",
    "macro of exponential time": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
    "{{ f(60) }}",
    "recursive loop": "{% for a in [[[]]] recursive %}{{ loop([[[]]]) }}{% endfor %}",
    "sorting": "{% for i in range(10000) %}{{ range(10000)|sort|length }}{% endfor %}",
    "sum of lists": "{% set x = [range(10000)|list] * 10000 %}{{ x|sum(start=[])|length }}",
    "product of strings": "{{ (('a' * 1000)|list * 1000)|join(('b' * 1000)) }}",
    "wordwrap": "{{ ('a ' * 500000)|wordwrap(1, wrapstring='x' * 100000) }}",
    "json": "{{ (range(10000)|list * 100)|tojson(16) }}",
    "titles": "{% for i in range(10000) %}{% set x = ('a b ' * 250000)|title %}{% endfor %}",
    "nested parentheses": "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}",
    "nested lists": "{{ " + "[" * DEEP + "]" * DEEP + " }}",
    "long sum": "{{ " + "1+" * (DEEP // 2) + "1 }}",
    "long chain of dots": "{{ name" + ".a" * DEEP + " }}",
    "long chain of filters": "{{ name" + "|upper" * 40_000 + " }}",
    "nested conditions": "{% if 1 %}" * 8_000 + "{% endif %}" * 8_000,
    "nested loops of depth": "{% for a in [1] %}" * 500 + "{% endfor %}" * 500,
    "many tags": "{{ name }}" * 26_000,
    "open brackets": "{{ " + "{" * 250_000,
    "quotes": "{{ '" + "\\'" * 125_000,
}


def _render(source: str, **values: Any) -> str:
    variables = (Variable("name", VariableType.TEXT, is_required=False),)
    return render(Content(Kind.CHAT, Syntax.JINJA, (Message("user", source),), variables), values)[0].content


@pytest.fixture(autouse=True)
def _a_spare() -> None:
    """As in a process that has rendered before."""
    children.warm()


@pytest.mark.parametrize("name", BOMBS)
def test_ends_and_reports(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.monotonic()
    with pytest.raises(RenderFailed) as failed:
        _render(BOMBS[name], name="Ann")
    assert time.monotonic() - begun <= REPORTED_SECONDS
    assert failed.value.code == "template_error"
    assert failed.value.text.endswith(".")
    assert module.ESCAPED not in failed.value.text
    assert children_of_this_process() <= module.SPARES
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB
    assert _render("Hello {{ name }}", name="Ann") == "Hello Ann"


def children_of_this_process() -> int:
    """Those that run."""
    return sum(
        1
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "child.py" in " ".join(child.cmdline())
    )


@pytest.mark.parametrize("name", ["nested parentheses", "long sum", "nested conditions", "quotes", "open brackets"])
def test_reads_within_bounds_too(name: str) -> None:
    begun = time.monotonic()
    assert check(BOMBS[name], Syntax.JINJA)
    assert names_used(BOMBS[name], Syntax.JINJA) == set()
    assert time.monotonic() - begun <= 2 * REPORTED_SECONDS


def test_folding_constants_is_bounded_too() -> None:
    """Jinja works constants out while it compiles."""
    begun = time.monotonic()
    check("{{ 'a'|indent(1000000000) }}{{ [1]|batch(999999999, 'x')|list|length }}", Syntax.JINJA)
    assert time.monotonic() - begun <= REPORTED_SECONDS
    assert check("{{ name }}", Syntax.JINJA) == []


def test_output_may_reach_the_limit_and_not_more() -> None:
    exactly = 1024 * 1024
    assert len(_render("{{ name }}", name="a" * exactly)) == exactly
    with pytest.raises(RenderFailed, match="larger than 1 MiB"):
        _render("{{ name }}.", name="a" * exactly)
    with pytest.raises(RenderFailed, match="larger than 1 MiB"):
        _render("{{ name }}", name="é" * (exactly // 2 + 1))


def test_all_messages_together_are_bounded() -> None:
    messages = (Message("user", "{{ name }}"), Message("assistant", "{{ name }}"))
    content = Content(Kind.CHAT, Syntax.JINJA, messages, (Variable("name"),))
    with pytest.raises(RenderFailed, match="larger than 1 MiB") as failed:
        render(content, {"name": "a" * 600_000})
    assert failed.value.details["message_index"] == 1


def test_source_is_bounded() -> None:
    with pytest.raises(RenderFailed, match="256 KiB"):
        _render("a" * (256 * 1024 + 1))


def test_many_threads_get_their_own_answers() -> None:
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = _render("{{ name }}!", name=f"thread {number}")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert answers == {number: f"thread {number}!" for number in range(8)}


def test_a_bomb_does_not_hold_up_others() -> None:
    failed: list[str] = []

    def explode() -> None:
        try:
            _render(BOMBS["nested loops"])
        except RenderFailed as error:
            failed.append(error.text)

    thread = threading.Thread(target=explode)
    thread.start()
    answers = [_render("{{ name }}", name=str(number)) for number in range(3)]
    still_burning = thread.is_alive()
    thread.join(timeout=10)
    assert answers == ["0", "1", "2"]
    assert still_burning
    assert len(failed) == 1


def test_no_two_requests_meet_the_same_child() -> None:
    own = Children()
    try:
        seen = []
        for _ in range(3):
            own.warm()
            seen.append(own._spares[0].pid)
            own.ask({"do": "render", "sources": ["x"], "values": {}})
        assert len(set(seen)) == 3
        assert not any(pid in seen for pid in psutil.pids() if psutil.pid_exists(pid) and _is_running(pid))
    finally:
        own.stop()


def _is_running(pid: int) -> bool:
    try:
        return "child.py" in " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


def test_a_child_that_died_is_replaced() -> None:
    for spare in children._spares:
        spare.kill()
        spare.wait()
    assert _render("{{ name }}", name="Ann") == "Ann"


def test_reads_all_messages_of_a_prompt_in_one_child(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = children.ask

    def counted(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(len(request["sources"]))
        return ask(request)

    monkeypatch.setattr(children, "ask", counted)
    sources = [f"{{{{ read_ahead_{number} }}}}" for number in range(5)]
    read_ahead(Content(Kind.CHAT, Syntax.JINJA, tuple(Message("user", source) for source in [*sources, "plain"])))
    assert [names_used(source, Syntax.JINJA) for source in sources] == [{f"read_ahead_{number}"} for number in range(5)]
    assert asked == [5]


def test_a_child_that_dies_at_work_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Children()
    try:
        child = own._take()
        monkeypatch.setattr(own, "_take", lambda: child)
        killer = threading.Timer(0.5, child.kill)
        killer.start()
        with pytest.raises(Stopped):
            own.ask({"do": "render", "sources": [BOMBS["nested loops"]], "values": {}})
        killer.join()
    finally:
        own.stop()


def test_a_forked_process_leaves_the_spare_to_its_parent() -> None:
    children.warm()
    spares = list(children._spares)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            is_forgotten = not children._spares
            text = children.ask({"do": "render", "sources": ["{{ a }}"], "values": {"a": "forked"}})["texts"][0]
            os.write(write_end, f"{is_forgotten} {text}".encode())
            children.stop()
            code = 0
        finally:
            os._exit(code)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == b"True forked"
    assert os.waitpid(pid, 0)[1] == 0
    assert children._spares == spares
    assert all(spare.poll() is None for spare in spares)
    assert _render("{{ name }}", name="parent") == "parent"


def test_says_what_a_system_does_not_limit(caplog: pytest.LogCaptureFixture) -> None:
    own = Children()
    written = b'{"texts": ["a"], "without": ["memory"]}'
    assert own._understood(written, 0) == {"texts": ["a"]}
    assert own._understood(written, 0) == {"texts": ["a"]}
    assert [record.getMessage() for record in caplog.records] == [
        "This system does not limit templates in: {'memory'}. Do not render strangers' Jinja here."
    ]


def test_an_answer_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1000)
    with pytest.raises(RenderFailed):
        _render("{{ name }}", name="a" * 2000)
