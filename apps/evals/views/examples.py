"""Pages of one example: as it is with its history, written and edited, and made of a trace, a review or an answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.evals import example_words as words
from apps.evals.examples import ExampleBody
from apps.evals.models import EvalSet, Example
from apps.evals.selectors import examples, prefills, sets
from apps.evals.selectors.examples import KeyChange
from apps.evals.selectors.prefills import Prefill
from apps.evals.services import sets as services
from apps.evals.services.set_changes import Add, Changes, Replace, body_of, new_key
from apps.evals.set_forms import ORIGINS, STATES, AddForm, ExampleForm, example_values
from apps.evals.types import ReviewState
from apps.evals.views.sets import STATE_LOOKS, set_frame, shown_change
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role

HISTORY_SHOWN = 20


def _address(project: Project, slug: str, key: str) -> str:
    return reverse("eval_example", kwargs={"project": project.slug, "slug": slug, "key": key})


def _results_url(project: Project, slug: str, key: str) -> str:
    """Where the example's results are shown; empty while there is no such page."""
    try:
        return reverse("example_results", kwargs={"project": project.slug, "slug": slug, "key": key})
    except NoReverseMatch:
        return ""


@project_page()
def example_page(request: ProjectRequest, project: Project, slug: str, key: str) -> HttpResponse:
    """What does the example say, since when, and what became of it in runs?"""
    found = sets.get_set(project, slug)
    rows = examples.history_of(found, key, limit=HISTORY_SHOWN + 1)
    if not rows:
        raise NotFound
    row = rows[0]
    body = body_of(row)
    context = {
        **set_frame(request, project, found, "examples"),
        "row": row,
        "is_there": row.until is None,
        "state": dict(STATES)[row.state],
        "look": STATE_LOOKS[row.state],
        "origin": dict(ORIGINS)[row.origin],
        "variables": [(name, words.cut(words.text_of(value))) for name, value in body.variables.items()],
        "said": words.message_texts(body),
        "expected": words.cut(words.text_of(body.expected)),
        "documents": [(str(one.get("title") or one["id"]), words.cut(one["content"])) for one in body.context],
        "tools": words.cut(words.text_of(list(body.tools))) if body.tools else "",
        "metadata": [(name, words.cut(words.text_of(value))) for name, value in body.metadata.items()],
        "history": _history(rows),
        "results_url": _results_url(project, slug, key),
    }
    return render(request, "evals/example.html", context)


def _history(rows: list[Example]) -> list[tuple[Example, Any]]:
    """The rows, newest first, each with what was different from the one before."""
    lines: list[tuple[Example, Any]] = []
    for at, row in enumerate(rows[:HISTORY_SHOWN]):
        before = rows[at + 1] if at + 1 < len(rows) and rows[at + 1].until == row.since else None
        lines.append((row, shown_change(KeyChange(row.key, before, row))))
    return lines


# --- Writing ------------------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def example_new(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Write an example by hand."""
    found = sets.get_set(project, slug)
    form = ExampleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (body := form.body()) is not None:
        typed = form.cleaned_data
        add = Add(body, key=typed["key"] or new_key(), state=ReviewState(typed["state"]), note=typed["note"])
        try:
            services.change_examples(eval_set=found, changes=Changes(adds=(add,)), actor=request.actor, now=clock.now())
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The example is in the set."))
            return redirect(_address(project, slug, add.key))
    return _form_page(request, project, found, form, None)


@project_page(role=Role.EDITOR)
def example_edit(request: ProjectRequest, project: Project, slug: str, key: str) -> HttpResponse:
    """Change an example. Its earlier states stay with the revisions that hold them."""
    found = sets.get_set(project, slug)
    row = examples.get_example(found, key)
    first = {**example_values(body_of(row), state=row.state, note=row.note), "key": row.key, "base": row.since}
    form = ExampleForm(request.POST if request.method == "POST" else None, initial=first)
    if request.method == "POST" and form.is_valid() and (body := form.body()) is not None:
        typed = form.cleaned_data
        # What was stored with CR and LF comes back from a browser as it went, but for its line ends.
        change = Replace(
            key, body=body, state=ReviewState(typed["state"]), note=typed["note"], base=typed["base"] or row.since
        )
        try:
            services.change_examples(
                eval_set=found, changes=Changes(replaces=(change,)), actor=request.actor, now=clock.now()
            )
        except DomainError as error:
            form.refuse(error)
        else:
            messages.success(request, _("Saved."))
            return redirect(_address(project, slug, key))
    return _form_page(request, project, found, form, row)


def _form_page(
    request: ProjectRequest, project: Project, eval_set: EvalSet, form: ExampleForm, row: Example | None
) -> HttpResponse:
    context = {**set_frame(request, project, eval_set, "examples"), "form": form, "row": row}
    return render(request, "evals/example_form.html", context, status=422 if form.errors else 200)


@project_page(role=Role.EDITOR)
@require_POST
def example_remove(request: ProjectRequest, project: Project, slug: str, key: str) -> HttpResponse:
    """Take an example out of the set. Earlier revisions still hold it."""
    found = sets.get_set(project, slug)
    try:
        services.change_examples(eval_set=found, changes=Changes(removes=(key,)), actor=request.actor, now=clock.now())
    except DomainError as error:
        messages.error(request, error.text)
        return redirect(_address(project, slug, key))
    messages.success(request, _("The example is out of the set. Earlier revisions still hold it."))
    return redirect("eval_set", project=project.slug, slug=slug)


# --- Made of something --------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def example_add(request: ProjectRequest, project: Project) -> HttpResponse:
    """Make an example of a call in a trace, of a reviewed answer, or of an answer of the playground."""
    prefill = _prefill(request, project)
    choosable = sets.choosable_sets(project)
    there = examples.made_of_trace(project, prefill.trace_id) if prefill.trace_id else []
    fitting = next((one.slug for one in choosable if prefill.feature and one.feature == prefill.feature), None)
    first = {
        **example_values(prefill.body, note=prefill.note),
        "eval_set": fitting or (choosable[0].slug if choosable else "-new"),
    }
    form = AddForm(request.POST if request.method == "POST" else None, initial=first, sets=choosable)
    if request.method == "POST" and form.is_valid() and (body := form.body()) is not None:
        chosen = form.chosen()
        slugs = {one.set_slug for one in there if one.span_id == prefill.span_id}
        if chosen is not None and chosen.slug in slugs and not form.cleaned_data["again"]:
            form.add_error("again", _("This set has an example of this call already. Tick this to add another one."))
        else:
            try:
                return redirect(_added(request, project, form, body, prefill))
            except DomainError as error:
                form.refuse(error)
    context = {"project": project, "form": form, "prefill": prefill, "there": there, "has_sets": bool(choosable)}
    return render(request, "evals/example_add.html", context, status=422 if form.errors else 200)


def _prefill(request: ProjectRequest, project: Project) -> Prefill:
    """The example that the address asks for. Raises NotFound."""
    asked = request.GET
    try:
        if asked.get("review"):
            return prefills.of_review(project, UUID(asked["review"]))
        if asked.get("answer"):
            return prefills.of_answer(project, UUID(asked["answer"]))
    except ValueError as error:
        raise NotFound from error
    return prefills.of_trace(project, asked.get("trace", ""), asked.get("span", ""))


def _added(request: ProjectRequest, project: Project, form: AddForm, body: ExampleBody, prefill: Prefill) -> str:
    """Add the example, to a new set if one is named, and say where it is."""
    typed = form.cleaned_data
    add = Add(
        body,
        key=typed["key"] or new_key(),
        state=ReviewState(typed["state"]),
        origin=prefill.origin,
        trace_id=prefill.trace_id,
        span_id=prefill.span_id,
        note=typed["note"],
    )
    actor, now = request.actor, clock.now()
    chosen = form.chosen()
    if chosen is None:
        name, feature = typed["new_name"], prefill.feature
        chosen = services.begin_set(project=project, name=name, feature=feature, add=add, actor=actor, now=now)
    else:
        services.change_examples(eval_set=chosen, changes=Changes(adds=(add,)), actor=actor, now=now)
    messages.success(request, _("The example is in %(name)s.") % {"name": chosen.name})
    return _address(project, chosen.slug, add.key)
