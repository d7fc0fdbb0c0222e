"""Settings: the price book and the project's own prices."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from apps.core import clock
from apps.core.errors import DomainError
from apps.core.http import page_or_fragment, wants_fragment
from apps.projects.access import ProjectRequest, project_page
from apps.projects.forms import show_error
from apps.projects.models import Project
from apps.projects.types import Role
from apps.providers import selectors, services
from apps.providers.forms import EndForm, PriceForm, SearchForm

PAGE_SIZE = 25


@project_page(unsafe=Role.ADMIN)
def settings_prices(request: ProjectRequest, project: Project) -> HttpResponse:
    """Own prices with a form for another, and the searchable price book."""
    now = clock.now()
    search = SearchForm(request.GET)
    chosen = search.cleaned_data if search.is_valid() else {}
    form = PriceForm(request.POST or None, initial=_initial(chosen, now))
    if request.method == "POST" and form.is_valid() and _add(request, project, form, now):
        return redirect("settings_prices", project=project.slug)
    context = {"project": project, **_book(request, project, chosen, now)}
    if not wants_fragment(request):
        context |= {
            "form": form,
            "search": search,
            "own_prices": selectors.list_own_prices(project, on=now.date()),
            "file": selectors.file_status(),
            "stale": selectors.stale_prices(now=now),
        }
    status = 422 if form.errors else 200
    return page_or_fragment(request, "providers/prices.html", "providers/_price_list.html", context, status=status)


def _initial(chosen: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A price from today, for the model that was chosen in the price book."""
    return {"model": chosen.get("model", ""), "provider": chosen.get("provider", ""), "starts_on": now.date()}


def _add(request: ProjectRequest, project: Project, form: PriceForm, now: datetime) -> bool:
    """Set the price and say so; False when it was refused, which the form then shows."""
    typed = form.cleaned_data
    try:
        services.add_own_price(
            project=project,
            provider=typed["provider"],
            model=typed["model"],
            rates=form.rates(),
            starts_on=typed["starts_on"],
            actor=request.actor,
            now=now,
        )
    except DomainError as error:
        show_error(form, error)
        return False
    text = _("%(model)s has a price of your own. It is used for calls that arrive from now on.")
    messages.success(request, text % {"model": typed["model"]})
    return True


def _book(request: ProjectRequest, project: Project, chosen: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A stretch of the price book. A cursor that is none begins anew."""
    query = {"on": now.date(), "model": chosen.get("q", ""), "source": "litellm", "limit": PAGE_SIZE}
    try:
        page = selectors.list_prices(project, after=chosen.get("cursor"), **query)
    except DomainError:
        page = selectors.list_prices(project, **query)
    return {
        "page": page,
        "query": chosen.get("q", ""),
        "may_change": request.membership.rank.allows(Role.ADMIN),
    }


@project_page(role=Role.ADMIN)
def price_end(request: ProjectRequest, project: Project, price: UUID) -> HttpResponse:
    """Say what ending the price changes, then do it."""
    found = selectors.get_own_price(project, price)
    now = clock.now()
    form = EndForm(request.POST or None, initial={"ends_on": max(now.date(), found.starts_on)})
    if request.method == "POST" and form.is_valid():
        try:
            services.end_own_price(price=found, ends_on=form.cleaned_data["ends_on"], actor=request.actor, now=now)
        except DomainError as error:
            show_error(form, error)
        else:
            messages.success(request, _("The price of %(model)s ends.") % {"model": found.model})
            return redirect("settings_prices", project=project.slug)
    context = {"project": project, "price": found, "form": form}
    return render(request, "providers/price_end.html", context, status=422 if form.errors else 200)
