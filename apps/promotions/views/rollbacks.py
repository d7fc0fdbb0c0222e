"""Pages of rollbacks and drills: the dialog, the stopwatch, the lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.core.http import page_or_fragment
from apps.projects import selectors as projects
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Environment, Project
from apps.projects.types import Role
from apps.promotions import rollback_words as words
from apps.promotions.models import Drill, Rollback
from apps.promotions.rollback_forms import DrillForm, RollbackForm
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import drills, rollbacks, stopwatch
from apps.promotions.types import DrillState
from apps.prompts import selectors as prompts
from apps.prompts.models import Deployment, Prompt


@dataclass(frozen=True, slots=True)
class Line:
    """A rollback as pages show it."""

    rollback: Rollback
    watched: words.Watched
    sentence: str
    seconds: float | None
    look: str
    """The look of its state: pass within the target, warn over it, fail over the outer bound, run while open."""

    @property
    def took(self) -> str:
        """The seconds until every process had it, in words; empty while that is not known."""
        return "" if self.seconds is None else words.seconds(self.seconds)


def _line(rollback: Rollback) -> Line:
    watched = selectors.watched(rollback)
    took = watched.after(watched.everywhere_at)
    return Line(rollback, watched, words.sentence(watched), took, words.look(watched))


# --- The dialog


@project_page(role=Role.EDITOR)
def rollback_new(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """Say what going back changes and for whom, with the last healthy candidate chosen; one button does it.

    The address may name `environment`, and `to`, the id of a deployment.
    """
    now = clock.now()
    found = prompts.get_prompt(project, prompt)
    places = prompts.live_deployments(found)
    environment = _environment(request, project, places)
    context = _dialog(request, project, found, environment, now)
    form: RollbackForm = context["form"]
    status = 200
    if request.method == "POST" and form.is_valid() and context["may"]:
        try:
            rollback = _carry_out(request, found, environment, form, now)
        except DomainError as error:
            show_error(form, error)
            status = error.http_status
        else:
            return redirect("rollback", project=project.slug, uuid=rollback.uuid)
    elif request.method == "POST":
        status = 422 if form.errors else 403
    return render(request, "promotions/rollback_new.html", {**context, "places": places}, status=status)


def _environment(request: ProjectRequest, project: Project, places: list[Deployment]) -> Environment:
    """The one that is named; without a name production, else where something is live. Raises NotFound."""
    named = request.GET.get("environment", "")
    if named:
        return prompts.get_environment(project, named)
    live = [one.environment for one in places]
    return (
        next((one for one in live if one.slug == "production"), live[-1] if live else None)
        or (projects.list_environments(project)[0])
    )


def _dialog(
    request: ProjectRequest, project: Project, prompt: Prompt, environment: Environment, now: Any
) -> dict[str, Any]:
    choices = selectors.choices(prompt, environment)
    live = selectors.live_in(prompt, environment)
    healthy = next((one for one in choices if not one.trouble), None)
    wanted = request.GET.get("to", "")
    chosen = next((one for one in choices if str(one.deployment.uuid) == wanted), healthy)
    form = RollbackForm(
        request.POST if request.method == "POST" else None,
        choices=choices,
        initial={"to": None if chosen is None else str(chosen.deployment.uuid), "live": str(live.uuid) if live else ""},
    )
    is_protected = environment.is_protected or environment.slug == "production"
    return {
        "project": project,
        "prompt": prompt,
        "tab": "",
        "trail": [],
        "may_write": True,
        "environment": environment,
        "live": live,
        "live_name": "" if live is None else selectors.candidate_of(live),
        "choices": choices,
        "healthy": healthy,
        "chosen": form["to"].value() or "",
        "form": form,
        "is_protected": is_protected,
        "may": request.membership.rank.allows(Role.REVIEWER if is_protected else Role.EDITOR),
        "experiment": selectors.running_experiment(prompt, environment),
        "calls": selectors.calls_a_day(prompt, environment, now),
        "drill": selectors.latest_drill(prompt),
    }


def _carry_out(
    request: ProjectRequest, prompt: Prompt, environment: Environment, form: RollbackForm, now: Any
) -> Rollback:
    typed = form.cleaned_data
    target = selectors.find_deployment(prompt, environment, typed["to"])
    seen = selectors.find_deployment(prompt, environment, typed["live"]) if typed["live"] else None
    return rollbacks.roll_back(
        prompt=prompt,
        environment=environment,
        to=target,
        away_from=seen,
        actor=request.actor,
        now=now,
        reason=typed["reason"],
    )


# --- Rollbacks


@project_page()
def rollback(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """Has everybody got it? The stopwatch as a picture, kept fresh while it runs."""
    found = stopwatch.measure_again(selectors.get_rollback(project, uuid), now=clock.now())
    context = {
        **_frame(request, project, "rollbacks"),
        "line": _line(found),
        "rollback": found,
        "bad": "" if found.bad is None else selectors.candidate_of(found.bad),
        "restored": selectors.candidate_of(found.restored),
        "timeline": words.timeline(selectors.watched(found)),
    }
    return page_or_fragment(request, "promotions/rollback.html", "promotions/_rollback_watch.html", context)


@project_page()
def rollbacks_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What was rolled back, and how long did it take to reach everybody?"""
    try:
        page = selectors.list_rollbacks(project, cursor=_cursor(request))
    except Invalid:
        page = selectors.list_rollbacks(project)
    context = {
        **_frame(request, project, "rollbacks"),
        "lines": [_line(one) for one in page.items],
        "next": page.next,
        "is_first": "cursor" not in request.GET,
    }
    return render(request, "promotions/rollbacks.html", context)


def _frame(request: ProjectRequest, project: Project, tab: str) -> dict[str, Any]:
    return {"project": project, "tab": tab, "may_write": request.membership.rank.allows(Role.EDITOR)}


def _cursor(request: ProjectRequest) -> UUID | None:
    try:
        return UUID(request.GET["cursor"]) if "cursor" in request.GET else None
    except ValueError:
        return None


# --- Drills


@dataclass(frozen=True, slots=True)
class DrillLine:
    """A drill as pages show it."""

    drill: Drill
    kept: str
    earlier: str
    look: str

    @property
    def took(self) -> str:
        """The seconds until every process had it, in words; empty when that was not measured."""
        return "" if self.drill.seconds is None else words.seconds(self.drill.seconds)

    @property
    def most(self) -> str:
        """The time within which it passes, in words."""
        return words.seconds(self.drill.target_seconds)


LOOKS = {DrillState.RUNNING: "run", DrillState.PASSED: "pass", DrillState.FAILED: "fail"}


def _drill_line(drill: Drill) -> DrillLine:
    earlier = "" if drill.rollback is None else selectors.candidate_of(drill.rollback.restored)
    return DrillLine(drill, selectors.candidate_of(drill.kept), earlier, LOOKS[DrillState(drill.state)])


@project_page(unsafe=Role.EDITOR)
def drills_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """How long would a rollback take? Drills that were held; with a POST, another one starts."""
    places = selectors.drill_places(project)
    given = request.GET.get("prompt", "")
    first = next((one for one in places if one.prompt.name == given), None)
    form = DrillForm(
        request.POST if request.method == "POST" else None,
        places=places,
        initial={"place": str(first.uuid) if first else None},
    )
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            place = next(one for one in places if str(one.uuid) == form.cleaned_data["place"])
            try:
                made = drills.start_drill(
                    prompt=place.prompt, environment=place.environment, actor=request.actor, now=clock.now()
                )
            except DomainError as error:
                show_error(form, error)
                status = error.http_status
            else:
                return redirect(reverse("drill", kwargs={"project": project.slug, "uuid": made.uuid}))
    try:
        page = selectors.list_drills(project, cursor=_cursor(request))
    except Invalid:
        page = selectors.list_drills(project)
    context = {
        **_frame(request, project, "drills"),
        "form": form,
        "has_places": bool(places),
        "lines": [_drill_line(one) for one in page.items],
        "next": page.next,
        "goal": words.TARGET_SECONDS,
    }
    return render(request, "promotions/drills.html", context, status=status)


@project_page()
def drill(request: ProjectRequest, project: Project, uuid: UUID) -> HttpResponse:
    """How did the rehearsal go? While it runs, looking at it moves it on."""
    found = drills.look(selectors.get_drill(project, uuid), now=clock.now())
    found = selectors.get_drill(project, found.uuid)
    context = {
        **_frame(request, project, "drills"),
        "line": _drill_line(found),
        "drill": found,
        "timeline": None if found.rollback is None else words.timeline(selectors.watched(found.rollback)),
    }
    return page_or_fragment(request, "promotions/drill.html", "promotions/_drill_watch.html", context)
