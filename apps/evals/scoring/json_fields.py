"""An output as JSON, compared field by field with the expected object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from apps.evals.scoring.answers import EXPECTED_PATH, expected_value
from apps.evals.scoring.bounds import Unreadable, as_text, at_path, canonical, read_json, shown, storable
from apps.evals.scoring.dates import ORDERS, parse_date, parse_money
from apps.evals.scoring.json_outputs import STRICT
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.numbers import exact_value
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.scoring.similarity import edit_similarity
from apps.evals.scoring.texts import normal_form
from apps.evals.types import Case, Json, Score, not_scored, scored

MAX_COMPARISONS = 100_000
MAX_UNORDERED = 100
"""Items of an unordered list that are matched by likeness; those that are equal are found in lists of any length."""
MAX_EDIT_CELLS = 100_000_000
SHOWN_FIELDS = 50

COMPARATORS = (
    ("normalized", "Text, apart from case, blanks and punctuation"),
    ("exact", "Exactly equal"),
    ("numeric", "Number, within the tolerance"),
    ("date", "Date"),
    ("money", "Sum of money"),
    ("contains", "Contains the expected text"),
    ("edit_distance", "How alike, by edit distance"),
    ("present", "Only whether it is there"),
    ("ignore", "Not compared"),
)
LISTS = (("ordered", "In order"), ("set", "In any order"))

FIELDS = (
    EXPECTED_PATH,
    Field("output_path", "Part of the output", default="", help="When the object is within the JSON of the output."),
    Field("compare", "Compare fields as", FieldType.CHOICE, default="normalized", choices=COMPARATORS),
    Field(
        "fields",
        "Fields that are compared otherwise",
        FieldType.JSON,
        default=None,
        help='By path, such as {"total": "money", "items[].date": {"compare": "date", "optional": true}}. Settings '
        "of a field: compare, optional, accept_any, absolute, relative, dates, lists.",
    ),
    Field(
        "extra",
        "A field that is not expected",
        FieldType.CHOICE,
        default="count",
        choices=(("count", "Counts as wrong"), ("ignore", "Does not count")),
    ),
    Field("lists", "Lists", FieldType.CHOICE, default="ordered", choices=LISTS),
    Field("dates", "Order of a date in numbers", FieldType.CHOICE, default="dmy", choices=ORDERS),
    Field("absolute", "Absolute tolerance", FieldType.NUMBER, default=0),
    Field("relative", "Relative tolerance", FieldType.NUMBER, default=0),
    Field(
        "all_or_nothing", "All or nothing", FieldType.BOOLEAN, default=False, help="1 only when every field is right."
    ),
    STRICT,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """How one field is compared."""

    compare: str
    optional: bool = False
    accept_any: bool = False
    absolute: Fraction = Fraction(0)
    relative: Fraction = Fraction(0)
    dates: str = "dmy"
    lists: str = "ordered"


@dataclass(frozen=True, slots=True)
class Compared:
    """One field: what was expected and found there, and how much of it is right (0..1)."""

    path: str
    expected: Json
    found: Json
    points: float
    note: str

    def as_dict(self) -> dict[str, Json]:
        """For the details of a score."""
        return {
            "path": shown(self.path)[1:-1],
            "expected": storable(self.expected),
            "found": storable(self.found),
            "points": self.points,
            "note": self.note,
        }


class _TooMany(Exception):
    """More fields would be compared than is done."""


@dataclass(slots=True)
class _Comparison:
    rules: Mapping[str, Rule]
    usual: Rule
    count_extra: bool
    left: int = MAX_COMPARISONS
    forms: dict[str, str] = field(default_factory=dict)

    def rule(self, path: str) -> Rule:
        return self.rules.get(path, self.usual)

    def form(self, text: str) -> str:
        if text not in self.forms:
            self.forms[text] = normal_form(text, punctuation=True)
        return self.forms[text]

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _TooMany


_ABSENT = object()


def _is_blank(value: object) -> bool:
    return value is _ABSENT or value is None or value in ("", [], {})


def _compare(run: _Comparison, wanted: Json, got: object, path: str, place: str) -> Iterator[Compared]:
    """The fields below one place. `path` names the rule (`items[].price`), `place` the place (`items.0.price`)."""
    run.step()
    rule = run.rule(path)
    if rule.compare == "ignore" or (rule.optional and got is _ABSENT):
        return
    if rule.accept_any and isinstance(wanted, list):
        yield _best_of(run, wanted, got, rule, place)
    elif isinstance(wanted, Mapping) and wanted:
        yield from _compare_objects(run, wanted, got, path, place)
    elif isinstance(wanted, list) and wanted:
        items = list(got) if isinstance(got, list) else []
        pair = _pair_unordered if rule.lists == "set" else _pair_ordered
        yield from pair(run, wanted, items, f"{path}[]", place)
    else:
        yield _leaf(run, wanted, got, rule, place)


def _compare_objects(
    run: _Comparison, wanted: Mapping[str, Json], got: object, path: str, place: str
) -> Iterator[Compared]:
    found: Mapping[str, Json] = got if isinstance(got, Mapping) else {}
    for name, value in wanted.items():
        inner, where = (f"{path}.{name}", f"{place}.{name}") if path else (name, name)
        yield from _compare(run, value, found.get(name, _ABSENT), inner, where)
    for name in found:
        inner = f"{path}.{name}" if path else name
        if name not in wanted and not _is_blank(found[name]):
            yield from _extra(run, found[name], inner, f"{place}.{name}" if place else name)


def _extra(run: _Comparison, value: Json, path: str, place: str) -> Iterator[Compared]:
    rule = run.rule(path)
    if run.count_extra and rule.compare != "ignore" and not rule.optional:
        run.step()
        yield Compared(place, None, value, 0.0, "is not expected")


def _pair_ordered(run: _Comparison, wanted: list[Json], got: list[Json], path: str, place: str) -> Iterator[Compared]:
    for number, value in enumerate(wanted):
        yield from _compare(run, value, got[number] if number < len(got) else _ABSENT, path, f"{place}.{number}")
    for number in range(len(wanted), len(got)):
        yield from _extra(run, got[number], path, f"{place}.{number}")


def _pair_unordered(run: _Comparison, wanted: list[Json], got: list[Json], path: str, place: str) -> Iterator[Compared]:
    """Pairs equal items first, then the most alike; what is left is missing, or extra."""
    waiting: dict[str, list[int]] = {}
    for number, value in enumerate(got):
        waiting.setdefault(canonical(value), []).append(number)
    pairs: dict[int, int] = {}
    for number, value in enumerate(wanted):
        same = waiting.get(canonical(value))
        if same:
            pairs[number] = same.pop()
    open_wanted = [number for number in range(len(wanted)) if number not in pairs][:MAX_UNORDERED]
    open_got = [number for number in range(len(got)) if number not in set(pairs.values())][:MAX_UNORDERED]
    alike = []
    for one in open_wanted:
        for other in open_got:
            points, size = _points(list(_compare(run, wanted[one], got[other], path, place)))
            if points:
                alike.append((points / size, one, other))
    for _likeness, one, other in sorted(alike, key=lambda entry: (-entry[0], entry[1], entry[2])):
        if one not in pairs and other not in set(pairs.values()):
            pairs[one] = other
    for number, value in enumerate(wanted):
        partner = got[pairs[number]] if number in pairs else _ABSENT
        yield from _compare(run, value, partner, path, f"{place}.{number}")
    for number in sorted(set(range(len(got))) - set(pairs.values())):
        yield from _extra(run, got[number], path, f"{place}.{number}")


def _points(compared: Sequence[Compared]) -> tuple[float, int]:
    return sum(entry.points for entry in compared), len(compared)


def _best_of(run: _Comparison, wanted: list[Json], got: object, rule: Rule, place: str) -> Compared:
    tried = [_leaf(run, value, got, rule, place) for value in wanted[:MAX_UNORDERED]]
    return max(tried, key=lambda entry: entry.points, default=_leaf(run, None, got, rule, place))


def _leaf(run: _Comparison, wanted: Json, got: object, rule: Rule, place: str) -> Compared:
    run.step()
    if _is_blank(wanted):
        right = _is_blank(got)
        return Compared(place, wanted, None if right else got, float(right), "" if right else "is not expected")
    if got is _ABSENT or (_is_blank(got) and rule.compare != "exact"):
        return Compared(place, wanted, None, 0.0, "is missing")
    points = _COMPARE[rule.compare](run, wanted, got, rule)
    note = "" if points == 1.0 else f"is {shown(got, 60)}, expected {shown(wanted, 60)}"
    return Compared(place, wanted, got, points, note)


def _exact(_run: _Comparison, wanted: Json, got: Json, _rule: Rule) -> float:
    return float(canonical(wanted) == canonical(got))


def _normalized(run: _Comparison, wanted: Json, got: Json, _rule: Rule) -> float:
    if isinstance(got, Mapping | list):
        return 0.0
    mine, theirs = run.form(as_text(got)), run.form(as_text(wanted))
    return float(mine == theirs if theirs else as_text(got).strip() == as_text(wanted).strip())


def _numeric(_run: _Comparison, wanted: Json, got: Json, rule: Rule) -> float:
    mine, theirs = exact_value(got), exact_value(wanted)
    if mine is None or theirs is None or mine.value is None or theirs.value is None:
        return 0.0
    return float(abs(mine.value - theirs.value) <= max(rule.absolute, rule.relative * abs(theirs.value)))


def _date(run: _Comparison, wanted: Json, got: Json, rule: Rule) -> float:
    mine, theirs = parse_date(as_text(got), rule.dates), parse_date(as_text(wanted), rule.dates)
    # What is no date, such as "tomorrow", is right when it is the same words.
    return _normalized(run, wanted, got, rule) if mine is None or theirs is None else float(mine == theirs)


def _money(run: _Comparison, wanted: Json, got: Json, rule: Rule) -> float:
    mine, theirs = parse_money(as_text(got)), parse_money(as_text(wanted))
    if mine is None or theirs is None:
        return _normalized(run, wanted, got, rule)
    return float(abs(mine - theirs) <= max(rule.absolute, rule.relative * abs(theirs)))


def _contains(run: _Comparison, wanted: Json, got: Json, _rule: Rule) -> float:
    theirs = run.form(as_text(wanted))
    return float(bool(theirs) and theirs in run.form(as_text(got)))


def _alike(run: _Comparison, wanted: Json, got: Json, rule: Rule) -> float:
    mine, theirs = run.form(as_text(got)), run.form(as_text(wanted))
    if len(mine) * len(theirs) > MAX_EDIT_CELLS:
        return _normalized(run, wanted, got, rule)
    return edit_similarity(mine, theirs)


def _present(_run: _Comparison, _wanted: Json, _got: Json, _rule: Rule) -> float:
    return 1.0


_COMPARE: Mapping[str, Callable[[_Comparison, Json, Json, Rule], float]] = {
    "exact": _exact,
    "normalized": _normalized,
    "numeric": _numeric,
    "date": _date,
    "money": _money,
    "contains": _contains,
    "edit_distance": _alike,
    "present": _present,
}


def compare_fields(expected: Json, found: Json, config: Config) -> list[Compared]:
    """Every field of the expected value, and every one that was found beside them. Raises _TooMany when there are more
    than MAX_COMPARISONS."""
    usual = _rule({}, config)
    rules = {path: _rule(own, config) for path, own in (config["fields"] or {}).items()}
    run = _Comparison(rules, usual, config["extra"] == "count")
    if isinstance(expected, Mapping) and not expected:
        return list(_compare_objects(run, expected, found, "", ""))
    return list(_compare(run, expected, found, "", ""))


def _rule(own: Mapping[str, Json] | str, config: Config) -> Rule:
    own = {"compare": own} if isinstance(own, str) else own
    return Rule(
        compare=own.get("compare") or config["compare"],
        optional=bool(own.get("optional")),
        accept_any=bool(own.get("accept_any")),
        absolute=Fraction(str(own.get("absolute", config["absolute"]))),
        relative=Fraction(str(own.get("relative", config["relative"]))),
        dates=own.get("dates") or config["dates"],
        lists=own.get("lists") or config["lists"],
    )


def score_json_fields(case: Case, config: Config) -> Score:
    """The share of fields that are right, counting those that should not be there unless the settings say otherwise. An
    empty object is right when an empty one is expected."""
    expected = expected_value(case, config)
    if isinstance(expected, Score):
        return expected
    if isinstance(expected, str):
        expected = read_json(expected)
    if not isinstance(expected, Mapping | list):
        return not_scored("The expected answer is no object or list.")
    found = read_json(case.output, fences=not config["strict"])
    if isinstance(found, Unreadable):
        return scored(0.0, found.reason)
    is_there, found = at_path(found, config["output_path"])
    if not is_there:
        return scored(0.0, f"The JSON has nothing at {config['output_path']}.")
    if not isinstance(found, Mapping if isinstance(expected, Mapping) else list):
        return scored(0.0, f"The JSON is no {'object' if isinstance(expected, Mapping) else 'list'}.")
    try:
        compared = compare_fields(expected, found, config)
    except _TooMany:
        return scored(0.0, f"More than {MAX_COMPARISONS:,} fields would have to be compared.")
    return _score_of(compared, config)


def _score_of(compared: list[Compared], config: Config) -> Score:
    points, size = _points(compared)
    wrong = [entry for entry in compared if entry.points < 1.0]
    details = [entry.as_dict() for entry in (*wrong, *(entry for entry in compared if entry.points == 1.0))]
    if not wrong:
        named = f"All {size} fields are right." if size else "Empty, as expected."
        return scored(1.0, named, fields=details[:SHOWN_FIELDS])
    value = 0.0 if config["all_or_nothing"] else min(1.0, points / size)
    named = "; ".join(f"{shown(entry.path, 60)[1:-1]} {entry.note}" for entry in wrong[:5])
    more = f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    return scored(
        value, f"{size - len(wrong)} of {size} fields are right: {named}{more}.", fields=details[:SHOWN_FIELDS]
    )


# --- settings --------------------------------------------------------------------------------------------------------

_CHOICES = {
    "compare": {name for name, _label in COMPARATORS},
    "dates": {name for name, _label in ORDERS},
    "lists": {name for name, _label in LISTS},
}


def _check_fields(settings: Settings, problems: Problems) -> None:
    rules = settings["fields"] if settings["fields"] is not None else {}
    settings["fields"] = rules
    if not isinstance(rules, Mapping):
        problems["fields"] = ["Give an object from paths to comparators."]
        return
    wrong = [sentence for path, rule in rules.items() for sentence in _rule_problems(str(path), rule)]
    if wrong:
        problems["fields"] = wrong[:20]


def _rule_problems(path: str, rule: Json) -> Iterator[str]:
    if isinstance(rule, str):
        rule = {"compare": rule}
    if not isinstance(rule, Mapping):
        yield f"{path[:60]}: give the name of a comparator, or an object with settings."
        return
    for name, value in rule.items():
        if name in _CHOICES:
            if not isinstance(value, str) or value not in _CHOICES[name]:
                yield f"{path[:60]}: {name} is one of {', '.join(sorted(_CHOICES[name]))}."
        elif name in {"absolute", "relative"}:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
                yield f"{path[:60]}: {name} is a number from 0 on."
        elif name in {"optional", "accept_any"}:
            if not isinstance(value, bool):
                yield f"{path[:60]}: {name} is true or false."
        else:
            yield f"{path[:60]}: there is no setting {str(name)[:60]}."


KINDS = (
    ScorerKind(
        name="json_fields",
        title="JSON fields",
        about="The fields of the output as JSON are those of the expected object, each compared in its own way.",
        group="json",
        fields=FIELDS,
        read=config_reader(FIELDS, ranges={"absolute": (0, None), "relative": (0, None)}, check=_check_fields),
        score=score_json_fields,
        needs=frozenset({"expected"}),
    ),
)
