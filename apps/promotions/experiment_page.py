"""What the page of an experiment shows: arms with their figures, guardrails, and the ramp, as final values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.core import formats
from apps.promotions import experiment_words as words
from apps.promotions.experiment_config import Plan
from apps.promotions.experiment_figures import Figures, GuardrailState, RatioState, Verdict

VERDICT_LOOKS = {
    Verdict.BETTER: "pass",
    Verdict.WORSE: "fail",
    Verdict.NO_DIFFERENCE: "ok",
    Verdict.NOT_YET: "waiting",
    Verdict.TOO_FEW: "off",
}
GUARD_LOOKS = {
    GuardrailState.OK: "pass",
    GuardrailState.NOT_WORSE_ENOUGH: "waiting",
    GuardrailState.BREACHED: "fail",
    GuardrailState.TOO_FEW: "off",
}
RATIO_LOOKS = {RatioState.OK: "pass", RatioState.BROKEN: "fail", RatioState.TOO_FEW: "off"}
RATE_AFTER = timedelta(hours=1)
STRAY_ALARM = 0.05


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """An arm as it is kept, with what its calls add up to."""

    name: str
    candidate: str
    weight: int
    is_control: bool
    subjects: int = 0
    calls: int = 0
    stray_calls: int = 0
    cost_per_call: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class ArmLine:
    """One row of the arms table, in words."""

    name: str
    candidate: str
    weight: str
    is_control: bool
    subjects: int
    calls: int
    metric: str
    difference: str
    interval: str
    look: str
    verdict: str
    strays: str
    has_strays: bool
    cost: str
    latency: str
    may_win: bool
    why_not: str


@dataclass(frozen=True, slots=True)
class GuardLine:
    """A guardrail of the plan, with its newest figures for one treatment when there are any."""

    title: str
    treatment: str
    limit: str
    difference: str
    interval: str
    look: str
    word: str
    stops: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One share of the ramp: `done`, `now` or `next`."""

    share: str
    state: str


def arm_lines(plan: Plan, arms: Sequence[ArmFacts], figures: Figures | None) -> tuple[ArmLine, ...]:
    """The arms table, the control first."""
    return tuple(_arm_line(plan, arm, figures) for arm in sorted(arms, key=lambda arm: not arm.is_control))


def _arm_line(plan: Plan, arm: ArmFacts, figures: Figures | None) -> ArmLine:
    unit = words.unit_of(plan.primary)
    found = words.verdict_of(arm.name, figures)
    kept = None if figures is None else next((one for one in figures.arms if one.name == arm.name), None)
    why = words.why_no_winner(arm.name, arm.is_control, figures)
    share = arm.stray_calls / arm.calls if arm.calls else 0.0
    return ArmLine(
        name=arm.name,
        candidate=arm.candidate,
        weight=words.share(arm.weight),
        is_control=arm.is_control,
        subjects=arm.subjects,
        calls=arm.calls,
        metric=words.value(None if kept is None else kept.mean, unit),
        difference="" if found is None else words.difference(found.difference, unit),
        interval="" if found is None else words.interval(found.low, found.high, unit),
        look="" if found is None else VERDICT_LOOKS[found.verdict],
        verdict="" if found is None else _capital(found.verdict.word),
        strays=f"{arm.stray_calls:,} ({formats.percent(share)})" if arm.stray_calls else "0",
        has_strays=share > STRAY_ALARM,
        cost=words.value(arm.cost_per_call, "usd"),
        latency=words.value(arm.latency_ms, "ms"),
        may_win=why is None,
        why_not=why or "",
    )


def guard_lines(plan: Plan, figures: Figures | None) -> tuple[GuardLine, ...]:
    """Every guardrail for every treatment; without figures one line for each guardrail."""
    lines = []
    for guard in plan.guards:
        unit, title = words.unit_of(guard.metric), words.title_of(guard.metric)
        limit = words.difference(-guard.most_harm if guard.metric.is_up else guard.most_harm, unit)
        found = [] if figures is None else [one for one in figures.guardrails if one.key == guard.metric.name]
        for one in found:
            word = _capital(one.state.word)
            shown = (words.difference(one.difference, unit), words.interval(one.low, one.high, unit))
            lines.append(GuardLine(title, one.treatment, limit, *shown, GUARD_LOOKS[one.state], word, guard.stops))
        if not found:
            lines.append(GuardLine(title, "", limit, formats.UNKNOWN, "", "off", "Not measured", guard.stops))
    return tuple(lines)


def steps(ramp: Sequence[int], at: int, *, is_running: bool) -> tuple[Step, ...]:
    """The ramp, each share with where it stands."""
    states = [
        "next" if not is_running or place > at else "now" if place == at else "done" for place in range(len(ramp))
    ]
    return tuple(Step(words.share(share), state) for share, state in zip(ramp, states, strict=True))


def subjects_per_day(figures: Figures | None, started_at: datetime | None) -> float | None:
    """New subjects a day since the start; None within the first hour, and before the first look."""
    if figures is None or started_at is None or figures.at - started_at < RATE_AFTER:
        return None
    return figures.subjects / ((figures.at - started_at) / timedelta(days=1))


def days_left(days: float | None) -> str:
    """`about 3 days left by the present traffic`; nothing when that is not known, or the size is reached."""
    if not days:
        return ""
    if days < 1:
        return "less than a day left by the present traffic"
    whole = round(days)
    return f"about {whole:,} {'day' if whole == 1 else 'days'} left by the present traffic"


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def curl_snippet(address: str, prompt: str, environment: str, unit: str) -> str:
    """How a service asks for a subject's arm, on the command line."""
    where = f"{address}/api/v1/prompts/{prompt}/live"
    return (
        f"curl --get {where} \\\n"
        f"  -H 'Authorization: Bearer $PRODWORTHY_KEY' \\\n"
        f"  --data-urlencode 'environment={environment}' \\\n"
        f"  --data-urlencode 'subject={_subject(unit)}'"
    ).replace("'Authorization: Bearer $PRODWORTHY_KEY'", '"Authorization: Bearer $PRODWORTHY_KEY"')


def python_snippet(address: str, prompt: str, environment: str, unit: str) -> str:
    """The same in Python, and what belongs on the span of the call."""
    return (
        "import os, httpx\n\n"
        f'live = httpx.get(\n    "{address}/api/v1/prompts/{prompt}/live",\n'
        f'    params={{"environment": "{environment}", "subject": {unit}_id}},\n'
        '    headers={"Authorization": f"Bearer {os.environ[\'PRODWORTHY_KEY\']}"},\n).json()\n'
        '# Call live["model"] with live["messages"], and put these on the span of the call:\n'
        f'span = {{"prompt_name": live["name"], "prompt_version": live["version"],\n'
        f'        "request_model": live["model"], "environment": live["environment"], "{unit}_id": {unit}_id}}'
    )


def _subject(unit: str) -> str:
    return "user-42" if unit == "user" else "session-42"
