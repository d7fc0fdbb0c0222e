"""What sample projects still lack of their evals."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from apps.evals.models import EvalRun, EvalSet, Gate, GateReport
from apps.evals.types import RunState
from apps.projects.models import Project

SET = "word-problems"
GATE = "can-it-count"


def list_samples_without_sets() -> list[Project]:
    """The sample projects without an eval set, archived ones counted."""
    return list(Project.objects.filter(~Exists(EvalSet.objects.filter(project=OuterRef("pk"))), is_sample=True))


def list_unjudged() -> list[tuple[Gate, EvalRun]]:
    """The sample's gate with each of the sample's runs that has ended and that it has not judged yet."""
    reports = GateReport.objects.filter(run=OuterRef("pk"))
    runs = EvalRun.objects.filter(
        ~Exists(reports), project__is_sample=True, is_sample=True, state=RunState.FINISHED
    ).order_by("pk")
    found = []
    for run in runs.select_related("project", "eval_set"):
        gate = Gate.objects.filter(project=run.project, slug=GATE, is_sample=True, archived_at=None).first()
        if gate is not None:
            found.append((gate, run))
    return found
