"""The rail: groups and pages in the order people work. A page without an address yet is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.urls import NoReverseMatch, get_urlconf, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Words = str | Promise
KEPT_PARAMETERS = ("range", "from", "to", "env")
"""What goes along from page to page."""


@dataclass(frozen=True)
class Page:
    """An entry of the rail. It is lit on its own address and below; with `above`, on its neighbours too, and with
    `also` on addresses of the project that begin with one of these words."""

    label: Words
    url_name: str
    above: bool = False
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Pages under one heading; the heading may be empty."""

    title: Words
    pages: tuple[Page, ...]


RAIL = (
    Group("", (Page(_("Overview"), "overview"),)),
    Group(
        _("Observe"),
        (
            Page(_("Traces"), "traces"),
            Page(_("Sessions"), "sessions"),
            Page(_("Users"), "users"),
            Page(_("Quality"), "quality"),
            Page(_("Retrieval"), "retrieval"),
            Page(_("Agents"), "agents"),
            Page(_("Review queue"), "review"),
        ),
    ),
    Group(
        _("Build"),
        (
            Page(_("Prompts"), "prompts"),
            Page(_("Playground"), "playground"),
            Page(_("Eval sets"), "eval_sets", also=("scorers", "calibrations")),
            Page(_("Eval runs"), "eval_runs", also=("gates", "gate-reports", "online-evals")),
        ),
    ),
    Group(
        _("Ship"),
        (
            Page(_("Promotions"), "promotions", also=("release-rules", "deployments", "rollbacks", "drills")),
            Page(_("Experiments"), "experiments"),
            Page(_("Gateway"), "gateway"),
        ),
    ),
    Group(
        _("Operate"),
        (
            Page(_("Readiness"), "readiness"),
            Page(_("Costs"), "costs", also=("budgets",)),
            Page(_("Latency"), "latency"),
            Page(_("Alerts"), "notices"),
            Page(_("Reviews"), "reviews"),
        ),
    ),
    Group("", (Page(_("Settings"), "settings_general", above=True),)),
)


@dataclass(frozen=True)
class RailItem:
    """A link of the rail, ready to be shown."""

    label: Words
    url: str
    is_current: bool
    waiting: int


@dataclass(frozen=True)
class RailGroup:
    """A heading and its links."""

    title: Words
    items: tuple[RailItem, ...]


def rail(project_slug: str, *, path: str, query: str = "", counts: Mapping[str, int] | None = None) -> list[RailGroup]:
    """The rail of a project as seen from `path`; `query` (with its `?`) goes along on every link."""
    groups = []
    for group in RAIL:
        items = tuple(_items(group, project_slug, path, query, counts or {}))
        if items:
            groups.append(RailGroup(group.title, items))
    return groups


def _items(group: Group, project_slug: str, path: str, query: str, counts: Mapping[str, int]) -> Iterator[RailItem]:
    for page in group.pages:
        url = address(page.url_name, project_slug)
        if url is None:
            continue
        yield RailItem(page.label, url + query, _is_current(page, url, path), counts.get(page.url_name, 0))


def address(url_name: str, project_slug: str) -> str | None:
    """Where a page of the project is that may belong to an app above; None while there is no such page."""
    return _address(url_name, project_slug, get_urlconf() or settings.ROOT_URLCONF)


@lru_cache(maxsize=2048)
def _address(url_name: str, project_slug: str, urlconf: str) -> str | None:
    """Where the page is; None when no such page exists, which takes Django longest to find out."""
    try:
        return reverse(url_name, urlconf=urlconf, kwargs={"project": project_slug})
    except NoReverseMatch:
        return None


def _is_current(page: Page, url: str, path: str) -> bool:
    if path == url:
        return True
    if page.url_name == "overview":
        return False  # every page of the project lies below it
    root = url.rstrip("/")
    if page.above:
        root = root.rpartition("/")[0]
    neighbors = [f"{root.rpartition('/')[0]}/{word}" for word in page.also]
    return any(path == place or path.startswith(f"{place}/") for place in (root, *neighbors))
