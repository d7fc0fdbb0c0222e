"""What a person says of a trace, by a form on its page."""

from __future__ import annotations

from django.http import Http404, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import NotFound
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.telemetry.score_forms import JudgeForm
from apps.telemetry.selectors.lookup import start_of_trace
from apps.telemetry.selectors.scores import scores_of_trace
from apps.telemetry.services import scores as services
from apps.telemetry.services.scores import NotAScore, Verdict

KEPT = ("at", "span")


@project_page(unsafe=Role.EDITOR)
def trace_scores(request: ProjectRequest, project: Project, trace_id: str) -> HttpResponseBase:
    """The scores of a trace, and the form that adds one; sending it leads back to the trace."""
    trace_id = _known(project, trace_id)
    span_id = (request.POST or request.GET).get("span", "")
    if request.method != "POST":
        return _shown(request, project, trace_id, span_id, JudgeForm())
    form = JudgeForm(request.POST)
    if form.is_valid():
        given = form.cleaned_data
        verdict = Verdict(
            trace_id=trace_id,
            span_id=span_id if given["target"] == "span" else "",
            name=given["name"],
            judgement=given["judgement"],
            comment=given["comment"],
        )
        try:
            services.judge(project_id=project.pk, verdict=verdict, actor=request.actor, now=clock.now())
        except NotAScore as error:
            show_error(form, error)
        else:
            return redirect(_address(request, project, trace_id))
    return _shown(request, project, trace_id, span_id, form, status=422)


def _known(project: Project, trace_id: str) -> str:
    try:
        if start_of_trace(project.pk, trace_id) is None:
            raise NotFound
    except (ValueError, NotFound) as error:
        raise Http404 from error
    return trace_id.lower()


def _address(request: ProjectRequest, project: Project, trace_id: str) -> str:
    """The trace's page, at the span that was open."""
    query = QueryDict(mutable=True)
    query.update({name: request.POST[name] for name in KEPT if request.POST.get(name)})
    path = reverse("trace", kwargs={"project": project.slug, "trace_id": trace_id})
    return f"{path}?{query.urlencode()}#scores" if query else f"{path}#scores"


def _shown(
    request: ProjectRequest, project: Project, trace_id: str, span_id: str, form: JudgeForm, *, status: int = 200
) -> HttpResponse:
    context = {
        "project": project,
        "trace_id": trace_id,
        "span_id": span_id,
        "at": (request.POST or request.GET).get("at", ""),
        "scores": scores_of_trace(project.pk, trace_id),
        "judge": form if request.membership.rank.allows(Role.EDITOR) else None,
        "title": _("How was it judged?"),
    }
    return render(request, "telemetry/trace_judge.html", context, status=status)
