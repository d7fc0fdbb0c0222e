"""The child process that reads and runs Jinja templates. It answers one request and ends.

It is started as a script of its own, isolated (`-I -S`), with an empty environment; it imports nothing of this product.
Before it reads its request it gives up what a template could misuse: it limits its processor time, memory, files and
processes, and from then on ends itself at the first attempt to open, connect, import or start anything (an audit hook,
https://peps.python.org/pep-0578/). Inside that stands Jinja's own sandbox, and inside that a list of what templates may
call, which is short: a name that is not on it does not exist.

Request, JSON on standard input: `{"do": "render" | "read", "sources": [text], "values": {}}`.
Answer, JSON on standard output: `{"texts": [...]}`, or `{"readings": [{"names": [...], "problems": [...]}]}`, or
`{"index": 0, "problem": {"message": ..., "line": ...}}`; and `without`: limits that this system does not have.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import textwrap  # noqa: F401  the filter wordwrap imports it when it is used, which would be too late
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn

CPU_SECONDS = 2
MEMORY_BYTES = 256 * 1024 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
MAX_RANGE = 10_000
MAX_DIGITS = 1_000
MAX_WIDTH = 100
"""Of a number or text that is padded by a format."""
MAX_NODES = 50_000
LEFT_ITS_LIMITS = 77
"""The exit code after an attempt to leave the child."""
TEMPLATE_NAME = "<template>"


def words(text: str) -> frozenset[str]:
    """The words of the text."""
    return frozenset(text.split())


FILTERS = words("""
    abs batch capitalize count d default dictsort first float groupby indent int items join last length list lower map
    max min reject rejectattr replace reverse round select selectattr slice sort string sum title trim truncate unique
    upper wordcount wordwrap
""")
"""Jinja's own that stay. Left out are those for HTML and addresses, `attr` (a way around the dot), `pprint` and
`random`. `format` and `tojson` are ours."""
TESTS = words("""
    boolean defined divisibleby eq equalto even false float ge greaterthan gt in integer iterable le lessthan lower lt
    mapping ne none number odd sameas sequence string true undefined upper == != > >= < <=
""")
METHODS: Mapping[str, frozenset[str]] = {
    "str": words("""
        capitalize casefold count endswith find index isalnum isalpha isdigit islower isnumeric isspace istitle isupper
        join lower lstrip partition removeprefix removesuffix replace rfind rindex rpartition rsplit rstrip split
        splitlines startswith strip swapcase title upper
    """),
    "dict": words("get items keys values"),
    "list": words("count index"),
    "tuple": words("count index"),
    "LoopContext": words("""
        changed cycle depth depth0 first index index0 last length nextitem previtem revindex revindex0
    """),
    "_GroupTuple": words("grouper list"),
}
"""Everything that can be reached with a dot, by the type of what is before it; besides that, keys of objects."""
LISTS: tuple[type[Iterable[Any]], ...] = (
    tuple,
    range,
    types.GeneratorType,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
"""What is written like a list."""
CALLABLE = frozenset({"Macro", "LoopContext"})
FORMAT = re.compile(r"%(?:\((\w{1,50})\))?[#0\- +]{0,5}(\d{1,6})?(?:\.(\d{1,6}))?([diouxXeEfFgGcrsa%])")
AUDITED_AND_HARMLESS = frozenset({"builtins.id", "compile", "exec"})
"""What Jinja and its filters do to run a template. Everything else that Python audits ends the child; above all the
making of code objects, with which a template could write to memory."""
READ_BY_US = frozenset({"f_code", "gi_frame", "tb_frame"})
"""Guarded attributes that tell the line of an error."""


class Refused(Exception):
    """What a template may not do; the text is a sentence for people."""


# --- Giving up ----------------------------------------------------------------------------------------------------


def limit() -> list[str]:
    """Limit this process for good; the names of the limits that this system does not have."""
    wanted = {
        "processor time": (resource.RLIMIT_CPU, CPU_SECONDS, CPU_SECONDS + 1),
        "memory": (getattr(resource, "RLIMIT_AS", None), MEMORY_BYTES, MEMORY_BYTES),
        "written files": (resource.RLIMIT_FSIZE, 0, 0),
        "processes": (getattr(resource, "RLIMIT_NPROC", None), 0, 0),
        "core files": (resource.RLIMIT_CORE, 0, 0),
        "open files": (resource.RLIMIT_NOFILE, 3, 3),
    }
    without = []
    for name, (number, soft, hard) in wanted.items():
        try:
            if number is None:
                without.append(name)
            else:
                resource.setrlimit(number, (soft, hard))
        except (ValueError, OSError):
            without.append(name)
    if sys.platform == "darwin" and "memory" not in without:
        without.append("memory")  # accepted there, but not enforced
    return without


def end_at_any_attempt(event: str, arguments: tuple[object, ...]) -> None:
    """The audit hook: end the process when something other than rendering happens."""
    if event == "open" and arguments[0] == TEMPLATE_NAME:
        raise FileNotFoundError  # Python looks for the line of a SyntaxError, which is then told without it
    if event == "object.__getattr__" and arguments[1] in READ_BY_US:
        return
    if event not in AUDITED_AND_HARMLESS:
        os._exit(LEFT_ITS_LIMITS)


# --- The sandbox --------------------------------------------------------------------------------------------------


def make_environment() -> Any:
    """Jinja as templates get it: its immutable sandbox, cut down to the lists above."""
    from jinja2 import StrictUndefined
    from jinja2.runtime import Undefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        intercepted_binops = frozenset({"*", "**", "%"})

        def getattr(self, obj: Any, attribute: str) -> Any:
            if attribute in METHODS.get(type(obj).__name__, ()):
                return getattr(obj, attribute)
            if isinstance(obj, Undefined):
                return obj._fail_with_undefined_error()
            if isinstance(obj, str) and attribute in ("format", "format_map"):
                raise Refused("This method is not available. Join texts with ~, or write '%s'|format(value).")
            if attribute.startswith("__"):
                raise Refused("Names that begin with two underscores are out of reach of templates.")
            if type(obj) is dict and attribute in obj:
                return obj[attribute]
            return self.undefined(obj=obj, name=attribute)

        def getitem(self, obj: Any, argument: Any) -> Any:
            if isinstance(obj, Undefined):
                return obj._fail_with_undefined_error()
            if type(obj) in (dict, list, tuple, str, range):
                try:
                    return obj[argument]
                except (TypeError, LookupError):
                    pass
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)

        def handle_exception(self, source: str | None = None) -> NoReturn:
            raise  # as it is; Jinja would write a traceback with code objects of its own

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return attr in METHODS.get(type(obj).__name__, ())

        def is_safe_callable(self, obj: Any) -> bool:
            if isinstance(obj, Undefined):
                obj._fail_with_undefined_error()
            if obj is safe_range or type(obj).__name__ in CALLABLE:
                return True
            owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
            is_method = isinstance(obj, types.BuiltinMethodType | types.MethodType)
            return is_method and name in METHODS.get(type(owner).__name__, ())

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if operator == "%" and isinstance(left, str):
                return formatted(left, right)
            if operator != "%":
                refuse_growth(operator, left, right)
            return super().call_binop(context, operator, left, right)

    environment = Environment(
        undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=as_text, cache_size=0
    )
    environment.globals = {"range": safe_range}
    environment.filters = {name: environment.filters[name] for name in FILTERS}
    environment.filters |= {"format": format_filter, "tojson": as_json}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


def safe_range(*arguments: int) -> range:
    """Python's `range`, of at most 10,000 numbers."""
    numbers = range(*arguments)
    if len(numbers) > MAX_RANGE:
        raise Refused(f"A range has at most {MAX_RANGE:,} numbers here. Use a shorter one.")
    return numbers


def refuse_growth(operator: str, left: Any, right: Any) -> None:
    """Refuse a multiplication or power whose result is huge."""
    for many, what in ((left, right), (right, left)):
        repeats = operator == "*" and isinstance(many, int) and isinstance(what, str | list | tuple)
        if repeats and many * len(what) > MAX_OUTPUT_BYTES:
            raise Refused("This multiplies a text or list to more than 1 MiB. Use a smaller number.")
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * right if operator == "**" else left.bit_length() + right.bit_length()
        if bits > MAX_DIGITS * 4:
            raise Refused(f"This makes a number of more than {MAX_DIGITS:,} digits. Use smaller ones.")


def formatted(pattern: str, values: Any) -> str:
    """Python's `%` for texts and numbers, without padding beyond 100 characters."""
    size = 0
    for found in re.finditer("%", pattern):
        if found.start() < size:
            continue
        match = FORMAT.match(pattern, found.start())
        if match is None:
            raise Refused("This format is not understood. Use %s, %d or %.2f, and %% for a percent sign.")
        if int(match[2] or 0) > MAX_WIDTH or int(match[3] or 0) > MAX_WIDTH:
            raise Refused(f"A format pads to at most {MAX_WIDTH} characters.")
        size = match.end()
    return pattern % (tuple(values) if isinstance(values, list) else values)


def format_filter(pattern: str, *arguments: Any, **named: Any) -> str:
    """`"%.2f"|format(price)`."""
    return formatted(str(pattern), named or arguments)


def as_json(value: Any, indent: int | None = None) -> str:
    """The value as JSON, without escapes for HTML."""
    if indent is not None and not 0 <= indent <= 16:
        raise Refused("An indent of JSON has at most 16 characters.")
    return json.dumps(value, ensure_ascii=False, indent=indent)


def as_text(value: Any) -> Any:
    """What `{{ }}` writes: nothing for null, JSON for true, false, lists and objects; others are left to Jinja."""
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, LISTS):
        return json.dumps(list(value), ensure_ascii=False)
    if type(value).__name__ in CALLABLE or isinstance(
        value, types.BuiltinMethodType | types.MethodType | type(as_text)
    ):
        raise Refused("This is a function. Write () after its name to call it.")
    return value


# --- Reading ------------------------------------------------------------------------------------------------------

NOT_HERE = {
    "Include": 'An include names a prompt and its version: {% include "path/name@1.2.0" %}.',
    "Import": "Imports are not supported. Write the macro in this prompt, or include a snippet.",
    "FromImport": "Imports are not supported. Write the macro in this prompt, or include a snippet.",
    "Extends": "Templates do not extend others here. Include a snippet.",
    "Block": "Blocks are not supported. Include a snippet.",
    "NSRef": "Namespaces are not supported. Use a filter such as sum or selectattr.",
    "ScopedEvalContextModifier": "Escaping is not switched here: nothing is escaped, because a model reads it.",
}
ALLOWED_NODES = words("""
    Template Output For If Macro CallBlock FilterBlock With Assign AssignBlock Scope TemplateData Name Const Tuple List
    Dict Pair Keyword CondExpr Filter Test Call Getitem Getattr Slice Concat Compare Operand Add Sub Mul Div FloorDiv
    Mod Pow And Or Not Neg Pos
""")


def problems_of(environment: Any, tree: Any) -> Iterator[dict[str, Any]]:
    """What a template that can be parsed may not hold."""
    for count, node in enumerate(nodes_of(tree)):
        kind = type(node).__name__
        message = ""
        if count > MAX_NODES:
            yield {"message": "This template has too many parts. Split it into snippets.", "line": node.lineno}
            return
        if kind not in ALLOWED_NODES:
            message = NOT_HERE.get(kind, "This is not supported. See the list of what templates can.")
        elif kind == "Filter" and node.name not in environment.filters:
            message = f"There is no filter {node.name[:40]}. There are: {', '.join(sorted(environment.filters))}."
        elif kind == "Test" and node.name not in environment.tests:
            known = sorted(name for name in TESTS if name.isalpha())
            message = f"There is no test {node.name[:40]}. There are: {', '.join(known)}."
        elif kind == "Getattr" and node.attr.startswith("__"):
            message = "Names that begin with two underscores are out of reach of templates."
        elif kind == "Name" and node.name == "self":
            message = "self is not available in templates. Name the variable you need."
        if message:
            yield {"message": message, "line": node.lineno}


def nodes_of(tree: Any) -> Iterator[Any]:
    """All nodes in the order of the source, without recursion."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(list(node.iter_child_nodes()))


def read(environment: Any, source: str) -> dict[str, Any]:
    """The names that a template asks for, in order of first use, and its problems."""
    from jinja2 import meta

    def names_and_problems() -> dict[str, Any]:
        tree = environment.parse(source)
        problems = list(problems_of(environment, tree))[:50]
        if problems:
            return {"names": [], "problems": problems}
        asked = meta.find_undeclared_variables(tree)
        # Generated a second time because the first only looks for names; it says what cannot be written as code.
        environment.compile(environment.parse(source))
        order = dict.fromkeys(node.name for node in nodes_of(tree) if type(node).__name__ == "Name")
        return {"names": [name for name in order if name in asked], "problems": []}

    answer, problem = attempt(names_and_problems, None)
    return answer if problem is None else {"names": [], "problems": [problem]}


# --- Rendering ----------------------------------------------------------------------------------------------------


class Room:
    """How much may still be written."""

    def __init__(self) -> None:
        self.left = MAX_OUTPUT_BYTES

    def take(self, text: str) -> bool:
        """True when there was room for the text."""
        self.left -= len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        return self.left >= 0


def render(environment: Any, source: str, values: dict[str, Any], room: Room) -> tuple[str, dict[str, Any] | None]:
    """The text, or a problem."""
    made: list[Any] = []

    def text() -> str:
        tree = environment.parse(source)
        for problem in problems_of(environment, tree):
            raise AtLine(problem["message"], problem["line"])
        code = environment.compile(tree, filename=TEMPLATE_NAME)
        template = environment.template_class.from_code(environment, code, environment.globals)
        made.append(template)
        parts, running = [], template.root_render_func(template.new_context(dict(values)))
        for part in running:
            if not room.take(part):
                line = template.get_corresponding_lineno(running.gi_frame.f_lineno)
                raise AtLine("The rendered text is larger than 1 MiB. Give smaller values.", line)
            parts.append(part)
        return "".join(parts)

    return attempt(text, made)


class AtLine(Refused):
    """Refused, with a line that is known."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(message)


def attempt(action: Callable[[], Any], made: list[Any] | None) -> tuple[Any, dict[str, Any] | None]:
    """What the action gives, or the problem it met."""
    from jinja2.exceptions import SecurityError, TemplateRuntimeError, TemplateSyntaxError, UndefinedError

    caught: BaseException
    try:
        return action(), None
    except MemoryError as error:
        said, caught = "Rendering needs more than 256 MiB of memory. Build shorter texts and lists.", error
    except RecursionError as error:
        said, caught = "This is nested or calls itself too deep. Make it flatter.", error
    except TemplateSyntaxError as error:
        return None, {"message": f"{sentence(str(error.message))} Mend this tag.", "line": error.lineno}
    except SyntaxError as error:
        said, caught = "This is nested too deep. Make it flatter.", error
    except UndefinedError as error:
        said, caught = f"{sentence(str(error.message))} Give a value, or write | default('').", error
    except SecurityError as error:
        said, caught = f"Out of reach of templates: {sentence(str(error.message))}", error
    except AtLine as error:
        return None, {"message": str(error), "line": error.line}
    except Refused as error:
        said, caught = str(error), error
    except (TemplateRuntimeError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        said, caught = f"{sentence(str(error)[:200])} Check the values and this tag.", error
    return None, {"message": said, "line": line_of(caught, made)}


def sentence(text: str) -> str:
    """The text as a sentence of its own, short."""
    text = " ".join(text.split())[:300] or "This cannot be rendered"
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def line_of(error: BaseException, made: list[Any] | None) -> int:
    """The line of the template at which the error arose; 0 when it is not known."""
    line, step = 0, error.__traceback__
    while step is not None and made:
        if step.tb_frame.f_code.co_filename == TEMPLATE_NAME:
            line = made[0].get_corresponding_lineno(step.tb_lineno)
        step = step.tb_next
    return line


# --- The process --------------------------------------------------------------------------------------------------


def answer(environment: Any, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request."""
    sources: list[str] = request["sources"]
    if request["do"] == "read":
        return {"readings": [read(environment, source) for source in sources]}
    room, texts = Room(), []
    for index, source in enumerate(sources):
        text, problem = render(environment, source, request["values"], room)
        if problem is not None:
            return {"index": index, "problem": problem}
        texts.append(text)
    return {"texts": texts}


def main(paths: list[str]) -> None:
    """Make ready, give up, answer one request, end."""
    sys.path += paths
    environment = make_environment()
    # Everything that is loaded or built at first use is so now.
    warm = {"do": "render", "sources": ["{% for x in y %}{{ x.z|join('')|tojson }}{% endfor %}{{ q }}"]}
    answer(environment, {**warm, "values": {"y": [{"z": ["é"]}]}})
    answer(environment, {"do": "read", "sources": ["{{ x", "{{ x }}{{ 'a'.b }}"]})
    without = limit()
    sys.addaudithook(end_at_any_attempt)
    told = sys.stdin.buffer.read()
    if told:
        given = json.loads(told)
        sys.stdout.buffer.write(json.dumps({**answer(environment, given), "without": without}).encode())
        sys.stdout.buffer.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
