"""What a gate asks for, read from JSON with its defaults written out.

Shares and scores lie in 0..1, times are milliseconds, money is US dollars as text.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.core.errors import DomainError
from apps.evals.types import Json, ScorerChoice

USUAL_EXAMPLES = 100
"""A gate asks for so many examples, unless an admin lowered it."""

USUAL_ERROR_RATE = 0.02
MOST_SCORERS = 20
MOST_SLICES = 100
MOST_KEYS = 1_000
MOST_REPETITIONS = 20
BY = ("interval", "mean")
BASELINES = ("none", "live", "run")
SEVERAL = ("scorers", "slices")


class BadGate(DomainError):
    """The conditions of a gate cannot be used; `details` maps fields to sentences."""

    code, http_status = "invalid", 422
    message = "One or more conditions of the gate need a change."

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        super().__init__()
        self.details = dict(problems)


@dataclass(frozen=True, slots=True)
class GateScorer:
    """A scorer of a gate. Without a version: the newest. `threshold`: an example passes from this value on; None: the
    scorer's own mark. With `informs_only` it is shown and decides nothing."""

    slug: str
    version: int | None = None
    threshold: float | None = None
    minimum_mean: float | None = None
    informs_only: bool = False

    @property
    def choice(self) -> ScorerChoice:
        """As a run is told of it."""
        return ScorerChoice(self.slug, self.version, self.threshold)


@dataclass(frozen=True, slots=True)
class SliceFloor:
    """The least that one slice must reach, over at least so many examples."""

    name: str
    minimum_pass_rate: float | None = None
    minimum_mean: float | None = None
    minimum_examples: int = 1


@dataclass(frozen=True, slots=True)
class GateBaseline:
    """What the candidate is compared with. `live`: the newest run of what is live in `environment`; `run`: that run.
    Margins are differences of scores that are still accepted, of the mean and of the mean of the worst tenth."""

    kind: str = "none"
    environment: str = ""
    run: int | None = None
    margin: float = 0.02
    tail_margin: float = 0.10


@dataclass(frozen=True, slots=True)
class GateConfig:
    """Everything a gate asks for. `by`: whether floors hold for the interval's lower bound or for the mean alone."""

    scorers: tuple[GateScorer, ...]
    by: str = "interval"
    minimum_examples: int = USUAL_EXAMPLES
    minimum_pass_rate: float | None = None
    maximum_error_rate: float = USUAL_ERROR_RATE
    maximum_scorer_error_rate: float = USUAL_ERROR_RATE
    maximum_not_scored_rate: float = USUAL_ERROR_RATE
    baseline: GateBaseline = GateBaseline()
    slices: tuple[SliceFloor, ...] = ()
    critical_slices: tuple[str, ...] = ()
    critical_examples: tuple[str, ...] = ()
    maximum_latency_p50_ms: float | None = None
    maximum_latency_p99_ms: float | None = None
    maximum_cost_per_call_usd: Decimal | None = None
    model: str = ""
    repetitions: int = 1
    budget_usd: Decimal | None = None

    @property
    def is_lowered(self) -> bool:
        """True when it asks for fewer examples than a gate usually does."""
        return self.minimum_examples < USUAL_EXAMPLES

    @property
    def deciding(self) -> tuple[GateScorer, ...]:
        """The scorers that decide."""
        return tuple(one for one in self.scorers if not one.informs_only)

    def as_dict(self) -> dict[str, Json]:
        """As JSON, complete; `read_config` of it gives the same."""
        return {
            "scorers": [
                {
                    "slug": one.slug,
                    "version": one.version,
                    "threshold": one.threshold,
                    "minimum_mean": one.minimum_mean,
                    "informs_only": one.informs_only,
                }
                for one in self.scorers
            ],
            "slices": [
                {
                    "name": one.name,
                    "minimum_pass_rate": one.minimum_pass_rate,
                    "minimum_mean": one.minimum_mean,
                    "minimum_examples": one.minimum_examples,
                }
                for one in self.slices
            ],
            "baseline": {
                "kind": self.baseline.kind,
                "environment": self.baseline.environment,
                "run": self.baseline.run,
                "margin": self.baseline.margin,
                "tail_margin": self.baseline.tail_margin,
            },
            "critical_slices": list(self.critical_slices),
            "critical_examples": list(self.critical_examples),
            "maximum_cost_per_call_usd": _money_text(self.maximum_cost_per_call_usd),
            "budget_usd": _money_text(self.budget_usd),
            **{name: getattr(self, name) for name in PLAIN},
        }

    @property
    def hash(self) -> str:
        """SHA-256 over the complete conditions as canonical JSON."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


PLAIN = (
    "by",
    "minimum_examples",
    "minimum_pass_rate",
    "maximum_error_rate",
    "maximum_scorer_error_rate",
    "maximum_not_scored_rate",
    "maximum_latency_p50_ms",
    "maximum_latency_p99_ms",
    "model",
    "repetitions",
)
KNOWN = {
    *PLAIN,
    *SEVERAL,
    "baseline",
    "critical_slices",
    "critical_examples",
    "maximum_cost_per_call_usd",
    "budget_usd",
}


def read_config(data: Mapping[str, Json]) -> GateConfig:
    """The conditions, with defaults where nothing is said. Raises BadGate with a sentence for each field."""
    read = _Reader(data)
    read.no_others(KNOWN)
    config = GateConfig(
        scorers=tuple(_scorer(read.inner("scorers", place, one)) for place, one in read.objects("scorers")),
        by=read.choice("by", BY, "interval"),
        minimum_examples=read.whole("minimum_examples", 1, 1_000_000, USUAL_EXAMPLES),
        minimum_pass_rate=read.share("minimum_pass_rate", None),
        maximum_error_rate=read.share("maximum_error_rate", USUAL_ERROR_RATE) or 0.0,
        maximum_scorer_error_rate=read.share("maximum_scorer_error_rate", USUAL_ERROR_RATE) or 0.0,
        maximum_not_scored_rate=read.share("maximum_not_scored_rate", USUAL_ERROR_RATE) or 0.0,
        baseline=_baseline(read),
        slices=tuple(_slice(read.inner("slices", place, one)) for place, one in read.objects("slices")),
        critical_slices=read.texts("critical_slices", MOST_SLICES),
        critical_examples=read.texts("critical_examples", MOST_KEYS),
        maximum_latency_p50_ms=read.number("maximum_latency_p50_ms", 1, 86_400_000, None),
        maximum_latency_p99_ms=read.number("maximum_latency_p99_ms", 1, 86_400_000, None),
        maximum_cost_per_call_usd=read.money("maximum_cost_per_call_usd"),
        model=read.text("model", 300),
        repetitions=read.whole("repetitions", 1, MOST_REPETITIONS, 1),
        budget_usd=read.money("budget_usd"),
    )
    _check_whole(read, config)
    if read.problems:
        raise BadGate(read.problems)
    return config


def _scorer(read: _Reader) -> GateScorer:
    read.no_others({"slug", "version", "threshold", "minimum_mean", "informs_only"})
    slug = read.text("slug", 100)
    if not slug:
        read.wrong("slug", "Name the scorer.")
    return GateScorer(
        slug=slug,
        version=read.whole_or_none("version"),
        threshold=read.share("threshold", None),
        minimum_mean=read.share("minimum_mean", None),
        informs_only=read.flag("informs_only"),
    )


def _slice(read: _Reader) -> SliceFloor:
    read.no_others({"name", "minimum_pass_rate", "minimum_mean", "minimum_examples"})
    floor = SliceFloor(
        name=read.text("name", 100),
        minimum_pass_rate=read.share("minimum_pass_rate", None),
        minimum_mean=read.share("minimum_mean", None),
        minimum_examples=read.whole("minimum_examples", 1, 1_000_000, 1),
    )
    if not floor.name:
        read.wrong("name", "Name the slice.")
    if floor.minimum_pass_rate is None and floor.minimum_mean is None:
        read.wrong("minimum_pass_rate", "Say what the slice must reach: a pass rate, a mean, or both.")
    return floor


def _baseline(outer: _Reader) -> GateBaseline:
    given = outer.data.get("baseline")
    if given is None:
        return GateBaseline()
    if not isinstance(given, Mapping):
        outer.wrong("baseline", 'Write an object such as {"kind": "live", "environment": "production"}.')
        return GateBaseline()
    read = _Reader(given, "baseline.", outer.problems)
    read.no_others({"kind", "environment", "run", "margin", "tail_margin"})
    found = GateBaseline(
        kind=read.choice("kind", BASELINES, "none"),
        environment=read.text("environment", 64),
        run=read.whole_or_none("run"),
        margin=read.share("margin", 0.02) or 0.0,
        tail_margin=read.share("tail_margin", 0.10) or 0.0,
    )
    if found.kind == "live" and not found.environment:
        read.wrong("environment", "Name the environment whose live version is the baseline.")
    if found.kind == "run" and found.run is None:
        read.wrong("run", "Name the run by its number.")
    return found


def _check_whole(read: _Reader, config: GateConfig) -> None:
    """What fields say of each other."""
    if read.problems:
        return
    if not config.deciding:
        read.wrong("scorers", "Choose at least one scorer that decides.")
    slugs = [one.slug for one in config.scorers]
    if len(set(slugs)) < len(slugs):
        read.wrong("scorers", "Name each scorer once.")
    if len({one.name for one in config.slices}) < len(config.slices):
        read.wrong("slices", "Name each slice once.")
    floors = [one.minimum_mean for one in config.deciding]
    if not config.minimum_pass_rate and not any(floors) and config.baseline.kind == "none":
        read.wrong(
            "minimum_pass_rate",
            "A gate asks for quality: set a pass rate, the mean of a scorer, or a baseline to hold.",
        )


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
        """Refuse fields that nobody knows: a typo would be a condition that is never judged."""
        for name in sorted(set(map(str, self.data)) - known):
            self.wrong(name[:60], f"Unknown field. Known are: {', '.join(sorted(known))}.")

    def objects(self, name: str) -> list[tuple[int, Mapping[str, Json]]]:
        """The objects of a list with their places."""
        given = self.data.get(name) or []
        most = MOST_SCORERS if name == "scorers" else MOST_SLICES
        if not isinstance(given, list | tuple) or not all(isinstance(one, Mapping) for one in given):
            self.wrong(name, "Write a list of objects.")
            return []
        if len(given) > most:
            self.wrong(name, f"At most {most}.")
            return []
        return list(enumerate(given))

    def inner(self, name: str, place: int, data: Mapping[str, Json]) -> _Reader:
        """A reader of one object of a list."""
        return _Reader(data, f"{name}.{place}.", self.problems)

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
            return float(given) if isinstance(given, float) else int(given)
        return default

    def share(self, name: str, default: float | None) -> float | None:
        """A number from 0 to 1."""
        found = self.number(name, 0.0, 1.0, default)
        return None if found is None else float(found)

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """A whole number within bounds."""
        found = self.number(name, low, high, default)
        if found is not None and found != int(found):
            self.wrong(name, "Write a whole number.")
        return default if found is None else int(found)

    def whole_or_none(self, name: str) -> int | None:
        """A whole number from 1 on, or None."""
        return None if self.data.get(name) is None else self.whole(name, 1, 2**31 - 1, 1)

    def flag(self, name: str) -> bool:
        """True or false; false when nothing is said."""
        given = self.data.get(name)
        if given is not None and not isinstance(given, bool):
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

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """A list of texts, each once."""
        given = self.data.get(name) or []
        whole = isinstance(given, list | tuple) and all(isinstance(one, str) and 0 < len(one) <= 200 for one in given)
        if not whole or len(given) > most:
            self.wrong(name, f"Write a list of at most {most:,} texts.")
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

    def money(self, name: str) -> Decimal | None:
        """Dollars, as text or as a number."""
        given = self.data.get(name)
        if given is None or given == "":
            return None
        try:
            found = Decimal(str(given))
        except InvalidOperation:
            found = Decimal(-1)
        if isinstance(given, bool) or not found.is_finite() or not 0 <= found < 10**8:
            self.wrong(name, "Write dollars, such as 0.02.")
            return None
        return found


def _money_text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"
