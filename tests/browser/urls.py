"""Addresses of the component sheet and of the pages that go wrong: for tests, never part of the product."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.urls import path

from apps.core import navigation, pages
from tests.browser import sheet


@login_not_required
def sheet_page(request: HttpRequest, project: str = "harbor-desk") -> HttpResponse:
    """Every component in each of its states, in the shell."""
    return sheet.page(request)


@login_not_required
def palette(request: HttpRequest, project: str) -> HttpResponse:
    """What the command palette finds."""
    return sheet.palette(request)


@login_not_required
def missing(request: HttpRequest) -> HttpResponse:
    """The 404 page."""
    return pages.not_found(request)


@login_not_required
def broken(request: HttpRequest) -> HttpResponse:
    """The 500 page."""
    return pages.failed(request)


@login_not_required
def signin(request: HttpRequest) -> HttpResponse:
    """A card with a form, as sign-in has it."""
    return sheet.signin(request)


RAIL_NAMES = [page.url_name for group in navigation.RAIL for page in group.pages]

urlpatterns = [
    path("", sheet_page, name="home"),
    path("missing", missing),
    path("broken", broken),
    path("signin", signin, name="account_login"),
    path("account/", sheet_page, name="account"),
    path("accounts/logout/", sheet_page, name="account_logout"),
    path("projects/new", sheet_page, name="project_new"),
    path("p/<slug:project>/", sheet_page, name="overview"),
    path("p/<slug:project>/palette", palette, name="palette"),
    *(
        path(f"p/<slug:project>/{name.replace('settings_', 'settings/')}", sheet_page, name=name)
        for name in RAIL_NAMES
        if name != "overview"
    ),
]
