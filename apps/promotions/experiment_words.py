"""What an experiment says of itself, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from apps.core import formats, money
from apps.promotions.experiment_config import WHOLE, Guard, Metric
from apps.promotions.experiment_figures import Comparison, Figures, RatioState, Verdict
from apps.promotions.types import ExperimentState, Unit

MINUS = "\u2212"
PLAIN_TITLES = {"error_rate": "Error rate", "cost_per_call": "Cost per call", "latency_ms": "Latency"}
PLAIN_UNITS = {"error_rate": "ratio", "cost_per_call": "usd", "latency_ms": "ms"}
UNIT_HINTS = {
    "ratio": "a share, such as 0.01 for one point",
    "usd": "US dollars a call",
    "ms": "milliseconds",
    "score": "a difference of scores",
}


def title_of(metric: Metric) -> str:
    """The metric as people read it."""
    return f"Score {metric.score_name}" if metric.is_score else PLAIN_TITLES[metric.name]


def unit_of(metric: Metric) -> str:
    """ratio, usd, ms or score."""
    return "score" if metric.is_score else PLAIN_UNITS[metric.name]


def value(number: float | None, unit: str) -> str:
    """A value with its unit, or a dash."""
    if number is None:
        return formats.UNKNOWN
    if unit == "ratio":
        return formats.percent(number)
    if unit == "usd":
        return money.display(Decimal(str(number)))
    return formats.milliseconds(number) if unit == "ms" else formats.plain(number, 3)


def difference(number: float | None, unit: str) -> str:
    """A difference with its sign and unit: `+2.1 points`, `−40 ms`, or a dash."""
    if number is None:
        return formats.UNKNOWN
    sign = "+" if number > 0 else MINUS if number < 0 else ""
    size = abs(number)
    if unit == "ratio":
        return f"{sign}{formats.plain(100 * size, 2 if size < 0.01 else 1)}{formats.SPACE}points"
    return sign + value(size, unit)


def interval(low: float | None, high: float | None, unit: str) -> str:
    """Both ends, such as `−0.4 points to +4.6 points`; empty when they are not known."""
    if low is None or high is None:
        return ""
    return f"{difference(low, unit)} to {difference(high, unit)}"


def share(parts: int) -> str:
    """So many of 10,000 in percent: `5 %`, `2.5 %`."""
    whole, rest = divmod(parts * 100, WHOLE)
    text = str(whole) if not rest else f"{parts * 100 / WHOLE:.2f}".rstrip("0")
    return f"{text}{formats.SPACE}%"


def units(unit: str) -> str:
    """By whom it splits, in the plural."""
    return "sessions" if unit == Unit.SESSION.value else "users"


def progress(figures: Figures | None, planned: int | None) -> str:
    """`1,240 of 5,000 subjects.`, or what there is of it."""
    if figures is None:
        return "Nobody was exposed yet."
    needed = figures.planned.needed or planned
    if not needed:
        return f"{figures.subjects:,} subjects."
    return f"{figures.planned.reached:,} of {needed:,} subjects."


def headline(state: ExperimentState, figures: Figures | None, *, winner: str = "", stop_reason: str = "") -> str:
    """The sentence that answers the question of the experiment's page."""
    if state is ExperimentState.DRAFT:
        return "Not started. Nobody gets anything else yet."
    if state is ExperimentState.FINISHED:
        return f"{winner} won. {'' if figures is None else figures.sentence}".strip()
    said = "Nobody was exposed yet." if figures is None else figures.sentence
    return f"Stopped: {stop_reason}" if state is ExperimentState.STOPPED else said


def stop_reason(guards: Sequence[Guard], stops_on_mismatch: bool, figures: Figures) -> str | None:
    """Why the experiment must end by itself now; None when nothing broke that ends it."""
    if stops_on_mismatch and figures.sample_ratio.state is RatioState.BROKEN:
        return f"The sample ratio is broken. {figures.sample_ratio.sentence}"
    stopping = {guard.metric.name for guard in guards if guard.stops}
    broken = [one for one in figures.breached if one.key in stopping]
    return f"A guardrail is broken. {broken[0].sentence}" if broken else None


def verdict_of(name: str, figures: Figures | None) -> Comparison | None:
    """What the primary metric says of the treatment."""
    return None if figures is None else next((one for one in figures.primary if one.treatment == name), None)


def why_no_winner(name: str, is_control: bool, figures: Figures | None) -> str | None:
    """Why the figures do not let the arm be the winner, as a sentence; None when they do."""
    if is_control:
        return "The control is live already."
    found = verdict_of(name, figures)
    if figures is None or found is None:
        return "Nothing was measured of it yet."
    if not figures.is_trustworthy:
        return "The sample ratio is broken, so no difference can be trusted."
    broken = next((one for one in figures.breached if one.treatment == name), None)
    if broken is not None:
        return f"It broke a guardrail. {broken.sentence}"
    if found.verdict is not Verdict.BETTER:
        return f"The figures say: {found.verdict.word}."
    return None


def ramp_step(now: int, following: int | None, per_day: float | None = None) -> str:
    """What the next step changes, for how many."""
    if following is None:
        return f"This is the last step: {share(now)} take part."
    sentence = f"From {share(now)} to {share(following)} of the subjects. Who takes part already stays in the same arm."
    if per_day:
        more = per_day * (following - now) / now
        sentence += f" By the present traffic, about {formats.plain(more)} more a day."
    return sentence


def taking_part(parts: int, unit: str) -> str:
    """`5 % of users take part.`"""
    return f"{share(parts)} of {units(unit)} take part; everybody else gets what is live."


ACTIONS = {
    "promotions.experiment_drafted": "It was drafted.",
    "promotions.experiment_changed": "It was changed.",
    "promotions.experiment_started": "It started with {share} of the subjects.",
    "promotions.experiment_ramped": "The share went from {before} to {share}.",
    "promotions.experiment_stopped": "It was stopped. {reason}",
    "promotions.experiment_finished": "{winner} was named the winner.",
    "promotions.experiment_winner_asked": "Promotion {promotion} asks for {winner} to be live.",
    "promotions.experiment_winner_deployed": "{winner} went live.",
}


def happened(action: str, details: Mapping[str, object]) -> str:
    """What an entry of the audit trail says of an experiment, as a sentence."""
    told = dict(details)
    for name in ("share", "before"):
        parts = told.get(name)
        if isinstance(parts, int):
            told[name] = share(parts)
    sentence = ACTIONS.get(action, action)
    try:
        return sentence.format(**told)
    except KeyError:
        return sentence.partition(" {")[0]
