"""Ceilings on what an answer may take: time and money."""

from __future__ import annotations

from decimal import Decimal

from apps.core.money import display
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Check, Problems, Settings, config_reader
from apps.evals.types import Case, Score, not_scored, scored

_FALL_HELP = "Above the ceiling the score falls evenly and is 0 from here on; empty: it is 0 at once."

LATENCY_FIELDS = (
    Field("ceiling_ms", "Ceiling in milliseconds", FieldType.NUMBER, default=5000),
    Field(
        "of",
        "Time",
        FieldType.CHOICE,
        default="total",
        choices=(("total", "Until the whole answer"), ("ttft", "Until the first token")),
    ),
    Field("zero_at_ms", "Score 0 from", FieldType.NUMBER, default=None, help=_FALL_HELP),
)

COST_FIELDS = (
    Field("ceiling_usd", "Ceiling in dollars", FieldType.NUMBER, default=0.01),
    Field("zero_at_usd", "Score 0 from", FieldType.NUMBER, default=None, help=_FALL_HELP),
)


def within(value: Decimal, ceiling: Decimal, zero_at: Decimal | None) -> float:
    """1 up to the ceiling; above it 0, or falling evenly to 0 at `zero_at`."""
    if value <= ceiling:
        return 1.0
    if zero_at is None or value >= zero_at:
        return 0.0
    return float((zero_at - value) / (zero_at - ceiling))


def _check_fall(ceiling: str, zero_at: str) -> Check:
    def check(settings: Settings, problems: Problems) -> None:
        if settings[zero_at] is not None and settings[zero_at] <= settings[ceiling]:
            problems[zero_at] = ["Give more than the ceiling."]

    return check


def _decimal(number: float | None) -> Decimal | None:
    return None if number is None else Decimal(str(number))


def score_latency(case: Case, config: Config) -> Score:
    """Whether the answer, or its first token, came within the ceiling."""
    is_first = config["of"] == "ttft"
    taken = case.ttft_ms if is_first else case.latency_ms
    name = "The first token" if is_first else "The answer"
    if taken is None:
        return not_scored(f"{name}: how long it took is not known.")
    value = within(Decimal(taken), Decimal(str(config["ceiling_ms"])), _decimal(config["zero_at_ms"]))
    return scored(value, f"{name} took {taken:,} ms; the ceiling is {config['ceiling_ms']:,} ms.")


def score_cost(case: Case, config: Config) -> Score:
    """Whether the answer cost no more than the ceiling. An unknown cost is not scored."""
    if case.cost_usd is None:
        return not_scored("What the answer cost is not known.")
    ceiling = Decimal(str(config["ceiling_usd"]))
    value = within(case.cost_usd, ceiling, _decimal(config["zero_at_usd"]))
    return scored(value, f"It cost {display(case.cost_usd)}; the ceiling is {display(ceiling)}.")


KINDS = (
    ScorerKind(
        name="latency",
        title="Time ceiling",
        about="The answer, or its first token, came in time.",
        group="limits",
        fields=LATENCY_FIELDS,
        read=config_reader(
            LATENCY_FIELDS,
            ranges={"ceiling_ms": (0, None), "zero_at_ms": (0, None)},
            check=_check_fall("ceiling_ms", "zero_at_ms"),
        ),
        score=score_latency,
    ),
    ScorerKind(
        name="cost",
        title="Cost ceiling",
        about="The answer cost no more than a sum.",
        group="limits",
        fields=COST_FIELDS,
        read=config_reader(
            COST_FIELDS,
            ranges={"ceiling_usd": (0, None), "zero_at_usd": (0, None)},
            check=_check_fall("ceiling_usd", "zero_at_usd"),
        ),
        score=score_cost,
    ),
)
