"""Jinja templates reach nothing but their values: known ways out of the sandbox are refused, and behind them all doors
of the process are shut."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from apps.prompts.content import Content, Message, Variable
from apps.prompts.templating import child, children, jinja
from apps.prompts.templating.rendering import RenderFailed, check, render
from apps.prompts.types import Kind, Syntax, VariableType

VALUES = {"name": "Ann", "user": {"role": "admin", "n": 3}, "rows": [{"a": 1}, {"a": 2}]}

ESCAPES = [
    # Up the types, by dot, index, filter and list.
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ [].__class__.__base__ }}",
    "{{ {}.__class__ }}",
    "{{ name['__class__'] }}",
    "{{ name|attr('__class__') }}",
    "{{ name|attr('\\x5f\\x5fclass\\x5f\\x5f') }}",
    "{{ name['\\x5f\\x5fclass\\x5f\\x5f'] }}",
    "{{ name['__cla' ~ 'ss__'] }}",
    "{{ name[['__','class','__']|join] }}",
    "{{ user['__class__'] }}",
    "{{ user.get.__self__ }}",
    "{{ user.items.__func__ }}",
    "{{ rows.append.__self__ }}",
    "{{ 1.0.__class__ }}",
    "{{ true.__class__ }}",
    "{{ none.__class__ }}",
    "{{ rows|map(attribute='__class__')|list }}",
    "{{ [name]|map(attribute='__class__.__mro__')|list }}",
    "{{ [name]|map('attr', '__class__')|list }}",
    "{{ [name]|groupby('__class__')|list }}",
    "{{ [name]|sort(attribute='__class__')|first }}",
    "{{ [name]|selectattr('__class__')|list }}",
    "{{ [name]|sum(attribute='__class__') }}",
    "{{ [name]|join(attribute='__class__') }}",
    "{{ [name]|unique(attribute='__doc__')|list }}",
    # Formats that look attributes up.
    "{{ '{0.__class__}'.format(name) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(name) }}",
    "{{ '{a.__class__}'.format_map({'a': name}) }}",
    "{{ ''.join.__self__.format }}",
    "{% set f = '{0.__class__}'.format %}{{ f(name) }}",
    "{{ ['{0.__class__}']|map('format', name)|first ~ ('{0.__class__}'|format(name)).x }}",
    "{{ ['{0.__class__}'.format]|first }}",
    "{{ '%s'.__mod__ }}",
    "{{ '%(a)*d' % {'a': 1} }}",
    # What Flask, Django, Ansible and Jinja itself put within reach.
    "{{ config }}",
    "{{ config.items() }}",
    "{{ request.application.__globals__ }}",
    "{{ request['application']['__globals__']['__builtins__']['__import__']('os').popen('id').read() }}",
    "{{ g.pop.__globals__ }}",
    "{{ session }}",
    "{{ settings.SECRET_KEY }}",
    "{{ url_for.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ lookup('pipe', 'id') }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace() }}",
    "{% set ns = namespace(a=1) %}{{ ns.a }}",
    "{{ lipsum.__globals__ }}",
    "{{ lipsum(n=5) }}",
    "{{ dict.__base__ }}",
    "{{ dict(a=1) }}",
    "{{ self }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self|string }}",
    "{{ environment }}",
    "{{ context }}",
    "{{ caller.__globals__ }}",
    "{{ loop.__class__ }}",
    "{% for a in rows %}{{ loop._iterable }}{% endfor %}",
    "{% for a in rows %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% for a in rows %}{{ loop._undefined }}{% endfor %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{% endmacro %}{{ m._environment }}",
    "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "{% macro m() %}{{ caller.__class__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{% macro m() %}{{ varargs.__class__ }}{% endmacro %}{{ m(1) }}",
    "{{ missing.__class__ }}",
    "{{ (missing|default(name)).__class__ }}",
    "{{ range.__self__ }}",
    "{{ range(3).__class__ }}",
    "{{ range.__call__ }}",
    "{{ open('/etc/passwd').read() }}",
    "{{ __import__('os') }}",
    "{{ eval('1') }}",
    "{{ __builtins__ }}",
    "{{ print('x') }}",
    # Bytes, changes and conversions.
    "{{ name.encode('utf-16') }}",
    "{{ name.encode().decode() }}",
    "{{ name.translate({65: name}) }}",
    "{{ rows.append(1) }}",
    "{{ rows.clear() }}",
    "{{ user.update(a=1) }}",
    "{{ user.pop('role') }}",
    "{{ user.setdefault('b', 1) }}",
    "{{ user.__setitem__('a', 1) }}",
    "{{ rows.__len__() }}",
    "{{ 3 .to_bytes(9) }}",
    "{{ name|safe }}",
    "{{ name|pprint }}",
    "{{ name|xmlattr }}",
    "{{ name|urlize }}",
    "{{ rows|random }}",
    # Other templates, files and extensions.
    "{% include '/etc/passwd' %}",
    "{% include 'other' ignore missing %}",
    "{% include name %}",
    "{% include ['a', 'b'] %}",
    "{% import 'other' as other %}",
    "{% from 'other' import x %}",
    "{% import name as other %}",
    "{% extends 'other' %}",
    "{% extends name %}",
    "{% block a %}{% endblock %}",
    "{% block a %}{{ super() }}{% endblock %}",
    "{% debug %}",
    "{% do rows.append(1) %}",
    "{% trans %}a{% endtrans %}",
    "{% autoescape true %}{{ name }}{% endautoescape %}",
    "{% break %}",
    "{% python %}import os{% endpython %}",
    "{% async for a in rows %}{% endfor %}",
    "{% set user.role = 'root' %}",
    "{{ (await name) }}",
    "{{ lambda: 1 }}",
    "{{ [a for a in rows] }}",
    "{{ name := 1 }}",
    "{{ `id` }}",
]


def _content(source: str) -> Content:
    variables = (
        Variable("name"),
        Variable("user", VariableType.OBJECT),
        Variable("rows", VariableType.LIST),
    )
    return Content(Kind.CHAT, Syntax.JINJA, (Message("user", source),), variables)


def test_is_about_more_than_sixty_ways() -> None:
    assert len(set(ESCAPES)) == len(ESCAPES) > 60


@pytest.mark.parametrize("source", ESCAPES)
def test_refuses(source: str) -> None:
    with pytest.raises(RenderFailed) as failed:
        render(_content(source), VALUES)
    assert failed.value.details["message_index"] == 0
    # It was the sandbox that refused, not the last line of defence.
    assert children.ESCAPED not in failed.value.text
    assert children.CRASHED not in failed.value.text
    assert "object at 0x" not in failed.value.text


def test_changes_no_value_and_keeps_no_state() -> None:
    values = {**VALUES, "rows": [{"a": 1}]}
    source = "{% set rows = rows + [{'a': 9}] %}{{ rows|length }}"
    assert [render(_content(source), values)[0].content for _ in range(2)] == ["2", "2"]
    assert values["rows"] == [{"a": 1}]


def test_what_is_left_works() -> None:
    source = """\
{%- macro tag(x) %}<{{ x }}>{% endmacro -%}
{{ name|upper }} {{ user.role }} {{ user['n'] * 2 }} {{ rows|map(attribute='a')|join('+') }} {{ '%.2f' % 2 }}
{% for row in rows if row.a > 1 %}{{ loop.index }}:{{ row.a }}{{ tag(row.a) }}{% else %}none{% endfor %}
{{ rows|tojson }} {{ user.items()|list|length }} {{ missing|default('-') }} {{ "%5s|%d"|format("a", 3) }}
{% filter upper %}é{% endfilter %}{% set x %}{{ name }}{% endset %}{{ x }}{{ none }}{{ true }} {{ range(3)|list }}
{% raw %}{{ raw }}{% endraw %} <b>&
"""
    assert render(_content(source), VALUES)[0].content == (
        'ANN admin 6 1+2 2.00\n1:2<2>\n[{"a": 1}, {"a": 2}] 2 -     a|3\nÉAnntrue [0, 1, 2]\n{{ raw }} <b>&\n'
    )


FILTERED = {
    "abs": ("{{ n|abs }}", "3.7"),
    "batch": ("{{ l|batch(2) }}", "[[3, 1], [2]]"),
    "capitalize": ("{{ t|capitalize }}", "One two"),
    "count": ("{{ l|count }}", "3"),
    "d": ("{{ q|d('x') }}", "x"),
    "default": ("{{ q|default('x') }}", "x"),
    "dictsort": ("{{ d|dictsort }}", '[["a", 2], ["b", 1]]'),
    "first": ("{{ l|first }}", "3"),
    "float": ("{{ '1.5'|float }}", "1.5"),
    "format": ("{{ '%.1f-%5s'|format(2, 'a') }}", "2.0-    a"),
    "groupby": ("{% for g in r|groupby('a') %}{{ g.grouper }}{{ g.list|length }}{% endfor %}", "1121"),
    "indent": ("{{ t|indent(2, true) }}", "  one two"),
    "int": ("{{ '3'|int }}", "3"),
    "items": ("{{ d|items }}", '[["b", 1], ["a", 2]]'),
    "join": ("{{ l|join(',') }}", "3,1,2"),
    "last": ("{{ l|last }}", "2"),
    "length": ("{{ t|length }}", "7"),
    "list": ("{{ d|list }}", '["b", "a"]'),
    "lower": ("{{ 'A'|lower }}", "a"),
    "map": ("{{ r|map(attribute='a') }}", "[2, 1]"),
    "max": ("{{ l|max }}", "3"),
    "min": ("{{ l|min }}", "1"),
    "reject": ("{{ l|reject('odd') }}", "[2]"),
    "rejectattr": ("{{ r|rejectattr('a', 'eq', 1) }}", '[{"a": 2}]'),
    "replace": ("{{ t|replace('o', '0') }}", "0ne tw0"),
    "reverse": ("{{ l|reverse|list }}", "[2, 1, 3]"),
    "round": ("{{ n|round(0) }}", "-4.0"),
    "select": ("{{ l|select('odd') }}", "[3, 1]"),
    "selectattr": ("{{ r|selectattr('a', 'gt', 1) }}", '[{"a": 2}]'),
    "slice": ("{{ l|slice(2) }}", "[[3, 1], [2]]"),
    "sort": ("{{ l|sort }}", "[1, 2, 3]"),
    "string": ("{{ n|string }}", "-3.7"),
    "sum": ("{{ r|sum(attribute='a') }}", "3"),
    "title": ("{{ t|title }}", "One Two"),
    "tojson": ("{{ {'a': '<é>'}|tojson(1) }}", '{\n "a": "<é>"\n}'),
    "trim": ("{{ ' a '|trim }}", "a"),
    "truncate": ("{{ t|truncate(5, true, '…', 0) }}", "one …"),
    "unique": ("{{ [1, 1, 2]|unique }}", "[1, 2]"),
    "upper": ("{{ t|upper }}", "ONE TWO"),
    "wordcount": ("{{ t|wordcount }}", "2"),
    "wordwrap": ("{{ t|wordwrap(4, wrapstring='/') }}", "one/two"),
}


def test_every_filter_that_is_offered_works() -> None:
    assert set(FILTERED) == child.FILTERS | {"format", "tojson"}
    values = {"t": "one two", "n": -3.7, "l": [3, 1, 2], "d": {"b": 1, "a": 2}, "r": [{"a": 2}, {"a": 1}]}
    sources = [source for source, _ in FILTERED.values()]
    assert jinja.render(sources, values) == [text for _, text in FILTERED.values()]


def test_every_test_and_method_that_is_offered_works() -> None:
    tests = " ".join(
        f"{{{{ {value} is {name} }}}}"
        for name in sorted(child.TESTS)
        for value in ("2", "'a'")
        if name.isalpha() and name not in ("divisibleby", "in", "odd", "even")
        and not (value == "'a'" and name in ("ge", "gt", "le", "lt", "greaterthan", "lessthan"))
    )  # fmt: skip
    arguments = {"eq": "(2)", "equalto": "(2)", "ne": "(2)", "sameas": "(2)"}
    arguments |= dict.fromkeys(("ge", "gt", "le", "lt", "greaterthan", "lessthan"), "(2)")
    for name, argument in arguments.items():
        tests = tests.replace(f" is {name} }}}}", f" is {name}{argument} }}}}")
    (text,) = jinja.render([tests], {})
    assert set(text.split()) == {"true", "false"}
    methods = "".join(f"{{% set x = 'a'.{name} %}}" for name in sorted(child.METHODS["str"]))
    loop = "".join(
        f"{{% set x = loop.{name} %}}" for name in sorted(child.METHODS["LoopContext"] - {"nextitem", "previtem"})
    )
    methods += f"{{% for a in [1] %}}{loop}{{% endfor %}}{{{{ {{'a': 1}}.get('a') }}}}{{{{ [1].index(1) }}}}"
    assert jinja.render([methods], {}) == ["10"]


def test_a_key_called_like_a_method_or_a_secret_is_a_key() -> None:
    content = _content("{{ user.pop }} {{ user._id }} {{ user['__class__'] }} {{ user.copy }}")
    values = {**VALUES, "user": {"pop": 1, "_id": 2, "__class__": 3, "copy": 4}}
    assert render(content, values)[0].content == "1 2 3 4"


def test_names_what_is_refused_where_it_stands() -> None:
    problems = check("Hello\n{{ a }} {{ b|attr('x') }}\n{% import 'x' as y %}", Syntax.JINJA)
    assert [(problem.line, problem.sentence.split(".")[0]) for problem in problems] == [
        (2, "There is no filter attr"),
        (3, "Imports are not supported"),
    ]


# --- The last line of defence --------------------------------------------------------------------------------------

CHILD = Path(children.__file__).parent


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "open('written-by-a-template', 'w')",
        "__import__('os').listdir('/')",
        "__import__('os').system('true')",
        "__import__('os').fork()",
        "__import__('os').kill(1, 0)",
        "__import__('subprocess').run(['true'])",
        "__import__('ctypes')",
        "__import__('wave')",
        "__import__('socket').socket()",
        "__import__('_socket').socket()",
        "__import__('sys').settrace(None)",
        "__import__('marshal').loads(b'')",
        "(lambda: 0).__code__.replace(co_name='x')",
        "(lambda: 0).__code__",
    ],
)
def test_ends_at_an_attempt_to_leave(attempt: str) -> None:
    """Python code in the child, as if the sandbox had been left."""
    program = f"import sys, os, child\nchild.limit()\nsys.addaudithook(child.end_at_any_attempt)\n{attempt}\n"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=CHILD, capture_output=True, check=False, timeout=20
    )
    assert done.returncode == children.LEFT_ITS_LIMITS, done.stderr
    assert not (CHILD / "written-by-a-template").exists()


def test_the_child_has_no_environment_and_three_open_files() -> None:
    started = children._start()
    try:
        folder = Path(f"/proc/{started.pid}")
        if not folder.exists():
            pytest.skip("this system has no /proc")
        assert (folder / "environ").read_bytes() == b""
        assert os.readlink(folder / "cwd") == "/"
        assert {int(name) for name in os.listdir(folder / "fd")} <= {0, 1, 2, 3}
        assert os.getpgid(started.pid) == started.pid != os.getpgid(0)
    finally:
        children._end(started, 0.0)
