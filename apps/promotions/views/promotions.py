"""Pages of promotions: the list, asking, one with its decision, and the part of a prompt's page."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from allauth.core.exceptions import ReauthenticationRequired
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.accounts.reauthentication import is_fresh
from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment, wants_fragment
from apps.evals.selectors.runs import prompt_names
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.selectors import list_environments
from apps.projects.types import Role
from apps.promotions import deciding as deciding_rules
from apps.promotions.models import Promotion
from apps.promotions.promotion_forms import (
    AskForm,
    CommentForm,
    DecideForm,
    FilterForm,
    FollowUpForm,
    OverrideForm,
)
from apps.promotions.promotion_words import words_of
from apps.promotions.selectors import decisions as decision_selectors
from apps.promotions.selectors import evidence, promotion_facts, wishes
from apps.promotions.selectors import promotions as selectors
from apps.promotions.services import asking, deciding, overriding
from apps.promotions.types import PromotionKind, PromotionOrigin, PromotionState, Purpose
from apps.prompts.selectors import get_prompt, get_version
from apps.prompts.selectors.versions import get_environment


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    rank = request.membership.rank
    return {
        "project": project,
        "tab": "promotions",
        "may_ask": rank.allows(Role.EDITOR),
        "may_review": rank.allows(Role.REVIEWER),
    }


# --- The list -----------------------------------------------------------------------------------------------


@project_page()
@require_safe
def promotions_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What waits for me, what for others, and what was decided?"""
    prompts, places = selectors.list_choices(project)
    form = FilterForm(request.GET or None, prompts=prompts, environments=places)
    where = form.where() if form.is_valid() else selectors.PromotionFilter()
    before = form.cleaned_data.get("before") if form.is_bound and form.is_valid() else None
    opens = [] if before else selectors.list_open(project, where, request.membership)
    ended, following = selectors.list_ended(project, where, before=before)
    sections = _sections(opens)
    context = {
        **_frame(request, project),
        "form": form,
        "where": where,
        "sections": sections,
        "is_checking": any(line.state is PromotionState.CHECKING for line in opens),
        "ended": ended,
        "next": following,
        "before": before,
    }
    if not opens and not ended and where.is_empty and not before:
        context |= {"is_empty": True, "curl": _curl(request, project, list_environments(project))}
    return page_or_fragment(request, "promotions/promotions.html", "promotions/_promotions_open.html", context)


def _sections(opens: list[selectors.PromotionLine]) -> list[tuple[str, list[selectors.PromotionLine]]]:
    """The open ones under their headings, those that wait for the reader first."""
    waiting = [line for line in opens if line.state is PromotionState.WAITING]
    sections = [
        (_("Waiting for you"), [line for line in waiting if line.is_mine]),
        (_("Waiting for others"), [line for line in waiting if not line.is_mine]),
        (_("Being checked"), [line for line in opens if line.state is PromotionState.CHECKING]),
        (_("Refused by a gate"), [line for line in opens if line.state is PromotionState.REFUSED]),
    ]
    return [(title, lines) for title, lines in sections if lines]


def _curl(request: ProjectRequest, project: Project, places: list[Any]) -> str:
    """The request that asks for the first promotion, with names that the project has."""
    prompts = prompt_names(project)
    name = prompts[0] if prompts else "support/answer"
    place = next((one.slug for one in places if one.is_protected), "production")
    told = f'{{"prompt": "{name}", "version": "latest", "environment": "{place}", "why": "Fewer wrong refunds"}}'
    return (
        f"curl -X POST {request.build_absolute_uri('/api/v1/promotions')} \\\n"
        f'  -H "Authorization: Bearer $PRODWORTHY_KEY" \\\n'
        f'  -H "Content-Type: application/json" \\\n'
        f"  -d '{told}'"
    )


# --- Asking -------------------------------------------------------------------------------------------------


@project_page(unsafe=Role.EDITOR)
def promotion_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """What shall go live, what would it take, and what would change?"""
    told = request.POST if request.method == "POST" else request.GET
    form = AskForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = _ask(request, project, form.cleaned_data)
        except DomainError as error:
            show_error(form, error)
        else:
            return redirect("promotion", project=project.slug, number=made.number)
    names = ("prompt", "version", "environment", "model")
    wish = wishes.read_wish(project, {name: told.get(name, "") for name in names}, now=clock.now())
    is_for_experiment = told.get("purpose") == Purpose.EXPERIMENT.value
    context = {
        **_frame(request, project),
        "form": form,
        "wish": wish,
        "why": told.get("why", ""),
        "is_for_experiment": is_for_experiment,
    }
    return render(request, "promotions/promotion_new.html", context, status=422 if form.errors else 200)


def _ask(request: ProjectRequest, project: Project, told: dict[str, Any]) -> Promotion:
    prompt = get_prompt(project, told["prompt"])
    return asking.ask(
        prompt=prompt,
        version=get_version(prompt, told["version"]),
        environment=get_environment(project, told["environment"]),
        actor=request.actor,
        person=request.user,
        now=clock.now(),
        model=told["model"],
        why=told["why"],
        purpose=Purpose(told["purpose"] or Purpose.LIVE.value),
        origin=PromotionOrigin.PAGE,
    )


@project_page(role=Role.EDITOR)
@require_safe
def promotion_runs(request: ProjectRequest, project: Project) -> HttpResponse:
    """Which runs would asking start, and what would they cost?"""
    names = ("prompt", "version", "environment", "model")
    wish = wishes.read_wish(project, {name: request.GET.get(name, "") for name in names}, now=clock.now())
    runs = wishes.runs_of(wish, author=request.user, now=clock.now())
    return render(request, "promotions/_promotion_runs.html", {"project": project, "runs": runs})


# --- One promotion ------------------------------------------------------------------------------------------


@project_page()
@require_safe
def promotion_page(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Shall I approve? Afterwards: what happened?"""
    promotion = selectors.get_promotion(project, number, used_until=clock.now())
    if wants_fragment(request):
        return _progress(request, project, promotion)
    return _show(request, project, promotion)


def _progress(request: ProjectRequest, project: Project, promotion: Promotion) -> HttpResponse:
    """How far its runs are; the whole page anew once they ended."""
    context = {"project": project, "promotion": promotion, "checks": selectors.list_checks(promotion)}
    response = render(request, "promotions/_promotion_checks.html", context)
    if promotion.state != PromotionState.CHECKING.value:
        response["HX-Refresh"] = "true"
    return response


@project_page()
@require_safe
def promotion_holds(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Does what it was judged by still hold?"""
    promotion = selectors.get_promotion(project, number)
    is_waiting = promotion.state == PromotionState.WAITING.value
    problems = evidence.evidence_problems(promotion) if is_waiting else ()
    context = {"project": project, "promotion": promotion, "problems": problems}
    return render(request, "promotions/_promotion_holds.html", context)


def _show(
    request: ProjectRequest, project: Project, promotion: Promotion, *, status: int = 200, **forms: Any
) -> HttpResponse:
    checks, trail = selectors.list_checks(promotion), selectors.trail_of(promotion)
    standing = selectors.standing_in(request.membership, trail)
    problem = deciding_rules.why_not(decision_selectors.case_of(promotion), standing)
    facts = promotion_facts.facts_of(promotion, checks, trail, standing, may_decide=problem is None)
    state = PromotionState(promotion.state)
    is_asker = promotion.requester_id == request.user.pk
    context = {
        **_frame(request, project),
        "promotion": promotion,
        "asker": promotion_facts.asker_of(promotion),
        "words": words_of(facts),
        "facts": facts,
        "state": state.value,
        "is_open": state.is_open,
        "is_override": promotion.kind == PromotionKind.OVERRIDE.value,
        "checks": checks,
        "trail": [line for line in trail if line.what != "decision"],
        "decisions": [line for line in trail if line.what == "decision"],
        "may_decide": problem is None,
        "why_not": problem if state is PromotionState.WAITING else "",
        "may_withdraw": state.is_open and (is_asker or request.membership.rank.allows(Role.ADMIN)),
        "is_for_experiment": promotion.purpose == Purpose.EXPERIMENT.value,
        "calls_a_day": selectors.calls_a_day(promotion),
        "undo_ms": promotion_facts.undo_ms(promotion),
        "ask_again": _again(project, promotion),
        **promotion_facts.changes_of(promotion, split=request.GET.get("as") == "split"),
        "figures": promotion_facts.figures_of(checks),
        "decide_form": DecideForm(),
        "comment_form": CommentForm(),
        "override_form": OverrideForm(),
        "follow_up_form": FollowUpForm(),
        **forms,
    }
    return render(request, "promotions/promotion.html", context, status=status)


def _again(project: Project, promotion: Promotion) -> str:
    """The page on which the same is asked for anew."""
    told = {
        "prompt": promotion.prompt.name,
        "version": str(promotion.version.number),
        "environment": promotion.environment.slug,
        "model": promotion.model,
    }
    return f"{reverse('promotion_new', kwargs={'project': project.slug})}?{urlencode(told)}"


@project_page(role=Role.EDITOR)
@require_POST
def promotion_decide(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Approve, reject, take back, or check again. Approving asks who it is, where that was not proved lately."""
    promotion = selectors.get_promotion(project, number, used_until=clock.now())
    form = DecideForm(request.POST)
    if not form.is_valid():
        return _show(request, project, promotion, status=422, decide_form=form)
    decision, reason = form.cleaned_data["decision"], form.cleaned_data["reason"]
    if decision == "approve" and not is_fresh(request):
        raise ReauthenticationRequired
    try:
        said, number = _decide(request, promotion, decision, reason)
    except DomainError as error:
        if error.http_status == 422:
            show_error(form, error)
            return _show(request, project, promotion, status=422, decide_form=form)
        messages.error(request, error.text)
    else:
        messages.success(request, said)
    return redirect("promotion", project=project.slug, number=number)


def _decide(request: ProjectRequest, promotion: Promotion, decision: str, reason: str) -> tuple[str, int]:
    """Do it; what happened, and the number to go on with. What is void is asked for anew, by another number."""
    acting: Any = {"promotion": promotion, "actor": request.actor, "person": request.user, "now": clock.now()}
    if decision == "check":
        return _("It is checked again."), asking.recheck(**acting).number
    if decision == "reject":
        deciding.reject(**acting, reason=reason)
        return _("It is rejected, with your reason."), promotion.number
    if decision == "withdraw":
        deciding.withdraw(**acting, reason=reason)
        return _("It is withdrawn."), promotion.number
    done = deciding.approve(**acting, reason=reason)
    if done.state == PromotionState.LIVE.value:
        return _("It is live. Every process serves it within five seconds."), done.number
    if done.state == PromotionState.APPROVED.value:
        return _("It is approved, and may be an arm of an experiment."), done.number
    return _("Your approval counts. More are needed."), done.number


@project_page(role=Role.EDITOR)
@require_POST
def promotion_comment(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Write something about it."""
    promotion = selectors.get_promotion(project, number, used_until=clock.now())
    form = CommentForm(request.POST)
    if form.is_valid():
        try:
            deciding.comment(promotion=promotion, actor=request.actor, now=clock.now(), text=form.cleaned_data["text"])
        except DomainError as error:
            show_error(form, error)
        else:
            return redirect(f"{_address(project, number)}#history")
    return _show(request, project, promotion, status=422, comment_form=form)


@project_page(role=Role.REVIEWER)
@require_POST
def promotion_override(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Ask for the same candidate to go live without its gates: an emergency that two people answer for."""
    promotion = selectors.get_promotion(project, number, used_until=clock.now())
    form = OverrideForm(request.POST)
    if form.is_valid():
        try:
            made = overriding.ask_override(
                prompt=promotion.prompt,
                version=promotion.version,
                environment=promotion.environment,
                actor=request.actor,
                person=request.user,
                now=clock.now(),
                why=form.cleaned_data["why"],
                model=promotion.model,
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("It waits for an admin. A review is due afterwards."))
            return redirect(_address(project, made.number))
    return _show(request, project, promotion, status=422, override_form=form)


@project_page(role=Role.REVIEWER)
@require_POST
def promotion_follow_up(request: ProjectRequest, project: Project, number: int) -> HttpResponse:
    """Sign the review that an override owes."""
    promotion = selectors.get_promotion(project, number, used_until=clock.now())
    follow_up = promotion_facts.follow_up_of(promotion)
    form = FollowUpForm(request.POST)
    if form.is_valid():
        try:
            overriding.sign_follow_up(
                follow_up=follow_up,
                actor=request.actor,
                person=request.user,
                now=clock.now(),
                finding=form.cleaned_data["finding"],
            )
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The review is signed."))
            return redirect(_address(project, number))
    return _show(request, project, promotion, status=422, follow_up_form=form)


def _address(project: Project, number: int) -> str:
    return reverse("promotion", kwargs={"project": project.slug, "number": number})


# --- The part of a prompt's page ----------------------------------------------------------------------------


@project_page()
@require_safe
def prompt_promotions(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What is asked for of this prompt, and what was decided last?"""
    found = get_prompt(project, prompt)
    context = {**_frame(request, project), "prompt": found, "lines": selectors.promotions_of(found)}
    return page_or_fragment(
        request, "promotions/promotions_of_prompt.html", "promotions/_prompt_promotions.html", context
    )
