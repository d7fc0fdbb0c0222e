"""What an experiment is made of, read from JSON with its defaults written out. Pure.

Shares and weights are counted in 10,000ths. Effects and harms are absolute differences in the metric's own unit: shares
(0 to 1) for rates and scores, US dollars for cost, milliseconds for latency.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.core.errors import DomainError
from apps.promotions.types import Unit

Json = Any
WHOLE = 10_000
USUAL_RAMP = (500, 2_500, 10_000)
USUAL_ALPHA = 0.05
MOST_TREATMENTS = 4
MOST_STEPS = 10
MOST_EXCLUDED = 1_000
LONGEST_SUBJECT = 256
MOST_GUARDRAILS = 10
SCORE = "score:"
PLAIN_METRICS = ("error_rate", "cost_per_call", "latency_ms")
DIRECTIONS = ("up", "down")
SCORE_NAME = re.compile(r"\S(?:.{0,126}\S)?")
ARM_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,30}[A-Za-z0-9])?")
CONTROL = "control"


class BadExperiment(DomainError):
    """The plan of an experiment cannot be used; `details` maps fields to sentences."""

    code, http_status = "invalid", 422
    message = "One or more fields of the experiment need a change."

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__()
        self.details = dict(problems)


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared: `error_rate`, `cost_per_call`, `latency_ms` or `score:<name>`, and which way is better."""

    name: str
    direction: str

    @property
    def is_score(self) -> bool:
        """True for a score of telemetry."""
        return self.name.startswith(SCORE)

    @property
    def score_name(self) -> str:
        """The score's own name; empty for other metrics."""
        return self.name.removeprefix(SCORE) if self.is_score else ""

    @property
    def is_up(self) -> bool:
        """True when more is better."""
        return self.direction == "up"

    def as_dict(self) -> dict[str, Json]:
        """As JSON; `read_metric` of it gives the same."""
        return {"name": self.name, "direction": self.direction}


@dataclass(frozen=True, slots=True)
class Guard:
    """A metric that may get worse by `most_harm` at most, and whether more harm ends the experiment by itself."""

    metric: Metric
    most_harm: float
    stops: bool = True

    def as_dict(self) -> dict[str, Json]:
        """As JSON; `read_guards` of it gives the same."""
        return {**self.metric.as_dict(), "most_harm": self.most_harm, "stops": self.stops}


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is tried against what is live: a version on a model (empty: its own) for so many of those who take part."""

    name: str
    version: str
    model: str
    weight: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything of an experiment that is fixed when it starts."""

    unit: Unit
    treatments: tuple[Treatment, ...]
    control_weight: int
    primary: Metric
    ramp: tuple[int, ...] = USUAL_RAMP
    excluded: tuple[str, ...] = ()
    layer: str = ""
    guards: tuple[Guard, ...] = ()
    stops_on_mismatch: bool = True
    alpha: float = USUAL_ALPHA
    minimum_effect: float | None = None
    planned_subjects: int | None = None


KNOWN = {
    "unit",
    "treatments",
    "control_weight",
    "ramp",
    "excluded",
    "layer",
    "primary_metric",
    "guardrails",
    "stops_on_mismatch",
    "alpha",
    "minimum_effect",
    "planned_subjects",
}


def read_plan(data: Mapping[str, Json]) -> Plan:
    """The plan, with defaults where nothing is said. Raises BadExperiment with a sentence for each field."""
    read = _Reader(data)
    read.no_others(KNOWN)
    treatments, control_weight = _treatments(read)
    plan = Plan(
        unit=Unit(read.choice("unit", tuple(one.value for one in Unit), Unit.USER.value)),
        treatments=treatments,
        control_weight=control_weight,
        primary=_metric(read.inner("primary_metric"), "primary_metric", read),
        ramp=_ramp(read),
        excluded=read.texts("excluded", MOST_EXCLUDED, LONGEST_SUBJECT),
        layer=read.text("layer", 100),
        guards=_guards(read),
        stops_on_mismatch=read.flag("stops_on_mismatch", True),
        alpha=read.number("alpha", 0.0001, 0.5, USUAL_ALPHA) or USUAL_ALPHA,
        minimum_effect=read.number("minimum_effect", 0.0, 1e9, None),
        planned_subjects=read.whole_or_none("planned_subjects", 2, 2**31 - 1),
    )
    if plan.minimum_effect == 0:
        read.wrong("minimum_effect", "A difference of more than zero.")
    if read.problems:
        raise BadExperiment(read.problems)
    return plan


def read_metric(data: Mapping[str, Json]) -> Metric:
    """A metric as it is kept. Raises BadExperiment."""
    read = _Reader(data)
    found = _metric(read, "", None)
    if read.problems:
        raise BadExperiment(read.problems)
    return found


def read_guards(data: Sequence[Mapping[str, Json]]) -> tuple[Guard, ...]:
    """Guardrails as they are kept. Raises BadExperiment."""
    read = _Reader({"guardrails": list(data)})
    found = _guards(read)
    if read.problems:
        raise BadExperiment(read.problems)
    return found


def _metric(read: _Reader | None, field: str, outer: _Reader | None) -> Metric:
    """The metric of an object; errors go under its own fields."""
    if read is None:
        assert outer is not None
        outer.wrong(field, 'Say what is compared, such as {"name": "score:helpful", "direction": "up"}.')
        return Metric("error_rate", "down")
    if outer is not None:
        read.no_others({"name", "direction"})
    name = read.text("name", 140)
    known = name in PLAIN_METRICS
    if not known and not (name.startswith(SCORE) and SCORE_NAME.fullmatch(name.removeprefix(SCORE))):
        read.wrong("name", f"One of: {', '.join(PLAIN_METRICS)}, or score:<name> such as score:helpful.")
    direction = read.choice("direction", DIRECTIONS, "down" if known else "up")
    if known and direction == "up":
        read.wrong("direction", f"Less is better for {name}.")
    return Metric(name, direction)


def _guards(read: _Reader) -> tuple[Guard, ...]:
    found = []
    for place, one in read.objects("guardrails", MOST_GUARDRAILS):
        inner = _Reader(one, f"guardrails.{place}.", read.problems)
        inner.no_others({"name", "direction", "most_harm", "stops"})
        metric = _metric(inner, "", None)
        most_harm = inner.number("most_harm", 0.0, 1e9, None)
        if most_harm is None:
            inner.wrong("most_harm", "Say how much worse it may get, in the metric's own unit.")
        found.append(Guard(metric, most_harm or 0.0, inner.flag("stops", True)))
    if len({guard.metric.name for guard in found}) < len(found):
        read.wrong("guardrails", "Name each metric once.")
    return tuple(found)


def _treatments(read: _Reader) -> tuple[tuple[Treatment, ...], int]:
    given = read.objects("treatments", MOST_TREATMENTS)
    if not given and "treatments" not in read.problems:
        read.wrong("treatments", "Name at least one version that is tried.")
    usual = equal_weights(len(given) + 1)
    found = []
    for place, one in given:
        inner = _Reader(one, f"treatments.{place}.", read.problems)
        inner.no_others({"name", "version", "model", "weight"})
        name = inner.text("name", 32) or letter(place)
        if not ARM_NAME.fullmatch(name) or name.casefold() == CONTROL:
            inner.wrong("name", "1 to 32 letters, digits, spaces, dots and hyphens; not control.")
        if not inner.text("version", 64):
            inner.wrong("version", "Name the version, such as 1.2.0.")
        weight = int(inner.whole("weight", 1, WHOLE, usual[place + 1]))
        found.append(Treatment(name, inner.text("version", 64), inner.text("model", 300), weight))
    control_weight = int(read.whole("control_weight", 1, WHOLE, usual[0]))
    _check_treatments(read, found, control_weight)
    return tuple(found), control_weight


def _check_treatments(read: _Reader, found: Sequence[Treatment], control_weight: int) -> None:
    if len({one.name.casefold() for one in found}) < len(found):
        read.wrong("treatments", "Each arm needs a name of its own.")
    if len({(one.version, one.model) for one in found}) < len(found):
        read.wrong("treatments", "Two arms are the same version on the same model.")
    total = control_weight + sum(one.weight for one in found)
    if found and not read.problems and total != WHOLE:
        read.wrong("control_weight", f"The weights of all arms add up to {total:,}; they must add up to 10,000.")


def _ramp(read: _Reader) -> tuple[int, ...]:
    given = read.data.get("ramp")
    if given is None:
        return USUAL_RAMP
    whole = isinstance(given, list | tuple) and all(isinstance(one, int) and not isinstance(one, bool) for one in given)
    if not whole or not 1 <= len(given) <= MOST_STEPS:
        read.wrong("ramp", f"Write 1 to {MOST_STEPS} whole numbers of 10,000, such as [500, 2500, 10000].")
        return USUAL_RAMP
    steps = tuple(given)
    if not all(1 <= one <= WHOLE for one in steps) or any(
        one >= two for one, two in zip(steps, steps[1:], strict=False)
    ):
        read.wrong("ramp", "Each step is from 1 to 10,000 and larger than the one before.")
    return steps


def equal_weights(arms: int) -> tuple[int, ...]:
    """Weights that differ by one at most and add up to 10,000; the first ones get what is left over."""
    least, left = divmod(WHOLE, max(arms, 1))
    return tuple(least + (1 if place < left else 0) for place in range(arms))


def letter(place: int) -> str:
    """The usual name of a treatment: B, C, D, E."""
    return "BCDE"[place] if place < MOST_TREATMENTS else f"arm {place + 2}"


def room_for(share: int, taken: Sequence[tuple[int, int]]) -> int | None:
    """The lowest place in a layer from which `share` of 10,000 are free; `taken` are (from, share). None: no room."""
    start = 0
    for begin, size in sorted(taken):
        if begin - start >= share:
            break
        start = max(start, begin + size)
    return start if start + share <= WHOLE else None


class _Reader:
    """Values of one object, each checked; what is wrong is collected under the field's whole name."""

    def __init__(
        self, data: Mapping[str, Json], prefix: str = "", problems: dict[str, list[str]] | None = None
    ) -> None:
        self.data = data
        self.prefix = prefix
        self.problems: dict[str, list[str]] = {} if problems is None else problems

    def wrong(self, name: str, sentence: str) -> None:
        """Note that the field needs a change."""
        self.problems.setdefault(f"{self.prefix}{name}", []).append(sentence)

    def no_others(self, known: set[str]) -> None:
        """Refuse fields that nobody knows: a typo would be a guardrail that never holds."""
        for name in sorted(set(map(str, self.data)) - known):
            self.wrong(name[:60], f"Unknown field. Known are: {', '.join(sorted(known))}.")

    def inner(self, name: str) -> _Reader | None:
        """A reader of an object; None when it is missing or no object."""
        given = self.data.get(name)
        return _Reader(given, f"{name}.", self.problems) if isinstance(given, Mapping) else None

    def objects(self, name: str, most: int) -> list[tuple[int, Mapping[str, Json]]]:
        """The objects of a list with their places."""
        given = self.data.get(name) or []
        if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
            self.wrong(name, "Write a list of objects.")
            return []
        if len(given) > most:
            self.wrong(name, f"At most {most}.")
            return []
        return list(enumerate(given))

    def number(self, name: str, low: float, high: float, default: float | None) -> float | None:
        """A number within bounds; the default when nothing is said."""
        given = self.data.get(name)
        if given is None:
            return default
        if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
            self.wrong(name, "Write a number.")
        elif not low <= given <= high:
            self.wrong(name, f"From {low:,g} to {high:,g}.")
        else:
            return float(given)
        return default

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        found = self.number(name, low, high, default)
        if found is not None and found != int(found):
            self.wrong(name, "Write a whole number.")
        return default if found is None else int(found)

    def whole_or_none(self, name: str, low: int, high: int) -> int | None:
        """A whole number within bounds, or None."""
        return None if self.data.get(name) is None else self.whole(name, low, high, low)

    def flag(self, name: str, default: bool) -> bool:
        """True or false; the default when nothing is said."""
        given = self.data.get(name)
        if given is None:
            return default
        if not isinstance(given, bool):
            self.wrong(name, "Write true or false.")
        return given is True

    def text(self, name: str, most: int) -> str:
        """A text, empty when nothing is said."""
        given = self.data.get(name)
        if given is None:
            return ""
        if not isinstance(given, str) or len(given) > most or not given.isprintable():
            self.wrong(name, f"Write a text of at most {most} characters.")
            return ""
        return given.strip()

    def texts(self, name: str, most: int, longest: int) -> tuple[str, ...]:
        """A list of texts, each once."""
        given = self.data.get(name) or []
        whole = isinstance(given, list | tuple) and all(
            isinstance(one, str) and 0 < len(one) <= longest and "\x00" not in one for one in given
        )
        if not whole or len(given) > most:
            self.wrong(name, f"Write a list of at most {most:,} texts of 1 to {longest} characters.")
            return ()
        return tuple(dict.fromkeys(given))

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of several words."""
        given = self.data.get(name)
        if given is None:
            return default
        if given not in choices:
            self.wrong(name, f"One of: {', '.join(choices)}.")
            return default
        return str(given)
