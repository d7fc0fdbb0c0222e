"""Pages of calibrations: begin one, see how far it is, and read where a judge and people differ."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.core.http import page_or_fragment
from apps.evals.calibrating import Figures
from apps.evals.calibration_rows import BadLabels, LabeledCase, read_upload
from apps.evals.models import Calibration, ScorerVersion
from apps.evals.scorer_forms import CalibrationForm
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import calibrations as selectors
from apps.evals.selectors import scorers
from apps.evals.services import calibrations as services
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role

SHOWN = 20


@project_page(role=Role.EDITOR)
def calibration_new(request: ProjectRequest, project: Project, scorer: str) -> HttpResponse:
    """Bring people's labels, and let the judge say what it makes of the same cases."""
    found = scorers.get_scorer(project, scorer)
    version, kind = scorers.get_version(found), KINDS.get(found.kind)
    if kind is None or not kind.is_judge:
        raise Http404
    sent = request.POST if request.method == "POST" else None
    form = CalibrationForm(sent, request.FILES if sent is not None else None)
    problems: list[str] = []
    if sent is not None and form.is_valid():
        try:
            made = _start(request, project, version, form)
            return redirect("calibration", project=project.slug, calibration=made.uuid)
        except BadLabels as error:
            problems = error.problems
        except DomainError as error:
            show_error(form, error)
    context = {
        "project": project,
        "scorer": found,
        "version": version,
        "form": form,
        "problems": problems,
        "grading": selectors.grading_of(version),
    }
    status = 422 if form.errors or problems else 200
    return render(request, "evals/calibration_new.html", context, status=status)


def _start(request: ProjectRequest, project: Project, version: ScorerVersion, form: CalibrationForm) -> Calibration:
    said = form.cleaned_data
    if version.scorer.archived_at is not None:
        raise Invalid(name=[_("This scorer is archived. Restore it first.")])
    return services.start_calibration(
        project=project,
        version=version,
        items=_items(project, version, form),
        labels_from=said["source"],
        name=said["name"],
        floor=said["floor"],
        actor=request.actor,
        now=clock.now(),
    )


def _items(project: Project, version: ScorerVersion, form: CalibrationForm) -> list[LabeledCase]:
    said = form.cleaned_data
    if said["source"] == "upload":
        file = said["file"]
        return read_upload(file.read(), file.name or "", selectors.grading_of(version))
    grading = selectors.grading_of(version)
    if grading.category("good") is None:
        raise Invalid(source=[_("Reviews say good or bad, which is not on the scale of this judge. Upload labels.")])
    since = clock.now() - timedelta(days=said["days"] or 90)
    return selectors.reviewed_cases(project, since=since)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the table: what people said, and how often the judge said each."""

    label: str
    cells: tuple[tuple[str, int, bool], ...]
    total: int


@project_page()
def calibration_page(request: ProjectRequest, project: Project, calibration: UUID) -> HttpResponse:
    """How far a judge agrees with people, beside how far people agree with each other."""
    found = selectors.get_calibration(project, calibration)
    figures, grading = selectors.figures_of(found), selectors.grading_of(found.version)
    people, judge = request.GET.get("people", ""), request.GET.get("judge", "")
    is_open = found.state in selectors.OPEN
    differing = selectors.disagreements(found, grading, people=people, judge=judge, limit=SHOWN)
    context = {
        "project": project,
        "calibration": found,
        "scorer": found.version.scorer,
        "figures": figures,
        "why": selectors.verdict_of(found),
        "rows": [] if figures is None else _rows(figures),
        "grading": grading,
        "is_open": is_open,
        "done": selectors.done_count(found) if is_open else found.items_total,
        "differing": [] if is_open else differing,
        "people": people,
        "judge": judge,
        "may_write": request.membership.rank.allows(Role.EDITOR),
    }
    return page_or_fragment(request, "evals/calibration.html", "evals/_calibration_state.html", context)


def _rows(figures: Figures) -> list[_Row]:
    labels = figures.categories
    return [
        _Row(label, tuple((other, row[j], label == other) for j, other in enumerate(labels)), sum(row))
        for label, row in zip(labels, figures.table, strict=True)
    ]


@project_page(role=Role.EDITOR)
@require_POST
def calibration_act(request: ProjectRequest, project: Project, calibration: UUID) -> HttpResponse:
    """Cancel it, or judge again what got no verdict."""
    found = selectors.get_calibration(project, calibration)
    act = services.cancel if request.POST.get("action") == "cancel" else services.retry_failed
    act(calibration=found, actor=request.actor, now=clock.now())
    messages.success(request, _("It is canceled.") if act is services.cancel else _("It goes on with what is left."))
    return redirect("calibration", project=project.slug, calibration=found.uuid)
