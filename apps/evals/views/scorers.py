"""Pages of scorers: the list, a new one, one with its versions and results, trying it on a case."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError
from apps.evals.models import Scorer, ScorerVersion
from apps.evals.scorer_forms import (
    GROUPS,
    SUGGESTIONS,
    CaseForm,
    ScorerForm,
    Suggestion,
    initial_of,
    shown_setting,
)
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import calibrations, scorer_pages
from apps.evals.selectors import scorers as selectors
from apps.evals.services import scorers as services
from apps.evals.services import trying
from apps.evals.services.trying import Tried
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.providers.selectors import connections

TRY = "try"


@project_page()
def scorers_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """What decides whether an output is good, by group."""
    with_archived = request.GET.get("archived") == "on"
    lines = scorer_pages.shown_lines(project, with_archived=with_archived)
    names = dict(GROUPS)
    groups = [(names.get(group, group), [line for line in lines if line.group == group]) for group, _name in GROUPS]
    lost = [line for line in lines if line.group not in names]
    context = {
        "project": project,
        "tab": "scorers",
        "groups": [(name, found) for name, found in groups if found] + ([(_("Not installed"), lost)] if lost else []),
        "is_empty": not lines and not with_archived,
        "with_archived": with_archived,
        "suggestions": SUGGESTIONS,
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "evals/scorers.html", context)


@project_page(role=Role.EDITOR)
def scorer_new(request: ProjectRequest, project: Project) -> HttpResponse:
    """Choose a kind, then fill in its settings, try it, and add it. A suggestion is added at once."""
    if request.method == "POST" and "suggestion" in request.POST:
        return _add_suggested(request, project, request.POST["suggestion"])
    kind = KINDS.get(request.GET.get("kind", ""))
    if kind is None:
        names = [(name, [one for one in KINDS.values() if one.group == group]) for group, name in GROUPS]
        context = {"project": project, "groups": names, "suggestions": SUGGESTIONS}
        return render(request, "evals/scorer_kinds.html", context)
    sent = request.POST if request.method == "POST" else None
    initial = {"name": kind.title, "pass_mark": _usual_mark(kind), **_with_model(project, kind)}
    form = ScorerForm(sent, kind=kind, is_new=True, initial=initial)
    asked = _Panel.of(request, project, kind)
    if sent is not None and form.is_valid():
        try:
            if request.POST.get("action") == TRY:
                asked = asked.tried_settings(project, kind, form)
            else:
                made = _create(request, project, kind, form)
                messages.success(request, _("%(name)s is added.") % {"name": made.name})
                return redirect("scorer", project=project.slug, scorer=made.slug)
        except DomainError as error:
            show_error(form, form.placed(error))
    return _form_page(request, project, kind, form, asked, None)


def _create(request: ProjectRequest, project: Project, kind: ScorerKind, form: ScorerForm) -> Scorer:
    typed = form.cleaned_data
    return services.create_scorer(
        project=project,
        name=typed["name"],
        slug=typed["slug"],
        description=typed["description"],
        kind=kind.name,
        config=form.config(),
        pass_mark=typed["pass_mark"],
        secret=form.new_secret() or "",
        actor=request.actor,
        now=clock.now(),
    )


def _add_suggested(request: ProjectRequest, project: Project, key: str) -> HttpResponse:
    found: Suggestion | None = next((one for one in SUGGESTIONS if one.key == key), None)
    if found is None:
        raise Http404
    kind = KINDS[found.kind]
    model = {"model": _first_model(project)} if any(one.name == "model" for one in kind.fields) else {}
    try:
        made = services.create_scorer(
            project=project,
            name=found.name,
            kind=kind.name,
            description=found.about,
            config={**found.config, **model},
            pass_mark=_usual_mark(kind),
            actor=request.actor,
            now=clock.now(),
        )
    except DomainError as error:
        messages.error(request, error.text)
        return redirect("scorers", project=project.slug)
    messages.success(request, _("%(name)s is added. Try it below.") % {"name": made.name})
    return redirect("scorer", project=project.slug, scorer=made.slug)


@project_page()
def scorer_page(request: ProjectRequest, project: Project, scorer: str) -> HttpResponse:
    """What one scorer does, whether it may gate, what it said lately."""
    found = selectors.get_scorer(project, scorer)
    kind, versions = KINDS.get(found.kind), selectors.list_versions(found)
    version = _chosen(versions, request.GET.get("version", ""))
    before = next((one for one in versions if one.number == version.number - 1), None)
    licensed, why = calibrations.is_licensed(version)
    context = {
        "project": project,
        "scorer": found,
        "version": version,
        "kind": kind,
        "settings": _shown_settings(kind, version),
        "versions": versions,
        "changes": [] if before is None else _differences(kind, before, version),
        "before": before,
        "is_licensed": licensed,
        "license": why,
        "calibrations": calibrations.list_calibrations(project, scorer_id=found.pk, limit=8),
        "runs": scorer_pages.runs_of(found),
        "panel": None if kind is None else _Panel.of(request, project, kind),
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return render(request, "evals/scorer.html", context)


@project_page(role=Role.EDITOR)
@require_POST
def scorer_try(request: ProjectRequest, project: Project, scorer: str) -> HttpResponse:
    """Score a case with the newest version, and show what it said."""
    found = selectors.get_scorer(project, scorer)
    version = selectors.get_version(found)
    kind = KINDS.get(found.kind)
    if kind is None:
        raise Http404
    panel = _Panel.of(request, project, kind)
    try:
        panel = panel.tried_version(project, version)
    except DomainError as error:
        messages.error(request, error.text)
    context = {"project": project, "scorer": found, "version": version, "kind": kind, "panel": panel}
    return render(request, "evals/scorer_try.html", {**context, "may_write": True})


@project_page(role=Role.EDITOR)
def scorer_edit(request: ProjectRequest, project: Project, scorer: str) -> HttpResponse:
    """Other settings, which become the next version."""
    found = selectors.get_scorer(project, scorer)
    newest, kind = selectors.get_version(found), KINDS.get(found.kind)
    if kind is None:
        raise Http404
    sent = request.POST if request.method == "POST" else None
    initial = {"pass_mark": newest.pass_mark, **initial_of(kind, newest.config)}
    has_secret = bool(newest.config.get("secret"))
    form = ScorerForm(sent, kind=kind, is_new=False, has_secret=has_secret, initial=initial)
    panel = _Panel.of(request, project, kind)
    if sent is not None and form.is_valid():
        try:
            if request.POST.get("action") == TRY:
                panel = panel.tried_settings(project, kind, form)
            else:
                return _save_version(request, project, found, form)
        except DomainError as error:
            show_error(form, form.placed(error))
    return _form_page(request, project, kind, form, panel, found)


def _save_version(request: ProjectRequest, project: Project, scorer: Scorer, form: ScorerForm) -> HttpResponse:
    version = services.add_scorer_version(
        scorer=scorer,
        config=form.config(),
        pass_mark=form.cleaned_data["pass_mark"],
        note=form.cleaned_data["note"],
        secret=form.new_secret(),
        actor=request.actor,
        now=clock.now(),
    )
    if version.number == scorer.head:
        messages.info(request, _("Nothing changed, so there is no new version."))
    else:
        messages.success(request, _("Version %(number)s is saved.") % {"number": version.number})
    return redirect("scorer", project=project.slug, scorer=scorer.slug)


@project_page(role=Role.EDITOR)
@require_POST
def scorer_archive(request: ProjectRequest, project: Project, scorer: str) -> HttpResponse:
    """Take a scorer off the lists, or put it back."""
    found = selectors.get_scorer(project, scorer)
    is_archived = request.POST.get("action") != "restore"
    services.amend_scorer(scorer=found, actor=request.actor, now=clock.now(), is_archived=is_archived)
    said = _("%(name)s is archived.") if is_archived else _("%(name)s is back.")
    messages.success(request, said % {"name": found.name})
    return redirect("scorer", project=project.slug, scorer=found.slug)


# --- Parts of pages


@dataclass(frozen=True, slots=True)
class _Panel:
    """The form of a case, and what came of it."""

    form: CaseForm
    asks: bool
    """Whether trying costs something: templates cannot look, because they call what can be called."""
    tried: Tried | None = None
    judges: tuple[dict[str, Any], ...] = ()
    details: str = ""

    @classmethod
    def of(cls, request: ProjectRequest, project: Project, kind: ScorerKind) -> _Panel:
        """The form as it was sent, or empty."""
        sent = request.POST if request.method == "POST" else None
        form = CaseForm(sent, kind=kind, examples=scorer_pages.example_choices(project))
        return cls(form, kind.ask is not None)

    def tried_settings(self, project: Project, kind: ScorerKind, form: ScorerForm) -> _Panel:
        """What a scorer with these settings says. Raises BadConfig."""
        if not self.form.is_valid():
            return self
        mark = form.cleaned_data["pass_mark"]
        tried = trying.try_config(
            project=project, kind=kind, config=form.config(), pass_mark=mark, case=self._case(project), now=clock.now()
        )
        return self._with(tried)

    def tried_version(self, project: Project, version: ScorerVersion) -> _Panel:
        """What this version says."""
        if not self.form.is_valid():
            return self
        case = self._case(project)
        return self._with(trying.try_version(project=project, version=version, case=case, now=clock.now()))

    def _case(self, project: Project) -> Any:
        typed = self.form.case()
        chosen = self.form.cleaned_data.get("example", "")
        return scorer_pages.with_example(project, chosen, typed) if chosen else typed

    def _with(self, tried: Tried) -> _Panel:
        details = dict(tried.score.details)
        judges = details.pop("judges", [])
        shown = json.dumps(details, ensure_ascii=False, indent=2) if details else ""
        return replace(self, tried=tried, judges=tuple(judges), details=shown[:20_000])


def _form_page(
    request: ProjectRequest, project: Project, kind: ScorerKind, form: ScorerForm, panel: _Panel, scorer: Scorer | None
) -> HttpResponse:
    context = {
        "project": project,
        "kind": kind,
        "form": form,
        "panel": panel,
        "scorer": scorer,
        "models": [one.name for one in connections.offered_models(project, now=clock.now())],
    }
    return render(request, "evals/scorer_form.html", context, status=422 if form.errors else 200)


def _chosen(versions: list[ScorerVersion], number: str) -> ScorerVersion:
    """The version of this number, the newest without one."""
    for version in versions:
        if number in ("", str(version.number)):
            return version
    raise Http404


def _usual_mark(kind: ScorerKind) -> float:
    """Scorers that say yes or no pass at a half; shares of things pass when nearly all of them are right."""
    return 0.8 if kind.name in {"faithfulness", "context_recall", "json_fields"} else 0.5


def _first_model(project: Project) -> str:
    """The first model that is offered, the project's own before the test model."""
    offered = [one.name for one in connections.offered_models(project, now=clock.now()) if not one.is_embedding]
    return offered[0] if offered else ""


def _with_model(project: Project, kind: ScorerKind) -> dict[str, str]:
    is_asked = any(one.name == "model" for one in kind.fields) and kind.is_judge
    return {"set_model": _first_model(project)} if is_asked else {}


@dataclass(frozen=True, slots=True)
class _Setting:
    """A setting as the page shows it."""

    label: str
    value: str
    is_long: bool
    before: str = ""


def _shown_settings(kind: ScorerKind | None, version: ScorerVersion) -> list[_Setting]:
    if kind is None:
        return [_Setting(name, str(value), False) for name, value in version.config.items()]
    found = []
    for one in kind.fields:
        value = _words(shown_setting(one, version.config.get(one.name, one.default)), one.name)
        words = dict(one.choices).get(value, value)
        found.append(_Setting(one.label, words, "\n" in words or len(words) > 80))
    return found


def _words(value: Any, name: str) -> str:
    if name == "secret":
        return _("set") if value else _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value)


def _differences(kind: ScorerKind | None, old: ScorerVersion, new: ScorerVersion) -> list[_Setting]:
    """The settings that differ between two versions, and the pass mark."""
    pairs = zip(_shown_settings(kind, old), _shown_settings(kind, new), strict=False)
    found = [replace(after, before=before.value) for before, after in pairs if before.value != after.value]
    if old.pass_mark != new.pass_mark:
        found.append(_Setting(_("Passes from"), f"{new.pass_mark:g}", False, f"{old.pass_mark:g}"))
    return found
