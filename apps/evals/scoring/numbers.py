"""Numbers in free text: finding the one that is the answer, reading it exactly, comparing it with a tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import regex

from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, MAX_ANSWERS, expected_value
from apps.evals.scoring.bounds import MAX_DIGITS, as_text, shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed

LOOKED_AT = 100_000
"""Characters of an output that are searched: its last ones, or its first where the first number counts."""

PATTERN_SECONDS = 0.5
MAX_EXPONENT = 1_000

_CODES = r"(?:USD|EUR|GBP|JPY|CNY|INR|MYR|SGD|AUD|CAD|CHF|RM|Rs\.?|US\$|S\$|\p{Sc})"
_POINT = r"(?:\d{1,3}(?:[,'’\u00a0\u202f]\d{2,3})*[,'’\u00a0\u202f]\d{3}(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_COMMA = r"(?:\d{1,3}(?:[.'’\u00a0\u202f]\d{3})+(?!\d)|\d+)(?:,\d+)?|,\d+"
_POWER = r"(?P<exp>[eE][+-]?\d{1,9}|\s?(?:[×*·]|\\times|\\cdot)\s?10\^\{?[-−]?\d{1,9}\}?)?"
_UNDER = r"(?:\s?/\s?(?P<under>\d+)(?![\d/]))?"


def _number_pattern(body: str) -> regex.Pattern[str]:
    # The sign belongs to the number unless something stands before it that it could be subtracted from.
    return regex.compile(
        rf"(?<![\p{{L}}\d_.])(?:{_CODES}\s?)?(?P<sign>(?<![\p{{L}}\d_)\]])[-−–])?(?:{_CODES}\s?)?"
        rf"(?:(?P<mixed>\d{{1,9}})\s(?=\d{{1,9}}/\d))?(?P<body>{body}){_POWER}{_UNDER}(?P<percent>\s?%)?"
    )


_NUMBERS = {"point": _number_pattern(_POINT), "comma": _number_pattern(_COMMA)}
_MARKS = regex.compile(
    r"####|\b(?:final\s+)?(?:answer|result)\**\s*(?:\bis\b|[:=])|^\s*A\s*:", regex.IGNORECASE | regex.MULTILINE
)
_BOXED = regex.compile(r"\\(?:f?boxed|fbox)\s*\{")
_FRACTION = regex.compile(r"\\[dt]?frac\s*\{\s*(-?\d+)\s*\}\s*\{\s*(\d+)\s*\}")
_TEX = ((r"\$", "$"), ("{,}", ","), (r"\,", ""), (r"\!", ""), (r"\%", "%"), (r"\left", ""), (r"\right", ""))
_SINGLE = str.maketrans(
    {chr(0xFF10 + digit): str(digit) for digit in range(10)}
    | {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅕": " 1/5", "⅛": " 1/8", "⁄": "/"}
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was written, and its exact value; None when it is too large to be read."""

    written: str
    value: Fraction | None
    is_percent: bool = False


def numbers_in(text: str, decimal: str = "point") -> Iterator[Number]:
    """The numbers of a text in their order: with thousands separators, currencies, percent, as fraction, in scientific
    notation. A number that is part of a word, such as in `CO2`, is none. `decimal` is `point` or `comma`."""
    for match in _NUMBERS[decimal].finditer(_plain(text)):
        yield _number(match, decimal)


def _plain(text: str) -> str:
    text = text.translate(_SINGLE)
    if "\\" in text or "{,}" in text:
        text = _FRACTION.sub(r" \1/\2 ", text)
        for written, plain in _TEX:
            text = text.replace(written, plain)
    return text


def _number(match: regex.Match[str], decimal: str) -> Number:
    body, power, under = match["body"], match["exp"] or "", match["under"] or ""
    thousands, point = (",", ".") if decimal == "point" else (".", ",")
    digits = regex.sub(rf"[{thousands}'’\u00a0\u202f]", "", body).replace(point, ".")
    exponent = _exponent(power)
    written = match.group().strip()
    if len(digits) > MAX_DIGITS or len(under) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        return Number(written, None)
    value = Fraction(digits) * Fraction(10) ** exponent
    if under:
        if int(under) == 0:
            return Number(written, None)
        value /= int(under)
    value += int(match["mixed"] or 0)
    return Number(written, -value if match["sign"] else value, bool(match["percent"]))


def _exponent(written: str) -> int:
    if not written:
        return 0
    digits = written.rsplit("^", 1)[-1].strip("{}") if "^" in written else written.lstrip("eE")
    return int(digits.replace("−", "-"))


def exact_value(value: Json, decimal: str = "point") -> Number | None:
    """The number of an expected answer: a JSON number, or the answer of a text such as a solution that ends with
    `#### 18`. None when there is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Number(as_text(value), Fraction(value) if value.bit_length() <= 4 * MAX_DIGITS else None)
    if isinstance(value, float):
        return Number(as_text(value), Fraction(str(value))) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        is_small = value.is_finite() and abs(value.adjusted()) <= MAX_EXPONENT
        return Number(str(value), Fraction(value) if is_small else None)
    return answer_in(value, decimal) if isinstance(value, str) else None


def answer_in(text: str, decimal: str = "point") -> Number | None:
    """The number that a text gives as its answer: in the last `\\boxed{}`, else after the last mark such as `####` or
    `Answer:` (there, after the last equals sign of the line), else the last of the text."""
    text = text[-LOOKED_AT:]
    boxed = boxed_text(text)
    if boxed is not None:
        found = _last(numbers_in(boxed, decimal))
        if found:
            return found
    marks = list(_MARKS.finditer(text))
    if marks:
        found = _after(text[marks[-1].end() :], decimal)
        if found:
            return found
    return _last(numbers_in(text, decimal))


def _after(text: str, decimal: str) -> Number | None:
    line = text.lstrip(" \t*:=\r\n").split("\n", 1)[0]
    _before, equals, rest = line.rpartition("=")
    return next(numbers_in(rest if equals else line, decimal), None) or next(numbers_in(line, decimal), None)


def _last(numbers: Iterator[Number]) -> Number | None:
    last = None
    for number in numbers:
        last = number
    return last


def boxed_text(text: str) -> str | None:
    """What stands in the last `\\boxed{...}` that is closed, without doubled braces; None without one."""
    starts = [match.end() for match in _BOXED.finditer(text)]
    for start in reversed(starts[-20:]):
        depth = 1
        for position in range(start, min(len(text), start + 10_000)):
            depth += {"{": 1, "}": -1}.get(text[position], 0)
            if depth == 0:
                inner = text[start:position].strip()
                return inner[1:-1].strip() if inner.startswith("{") and inner.endswith("}") else inner
    return None


NUMERIC_FIELDS = (
    Field(
        "take",
        "Which number is the answer",
        FieldType.CHOICE,
        default="auto",
        choices=(
            ("auto", "The marked one, else the last"),
            ("last", "The last"),
            ("first", "The first"),
            ("only", "The only one"),
            ("marked", "The first after the mark"),
        ),
        help="Marks that are known: \\boxed{}, ####, “answer is”, “Answer:” and “A:” at the start of a line.",
    ),
    Field("mark", "Mark", default="####", help="For the first after the mark; \\boxed looks into \\boxed{}."),
    Field("absolute", "Absolute tolerance", FieldType.NUMBER, default=0),
    Field("relative", "Relative tolerance", FieldType.NUMBER, default=0, help="0.01 is one percent of the expected."),
    Field(
        "percent",
        "12% is",
        FieldType.CHOICE,
        default="either",
        choices=(("either", "12 or 0.12"), ("number", "12"), ("share", "0.12")),
    ),
    Field(
        "decimal",
        "Decimal sign",
        FieldType.CHOICE,
        default="point",
        choices=(("point", "1,234.5"), ("comma", "1.234,5")),
    ),
    Field(
        "pattern",
        "Own pattern of a number",
        default="",
        help="A regular expression that finds the numbers of the output, for following another grader to the letter.",
    ),
    EXPECTED_PATH,
    ACCEPT_ANY,
)


def _check_pattern(settings: Settings, problems: Problems) -> None:
    try:
        regex.compile(settings["pattern"])
    except (regex.error, RecursionError, OverflowError) as error:
        problems["pattern"] = [f"This is no regular expression: {error}."]


def score_numeric(case: Case, config: Config) -> Score:
    """1 when the number that the output gives as its answer equals an expected one within the tolerance (the larger of
    the absolute one and the relative one times the expected number). Numbers are compared exactly, not as floats."""
    value = expected_value(case, config)
    if isinstance(value, Score):
        return value
    values = value[:MAX_ANSWERS] if isinstance(value, list | tuple) and config["accept_any"] else [value]
    wanted = [number for number in (exact_value(item, config["decimal"]) for item in values) if number]
    wanted = [number for number in wanted if number.value is not None]
    if not wanted:
        return not_scored(f"The expected answer {shown(value, 60)} has no number.")
    try:
        found = _found(case.output, config)
    except TimeoutError:
        return scorer_failed(f"The pattern {shown(config['pattern'])} ran longer than {PATTERN_SECONDS:g} s.")
    if isinstance(found, str):
        return scored(0.0, found)
    if found.value is None:
        return scored(0.0, f"{shown(found.written, 60)} is too large a number, or divides by zero.")
    for number in wanted:
        if _is_close(found, number, config):
            return scored(1.0, f"Found {_named(found)}, expected {_named(number)}.", found=found.written[:100])
    return scored(0.0, f"Found {_named(found)}, expected {_named(wanted[0])}.", found=found.written[:100])


def _named(number: Number) -> str:
    return shown(number.written, 60)[1:-1]


def _found(output: str, config: Config) -> Number | str:
    """The number of the output, or why there is none."""
    take, decimal = config["take"], config["decimal"]
    if take == "marked":
        text = _marked(output, config["mark"])
        if text is None:
            return f"The output has no {shown(config['mark'])}."
    else:
        text = output[:LOOKED_AT] if take == "first" else output[-LOOKED_AT:]
    if config["pattern"]:
        matches = regex.compile(config["pattern"]).finditer(text, timeout=PATTERN_SECONDS)
        found = [exact_value(match.group().rstrip(".,"), decimal) for match in matches]
        numbers: Iterator[Number] = (number for number in found if number)
    elif take == "auto":
        return answer_in(text, decimal) or "The output has no number."
    else:
        numbers = numbers_in(text, decimal)
    return _taken(numbers, take)


def _taken(numbers: Iterator[Number], take: str) -> Number | str:
    if take in {"first", "marked"}:
        return next(numbers, None) or "The output has no number there."
    if take == "only":
        first, second = next(numbers, None), next(numbers, None)
        if first and second:
            return f"The output has several numbers, such as {_named(first)} and {_named(second)}."
        return first or "The output has no number."
    return _last(numbers) or "The output has no number."


def _marked(output: str, mark: str) -> str | None:
    if mark.strip().startswith("\\boxed"):
        return boxed_text(output[-LOOKED_AT:])
    before, found, after = output.rpartition(mark)
    return after[:LOOKED_AT] if found else None


def _is_close(found: Number, wanted: Number, config: Config) -> bool:
    absolute, relative = Fraction(str(config["absolute"])), Fraction(str(config["relative"]))
    return any(
        abs(mine - theirs) <= max(absolute, relative * abs(theirs))
        for mine in _readings(found, config["percent"])
        for theirs in _readings(wanted, config["percent"])
    )


def _readings(number: Number, percent: str) -> tuple[Fraction, ...]:
    assert number.value is not None
    if not number.is_percent or percent == "number":
        return (number.value,)
    return (number.value / 100,) if percent == "share" else (number.value, number.value / 100)


KINDS = (
    ScorerKind(
        name="numeric",
        title="Number",
        about="The number that the output gives as its answer is the expected one, within a tolerance.",
        group="numbers",
        fields=NUMERIC_FIELDS,
        read=config_reader(NUMERIC_FIELDS, ranges={"absolute": (0, None), "relative": (0, None)}, check=_check_pattern),
        score=score_numeric,
        needs=frozenset({"expected"}),
    ),
)
