"""From a record to the values of an example, by what its columns mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.evals.examples import BadExample, ExampleBody, body_from_dict, key_problem
from apps.evals.importing import writing
from apps.evals.importing.found import Record, RowRefused
from apps.evals.importing.json_rows import value_of
from apps.evals.importing.mapping import Mapped, Target, looks_like_messages
from apps.evals.types import Json, ReviewState

ANSWER_NAMES = frozenset({"output", "outputs", "answer", "expected", "response", "text", "completion", "generation"})
"""Where outputs are an object with one of these names alone, its value is what is expected."""
OUTPUTS = frozenset({"output", "outputs", "reference_outputs", "expectedoutput", "expected_output"})
TEXT_OF_DOCUMENT = ("content", "text", "page_content", "body", "passage")
SCHEMA_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string", "String": "string"}
"""Words for types that function definitions are met with, and JSON Schema's."""
MAX_NOTE = 10_000


@dataclass(frozen=True, slots=True)
class Built:
    """A row as an example. `key` is empty when the row names none, `state` when it says nothing of it."""

    body: ExampleBody
    key: str = ""
    state: str = ""
    note: str = ""


def build(record: Record, mapping: Mapped, *, is_table: bool) -> Built:
    """The example of a row. In a table, cells that hold JSON are read as JSON where an object or a list belongs.

    Raises RowRefused with the column at fault.
    """
    told: dict[str, Json] = {"variables": {}, "metadata": {}, "slices": [], "context": []}
    sources: dict[str, str] = {}
    rest = {"key": "", "state": "", "note": ""}
    for column in mapping:
        if column.target is Target.SKIP or record.values.get(column.source) is None:
            continue
        value = record.values[column.source]
        if is_table:
            value = _cell(value, column.target)
        sources.setdefault(column.target.value, column.source)
        if column.target is Target.VARIABLE and "messages" not in told and looks_like_messages(value):
            told["messages"] = value
        elif column.target is Target.VARIABLE:
            told["variables"][column.name] = value
            sources[f"variables.{column.name}"] = column.source
        elif column.target is Target.METADATA:
            _add_metadata(told["metadata"], column.name, value)
        elif column.target in {Target.KEY, Target.STATE, Target.NOTE}:
            rest[column.target] = value if isinstance(value, str) else _as_text(value)
        else:
            _add(told, column.target, column.source, value)
    _take_answer_from_messages(told, mapping)
    body = _body(told, sources)
    _check(rest, sources)
    return Built(body, rest["key"], rest["state"], rest["note"][:MAX_NOTE])


def _add_metadata(metadata: dict[str, Json], name: str, value: Json) -> None:
    if isinstance(value, Mapping) and name in {"metadata", "meta"}:
        metadata.update(value)
    else:
        metadata[name] = value


def _add(told: dict[str, Json], target: Target, source: str, value: Json) -> None:
    if target is Target.VARIABLES:
        if looks_like_messages(value):
            told["messages"] = value
        else:
            told["variables"] |= value if isinstance(value, Mapping) else {source: value}
    elif target is Target.MESSAGES:
        told["messages"] = _messages(value)
    elif target is Target.TOOLS:
        told["tools"] = _tools(value)
    elif target is Target.EXPECTED:
        told["expected"] = _expected(value, source)
    elif target is Target.CONTEXT:
        told["context"] = [*told["context"], *_documents(value)]
    elif target is Target.SLICES:
        told["slices"] = [*told["slices"], *_slices(value)]


def _cell(text: Json, target: Target) -> Json:
    """A cell as the value that it most likely stands for."""
    if not isinstance(text, str):
        return text
    text = writing.plain_text(text)
    if target in {Target.KEY, Target.STATE, Target.NOTE}:
        return text
    stripped = text.strip()
    if stripped[:1] in {"{", "["} and stripped[-1:] in {"}", "]"}:
        try:
            return value_of(stripped)
        except ValueError:
            return text
    return text


def _as_text(value: Json) -> str:
    return str(value) if isinstance(value, int | float) else ""


def _messages(value: Json) -> Json:
    """A text is what a user says; turns that are lists of messages are put one after the other."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list) and value and all(isinstance(turn, list) for turn in value):
        return [message for turn in value for message in turn]
    return value


def _tools(value: Json) -> Json:
    """Functions as OpenAI's tools, their types as JSON Schema names them."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        return value
    return [
        _schema_types({"type": "function", "function": dict(one)})
        if isinstance(one, Mapping) and "name" in one and "function" not in one
        else one
        for one in value
    ]


def _schema_types(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {
            name: SCHEMA_TYPES.get(one, one) if name == "type" and isinstance(one, str) else _schema_types(one)
            for name, one in value.items()
        }
    return [_schema_types(one) for one in value] if isinstance(value, list) else value


def _expected(value: Json, source: str) -> Json:
    """Outputs that are an object of one text stand for that text; an assistant's message for its content."""
    # What is called `expected` is taken as it stands.
    if not isinstance(value, Mapping) or source.lower() not in OUTPUTS:
        return value
    if set(value) <= {"role", "content"} and isinstance(value.get("content"), str):
        return value["content"]
    name, inner = next(iter(value.items()), ("", value))
    return inner if len(value) == 1 and name.lower() in ANSWER_NAMES else value


def _documents(value: Json) -> list[Json]:
    """Documents from texts, or from objects that name their text in some way."""
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, list):
        return [value]
    return [_document(one) for one in value]


def _document(value: Json) -> Json:
    if isinstance(value, str):
        return {"content": value}
    if not isinstance(value, Mapping) or isinstance(value.get("content"), str):
        return value
    named = next((name for name in TEXT_OF_DOCUMENT if isinstance(value.get(name), str)), None)
    if named is None:
        return value
    rest = {name: one for name, one in value.items() if name not in {named, "document_id"}}
    return {"id": value.get("id") or value.get("document_id"), **rest, "content": value[named]}


def _slices(value: Json) -> list[Json]:
    """Names; a text holds several, with commas, semicolons or bars between."""
    if isinstance(value, str):
        return [name.strip() for name in value.replace(";", ",").replace("|", ",").split(",") if name.strip()]
    if isinstance(value, list):
        return [one.strip() if isinstance(one, str) else str(one) for one in value]
    return [str(value)]


def _take_answer_from_messages(told: dict[str, Json], mapping: Mapped) -> None:
    """Rows for fine-tuning end with the answer; where nothing else is expected, that is what is."""
    messages = told.get("messages")
    if any(column.target is Target.EXPECTED for column in mapping):
        return
    if not isinstance(messages, list) or not looks_like_messages(messages):
        return
    last = messages[-1]
    if len(messages) > 1 and last["role"] == "assistant" and isinstance(last.get("content"), str):
        told["messages"], told["expected"] = messages[:-1], last["content"]


def _body(told: Mapping[str, Json], sources: Mapping[str, str]) -> ExampleBody:
    try:
        return body_from_dict(told)
    except BadExample as error:
        place, sentences = next(iter(error.details.items()))
        raise RowRefused(_source(place, sources), "not_an_example", " ".join(sentences)) from None


def _source(place: str, sources: Mapping[str, str]) -> str:
    """The column that a field of the example came from; the field, when no column is to blame."""
    parts = place.split(".")
    for length in range(len(parts), 0, -1):
        if found := sources.get(".".join(parts[:length])):
            return found
    return sources.get("metadata", "metadata") if parts[0] == "metadata" else place[:200]


def _check(rest: Mapping[str, str], sources: Mapping[str, str]) -> None:
    if "key" in sources and (problem := key_problem(rest["key"])):
        raise RowRefused(sources["key"], "bad_key", problem)
    if rest["state"] and rest["state"] not in set(ReviewState):
        known = ", ".join(ReviewState)
        raise RowRefused(sources["state"], "bad_state", f"A state is one of {known}.")
    if "\x00" in rest["note"]:
        raise RowRefused(sources["note"], "not_storable", "This holds NUL, which cannot be stored.")
