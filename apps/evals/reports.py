"""A run's outcome as Markdown, for a pull request, and as JUnit XML, for a build server. Pure: values in, text out.

Without a gate a run passes when every example reached the threshold of every scorer. What was not scored, and what has
no output, is never taken for a pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from xml.sax.saxutils import escape, quoteattr

from apps.core import formats, money
from apps.evals.summary import Interval, ScoreSummary, Summary
from apps.evals.types import GateVerdict, RunState

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
MOST_NAMED = 10
WORDS = {GateVerdict.PASSED: "passed", GateVerdict.FAILED: "failed", GateVerdict.CANNOT_TELL: "could not tell"}


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One result. `is_passed` None: it was not scored; `is_error`: no output, or a scorer that failed."""

    key: str
    repetition: int
    is_passed: bool | None
    is_error: bool
    reason: str
    value: float | None = None
    latency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What is written out of a run. `url` is its page."""

    number: int
    candidate: str
    eval_set: str
    revision: int
    state: RunState
    sentence: str
    summary: Summary | None
    spent_usd: Decimal | None
    url: str = ""

    @property
    def verdict(self) -> GateVerdict:
        """Whether the run passed."""
        return verdict_of(self.state, self.summary)


def verdict_of(state: RunState, summary: Summary | None) -> GateVerdict:
    """Failed when an example failed; passed when the run finished and every example passed; else nobody can tell."""
    if summary is None or not summary.examples:
        return GateVerdict.CANNOT_TELL
    overall = summary.overall
    if overall.passed < overall.judged:
        return GateVerdict.FAILED
    is_whole = state is RunState.FINISHED and overall.judged == summary.examples and not summary.failed
    is_whole = is_whole and not overall.errors and not overall.not_scored
    return GateVerdict.PASSED if is_whole else GateVerdict.CANNOT_TELL


# --- Markdown -----------------------------------------------------------------------------------------------


def as_markdown(told: RunReport, worst: Sequence[CaseLine] = ()) -> str:
    """A heading with the verdict, what was measured, a table of scorers, why something has no score, the worst."""
    number = f"[run {told.number}]({told.url})" if told.url else f"run {told.number}"
    lines = [
        f"### Eval {WORDS[told.verdict]}: {_headline(told)}",
        "",
        f"{_cell(told.candidate)} on {_cell(told.eval_set)} r{told.revision}, {number}",
    ]
    if told.sentence:
        lines += ["", f"**{_cell(told.sentence)}**"]
    if told.summary is not None:
        lines += ["", *_table(told.summary), "", _costs(told, told.summary)]
        lines += _missing(told.summary)
    if worst:
        lines += ["", "Worst first:", "", *(f"- {_named(one)}" for one in worst[:MOST_NAMED])]
    return "\n".join(lines) + "\n"


def _headline(told: RunReport) -> str:
    summary = told.summary
    if summary is None:
        return f"the run is {told.state.value.replace('_', ' ')}"
    overall = summary.overall
    if overall.pass_rate is None:
        return "nothing was scored"
    return (
        f"{overall.passed} of {summary.examples} examples pass ({formats.percent(overall.pass_rate)} of those judged)"
    )


def _table(summary: Summary) -> list[str]:
    head = [
        "| Scorer | Pass rate | 95 % interval | Mean | Worst tenth | Not scored | Errors |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    rows = [_row("all together", summary.overall)] if len(summary.scorers) > 1 else []
    return head + rows + [_row(one.slug, one) for one in summary.scorers]


def _row(name: str, one: ScoreSummary) -> str:
    cells = [
        _cell(name),
        formats.percent(one.pass_rate),
        _interval(one.pass_interval),
        formats.number(one.mean, 3),
        formats.number(one.tail, 3),
        formats.number(one.not_scored),
        formats.number(one.errors),
    ]
    return f"| {' | '.join(cells)} |"


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return formats.UNKNOWN
    return f"{formats.percent(interval.low)} to {formats.percent(interval.high)}"


def _costs(told: RunReport, summary: Summary) -> str:
    bound = "at least " if summary.cost.unpriced else ""
    return (
        f"Latency P50 {formats.milliseconds(summary.latency.p50)}, P99 {formats.milliseconds(summary.latency.p99)}; "
        f"{money.display(summary.cost.per_answer_usd)} an answer, {bound}{money.display(told.spent_usd)} spent"
        + (f"; {summary.from_cache} answers from the cache" if summary.from_cache else "")
    )


def _missing(summary: Summary) -> list[str]:
    reasons = [("no output", one) for one in summary.failures]
    reasons += [
        (f"{scorer.slug} {'failed' if one.state == 'error' else 'gave no score'}", one)
        for scorer in summary.scorers
        for one in scorer.reasons
    ]
    if not reasons:
        return []
    named = [f"- {one.count} times {_cell(what)}: {_cell(one.reason)}" for what, one in reasons[:MOST_NAMED]]
    return ["", "**Not everything was scored**; none of these counts as zero:", "", *named]


def _named(one: CaseLine) -> str:
    value = "no score" if one.value is None else formats.number(one.value, 2)
    turn = f" (repetition {one.repetition + 1})" if one.repetition else ""
    return f"{_cell(one.key[:100])}{turn}: {value}, {_cell(one.reason[:200])}".rstrip(", ")


def _cell(text: str) -> str:
    """Text that stays in its cell and is nothing but text."""
    told = escape(" ".join(text.split())).replace("\\", "\\\\")
    for sign in "|*_`[]#":
        told = told.replace(sign, f"\\{sign}")
    return told


# --- JUnit --------------------------------------------------------------------------------------------------


def as_junit(told: RunReport, cases: Iterable[CaseLine]) -> str:
    """One test suite, one case a result. What has no output or no score is an error, so that no build passes by it."""
    lines = []
    failures = errors = 0
    for one in cases:
        lines.append(_case(told, one))
        failures += one.is_passed is False and not one.is_error
        errors += one.is_error or one.is_passed is None
    name = _attribute(f"{told.candidate} on {told.eval_set} r{told.revision}, run {told.number}")
    counts = f'tests="{len(lines)}" failures="{failures}" errors="{errors}"'
    body = "".join(f"{line}\n" for line in lines)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites {counts}>\n<testsuite name={name} {counts}>\n'
        f"{body}</testsuite>\n</testsuites>\n"
    )


def _case(told: RunReport, one: CaseLine) -> str:
    name = one.key if not one.repetition else f"{one.key} (repetition {one.repetition + 1})"
    time = "" if one.latency_ms is None else f' time="{one.latency_ms / 1000:.3f}"'
    head = f"<testcase classname={_attribute(told.eval_set)} name={_attribute(name)}{time}"
    if one.is_passed and not one.is_error:
        return f"{head}/>"
    tag = "failure" if one.is_passed is False and not one.is_error else "error"
    reason = one.reason or ("below the threshold" if tag == "failure" else "not scored")
    value = "" if one.value is None else f"score {formats.number(one.value, 3)}: "
    text = escape(_xml(value + reason))
    return f"{head}><{tag} message={_attribute(reason[:200])}>{text}</{tag}></testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_xml(text))


def _xml(text: str) -> str:
    """The text without what XML cannot hold."""
    return NOT_IN_XML.sub("\ufffd", text)
