"""A gate's report as Markdown, for a pull request, and as JUnit XML, for a build server. Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from apps.evals.gating import Condition
from apps.evals.types import GateVerdict

WORDS: Mapping[GateVerdict, str] = {
    GateVerdict.PASSED: "met",
    GateVerdict.FAILED: "not met",
    GateVerdict.CANNOT_TELL: "cannot tell",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A report as it is written out."""

    gate: str
    candidate: str
    run: int
    sentence: str
    conditions: Sequence[Condition]
    notes: Sequence[str] = ()


def as_markdown(told: Told) -> str:
    """A heading, a line on what was judged, a table of conditions, the notes."""
    rows = [
        f"| {WORDS[one.state]} | {_cell(one.title)} | {_cell(one.shown_number)} | {_cell(one.shown_target)} "
        f"| {_cell(one.sentence)} |"
        for one in told.conditions
    ]
    lines = [
        f"### {_cell(told.gate)}: {_cell(told.sentence)}",
        "",
        f"{_cell(told.candidate)}, run {told.run}",
        "",
        "| State | Condition | Measured | Target | |",
        "|---|---|---:|---:|---|",
        *rows,
    ]
    if told.notes:
        lines += ["", *(f"- {_cell(note)}" for note in told.notes)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text that stays in its cell and is nothing but text."""
    told = escape(" ".join(text.split())).replace("\\", "\\\\")
    for sign in "|*_`[]#":
        told = told.replace(sign, f"\\{sign}")
    return told


def as_junit(told: Told) -> str:
    """One test suite, one case a condition. What cannot be told is an error, so that no build passes by it."""
    failed = sum(one.state is GateVerdict.FAILED for one in told.conditions)
    unclear = sum(one.state is GateVerdict.CANNOT_TELL for one in told.conditions)
    name = quoteattr(_xml(f"gate {told.gate}"))
    cases = "\n".join(_case(told.gate, one) for one in told.conditions)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites tests="{len(told.conditions)}" failures="{failed}" errors="{unclear}">\n'
        f'<testsuite name={name} tests="{len(told.conditions)}" failures="{failed}" errors="{unclear}">\n'
        f"{cases}\n</testsuite>\n</testsuites>\n"
    )


def _case(gate: str, one: Condition) -> str:
    head = f"<testcase classname={quoteattr(_xml(gate))} name={quoteattr(_xml(one.title))}"
    if one.state is GateVerdict.PASSED:
        return f"{head}/>"
    tag = "failure" if one.state is GateVerdict.FAILED else "error"
    measured = f"{one.shown_number}, target {one.shown_target}. " if one.shown_number else ""
    text = escape(_xml(measured + one.sentence))
    return f"{head}><{tag} message={quoteattr(_xml(one.sentence))}>{text}</{tag}></testcase>"


def _xml(text: str) -> str:
    """Text without the signs that XML cannot hold."""
    return "".join(sign for sign in text if sign in "\t\n" or sign.isprintable())
