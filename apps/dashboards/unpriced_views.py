"""Pages: the models whose calls have no price, and setting one with the costs of past calls worked out anew."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.clock import zone_named
from apps.core.errors import DomainError
from apps.dashboards import cost_selectors
from apps.dashboards.cost_forms import RepriceForm
from apps.dashboards.scope import read_scope
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.projects.types import Role
from apps.providers.selectors.similar import similar_prices
from apps.telemetry.repricing import MOST_PREVIEWED, Preview, Wish
from apps.telemetry.selectors.repricing import list_reprices
from apps.telemetry.services import repricing

RANGE = "90d"
HISTORY = 20


@project_page()
def unpriced_page(request: ProjectRequest, project: Project) -> HttpResponse:
    """Which calls have no price? And what was worked out anew, when and by whom."""
    now = clock.now()
    scope = read_scope(request.GET.dict(), now=now, default_range=RANGE)
    found = cost_selectors.read_unpriced(project.pk, scope)
    context = {
        "project": project,
        "now": now,
        "unpriced": found,
        "calls": sum(each.unpriced_calls for each in found),
        "reprices": list_reprices(project, limit=HISTORY),
        "may_change": request.membership.rank.allows(Role.ADMIN),
        "default_range": RANGE,
    }
    return render(request, "dashboards/unpriced_inbox.html", context)


@project_page(role=Role.ADMIN)
def unpriced_price(request: ProjectRequest, project: Project) -> HttpResponse:
    """A price for one model, what it changes in the costs of past calls, and then doing it."""
    now = clock.now()
    model, provider = request.GET.get("model", ""), request.GET.get("provider", "")
    form = RepriceForm(request.POST or None, initial=_initial(request, model, provider, now))
    shown: Preview | None = None
    if request.method == "POST" and form.is_valid():
        wish, zone = _wish(form), zone_named(project.timezone)
        try:
            if "apply" in request.POST:
                repricing.request_reprice(project=project, wish=wish, zone=zone, actor=request.actor, now=now)
                messages.success(request, _("The costs of %(model)s are worked out anew.") % {"model": wish.model})
                return redirect(reverse("unpriced", kwargs={"project": project.slug}) + "#history")
            shown = repricing.preview(project=project, wish=wish, zone=zone, now=now)
        except DomainError as error:
            _refuse(form, error)
    model, provider = form["model"].value() or "", form["provider"].value() or ""
    context = {
        "project": project,
        "form": form,
        "model": model,
        "provider": provider,
        "preview": shown,
        "most": MOST_PREVIEWED,
        "similar": similar_prices(model, on=now.date()) if model else [],
    }
    return render(request, "dashboards/unpriced_price.html", context, status=422 if form.errors else 200)


def _refuse(form: RepriceForm, error: DomainError) -> None:
    """Put the sentences of a refusal above the form."""
    sentences = [text for value in error.details.values() if isinstance(value, list) for text in value]
    form.add_error(None, sentences or [error.text])


def _initial(request: ProjectRequest, model: str, provider: str, now: datetime) -> dict[str, Any]:
    """The model that was chosen, the day its first such call began, and prices taken over from a similar one."""
    taken = {name: request.GET[name] for name in ("input", "output", "cached_read") if request.GET.get(name)}
    return {"model": model, "provider": provider, "starts_on": request.GET.get("from") or now.date(), **taken}


def _wish(form: RepriceForm) -> Wish:
    typed = form.cleaned_data
    return Wish(typed["provider"], typed["model"], typed["starts_on"], typed["includes_priced"], form.rates())
