"""What the counts of an experiment come to: differences, guardrails, the sample ratio, and the sentence that leads.

Every metric is first worked out for each subject: its share of failed calls, its mean cost of the calls with a price,
its mean latency, its mean score. Each subject weighs the same, and what varies is subjects. With several treatments
the level is divided among them (Bonferroni). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from apps.core import formats, money
from apps.promotions import planning, sample_ratio, sequential
from apps.promotions.experiment_config import Guard, Metric
from apps.promotions.experiment_figures import (
    ArmFigures,
    Comparison,
    Figures,
    GuardrailFigures,
    GuardrailState,
    Planned,
    RatioState,
    SampleRatio,
    Verdict,
)
from apps.promotions.sequential import Sample

MUCH_STRAY = 0.05
"""From this share of an arm's calls on, a note says that callers do not use what they are given."""

TITLES = {"error_rate": "Error rate", "cost_per_call": "Cost per call", "latency_ms": "Latency"}
UNITS = {"error_rate": "ratio", "cost_per_call": "usd", "latency_ms": "ms"}


@dataclass(frozen=True, slots=True)
class Moments:
    """A metric over the subjects of one arm: how many have a value, mean, unbiased variance, least and greatest."""

    count: int
    mean: float
    variance: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ArmCount:
    """Subjects and calls of one arm, and from when to when."""

    subjects: int
    calls: int
    stray_calls: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """An arm with what was counted of it; `count` None: nothing. `moments` are by the metric's name."""

    name: str
    is_control: bool
    weight: int
    count: ArmCount | None
    moments: Mapping[str, Moments]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the experiment asks for. `tuned` is the planned size when counting began, `planned` what it is now: subjects
    of all arms together."""

    primary: Metric
    guards: tuple[Guard, ...]
    alpha: float
    minimum_effect: float | None
    tuned: int | None
    planned: int | None


def judge(asked: Asked, arms: Sequence[ArmFacts], *, at: datetime, per_day: float | None) -> Figures:
    """The figures of this moment. `per_day`: new subjects a day at the present rate, None if that is not known."""
    control, treatments = _sides(arms)
    primary = tuple(_compared(asked, arms, control, one) for one in treatments)
    guardrails = tuple(_guarded(asked, arms, control, one, guard) for guard in asked.guards for one in treatments)
    found = [0 if one.count is None else one.count.subjects for one in arms]
    ratio = sample_ratio.check([one.name for one in arms], [one.weight for one in arms], found)
    measured = sum(one.moments[asked.primary.name].count for one in arms if asked.primary.name in one.moments)
    left = planning.days_left(asked.planned, measured, per_day)
    planned = Planned(asked.planned, measured, left)
    return Figures(
        at=at,
        subjects=sum(found),
        arms=tuple(_arm(one, asked.primary) for one in arms),
        primary=primary,
        guardrails=guardrails,
        sample_ratio=ratio,
        planned=planned,
        sentence=_sentence(primary, guardrails, ratio, planned),
        notes=_notes(arms, primary),
        method=sequential.METHOD,
    )


def title(metric: Metric) -> str:
    """The metric as pages name it."""
    return f"Score {metric.score_name}" if metric.is_score else TITLES[metric.name]


def unit(metric: Metric) -> str:
    """The metric's unit: ratio, usd, ms or score."""
    return UNITS.get(metric.name, "score")


def shown(value: float | None, of: str) -> str:
    """A value in its unit."""
    if value is None:
        return formats.UNKNOWN
    if of == "ratio":
        return formats.percent(value)
    if of == "usd":
        return money.display(Decimal(repr(value)))
    return formats.milliseconds(value) if of == "ms" else formats.number(value, 3)


def shown_change(value: float | None, of: str) -> str:
    """A difference in its unit, with its sign; of ratios in percentage points."""
    if value is None:
        return formats.UNKNOWN
    size = abs(value)
    text = f"{formats.number(size * 100, 2)}{formats.SPACE}pt" if of == "ratio" else shown(size, of)
    return f"{'+' if value > 0 else formats.MINUS if value < 0 else ''}{text}"


# --- One treatment -----------------------------------------------------------------------------------------------


def _sides(arms: Sequence[ArmFacts]) -> tuple[ArmFacts, list[ArmFacts]]:
    control = next(one for one in arms if one.is_control)
    return control, [one for one in arms if not one.is_control]


def _difference(
    asked: Asked, arms: Sequence[ArmFacts], control: ArmFacts, treatment: ArmFacts, metric: Metric
) -> sequential.Difference | None:
    sides = [one.moments.get(metric.name) for one in (treatment, control)]
    if sides[0] is None or sides[1] is None:
        return None
    is_share = metric.name == "error_rate" or all(one is not None and one.low >= 0 and one.high <= 1 for one in sides)
    is_share = is_share and unit(metric) in {"ratio", "score"}
    samples = [Sample(one.count, one.mean, one.variance, is_share) for one in sides if one is not None]
    planned = None
    if asked.tuned:
        planned = max(2, round(asked.tuned * (control.weight + treatment.weight) / sum(one.weight for one in arms)))
    return sequential.compare(*samples, alpha=asked.alpha / (len(arms) - 1), planned=planned)


def _compared(asked: Asked, arms: Sequence[ArmFacts], control: ArmFacts, treatment: ArmFacts) -> Comparison:
    metric, of = asked.primary, unit(asked.primary)
    told = _difference(asked, arms, control, treatment, metric)
    verdict = _verdict(told, metric, asked.minimum_effect)
    means = [one.moments[metric.name].mean if metric.name in one.moments else None for one in (control, treatment)]
    return Comparison(
        treatment=treatment.name,
        metric=title(metric),
        unit=of,
        control_mean=means[0],
        treatment_mean=means[1],
        difference=None if means[0] is None or means[1] is None else means[1] - means[0],
        low=None if told is None else told.low,
        high=None if told is None else told.high,
        level=1 - asked.alpha,
        p_value=None if told is None else told.p_value,
        verdict=verdict,
        sentence=_compared_words(treatment, control, metric, told, verdict, means),
    )


def _verdict(told: sequential.Difference | None, metric: Metric, minimum_effect: float | None) -> Verdict:
    if told is None:
        return Verdict.TOO_FEW
    if told.low > 0 or told.high < 0:
        return Verdict.BETTER if (told.low > 0) == metric.is_up else Verdict.WORSE
    if minimum_effect is not None and -minimum_effect < told.low and told.high < minimum_effect:
        return Verdict.NO_DIFFERENCE
    return Verdict.NOT_YET


def _compared_words(
    treatment: ArmFacts,
    control: ArmFacts,
    metric: Metric,
    told: sequential.Difference | None,
    verdict: Verdict,
    means: Sequence[float | None],
) -> str:
    of, name = unit(metric), _in_a_sentence(metric)
    if told is None:
        counts = [one.moments[metric.name].count if metric.name in one.moments else 0 for one in (treatment, control)]
        if min(counts) >= sequential.MINIMUM_SUBJECTS:
            return f"All subjects of {treatment.name} and {control.name} have the same {name}: nothing to compare yet."
        return (
            f"Too few subjects yet to compare {treatment.name}: each arm needs "
            f"{sequential.MINIMUM_SUBJECTS} with a value; {treatment.name} has {counts[0]:,}, {control.name} "
            f"{counts[1]:,}."
        )
    interval = f"{shown_change(told.low, of)} to {shown_change(told.high, of)}"
    if verdict in {Verdict.BETTER, Verdict.WORSE}:
        return (
            f"{treatment.name} is {verdict.word} than {control.name}: {name} {shown(means[1], of)} instead of "
            f"{shown(means[0], of)}, a difference of {interval}."
        )
    if verdict is Verdict.NO_DIFFERENCE:
        return f"{treatment.name} and {control.name} do not differ by what matters: {name} by {interval}."
    return f"No difference between {treatment.name} and {control.name} found yet: {name} differs by {interval}."


def _guarded(
    asked: Asked, arms: Sequence[ArmFacts], control: ArmFacts, treatment: ArmFacts, guard: Guard
) -> GuardrailFigures:
    metric, of = guard.metric, unit(guard.metric)
    told = _difference(asked, arms, control, treatment, metric)
    means = [one.moments[metric.name].mean if metric.name in one.moments else None for one in (control, treatment)]
    state = GuardrailState.TOO_FEW
    if told is not None:
        least, most = (-told.high, -told.low) if metric.is_up else (told.low, told.high)
        state = (
            GuardrailState.BREACHED
            if least > guard.most_harm
            else GuardrailState.OK
            if most <= guard.most_harm
            else GuardrailState.NOT_WORSE_ENOUGH
        )
    return GuardrailFigures(
        key=metric.name,
        treatment=treatment.name,
        metric=title(metric),
        unit=of,
        control_mean=means[0],
        treatment_mean=means[1],
        difference=None if means[0] is None or means[1] is None else means[1] - means[0],
        low=None if told is None else told.low,
        high=None if told is None else told.high,
        limit=guard.most_harm,
        state=state,
        sentence=_guard_words(treatment, guard, told, state),
    )


def _guard_words(treatment: ArmFacts, guard: Guard, told: sequential.Difference | None, state: GuardrailState) -> str:
    of, name = unit(guard.metric), _in_a_sentence(guard.metric)
    limit = shown_change(-guard.most_harm if guard.metric.is_up else guard.most_harm, of)
    allowed = f"{limit} is allowed" if guard.most_harm else "nothing is allowed"
    if told is None:
        return f"Too few subjects yet to judge the {name} of {treatment.name}."
    interval = f"{shown_change(told.low, of)} to {shown_change(told.high, of)}"
    if state is GuardrailState.BREACHED:
        return f"{treatment.name} breaks the guardrail on {name}: it differs by {interval}, and {allowed}."
    if state is GuardrailState.OK:
        return f"The {name} of {treatment.name} is within its limit: it differs by {interval}, and {allowed}."
    return f"The {name} of {treatment.name} is not shown to be worse than allowed: {interval}, and {allowed}."


# --- All together -------------------------------------------------------------------------------------------------


def _arm(one: ArmFacts, metric: Metric) -> ArmFigures:
    told, count = one.moments.get(metric.name), one.count
    return ArmFigures(
        name=one.name,
        is_control=one.is_control,
        subjects=0 if count is None else count.subjects,
        calls=0 if count is None else count.calls,
        stray_share=count.stray_calls / count.calls if count is not None and count.calls else None,
        mean=None if told is None else told.mean,
        measured=0 if told is None else told.count,
        deviation=None if told is None else told.variance**0.5,
    )


def _sentence(
    primary: Sequence[Comparison], guardrails: Sequence[GuardrailFigures], ratio: SampleRatio, planned: Planned
) -> str:
    if ratio.state is RatioState.BROKEN:
        return ratio.sentence
    broken = [one for one in guardrails if one.state is GuardrailState.BREACHED]
    if broken:
        return broken[0].sentence
    for verdict in (Verdict.BETTER, Verdict.WORSE, Verdict.NO_DIFFERENCE):
        found = [one for one in primary if one.verdict is verdict]
        if found:
            best = max(found, key=lambda one: abs(one.difference or 0.0))
            return best.sentence
    if all(one.verdict is Verdict.TOO_FEW for one in primary):
        return primary[0].sentence
    return f"{_open_words(primary)} {_planned_words(planned)}".strip()


def _open_words(primary: Sequence[Comparison]) -> str:
    if len(primary) == 1:
        return primary[0].sentence
    return f"No difference from control found yet on {primary[0].metric.lower()}."


def _planned_words(planned: Planned) -> str:
    if planned.needed is None:
        return f"{planned.reached:,} subjects are measured."
    if planned.is_reached:
        return f"All {planned.needed:,} planned subjects are measured."
    told = f"{planned.reached:,} of {planned.needed:,} planned subjects are measured"
    if planned.days_left is None:
        return f"{told}."
    days = max(1, round(planned.days_left))
    return f"{told}; at the present rate the rest takes {'a day' if days == 1 else f'{days:,} days'}."


def _notes(arms: Sequence[ArmFacts], primary: Sequence[Comparison]) -> tuple[str, ...]:
    notes = []
    for one in arms:
        share = one.count.stray_calls / one.count.calls if one.count is not None and one.count.calls else 0.0
        if share >= MUCH_STRAY:
            notes.append(
                f"{formats.percent(share)} of the calls of {one.name} used another version or model than it was given. "
                "They count where their subject belongs, so the difference shown is smaller than the real one."
            )
    if len(primary) > 1:
        notes.append(f"The level is divided among {len(primary)} treatments (Bonferroni).")
    return tuple(notes)


def _in_a_sentence(metric: Metric) -> str:
    return f"score {metric.score_name}" if metric.is_score else TITLES[metric.name].lower()
