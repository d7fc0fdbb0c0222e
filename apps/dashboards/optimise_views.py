"""Page: where money could be saved."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.core import clock
from apps.dashboards import optimise_words as words
from apps.dashboards.optimise_selectors import read_suggestions
from apps.dashboards.optimising import Kind, Suggestion
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.telemetry.addresses import write_value


@project_page()
def optimise_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Where could money be saved, by which numbers?"""
    now = clock.now()
    found = read_suggestions(project, now=now)
    context = {
        "project": project,
        "found": found,
        "total": sum((each.saving_usd for each in found.suggestions), Decimal(0)),
        "rows": [
            (each, words.heading(each.kind), words.advice(each), words.method(each), _url(project, each))
            for each in found.suggestions
        ],
        "silences": [(words.heading(kind), words.silence(kind, found)) for kind in Kind if not found.has(kind)],
    }
    return render(request, "dashboards/optimise.html", context)


def _url(project: Project, suggestion: Suggestion) -> str:
    """Where the evidence is."""
    if suggestion.kind is Kind.MODEL:
        return reverse("eval_run", kwargs={"project": project.slug, "number": int(suggestion.facts["candidate_run"])})
    if suggestion.kind is Kind.CHUNKS:
        query = urlencode({"range": "30d", "feature": write_value(suggestion.subject)})
        return f"{reverse('retrieval', kwargs={'project': project.slug})}?{query}"
    traces = reverse("traces", kwargs={"project": project.slug})
    if suggestion.kind in {Kind.PREFIX, Kind.LONG}:
        return f"{traces}?{urlencode({'range': '30d', 'prompt': suggestion.subject})}"
    failed = {"status": "error"} if suggestion.kind is Kind.FAILED else {}
    return f"{traces}?{urlencode({'range': '30d', 'feature': write_value(suggestion.subject), **failed})}"
