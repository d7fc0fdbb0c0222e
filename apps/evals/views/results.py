"""Pages of results: all of a run with the worst first, one beside others, and one example over runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from apps.core.errors import DomainError, NotFound
from apps.core.http import page_or_fragment
from apps.evals.models import EvalRun, Result
from apps.evals.requests import Given, request_for
from apps.evals.run_forms import ResultsForm, read_filter
from apps.evals.selectors import results, runs, sets
from apps.evals.selectors.results import ResultFilter, ResultLine
from apps.evals.types import RunState
from apps.evals.views.runs import run_frame
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.prompts.content import Content, content_from_dict
from apps.prompts.diff_lines import Hunk, hunks_of
from apps.prompts.diffing import text_pieces
from apps.prompts.types import Syntax
from apps.telemetry import conversation

LONGEST_COMPARED = 60_000
SHOW_WORDS = [
    ("", _("All")),
    ("failed", _("Failed")),
    ("error", _("No output or error")),
    ("not_scored", _("Not scored")),
    ("passed", _("Passed")),
]


# --- All of a run -------------------------------------------------------------------------------------------


@project_page()
def results_page(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """What came out, the worst first?"""
    run = runs.get_run(project, number)
    chosen = read_filter(ResultsForm(request.GET))
    scorers = runs.scorers_of(run)
    comparable = runs.comparable_runs(run)
    against = _other_run(run, comparable, chosen["against"])
    where = ResultFilter(
        show=chosen["show"] or "",
        scorer=chosen["scorer"] or "",
        slice=chosen["slice"] or "",
        text=chosen["q"] or "",
        against=against,
    )
    try:
        page = results.list_results(run, scorers, where=where, cursor=chosen["cursor"] or "")
    except DomainError:
        page = results.list_results(run, scorers, where=where)
    summary = runs.summary_of(run)
    context = {
        **run_frame(request, project, run),
        "page": page,
        "chosen": chosen,
        "against": against,
        "scorers": scorers,
        "shows": SHOW_WORDS,
        "counts": results.count_results(run),
        "slices": [] if summary is None else [one.name for one in summary.slices],
        "comparable": comparable,
        "is_filtered": not where.is_empty,
        "is_open": not RunState(run.state).is_end,
    }
    return page_or_fragment(request, "evals/results.html", "evals/_result_list.html", context)


def _other_run(run: EvalRun, comparable: list[EvalRun], number: int | None) -> EvalRun | None:
    """The run to look at beside, over the same set; None when none is named or there is none of that number."""
    found = next((one for one in comparable if one.number == number), None)
    if found is not None or number is None or number == run.number or len(comparable) < runs.COMPARABLE_SHOWN:
        return found
    try:
        other = runs.get_run(run.project, number)
    except NotFound:
        return None
    return other if other.eval_set_id == run.eval_set_id else None


# --- One result ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparing:
    """Two texts side by side; `is_same` when nothing differs, `is_long` when they are too long to be compared."""

    hunks: tuple[Hunk, ...] = ()
    is_same: bool = False
    is_long: bool = False


@project_page()
def result_page(request: ProjectRequest, project: Project, number: int, key: str) -> HttpResponse:
    """What was asked, what was expected, what came out, and what do the scorers say of it?"""
    run = runs.get_run(project, number)
    chosen = read_filter(ResultsForm(request.GET))
    comparable = runs.comparable_runs(run)
    against = _other_run(run, comparable, chosen["against"])
    lines, others = results.results_of_example(run, key, runs.scorers_of(run), beside=against)
    line = next((one for one in lines if one.result.repetition == chosen["rep"]), lines[0])
    others.sort(key=lambda one: one.repetition != line.result.repetition)
    other = others[0] if others else None
    expected = text_of(line.result.example.expected)
    context = {
        **run_frame(request, project, run),
        "line": line,
        "key": line.key,
        "result": line.result,
        "example": line.result.example,
        "repetitions": lines if len(lines) > 1 else [],
        "asked": _asked(run, line.result),
        "answer": conversation.read(None, _said(line.result), kind="llm"),
        "expected": expected,
        "compared": _compared(expected, line.result) if expected else None,
        "details": [(one, text_of(dict(one.row.details))) for one in line.scores],
        "against": against,
        "other": other,
        "beside": None if other is None else compare_texts(other.output, line.result.output),
        "history": results.history_of(run.eval_set, key),
        "comparable": comparable,
        "links": _links(project, run, line),
    }
    return render(request, "evals/result.html", context)


def text_of(value: Any) -> str:
    """A value as people read it: text as it is, anything else as indented JSON; nothing as the empty text."""
    if value is None or value == {} or value == []:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)


def _said(result: Result) -> dict[str, Any] | None:
    """The answer as a message; None when there is none."""
    if not result.output and not result.tool_calls:
        return None
    calls = [{"function": {"name": one.get("name"), "arguments": one.get("arguments")}} for one in result.tool_calls]
    return {"role": "assistant", "content": result.output, "tool_calls": calls}


def _compared(expected: str, result: Result) -> Comparing:
    """The expected output against the one that came; JSON is written alike on both sides first."""
    if result.tool_calls and not result.output:
        return compare_texts(expected, text_of(result.tool_calls))
    return compare_texts(expected, _alike(result.output) if expected[:1] in "{[" else result.output)


def _alike(output: str) -> str:
    try:
        return text_of(json.loads(output)) or output
    except (ValueError, RecursionError):
        return output


def compare_texts(old: str, new: str) -> Comparing:
    """What differs between the texts."""
    if old == new:
        return Comparing(is_same=True)
    if len(old) + len(new) > LONGEST_COMPARED:
        return Comparing(is_long=True)
    return Comparing(tuple(hunks_of(text_pieces(old, new))))


def _asked(run: EvalRun, result: Result) -> conversation.Conversation:
    """What was sent for the example: the frozen prompt with its values in place, or else the example's own input."""
    example = result.example
    given = Given(example.variables, example.messages, example.tools, example.context)
    content = _quickly_rendered(run)
    if content is not None:
        try:
            messages = request_for(content, run.parameters, given).messages
        except DomainError:
            pass  # the prompt cannot take these values, which the result says itself
        else:
            return conversation.read(list(messages), None, kind="llm")
    return conversation.read(example.messages or example.variables or None, None, kind="llm")


def _quickly_rendered(run: EvalRun) -> Content | None:
    """The frozen content; None for one that another process would have to render, and where there is none."""
    content = None if run.content is None else content_from_dict(run.content)
    return None if content is None or content.syntax is Syntax.JINJA else content


@dataclass(frozen=True, slots=True)
class Links:
    """Where one may go from a result; empty where there is no such page."""

    trace: str
    playground: str
    example: str


def _links(project: Project, run: EvalRun, line: ResultLine) -> Links:
    result = line.result
    span = {"trace": result.trace_id, "span": result.span_id}
    trace = _page("trace", project=project.slug, trace_id=result.trace_id) if result.trace_id else ""
    moment = {"at": result.started_at.isoformat()} if result.started_at is not None else {}
    playground = _page("playground", project=project.slug)
    prompt = {"prompt": run.prompt_name, "version": run.prompt_version}
    asked = span if result.trace_id else prompt if run.version_id else {}
    return Links(
        trace=f"{trace}?{urlencode({**moment, 'span': result.span_id})}" if trace else "",
        playground=f"{playground}?{urlencode(asked)}" if playground and asked else "",
        example=_page("eval_example", project=project.slug, slug=run.eval_set.slug, key=line.key),
    )


def _page(name: str, **kwargs: Any) -> str:
    try:
        return reverse(name, kwargs=kwargs)
    except NoReverseMatch:
        return ""


# --- One example over runs ----------------------------------------------------------------------------------


@project_page()
def example_results(request: ProjectRequest, project: Project, slug: str, key: str) -> HttpResponse:
    """How did this example do, run by run?"""
    eval_set = sets.get_set(project, slug)
    context: dict[str, Any] = {
        "project": project,
        "tab": "runs",
        "eval_set": eval_set,
        "key": key,
        "history": results.history_of(eval_set, key),
        "example_url": _page("eval_example", project=project.slug, slug=slug, key=key),
    }
    return page_or_fragment(request, "evals/result_history.html", "evals/_example_results.html", context)
