"""What the columns of an upload mean: guessed from their names, or as somebody chose."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from apps.evals.importing.found import BadFile
from apps.evals.types import Json


class Target(StrEnum):
    """What a column may become. `variable` is one variable of the prompt, `variables` an object of several."""

    KEY = "key"
    VARIABLE = "variable"
    VARIABLES = "variables"
    MESSAGES = "messages"
    TOOLS = "tools"
    EXPECTED = "expected"
    CONTEXT = "context"
    METADATA = "metadata"
    SLICES = "slices"
    STATE = "state"
    NOTE = "note"
    SKIP = "skip"


ONCE = frozenset({Target.KEY, Target.EXPECTED, Target.STATE, Target.NOTE, Target.MESSAGES, Target.TOOLS})
"""What at most one column may become."""
MAX_COLUMNS = 200

# Each list in the order in which columns are taken when several are there.
NAMES: dict[Target, tuple[str, ...]] = {
    Target.KEY: ("key", "id", "example_id", "item_id", "custom_id", "uuid", "uid", "question_id", "task_id"),
    Target.VARIABLES: ("variables", "inputs", "vars"),
    Target.VARIABLE: (
        "input", "question", "prompt", "query", "text", "instruction", "user_input", "utterance", "request",
    ),
    Target.MESSAGES: ("messages", "conversation", "input_messages", "chat_history"),
    Target.TOOLS: ("tools", "functions", "function"),
    Target.EXPECTED: (
        "expected", "__expected", "expected_output", "expected_outputs", "ideal", "reference", "reference_output",
        "reference_outputs", "reference_answer", "ground_truth", "gold", "target", "label", "best_answer", "answer",
        "expected_calls", "outputs", "output", "completion",
    ),
    Target.CONTEXT: ("context", "contexts", "documents", "passages", "retrieved_contexts", "docs"),
    Target.METADATA: ("metadata", "meta"),
    Target.SLICES: ("slices", "slice", "tags", "category", "split", "dataset_split"),
    Target.STATE: ("state", "review_state"),
    Target.NOTE: ("note", "notes", "comment", "__description"),
}  # fmt: skip
BOOKKEEPING = frozenset({
    "created_at", "updated_at", "modified_at", "dataset_id", "dataset_name", "project_id", "content_hash", "revision",
    "origin", "first_made_at", "made_at", "author", "attachments",
})  # fmt: skip
"""What other tools write beside an example, and we do not keep."""
FIRST_WORDS = {
    "input": Target.VARIABLE, "inputs": Target.VARIABLE, "variables": Target.VARIABLE, "vars": Target.VARIABLE,
    "metadata": Target.METADATA,
}  # fmt: skip
"""`inputs.question` is a variable called `question`."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one column becomes. `name` is what a variable or a piece of metadata is called."""

    source: str
    target: Target
    name: str = ""

    def as_text(self) -> str:
        """As a mapping is written: `expected`, or `variable:question`."""
        return f"{self.target}:{self.name}" if self.name and self.name != self.source else self.target.value


Mapped = tuple[Column, ...]


def as_dict(mapping: Mapped) -> dict[str, Json]:
    """The mapping as JSON: what each column becomes."""
    return {column.source: column.as_text() for column in mapping}


def from_dict(told: Mapping[str, Json]) -> Mapped:
    """The mapping that the JSON object tells. Raises BadFile with a sentence."""
    if len(told) > MAX_COLUMNS:
        raise BadFile(f"A mapping may name {MAX_COLUMNS} columns.")
    columns = []
    for source, text in told.items():
        target, _, name = str(text).partition(":")
        if target not in set(Target):
            raise BadFile(f"{str(text)[:60]!r} is nothing a column can become. Known are: {', '.join(Target)}.")
        if Target(target) in {Target.VARIABLE, Target.METADATA}:
            columns.append(Column(source, Target(target), name.strip()[:200] or source))
        else:
            columns.append(Column(source, Target(target)))
    return checked(columns)


def checked(columns: Iterable[Column]) -> Mapped:
    """The columns, if they can be used together. Raises BadFile with a sentence."""
    found = tuple(columns)
    for target in ONCE:
        named = [column.source for column in found if column.target is target]
        if len(named) > 1:
            raise BadFile(f"Only one column can become {target}; these should: {', '.join(named)[:300]}.")
    names = [column.name for column in found if column.target is Target.VARIABLE]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadFile(f"Two columns become the variable {twice[0][:60]}. Give one of them another name.")
    if not {column.target for column in found} & {Target.VARIABLE, Target.VARIABLES, Target.MESSAGES}:
        raise BadFile(
            "No column becomes what the model is asked. Let at least one become a variable, variables or messages."
        )
    return found


def guess(samples: Collection[Mapping[str, Json]], names: Iterable[str] = ()) -> Mapped:
    """What the columns most likely mean, from their names and the values of the first rows.

    Always usable: with no name that is known, every column is a variable.
    """
    columns = list(dict.fromkeys([*names, *(name for sample in samples for name in sample)]))[:MAX_COLUMNS]
    if any(_plain(name).startswith("__") for name in columns):
        return _guess_promptfoo(columns)
    chosen = _by_name(columns)
    if Target.VARIABLE in chosen.values() and Target.VARIABLES not in chosen.values():
        _settle_inputs(chosen, samples)
    has_input = set(chosen.values()) & {Target.VARIABLE, Target.VARIABLES, Target.MESSAGES}
    rest = Target.METADATA if has_input else Target.VARIABLE
    mapping = [_column(name, chosen.get(name, rest)) for name in columns]
    if not any(column.target in {Target.VARIABLE, Target.VARIABLES, Target.MESSAGES} for column in mapping):
        mapping = [Column(column.source, Target.VARIABLE, column.source) for column in mapping]
    return tuple(mapping)


def _plain(name: str) -> str:
    """`expectedOutput` and `Expected Output` as `expected_output`."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\s\-]+", "_", snake).lower()


def _by_name(columns: Iterable[str]) -> dict[str, Target]:
    """The columns whose names are known."""
    chosen: dict[str, Target] = {}
    plain = {name: _plain(name) for name in columns}
    for target, known in NAMES.items():
        fitting = sorted((name for name in plain if plain[name] in known), key=lambda name: known.index(plain[name]))
        for place, name in enumerate(fitting):
            chosen.setdefault(name, target if place == 0 or target not in ONCE else Target.METADATA)
    for name, text in plain.items():
        first, dot, rest = text.partition(".")
        if text in BOOKKEEPING:
            chosen[name] = Target.SKIP
        elif dot and rest and first in FIRST_WORDS:
            chosen[name] = FIRST_WORDS[first]
        elif dot and rest and first in {"outputs", "output", "expected"} and Target.EXPECTED not in chosen.values():
            chosen[name] = Target.EXPECTED
    return chosen


def _settle_inputs(chosen: dict[str, Target], samples: Collection[Mapping[str, Json]]) -> None:
    """An input whose values are objects holds variables; one whose values are messages is a conversation."""
    for name in [name for name, target in chosen.items() if target is Target.VARIABLE]:
        values = [sample[name] for sample in samples if sample.get(name) is not None]
        if values and all(isinstance(value, Mapping) for value in values):
            chosen[name] = Target.VARIABLES
        elif values and all(looks_like_messages(value) for value in values) and Target.MESSAGES not in chosen.values():
            chosen[name] = Target.MESSAGES


def looks_like_messages(value: Json) -> bool:
    """True for a list of objects that have roles."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and "role" in one for one in value)


def _column(source: str, target: Target) -> Column:
    if target not in {Target.VARIABLE, Target.METADATA}:
        return Column(source, target)
    first, _, rest = source.partition(".")
    is_nested = bool(rest) and FIRST_WORDS.get(_plain(first)) is target
    return Column(source, target, rest if is_nested else source)


def _guess_promptfoo(columns: Iterable[str]) -> Mapped:
    """Names that begin with two underscores are directions; every other column is a variable."""
    mapping = []
    for name in columns:
        plain = _plain(name)
        if not plain.startswith("__"):
            mapping.append(Column(name, Target.VARIABLE, name))
        elif plain in {"__expected", "__expected1"} and all(one.target is not Target.EXPECTED for one in mapping):
            mapping.append(Column(name, Target.EXPECTED))
        elif plain == "__description":
            mapping.append(Column(name, Target.NOTE))
        else:
            mapping.append(Column(name, Target.METADATA, name.removeprefix("__metadata:").strip("_") or name))
    return tuple(mapping)
