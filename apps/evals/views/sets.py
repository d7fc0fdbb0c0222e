"""Pages of eval sets: the list, one set with its examples, its revisions, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment
from apps.evals import example_words as words
from apps.evals.models import EvalSet, Example, Revision
from apps.evals.selectors import examples, sets
from apps.evals.selectors.examples import ExampleFilter, KeyChange
from apps.evals.services import sets as services
from apps.evals.services.set_changes import Changes, StateChange, body_of
from apps.evals.set_forms import ORIGINS, STATES, ExamplesForm, ReviewForm, SetForm, SetsForm, set_values
from apps.evals.types import ReviewState
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role

REVISIONS_ON_A_PAGE = 50
CHANGES_ON_A_PAGE = 20
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
STATE_LOOKS = {"approved": "pass", "rejected": "off", "draft": "warn"}


def may_write(request: ProjectRequest) -> bool:
    """Whether the person may change sets and examples."""
    return request.membership.rank.allows(Role.EDITOR)


# --- The list -----------------------------------------------------------------------------------------------


@project_page()
def sets_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What do we hold our features to, and is it enough?"""
    form = SetsForm(request.GET)
    chosen = form.cleaned_data if form.is_valid() else {"q": "", "archived": False, "after": ""}
    page = sets.list_sets(project, text=chosen["q"], with_archived=bool(chosen["archived"]), after=chosen["after"])
    context = {
        "project": project,
        "tab": "sets",
        "page": page,
        "chosen": chosen,
        "is_empty": not page.items and not any(chosen.values()),
        "may_write": may_write(request),
        "curl": _curl(request),
    }
    return render(request, "evals/sets.html", context)


def _own_address(request: ProjectRequest) -> str:
    """Where programs ask: the configured address, or on one's own machine the one that the browser used."""
    if urlsplit(settings.PUBLIC_URL).hostname in LOCAL_HOSTS:
        return f"{request.scheme}://{request.get_host()}"
    return str(settings.PUBLIC_URL)


def _curl(request: ProjectRequest, slug: str = "support-golden") -> str:
    """How a program makes a set and puts an example into it."""
    head = '-H "Authorization: Bearer $KEY" -H "Content-Type: application/json"'
    address = f"{_own_address(request)}/api/v1/eval-sets"
    return (
        f'curl {address} \\\n  {head} \\\n  -d \'{{"name": "Support golden"}}\'\n'
        f"curl {address}/{slug}/examples \\\n  {head} \\\n"
        '  -d \'{"variables": {"question": "Where is my parcel?"}, "expected": "Ask for the order number."}\''
    )


@project_page(role=Role.EDITOR)
def set_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Name a set, then fill it."""
    form = SetForm(
        request.POST if request.method == "POST" else None, initial={"feature": request.GET.get("feature", "")}
    )
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        try:
            made = services.create_set(
                project=project, name=typed["name"], settings=form.change(), actor=request.actor, now=clock.now()
            )
        except DomainError as error:
            show_error(form, error)
        else:
            return redirect("eval_set", project=project.slug, slug=made.slug)
    context = {"project": project, "tab": "sets", "form": form}
    return render(request, "evals/set_new.html", context, status=422 if form.errors else 200)


# --- One set ------------------------------------------------------------------------------------------------


def set_frame(request: ProjectRequest, project: Project, eval_set: EvalSet, tab: str) -> dict[str, Any]:
    """What every page of the set shows around itself."""
    return {
        "project": project,
        "eval_set": eval_set,
        "revision": sets.newest_revision(eval_set),
        "set_tab": tab,
        "may_write": may_write(request),
    }


@dataclass(frozen=True, slots=True)
class ExampleLine:
    """An example as the table shows it."""

    key: str
    asks: str
    expects: str
    slices: list[str]
    state: str
    look: str
    origin: str
    by: str
    at: datetime


def _line(row: Example) -> ExampleLine:
    return ExampleLine(
        key=row.key,
        asks=words.input_gist(getattr(row, "short_variables", None), getattr(row, "short_messages", None)),
        expects=words.gist(getattr(row, "short_expected", None)),
        slices=row.slices,
        state=str(dict(STATES)[row.state]),
        look=STATE_LOOKS[row.state],
        origin=str(dict(ORIGINS)[row.origin]),
        by=row.author_name,
        at=row.made_at,
    )


def _filter(form: ExamplesForm) -> ExampleFilter:
    typed = form.cleaned_data
    return ExampleFilter(state=typed["state"], slice=typed["slice"], text=typed["q"], origin=typed["origin"])


@project_page()
def set_page(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Which examples does the set hold, and who stands behind them?"""
    found = sets.get_set(project, slug)
    form = ExamplesForm(request.GET)
    is_valid = form.is_valid()
    where = _filter(form) if is_valid else ExampleFilter()
    before = form.cleaned_data["before"] if is_valid else None
    page = examples.newest_examples(found, where=where, before=before)
    context = {
        **set_frame(request, project, found, "examples"),
        "where": where,
        "lines": [_line(row) for row in page.items],
        "next": page.next,
        "is_first": before is None,
        "is_empty": not page.items and where.is_empty and before is None,
        "states": STATES,
        "origins": ORIGINS,
        "curl": _curl(request, found.slug),
    }
    return page_or_fragment(request, "evals/set.html", "evals/_set_examples.html", context)


@project_page(role=Role.EDITOR)
@require_POST
def set_review(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Approve, reject or make drafts of the examples that are ticked, or of all that the filter finds."""
    found = sets.get_set(project, slug)
    form, chosen = ReviewForm(request.POST), ExamplesForm(request.GET)
    back = redirect(f"{reverse('eval_set', kwargs={'project': project.slug, 'slug': slug})}?{request.GET.urlencode()}")
    if not form.is_valid() or not chosen.is_valid():
        messages.error(request, _("Choose what the examples shall be."))
        return back
    typed, state = form.cleaned_data, ReviewState(form.cleaned_data["state"])
    keys = tuple(request.POST.getlist("key"))
    if not keys and not typed["everything"]:
        messages.error(request, _("Tick the examples that are meant."))
        return back
    change = StateChange(state, where=_filter(chosen)) if typed["everything"] else StateChange(state, keys=keys)
    try:
        revision = services.change_examples(
            eval_set=found, changes=Changes(states=(change,)), actor=request.actor, now=clock.now()
        )
    except DomainError as error:
        messages.error(request, error.text)
        return back
    if revision.number == found.head:
        messages.info(request, _("They already are so."))
    else:
        said = ngettext(
            "%(count)s example is %(state)s now.", "%(count)s examples are %(state)s now.", revision.changed
        )
        messages.success(request, said % {"count": f"{revision.changed:,}", "state": dict(STATES)[state.value]})
    return back


# --- Revisions ----------------------------------------------------------------------------------------------


@project_page()
def set_revisions(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """How did the set become what it is?"""
    found = sets.get_set(project, slug)
    asked = request.GET.get("before", "")
    before = int(asked) if asked.isdecimal() and len(asked) < 10 else None
    revisions = sets.list_revisions(found, before=before, limit=REVISIONS_ON_A_PAGE + 1)
    shown = revisions[:REVISIONS_ON_A_PAGE]
    context = {
        **set_frame(request, project, found, "revisions"),
        "revisions": shown,
        "next": shown[-1].number if len(revisions) > len(shown) else None,
        "is_first": before is None,
    }
    return render(request, "evals/set_revisions.html", context)


@dataclass(frozen=True, slots=True)
class ShownChange:
    """What a revision did to one example, with its differences."""

    key: str
    what: str
    asks: str
    state: str
    old_state: str
    fields: list[words.FieldDiff]
    is_there: bool
    by: str


def shown_change(change: KeyChange) -> ShownChange:
    """The change in the words of a page. What was added or removed is named; what changed is set side by side."""
    row = change.new or change.old
    assert row is not None
    old, new = change.old, change.new
    fields = words.differences(body_of(old), body_of(new)) if old is not None and new is not None else []
    return ShownChange(
        key=change.key,
        what=change.what,
        asks=words.input_gist(row.variables, row.messages),
        state=str(dict(STATES)[row.state]),
        old_state=str(dict(STATES)[old.state])
        if old is not None and new is not None and old.state != row.state
        else "",
        fields=fields,
        is_there=new is not None,
        by=row.author_name,
    )


@project_page()
def set_revision(request: ProjectRequest, project: Project, slug: str, number: int) -> HttpResponse:
    """What did this revision change?"""
    found = sets.get_set(project, slug)
    shown: Revision = sets.get_revision(found, number)
    page = examples.changes_of(shown, after=request.GET.get("after", "")[:200], limit=CHANGES_ON_A_PAGE)
    context = {
        **set_frame(request, project, found, "revisions"),
        "shown": shown,
        "changes": [shown_change(one) for one in page.items],
        "next": page.next,
        "is_first": not request.GET.get("after"),
    }
    return render(request, "evals/set_revision.html", context)


# --- Settings -----------------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def set_settings(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """What it is for, what its examples must meet, how many it needs; and taking it off the lists."""
    found = sets.get_set(project, slug)
    action = request.POST.get("do", "") if request.method == "POST" else ""
    form = SetForm(request.POST if action == "change" else None, initial=set_values(found))
    if action in {"archive", "restore"}:
        act = services.archive_set if action == "archive" else services.restore_set
        act(eval_set=found, actor=request.actor, now=clock.now())
        messages.success(request, _("It is off the lists.") if action == "archive" else _("It is back on the lists."))
        return redirect("eval_set_settings", project=project.slug, slug=slug)
    if action == "change" and form.is_valid():
        try:
            services.change_set(eval_set=found, change=form.change(), actor=request.actor, now=clock.now())
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("eval_set_settings", project=project.slug, slug=slug)
    context = {**set_frame(request, project, found, "settings"), "form": form}
    return render(request, "evals/set_settings.html", context, status=422 if form.errors else 200)
