"""What an example holds, as values: read from JSON with errors by field, written back, and hashed. Free of Django."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from apps.core.errors import DomainError
from apps.evals.types import Json

BODY_FIELDS = ("variables", "messages", "tools", "expected", "context", "metadata", "slices")
MAX_BYTES = 8 * 1024 * 1024
"""The most bytes of one example as JSON."""
MAX_DEPTH = 64
MAX_MESSAGES, MAX_TOOLS, MAX_DOCUMENTS, MAX_SLICES = 1_000, 256, 1_000, 50
MAX_KEY, MAX_SLICE = 200, 100
NOT_IN_TEXT = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL cannot hold."""
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
RESERVED_KEYS = frozenset({"-", "review"})


class BadExample(DomainError):
    """The value cannot be an example; `details` maps fields (as `messages.0.role`) to sentences."""

    code, http_status = "invalid", 422
    message = "One or more fields need a change."

    def __init__(self, problems: Mapping[str, Iterable[str]]) -> None:
        super().__init__()
        self.details = {place: list(sentences) for place, sentences in problems.items()}

    def moved(self, old: str, new: str) -> BadExample:
        """The same errors with `old` at the beginning of each field's name replaced."""
        return BadExample(
            {(new + place.removeprefix(old)).strip("."): sentences for place, sentences in self.details.items()}
        )


@dataclass(frozen=True, slots=True)
class ExampleBody:
    """What an example says: all that a run or a scorer may look at. Two bodies with one `content_hash` say the same."""

    variables: Mapping[str, Json] = field(default_factory=dict)
    messages: tuple[Mapping[str, Json], ...] | None = None
    """A conversation in OpenAI's shape; None when the example is about a prompt's variables."""
    tools: tuple[Mapping[str, Json], ...] | None = None
    """Functions the model may call, in place of the prompt's."""
    expected: Json = None
    """Text, or any JSON; None: nothing is expected."""
    context: tuple[Mapping[str, Json], ...] = ()
    """Documents: {"id", "content", "title"?}."""
    metadata: Mapping[str, Json] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    """Names of the groups it belongs to, sorted and each once."""


def body_as_dict(body: ExampleBody) -> dict[str, Json]:
    """The body as JSON values; `body_from_dict` gives it back equal."""
    return {
        "variables": dict(body.variables),
        "messages": None if body.messages is None else [dict(one) for one in body.messages],
        "tools": None if body.tools is None else [dict(one) for one in body.tools],
        "expected": body.expected,
        "context": [dict(one) for one in body.context],
        "metadata": dict(body.metadata),
        "slices": list(body.slices),
    }


def content_hash(body: ExampleBody) -> str:
    """SHA-256, as 64 hexadecimal digits, over the canonical JSON of the body: sorted keys, and 1.0 is 1."""
    return hashlib.sha256(canonical(body_as_dict(body)).encode()).hexdigest()


def canonical(value: Json) -> str:
    """The value as JSON text that is the same for values that JSON calls equal. ASCII only."""
    return json.dumps(_plain_numbers(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain_numbers(value: Json) -> Json:
    """PostgreSQL gives 1e5 back as 100000, so a float without a fraction is written as a whole number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _plain_numbers(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_numbers(one) for one in value]
    return value


class _Problems:
    """Sentences by field, gathered while reading."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, place: str, sentence: str) -> None:
        self.found.setdefault(place, []).append(sentence)


def body_from_dict(told: Mapping[str, Json]) -> ExampleBody:
    """The body that the JSON object tells. Raises BadExample with sentences by field; unknown fields are refused.

    What is left out is empty. `input` in place of `variables` and `messages` is not known here: importers map it.
    """
    problems = _Problems()
    for unknown in sorted(str(name) for name in set(told) - set(BODY_FIELDS)):
        problems.add(shown(unknown), f"Unknown field. Known are: {', '.join(BODY_FIELDS)}.")
    # What cannot be stored comes first: nothing else here has to think of it.
    _look_through(told, problems)
    if problems.found:
        raise BadExample(problems.found)
    body = ExampleBody(
        variables=_object(told.get("variables"), "variables", problems),
        messages=_messages(told.get("messages"), problems),
        tools=_tools(told.get("tools"), problems),
        expected=told.get("expected"),
        context=_documents(told.get("context"), problems),
        metadata=_object(told.get("metadata"), "metadata", problems),
        slices=_slices(told.get("slices"), problems),
    )
    if not body.variables and not body.messages:
        problems.add("variables", "An example needs variables or messages.")
    if problems.found:
        raise BadExample(problems.found)
    return body


def key_problem(key: Json) -> str:
    """What is wrong with an example's key; empty when nothing is."""
    if not isinstance(key, str) or not key or len(key) > MAX_KEY:
        return f"A key is text of 1 to {MAX_KEY} characters."
    if CONTROLS.search(key) or key != key.strip():
        return "A key has no control characters, and no space at its ends."
    if key in RESERVED_KEYS:
        return f"The key {key} has a meaning of its own. Choose another."
    if any(part in {"", ".", ".."} for part in key.split("/")):
        return "Between the slashes of a key stands something other than dots."
    return ""


def shown(text: str) -> str:
    """A name from outside, fit to be written in an answer."""
    return NOT_IN_TEXT.sub("\ufffd", text)[:100]


def _look_through(told: Mapping[str, Json], problems: _Problems) -> None:
    """Find what cannot be stored: too much, too deep, characters and numbers that JSON in PostgreSQL cannot hold."""
    size = 0
    for place, value, depth in _walk(told):
        if depth > MAX_DEPTH:
            problems.add(place, f"This is nested more than {MAX_DEPTH} levels deep.")
            return
        if isinstance(value, str):
            size += len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
            if NOT_IN_TEXT.search(value):
                problems.add(place, "This holds a character that cannot be stored (NUL or half a surrogate pair).")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.add(place, "Use a number that is neither NaN nor infinite.")
        elif isinstance(value, int) and abs(value) >= 2**127:
            problems.add(place, "Use a smaller number, or write it as text.")
        elif value is not None and not isinstance(value, str | int | float | Mapping | list | tuple):
            problems.add(place, "Use values that JSON has.")
        size += 4
        if size > MAX_BYTES:
            problems.add("example", f"An example may hold {MAX_BYTES // 1024 // 1024} MiB in all.")
            return


def _walk(told: Json) -> Iterator[tuple[str, Json, int]]:
    """Every value and key with its place and depth, without recursion."""
    waiting: list[tuple[str, Json, int]] = [("", told, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        yield place or "example", value, depth
        if depth > MAX_DEPTH:
            continue
        if isinstance(value, Mapping):
            for name, inner in value.items():
                inside = f"{place}.{shown(str(name))}" if place else shown(str(name))
                yield inside, name if isinstance(name, str) else object(), depth
                waiting.append((inside, inner, depth + 1))
        elif isinstance(value, list | tuple):
            waiting.extend(
                (f"{place}.{index}" if place else str(index), one, depth + 1) for index, one in enumerate(value)
            )


def _object(value: Json, place: str, problems: _Problems) -> dict[str, Json]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    problems.add(place, "This must be a JSON object.")
    return {}


def _objects(value: Json, place: str, limit: int, problems: _Problems) -> list[dict[str, Json]]:
    """A list of objects; what is not one is told of and left out."""
    if not isinstance(value, list | tuple):
        problems.add(place, "This must be a list of JSON objects.")
        return []
    if len(value) > limit:
        problems.add(place, f"At most {limit:,} may stand here.")
        return []
    for index, one in enumerate(value):
        if not isinstance(one, Mapping):
            problems.add(f"{place}.{index}", "This must be a JSON object.")
    return [dict(one) for one in value if isinstance(one, Mapping)]


def _messages(value: Json, problems: _Problems) -> tuple[dict[str, Json], ...] | None:
    if value is None:
        return None
    messages = _objects(value, "messages", MAX_MESSAGES, problems)
    for index, message in enumerate(messages):
        role = message.get("role")
        if not isinstance(role, str) or not role.strip() or len(role) > 50:
            problems.add(f"messages.{index}.role", "A message needs a role, such as user.")
        content = message.get("content")
        if content is not None and not isinstance(content, str | list):
            problems.add(f"messages.{index}.content", "The content of a message is text, or a list of parts.")
        if content is None and not message.get("tool_calls"):
            problems.add(f"messages.{index}.content", "A message needs a content, or tool calls.")
    return tuple(messages)


def _tools(value: Json, problems: _Problems) -> tuple[dict[str, Json], ...] | None:
    if value is None:
        return None
    tools = _objects(value, "tools", MAX_TOOLS, problems)
    for index, tool in enumerate(tools):
        function = tool.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            problems.add(f"tools.{index}.function.name", 'A tool is {"type": "function", "function": {"name": …}}.')
    return tuple(tools)


def _documents(value: Json, problems: _Problems) -> tuple[dict[str, Json], ...]:
    """Documents with an id each; a text alone is a document whose id is its number."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        value = [
            {"id": str(place), "content": one} if isinstance(one, str) else one for place, one in enumerate(value, 1)
        ]
    documents = _objects(value, "context", MAX_DOCUMENTS, problems)
    for index, document in enumerate(documents):
        if not isinstance(document.get("content"), str):
            problems.add(f"context.{index}.content", "A document needs its text as content.")
        document["id"] = str(document.get("id") or index + 1)[:MAX_KEY]
    return tuple(documents)


def _slices(value: Json, problems: _Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple) or len(value) > MAX_SLICES:
        problems.add("slices", f"This must be a list of at most {MAX_SLICES} names.")
        return ()
    names = set()
    for index, one in enumerate(value):
        name = one.strip() if isinstance(one, str) else ""
        if not name or len(name) > MAX_SLICE or "," in name or CONTROLS.search(name):
            problems.add(f"slices.{index}", f"A slice is a name of at most {MAX_SLICE} characters, without a comma.")
        names.add(name)
    return tuple(sorted(names))
