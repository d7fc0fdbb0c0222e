"""Pages of the review queue, and what stands about reviews beside a trace."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.clock import floor_day, zone_named
from apps.core.errors import DomainError, NotFound
from apps.core.http import page_or_fragment
from apps.core.periods import read_moment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.telemetry import conversation
from apps.telemetry.addresses import Choice, Option
from apps.telemetry.models import ReviewItem
from apps.telemetry.review_forms import DecisionForm, FlagForm, NoteForm, RuleForm
from apps.telemetry.selectors import review as selectors
from apps.telemetry.selectors.lookup import start_of_trace
from apps.telemetry.selectors.review import WAITING, QueueFilter, QueueState
from apps.telemetry.selectors.scores import scores_of_trace
from apps.telemetry.services import review as services
from apps.telemetry.services import review_rules

PAGE_SIZE = 50
STATUSES = (WAITING, *ReviewItem.Status.values, "all")
FILTERS = ("status", "assignee", "reason", "feature")


# --- The queue ----------------------------------------------------------------------------------------------


@project_page()
def review(request: ProjectRequest, project: Project) -> HttpResponse:
    """What waits for a person? Leads to the first item, or says that there is none."""
    first = selectors.next_item(project.pk, _filter(request), None)
    if first is not None:
        return redirect(_address(request, project, first))
    return _shown(request, project, None)


@project_page(unsafe=Role.EDITOR)
def review_item(request: ProjectRequest, project: Project, item: UUID) -> HttpResponse:
    """One case beside the queue; sending the form decides it and leads to the next."""
    found = selectors.get_item(project.pk, item)
    if request.method != "POST":
        return _shown(request, project, found)
    form = DecisionForm(request.POST)
    if form.is_valid():
        try:
            services.decide(
                item=found,
                project=project,
                decision=services.Decision(**form.cleaned_data),
                user=request.user,
                actor=request.actor,
                now=clock.now(),
            )
        except DomainError as error:
            show_error(form, error)
            found = selectors.get_item(project.pk, item)
        else:
            return _onward(request, project, found)
    return _shown(request, project, found, form=form)


@project_page(role=Role.EDITOR)
@require_POST
def review_claim(request: ProjectRequest, project: Project, item: UUID) -> HttpResponse:
    """Take the item."""
    found = selectors.get_item(project.pk, item)
    try:
        services.claim(item=found, user=request.user, now=clock.now())
    except DomainError as error:
        messages.warning(request, error.text)
    return redirect(_address(request, project, item))


@project_page(role=Role.EDITOR)
@require_POST
def review_skip(request: ProjectRequest, project: Project, item: UUID) -> HttpResponse:
    """Leave the item for later or for somebody else, and go on to the next."""
    found = selectors.get_item(project.pk, item)
    services.release(item=found, user=request.user)
    return _onward(request, project, found)


@project_page(role=Role.REVIEWER)
@require_POST
def review_free(request: ProjectRequest, project: Project, item: UUID) -> HttpResponse:
    """Take the item away from whoever has it."""
    found = selectors.get_item(project.pk, item)
    try:
        services.reassign(item=found, project=project, actor=request.actor, now=clock.now())
    except DomainError as error:
        messages.warning(request, error.text)
    return redirect(_address(request, project, item))


@project_page(role=Role.EDITOR)
@require_POST
def review_dismiss(request: ProjectRequest, project: Project) -> HttpResponse:
    """Close the chosen items without a verdict."""
    chosen = [uuid for text in request.POST.getlist("item")[:500] if (uuid := _uuid(text)) is not None]
    closed = services.dismiss(project=project, uuids=chosen, user=request.user, actor=request.actor, now=clock.now())
    kept = len(set(chosen)) - closed
    if kept:
        text = _("%(count)s were left: somebody else is at them, or they were decided already.")
        messages.warning(request, text % {"count": kept})
    if len(chosen) == 1 and closed:
        return _onward(request, project, selectors.get_item(project.pk, chosen[0]))
    return redirect(_address(request, project))


@project_page(role=Role.EDITOR)
@require_POST
def review_note(request: ProjectRequest, project: Project, item: UUID) -> HttpResponse:
    """Write a note on the item's trace."""
    found = selectors.get_item(project.pk, item)
    form = NoteForm(request.POST)
    if not form.is_valid():
        return _shown(request, project, found, note=form)
    _note(request, project, bytes(found.trace_id), bytes(found.span_id), form)
    return redirect(_address(request, project, item))


def _note(request: ProjectRequest, project: Project, trace_id: bytes, span_id: bytes, form: NoteForm) -> None:
    services.add_note(
        project_id=project.pk,
        trace_id=trace_id,
        span_id=span_id,
        text=form.cleaned_data["text"],
        author=request.user,
        author_name=str(request.user),
        now=clock.now(),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _status(request: ProjectRequest) -> str:
    """The status that is chosen: one of STATUSES."""
    status = request.GET.get("status", "")
    return status if status in STATUSES else WAITING


def _status_names() -> dict[str, str]:
    names = {value: str(label).capitalize() for value, label in ReviewItem.Status.choices}
    return {WAITING: _("Waiting"), "all": _("Every status"), **names}


def _filter(request: ProjectRequest) -> QueueFilter:
    params = request.GET
    status = _status(request)
    return QueueFilter(
        status=None if status == "all" else status,
        assignee=request.user.pk if params.get("assignee") == "me" else None,
        reason=params.get("reason") or None,
        feature=params.get("feature") or None,
    )


def _address(request: ProjectRequest, project: Project, item: UUID | None = None) -> str:
    """The address of an item, or of the queue, with the filters that are chosen."""
    kept = request.GET.copy()
    for name in [name for name in kept if name not in FILTERS]:
        del kept[name]
    if item is None:
        url = reverse("review", kwargs={"project": project.slug})
    else:
        url = reverse("review_item", kwargs={"project": project.slug, "item": item})
    return f"{url}?{kept.urlencode()}" if kept else url


def _onward(request: ProjectRequest, project: Project, item: ReviewItem) -> HttpResponse:
    """To the item behind this one."""
    return redirect(_address(request, project, selectors.next_item(project.pk, _filter(request), item)))


def _shown(
    request: ProjectRequest,
    project: Project,
    item: ReviewItem | None,
    *,
    form: DecisionForm | None = None,
    note: NoteForm | None = None,
) -> HttpResponse:
    """The page, or what changes of it; with a form that was refused, as it was typed."""
    queue = _queue(request, project, item)
    context = {
        **queue,
        **(_case(request, project, item, queue) if item else {}),
        "item": item,
        "form": form or DecisionForm(initial=_decided(item)),
        "note": note or NoteForm(),
        "may_decide": request.membership.rank.allows(Role.EDITOR),
        "may_free": request.membership.rank.allows(Role.REVIEWER),
        "page_keys": "telemetry/review_keys.html",
    }
    status = 422 if form is not None or note is not None else 200
    return page_or_fragment(request, "telemetry/review.html", "telemetry/_review.html", context, status=status)


def _decided(item: ReviewItem | None) -> dict[str, str]:
    if item is None:
        return {}
    return {name: getattr(item, name) for name in ("verdict", "failure_label", "correction")}


def _queue(request: ProjectRequest, project: Project, item: ReviewItem | None) -> dict[str, Any]:
    """The list, how far the day's work is, and what the list can be narrowed to."""
    now = clock.now()
    matching = _filter(request)
    state = selectors.state(project.pk, since=_midnight(project, now))
    cursor = request.GET.get("cursor")
    # A long queue is shown from the open item on, a short one whole.
    start = item if item is not None and item.is_waiting and state.progress.waiting > PAGE_SIZE else None
    try:
        page = selectors.queue(project.pk, matching, limit=PAGE_SIZE, cursor=cursor, start=start)
    except selectors.BadCursor:
        page = selectors.queue(project.pk, matching, limit=PAGE_SIZE, start=start)
    return {
        "project": project,
        "now": now,
        "items": page.items,
        "list_title": _status_names()[_status(request)],
        "has_waiting": any(each.is_waiting for each in page.items),
        "next_cursor": page.next_cursor,
        "is_whole": start is None and not cursor and page.next_cursor is None,
        "progress": state.progress,
        "filters": _choices(request, state, matching),
        "labels": state.labels,
        "is_filtered": any(request.GET.get(name) for name in FILTERS),
        "kept": _address(request, project).partition("?")[2],
    }


def _midnight(project: Project, now: datetime) -> datetime:
    """When the project's day began."""
    here = now.astimezone(zone_named(project.timezone))
    return here.replace(hour=0, minute=0, second=0, microsecond=0) if here.tzinfo else floor_day(now)


def _choices(request: ProjectRequest, known: QueueState, matching: QueueFilter) -> list[Choice]:
    status, names = _status(request), _status_names()
    return [
        Choice(
            name="status",
            label=_("Status"),
            every="",
            is_set=status != WAITING,
            options=tuple(
                Option("" if value == WAITING else value, names[value], value == status) for value in STATUSES
            ),
        ),
        Choice(
            name="assignee",
            label=_("Assignee"),
            every=_("Anyone’s"),
            is_set=matching.assignee is not None,
            options=(Option("me", _("Mine"), matching.assignee is not None),),
        ),
        _plain_choice("reason", _("Reason"), _("Every reason"), known.reasons, matching.reason),
        _plain_choice("feature", _("Feature"), _("Every feature"), known.features, matching.feature),
    ]


def _plain_choice(name: str, label: str, every: str, values: list[str], chosen: str | None) -> Choice:
    offered = list(dict.fromkeys([*values, *([chosen] if chosen else [])]))
    options = tuple(Option(value, value, value == chosen) for value in offered)
    return Choice(name=name, label=label, every=every, is_set=chosen is not None, options=options)


def _case(request: ProjectRequest, project: Project, item: ReviewItem, queue: dict[str, Any]) -> dict[str, Any]:
    """What the reviewer looks at, and the way to its neighbors in the list."""
    asked = selectors.content(item.input, item.input_is_json)
    answered = selectors.content(item.output, item.output_is_json)
    before, behind = _neighbors(request, project, item, queue["items"], is_whole=queue["is_whole"])
    judged = scores_of_trace(project.pk, item.trace_hex)
    return {
        "talk": conversation.read(asked, answered, kind=item.kind),
        "notes": selectors.notes_of_trace(project.pk, bytes(item.trace_id)),
        "scores": [score for score in judged if score.source != services.SCORE],
        "next_url": _address(request, project, behind) if behind else "",
        "previous_url": _address(request, project, before) if before else "",
        "is_mine": item.status == ReviewItem.Status.IN_REVIEW and item.assignee_id == request.user.pk,
    }


def _neighbors(
    request: ProjectRequest, project: Project, item: ReviewItem, listed: Sequence[ReviewItem], *, is_whole: bool
) -> tuple[UUID | None, UUID | None]:
    """The items before and behind this one; asked for only where the list does not show them."""
    matching = _filter(request)
    place = next((number for number, each in enumerate(listed) if each.pk == item.pk), None)
    if place is None or not is_whole:
        before = listed[place - 1].uuid if place else selectors.previous_item(project.pk, matching, item)
        has_next = place is not None and place + 1 < len(listed)
        behind = listed[place + 1].uuid if place is not None and has_next else None
        return before, behind or selectors.next_item(project.pk, matching, item)
    others = [each.uuid for each in (*listed[place + 1 :], *listed[:place])]
    return listed[place - 1].uuid if place else None, others[0] if others else None


# --- Beside a trace -----------------------------------------------------------------------------------------


@project_page(unsafe=Role.EDITOR)
def trace_review(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponseBase:
    """Flags and notes of a trace, as a region of its page or as a page of its own."""
    raw_id, span_id = _bytes(trace_id, 16), _bytes(request.GET.get("span", ""), 8) or b""
    if not raw_id:
        raise NotFound()
    flag, note = FlagForm(), NoteForm()
    if request.method == "POST":
        if "reason" in request.POST:
            flag = FlagForm(request.POST)
            done = flag.is_valid() and _flag(request, project, raw_id, span_id, flag)
        else:
            note = NoteForm(request.POST)
            done = note.is_valid()
            if done:
                _note(request, project, raw_id, span_id, note)
        if done:
            return redirect(request.get_full_path())
    items = selectors.items_of_trace(project.pk, raw_id)
    notes = selectors.notes_of_trace(project.pk, raw_id)
    if not items and not notes and start_of_trace(project.pk, trace_id) is None:
        raise Http404
    context = {
        "project": project,
        "trace_id": raw_id.hex(),
        "span_id": span_id.hex(),
        "at": request.GET.get("at", ""),
        "items": items,
        "notes": notes,
        "flag": flag,
        "note": note,
        "reasons": selectors.reasons(project.pk),
        "may_decide": request.membership.rank.allows(Role.EDITOR),
        "url": request.get_full_path(),
    }
    status = 422 if flag.errors or note.errors else 200
    return page_or_fragment(
        request, "telemetry/trace_review.html", "telemetry/_trace_review.html", context, status=status
    )


def _flag(request: ProjectRequest, project: Project, trace_id: bytes, span_id: bytes, form: FlagForm) -> bool:
    """Queue what is looked at; False when the reason was refused, which the form then shows."""
    try:
        services.flag(
            project_id=project.pk,
            trace_id=trace_id,
            span_id=span_id if form.cleaned_data["target"] == "span" else b"",
            reason=form.cleaned_data["reason"],
            source=ReviewItem.Source.PERSON,
            flagged_by=str(request.user),
            at=read_moment(request.GET.get("at")) or start_of_trace(project.pk, trace_id.hex()),
            now=clock.now(),
        )
    except DomainError as error:
        show_error(form, error)
        return False
    return True


def _bytes(text: str, length: int) -> bytes | None:
    """The id behind hexadecimal text; None when it is none."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        return None
    return raw if len(raw) == length else None


# --- Rules --------------------------------------------------------------------------------------------------


@project_page(unsafe=Role.EDITOR)
def review_rules_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is queued by itself, with a form for another rule."""
    form = RuleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            review_rules.add_rule(
                project=project, rule=review_rules.NewRule(**_rule(form)), actor=request.actor, now=clock.now()
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("From now on, %(name)s is queued.") % {"name": form.cleaned_data["name"]})
            return redirect("review_rules", project=project.slug)
    context = {
        "project": project,
        "form": form,
        "rules": selectors.rules(project.pk),
        "may_change": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "telemetry/review_rules.html", context, status=422 if form.errors else 200)


def _rule(form: RuleForm) -> dict[str, Any]:
    return dict(form.cleaned_data)


@project_page(role=Role.EDITOR)
@require_POST
def review_rule_remove(request: ProjectRequest, project: Project, rule: UUID) -> HttpResponse:
    """Stop queueing by this rule; what it queued stays."""
    found = selectors.get_rule(project.pk, rule)
    review_rules.remove_rule(rule=found, project=project, actor=request.actor, now=clock.now())
    messages.success(request, _("%(name)s queues nothing any more.") % {"name": found.name})
    return redirect("review_rules", project=project.slug)
