"""Tool calls beside the expected ones: names, arguments, order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.evals.scoring.answers import EXPECTED_PATH, expected_value
from apps.evals.scoring.bounds import Unreadable, canonical, read_json, shown, storable, too_much
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.texts import normal_form
from apps.evals.types import Case, Json, Score, not_scored, scored

MAX_CALLS = 64
MAX_COMPARISONS = 200_000

FIELDS = (
    EXPECTED_PATH,
    Field(
        "order",
        "Order of the calls",
        FieldType.CHOICE,
        default="any",
        choices=(("any", "Does not matter"), ("same", "Must be the same")),
    ),
    Field(
        "compare",
        "Compare",
        FieldType.CHOICE,
        default="arguments",
        choices=(("arguments", "Names and arguments"), ("names", "Names only")),
    ),
    Field(
        "texts",
        "Texts in arguments are equal",
        FieldType.CHOICE,
        default="normalized",
        choices=(
            ("exact", "Character for character"),
            ("normalized", "Apart from case and blanks"),
            ("loose", "Apart from case, blanks and , . / - _ * ^"),
        ),
    ),
    Field(
        "optional", "Arguments that may be left out", FieldType.LIST, default=(), help="As argument or tool.argument."
    ),
    Field(
        "extra_arguments",
        "Arguments that are not expected",
        FieldType.CHOICE,
        default="refuse",
        choices=(("refuse", "Are wrong"), ("ignore", "Do not matter")),
    ),
    Field(
        "extra_calls",
        "Calls that are not expected",
        FieldType.CHOICE,
        default="refuse",
        choices=(("refuse", "Are wrong"), ("ignore", "Do not matter, unless none is expected")),
    ),
    Field("partial", "Count the share of right calls", FieldType.BOOLEAN, default=False),
    Field("in_text", "Read calls out of the text", FieldType.BOOLEAN, default=False, help="When it is JSON of calls."),
)

_LOOSE = re.compile(r"[ ,./\-_*^]")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `accepted`: every argument is a list of accepted values, among which "" means it may be left out, and
    so on within objects, as the Berkeley Function Calling Leaderboard writes them (Patil et al. 2024)."""

    name: str
    arguments: Mapping[str, Json] | None
    """None: they could not be read."""
    accepted: bool = False


def read_calls(value: Json, *, accepted: bool) -> list[Call] | None:
    """Calls from JSON: {"name", "arguments"}, OpenAI's {"function": {"name", "arguments"}}, and {function: {argument:
    value}}, each alone, in a list or under `tool_calls`. With `accepted`, the last form has lists of accepted values.
    None when it is none of these."""
    if isinstance(value, Mapping) and "tool_calls" in value:
        value = value["tool_calls"]
    items = value if isinstance(value, list | tuple) else [value]
    if len(items) > 10 * MAX_CALLS:
        items = items[: 10 * MAX_CALLS]
    calls = [_read_call(item, accepted) for item in items]
    return None if None in calls else [call for call in calls if call is not None]


def _read_call(item: Json, accepted: bool) -> Call | None:
    if not isinstance(item, Mapping):
        return Call(item, None, accepted=True) if isinstance(item, str) and accepted else None
    if isinstance(item.get("function"), Mapping) and "name" in item["function"]:
        item = item["function"]
    name = item.get("name")
    if isinstance(name, str) and (len(item) == 1 or any(key in item for key in ("arguments", "args", "kwargs", "id"))):
        written: Json = next((item[key] for key in ("arguments", "args", "kwargs") if item.get(key) is not None), {})
        return Call(name, _read_arguments(written))
    if len(item) == 1:
        ((name, arguments),) = item.items()
        if isinstance(arguments, Mapping):
            lists = accepted and all(isinstance(values, list) for values in arguments.values())
            return Call(str(name), arguments, accepted=lists)
    return None


def _read_arguments(written: Json) -> Mapping[str, Json] | None:
    if isinstance(written, str):
        written = read_json(written, fences=False) if written.strip() else {}
    return written if isinstance(written, Mapping) and not too_much(written) else None


class _TooMany(Exception):
    """Comparing the calls takes more steps than it may."""


@dataclass(slots=True)
class _Match:
    """Compares calls by the settings, counting its steps."""

    config: Config
    left: int = MAX_COMPARISONS

    def difference(self, wanted: Call, made: Call) -> str:
        """Why a call is not the expected one; empty when it is."""
        if not _same_name(wanted.name, made.name):
            return f"{_named(made.name)} was called instead of {_named(wanted.name)}"
        if self.config["compare"] == "names" or (wanted.accepted and wanted.arguments is None):
            return ""
        if made.arguments is None:
            return f"the arguments of {_named(made.name)} are no JSON object"
        for name, value in (wanted.arguments or {}).items():
            problem = self._argument(wanted, name, value, made.arguments)
            if problem:
                return problem
        extra = [name for name in made.arguments if name not in (wanted.arguments or {})]
        if extra and self.config["extra_arguments"] == "refuse":
            return f"{_named(made.name)} has the argument {_named(extra[0])}, which is not expected"
        return ""

    def _argument(self, wanted: Call, name: str, value: Json, made: Mapping[str, Json]) -> str:
        where = f"{_named(name)} of {_named(wanted.name)}"
        optional = name in self.config["optional"] or f"{wanted.name}.{name}" in self.config["optional"]
        if name not in made:
            may_miss = optional or (wanted.accepted and isinstance(value, list) and ("" in value or not value))
            return "" if may_miss else f"the argument {where} is missing"
        # A list without accepted values says that the argument is empty, or left out.
        choices = value if wanted.accepted and isinstance(value, list) and value else [value]
        if any(self._same(choice, made[name], wanted.accepted) for choice in choices):
            return ""
        shown_choices = " or ".join(shown(choice, 40) for choice in choices[:3])
        return f"the argument {where} is {shown(made[name], 60)}, expected {shown_choices}"

    def _same(self, wanted: Json, made: Json, accepted: bool) -> bool:
        self.left -= 1
        if self.left < 0:
            raise _TooMany
        if isinstance(wanted, str) or isinstance(made, str):
            return isinstance(wanted, str) and isinstance(made, str) and self._text(wanted) == self._text(made)
        if isinstance(wanted, Mapping):
            return isinstance(made, Mapping) and self._same_object(wanted, made, accepted)
        if isinstance(wanted, list | tuple):
            return (
                isinstance(made, list | tuple)
                and len(wanted) == len(made)
                and all(self._same(one, other, accepted) for one, other in zip(wanted, made, strict=True))
            )
        if isinstance(made, Mapping | list | tuple):
            return False
        return canonical(wanted) == canonical(made)

    def _same_object(self, wanted: Mapping[str, Json], made: Mapping[str, Json], accepted: bool) -> bool:
        for name, value in wanted.items():
            choices = value if accepted and isinstance(value, list) else [value]
            if name not in made:
                if not (accepted and "" in choices):
                    return False
            elif not any(self._same(choice, made[name], accepted) for choice in choices):
                return False
        return all(name in wanted for name in made)

    def _text(self, text: str) -> str:
        if self.config["texts"] == "exact":
            return text
        if self.config["texts"] == "normalized":
            return normal_form(text)
        return _LOOSE.sub("", text).lower().replace("'", '"')


def _same_name(one: str, other: str) -> bool:
    # Providers allow no dots in names of functions, so that `math.factorial` is offered as `math_factorial`.
    return one.replace(".", "_") == other.replace(".", "_")


def _named(name: str) -> str:
    return shown(name, 60)[1:-1]


def _pair_any(fits: Sequence[Sequence[bool]]) -> dict[int, int]:
    """The largest pairing of expected with made calls, by augmenting paths (Kuhn 1955)."""
    owner: dict[int, int] = {}

    def place(wanted: int, seen: set[int]) -> bool:
        for made, does_fit in enumerate(fits[wanted]):
            if does_fit and made not in seen:
                seen.add(made)
                if made not in owner or place(owner[made], seen):
                    owner[made] = wanted
                    return True
        return False

    for wanted in range(len(fits)):
        place(wanted, set())
    return {wanted: made for made, wanted in owner.items()}


def _pair_in_order(fits: Sequence[Sequence[bool]], made: int) -> dict[int, int]:
    """The longest pairing in which both sides keep their order, by dynamic programming."""
    best: list[list[dict[int, int]]] = [[{} for _ in range(made + 1)] for _ in range(len(fits) + 1)]
    for i, row in enumerate(fits):
        for j in range(made):
            options = [best[i][j + 1], best[i + 1][j]]
            if row[j]:
                options.append({**best[i][j], i: j})
            best[i + 1][j + 1] = max(options, key=len)
    return best[-1][-1]


def made_calls(case: Case, config: Config) -> list[Call]:
    """The calls of an output; out of its text when the settings say so and there are no others."""
    calls = [
        _read_call(item, accepted=False) or Call("(unreadable)", None) for item in case.tool_calls[: MAX_CALLS + 1]
    ]
    if not calls and config["in_text"]:
        value = read_json(case.output)
        if not isinstance(value, Unreadable):
            calls = read_calls(value, accepted=False) or []
    return calls


def score_tool_calls(case: Case, config: Config) -> Score:
    """1 when the calls of the output are the expected ones; with `partial`, the share of them. An empty list of
    expected calls means that none may be made. The reason says which argument differs."""
    value = expected_value(case, config)
    if isinstance(value, Score):
        return value
    if isinstance(value, str):
        value = read_json(value)
    wanted = None if isinstance(value, Unreadable) else read_calls(value, accepted=True)
    if wanted is None:
        return not_scored("The expected answer holds no tool calls.")
    if len(wanted) > MAX_CALLS:
        return not_scored(f"More than {MAX_CALLS} calls are expected; that many are not compared.")
    made = made_calls(case, config)
    if not wanted:
        if made:
            return scored(0.0, f"{_named(made[0].name)} was called, though no call is expected.")
        return scored(1.0, "No call, as expected.")
    if len(made) > MAX_CALLS:
        return scored(0.0, f"More than {MAX_CALLS} calls were made, where {len(wanted)} are expected.")
    try:
        return _score_pairs(wanted, made, _Match(config))
    except _TooMany:
        return scored(0.0, "The arguments of the calls are too large to be compared.")


def _score_pairs(wanted: list[Call], made: list[Call], match: _Match) -> Score:
    config = match.config
    differences = [[match.difference(one, other) for other in made] for one in wanted]
    fits = [[not difference for difference in row] for row in differences]
    pairs = _pair_any(fits) if config["order"] == "any" else _pair_in_order(fits, len(made))
    extra = [number for number in range(len(made)) if number not in set(pairs.values())]
    counts_extra = config["extra_calls"] == "refuse" and extra
    missing = [number for number in range(len(wanted)) if number not in pairs]
    calls: Json = [{"name": _named(call.name), "arguments": storable(call.arguments)} for call in made[:20]]
    if not missing and not counts_extra:
        return scored(
            1.0, f"{'The call is' if len(wanted) == 1 else f'All {len(wanted)} calls are'} right.", calls=calls
        )
    reasons = [_why_missing(wanted[number], differences[number], extra, made, fits[number]) for number in missing[:3]]
    if counts_extra and not missing:
        reasons.append(f"{_named(made[extra[0]].name)} was called beyond what is expected")
    whole = max(len(wanted), len(made)) if counts_extra else len(wanted)
    share = len(pairs) / whole if config["partial"] else 0.0
    return scored(share, f"{len(pairs)} of {len(wanted)} calls are right: {'; '.join(reasons)}.", calls=calls)


def _why_missing(
    wanted: Call, row: Sequence[str], extra: Sequence[int], made: Sequence[Call], fits: Sequence[bool]
) -> str:
    if any(fits[number] for number in extra):
        return f"{_named(wanted.name)} was called out of order"
    same = [number for number in extra if _same_name(made[number].name, wanted.name)]
    if same:
        return row[same[0]]
    if not made:
        return f"{_named(wanted.name)} was not called"
    return row[extra[0]] if len(extra) == 1 else f"{_named(wanted.name)} was not called"


KINDS = (
    ScorerKind(
        name="tool_calls",
        title="Tool calls",
        about="The tools that were called, their arguments and their order are the expected ones.",
        group="tools",
        fields=FIELDS,
        read=config_reader(FIELDS),
        score=score_tool_calls,
        needs=frozenset({"expected"}),
    ),
)
