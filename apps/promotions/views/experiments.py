"""Pages of experiments: the list, one with its figures, its form, and what is done with it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError, NotFound
from apps.core.http import page_or_fragment
from apps.core.navigation import address
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import AuditEntry, Environment, Project
from apps.projects.selectors import person_behind
from apps.projects.types import Role
from apps.promotions import experiment_chart, experiment_page
from apps.promotions import experiment_words as words
from apps.promotions.experiment_config import Plan
from apps.promotions.experiment_figures import Figures
from apps.promotions.experiment_forms import SCORE_GUARDS, ActForm, ExperimentForm, NameForm, PlaceForm, initial_of
from apps.promotions.models import Experiment, ExperimentArm, Promotion
from apps.promotions.selectors import experiment_arms as arm_selectors
from apps.promotions.selectors import experiments as selectors
from apps.promotions.services import experiment_drafts as drafts
from apps.promotions.services import experiment_winners as winners
from apps.promotions.services import experiments as services
from apps.promotions.types import ExperimentState
from apps.prompts import selectors as prompts
from apps.prompts.models import Prompt

USUAL: dict[str, Any] = {
    "unit": "user",
    "metric": "score",
    "direction": "up",
    "alpha": "5",
    "ramp": "5, 25, 100",
    "stops_on_mismatch": True,
    **{f"guard-{name}-stops": True for name in ("error_rate", "cost_per_call", "latency_ms")},
    **{f"score-guard-{place}-stops": True for place in range(SCORE_GUARDS)},
}
DONE = {
    "start": _("The experiment is running."),
    "next": _("The share is larger now."),
    "back": _("The share is smaller now."),
    "stop": _("The experiment is stopped. Everybody gets what is live."),
    "finish": _("The winner is named. Everybody gets what is live until it is promoted."),
}


def _frame(request: ProjectRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project,
        "may_write": request.membership.rank.allows(Role.EDITOR),
        "is_reviewer": request.membership.rank.allows(Role.REVIEWER),
    }


# --- The list -----------------------------------------------------------------------------------------------


@project_page()
def experiments_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What is being tried on live traffic, and does it help?"""
    lines = [_line(line) for line in selectors.list_experiments(project)]
    parts = [
        ("running", _("Running"), [one for one in lines if one["line"].state is ExperimentState.RUNNING]),
        ("drafts", _("Drafts"), [one for one in lines if one["line"].state is ExperimentState.DRAFT]),
        ("ended", _("Over"), [one for one in lines if one["line"].experiment.ended_at is not None]),
    ]
    shown = [part for part in parts if part[2]]
    return render(request, "promotions/experiments.html", {**_frame(request, project), "parts": shown})


def _line(line: selectors.ExperimentLine) -> dict[str, Any]:
    experiment = line.experiment
    is_running = line.state is ExperimentState.RUNNING
    return {
        "line": line,
        "sentence": words.headline(
            line.state,
            line.figures,
            winner="" if experiment.winner is None else experiment.winner.name,
            stop_reason=experiment.stop_reason,
        ),
        "progress": words.progress(line.figures, experiment.planned_subjects) if line.figures else "",
        "share": words.share(experiment.ramp[experiment.step]) if is_running else "",
    }


# --- One experiment -----------------------------------------------------------------------------------------


@project_page()
def experiment_detail(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Is it better, can that be trusted, and what comes next?"""
    experiment = selectors.get_experiment(project, slug)
    context = {**_frame(request, project), **_shown(request, experiment)}
    return page_or_fragment(request, "promotions/experiment.html", "promotions/_experiment_body.html", context)


def _shown(request: ProjectRequest, experiment: Experiment) -> dict[str, Any]:
    arms = selectors.arms_of(experiment)
    plan = selectors.plan_of(experiment, arms)
    looks = [look.figures for look in selectors.list_looks(experiment)]
    figures = looks[-1] if looks else None
    sums = selectors.sums_of(experiment)
    facts = [_facts(arm, sums.get(arm.pk)) for arm in arms]
    is_running = experiment.state == ExperimentState.RUNNING.value
    return {
        "experiment": experiment,
        "plan": plan,
        "figures": figures,
        "is_running": is_running,
        "is_draft": experiment.state == ExperimentState.DRAFT.value,
        "headline": words.headline(
            ExperimentState(experiment.state),
            figures,
            winner="" if experiment.winner is None else experiment.winner.name,
            stop_reason=experiment.stop_reason,
        ),
        "arms": experiment_page.arm_lines(plan, facts, figures),
        "metric": words.title_of(plan.primary),
        "better": _("more is better") if plan.primary.is_up else _("less is better"),
        "level": words.share(round(10_000 * (1 - plan.alpha))),
        "courses": experiment_chart.courses(looks),
        "guards": experiment_page.guard_lines(plan, figures),
        "ratio_look": experiment_page.RATIO_LOOKS[figures.sample_ratio.state] if figures else "off",
        "days_left": experiment_page.days_left(figures.planned.days_left) if figures else "",
        "progress": words.progress(figures, experiment.planned_subjects),
        "minimum_words": words.value(experiment.minimum_effect, words.unit_of(plan.primary)),
        "history": [_event(entry) for entry in selectors.list_history(experiment)],
        "promotion": experiment.promotion,
        "promotion_url": _promotion_url(experiment),
        "may_move": _may_move(request, experiment),
        "is_protected": arm_selectors.is_protected(experiment.environment),
        **_ramp(experiment, plan, figures, is_running=is_running),
        **_snippets(request, experiment),
    }


def _event(entry: AuditEntry) -> dict[str, Any]:
    sentence = words.happened(entry.action, entry.details)
    return {"action": entry.action, "sentence": sentence, "by": entry.actor_name, "at": entry.at}


def _facts(arm: ExperimentArm, sums: selectors.ArmSums | None) -> experiment_page.ArmFacts:
    candidate = f"{arm.version.number} on {arm.model}" if arm.model else str(arm.version.number)
    if sums is None:
        return experiment_page.ArmFacts(arm.name, candidate, arm.weight, arm.is_control)
    return experiment_page.ArmFacts(
        arm.name,
        candidate,
        arm.weight,
        arm.is_control,
        subjects=sums.subjects,
        calls=sums.calls,
        stray_calls=sums.stray_calls,
        cost_per_call=sums.cost_per_call,
        latency_ms=sums.latency_ms,
    )


def _ramp(experiment: Experiment, plan: Plan, figures: Figures | None, *, is_running: bool) -> dict[str, Any]:
    at, ramp = experiment.step, experiment.ramp
    following = ramp[at + 1] if at + 1 < len(ramp) else None
    per_day = experiment_page.subjects_per_day(figures, experiment.started_at) if at == 0 else None
    return {
        "steps": experiment_page.steps(ramp, at, is_running=is_running),
        "taking_part": words.taking_part(ramp[at], plan.unit.value),
        "next_share": "" if following is None else words.share(following),
        "next_words": words.ramp_step(ramp[at], following, per_day),
        "back_share": words.share(ramp[at - 1]) if at else "",
    }


def _snippets(request: HttpRequest, experiment: Experiment) -> dict[str, str]:
    home = f"{request.scheme}://{request.get_host()}"
    told = (home, experiment.prompt.name, experiment.environment.slug, experiment.unit)
    return {"curl": experiment_page.curl_snippet(*told), "python": experiment_page.python_snippet(*told)}


def _promotion_url(experiment: Experiment) -> str:
    place = address("promotions", experiment.project.slug)
    return f"{place}/{experiment.promotion.number}" if place and experiment.promotion else ""


def _may_move(request: ProjectRequest, experiment: Experiment) -> bool:
    needed = Role.REVIEWER if arm_selectors.is_protected(experiment.environment) else Role.EDITOR
    return request.membership.rank.allows(needed)


@project_page(role=Role.EDITOR)
@require_POST
def experiment_act(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Start it, move its ramp, stop it, name the winner, or ask for the winner to be live."""
    experiment = selectors.get_experiment(project, slug)
    form = ActForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Choose what to do."))
        return redirect("experiment", project=project.slug, slug=slug)
    try:
        asked = _act(request, experiment, form.cleaned_data)
    except DomainError as error:
        sentences = [text for value in error.details.values() if isinstance(value, list) for text in value]
        messages.error(request, " ".join(sentences) or error.text)
    else:
        act = form.cleaned_data["act"]
        if asked is not None:
            messages.success(request, _("Promotion %(number)s asks for the winner.") % {"number": asked.number})
        else:
            messages.success(request, DONE.get(act, _("The winner is live.")))
    return redirect("experiment", project=project.slug, slug=slug)


def _act(request: ProjectRequest, experiment: Experiment, told: dict[str, Any]) -> Promotion | None:
    now, actor = clock.now(), request.actor
    is_reviewer = request.membership.rank.allows(Role.REVIEWER)
    match told["act"]:
        case "start":
            services.start(experiment=experiment, actor=actor, is_reviewer=is_reviewer, now=now)
        case "next" | "back" as way:
            services.ramp(experiment=experiment, forward=way == "next", actor=actor, is_reviewer=is_reviewer, now=now)
        case "stop":
            services.stop(experiment=experiment, actor=actor, now=now, reason=told["reason"])
        case "finish":
            winners.finish(experiment=experiment, winner=told["winner"], actor=actor, is_reviewer=is_reviewer, now=now)
        case _:
            person = person_behind(request.user, None)
            return winners.promote_winner(experiment=experiment, actor=actor, person=person, now=now)
    return None


# --- Drafting -----------------------------------------------------------------------------------------------


@project_page(role=Role.EDITOR)
def experiment_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Say what is tried on whom, and what decides."""
    place = _place(request, project)
    if place is None:
        return _show_place(request, project)
    prompt, environment = place
    form = _form(request, prompt, environment, USUAL)
    if request.method == "POST" and form.is_valid():
        typed = form.cleaned_data
        new = drafts.NewExperiment(
            name=typed["name"],
            prompt=prompt,
            environment=environment,
            plan=form.plan(),
            hypothesis=typed["hypothesis"],
        )
        try:
            made = drafts.create(project=project, experiment=new, actor=request.actor, now=clock.now())
        except DomainError as error:
            _show_refusal(form, error)
        else:
            messages.success(request, _("The experiment is drafted. Nothing is served by it yet."))
            return redirect("experiment", project=project.slug, slug=made.slug)
    return _show_form(request, project, form, prompt, environment, None)


@project_page(role=Role.EDITOR)
def experiment_edit(request: ProjectRequest, project: Project, slug: str) -> HttpResponse:
    """Change a draft; of one that was started, name and hypothesis alone."""
    experiment = selectors.get_experiment(project, slug)
    is_draft = experiment.state == ExperimentState.DRAFT.value
    initial: dict[str, Any] = {"name": experiment.name, "hypothesis": experiment.hypothesis}
    form: NameForm
    if is_draft:
        plan = selectors.plan_of(experiment, selectors.arms_of(experiment))
        form = _form(request, experiment.prompt, experiment.environment, USUAL | initial_of(plan) | initial)
    else:
        form = NameForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            drafts.change(
                experiment=experiment,
                actor=request.actor,
                now=clock.now(),
                name=form.cleaned_data["name"],
                hypothesis=form.cleaned_data["hypothesis"],
                plan=form.plan() if isinstance(form, ExperimentForm) else None,
            )
        except DomainError as error:
            _show_refusal(form, error)
        else:
            messages.success(request, _("The experiment is changed."))
            return redirect("experiment", project=project.slug, slug=slug)
    return _show_form(request, project, form, experiment.prompt, experiment.environment, experiment)


def _place(request: ProjectRequest, project: Project) -> tuple[Prompt, Environment] | None:
    """The prompt and the environment that the address names; None when one of them is not there."""
    try:
        return (
            prompts.get_prompt(project, request.GET.get("prompt", "")),
            prompts.get_environment(project, request.GET.get("environment", "")),
        )
    except NotFound:
        return None


def _show_place(request: ProjectRequest, project: Project) -> HttpResponse:
    environments = selectors.list_environments(project)
    is_asked = bool(request.GET.get("prompt"))
    initial = {"environment": "production"}
    form = PlaceForm(request.GET if is_asked else None, initial=initial, environments=environments)
    if is_asked and form.is_valid():
        form.add_error("prompt", _("There is no such prompt."))
    context = {**_frame(request, project), "form": form, "names": selectors.prompt_names(project)}
    return render(request, "promotions/experiment_place.html", context, status=422 if form.errors else 200)


def _form(request: ProjectRequest, prompt: Prompt, environment: Environment, initial: dict[str, Any]) -> ExperimentForm:
    options = arm_selectors.arm_options(prompt, environment)
    return ExperimentForm(request.POST if request.method == "POST" else None, initial=initial, options=options)


FIELD_OF = {"treatments": "arm-0-candidate", "primary_metric.name": "score", "primary_metric.direction": "direction"}


def _show_refusal(form: NameForm, error: DomainError) -> None:
    """Put what is said of a field of the plan beside the field by which it was typed."""
    details = {FIELD_OF.get(name, name): value for name, value in error.details.items()}
    error.details = details
    show_error(form, error)


def _show_form(
    request: ProjectRequest,
    project: Project,
    form: NameForm,
    prompt: Prompt,
    environment: Environment,
    experiment: Experiment | None,
) -> HttpResponse:
    is_whole = isinstance(form, ExperimentForm)
    options = form.options if isinstance(form, ExperimentForm) else []
    place = address("promotion_new", project.slug)
    context = {
        **_frame(request, project),
        "form": form,
        "is_whole": is_whole,
        "prompt": prompt,
        "environment": environment,
        "experiment": experiment,
        "live": next((one for one in options if one.is_live), None),
        "allowed": [one for one in options if not one.is_live and not one.needs_approval],
        "missing": [one for one in options if one.needs_approval][:5],
        "ask_url": place,
        "is_protected": arm_selectors.is_protected(environment),
    }
    return render(request, "promotions/experiment_edit.html", context, status=422 if form.errors else 200)
