"""Every view says who may call it. The declaration hangs on the view, so that one test can walk the URL
table.

`open_page` and `person_page` are here; what concerns projects is in `apps.projects.access`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from django.contrib.auth.decorators import login_not_required
from django.urls import URLResolver, get_resolver

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Kind = Literal["open", "person", "project", "api", "token"]
View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Permission:
    """Who may call a view.

    `open`: anybody. `person`: whoever is signed in. `project`: a member with at least the role. `api`: such a
    member, or a key with the scope. `token`: whoever holds the secret that the address or a header carries.
    Roles and scopes are by method; `*` is every method that is not named. `also` names another scope that does as well.
    """

    kind: Kind
    roles: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)
    also: dict[str, str] = field(default_factory=dict)

    def role_for(self, method: str) -> str | None:
        """The lowest role that may use the method; None where roles do not matter."""
        return self.roles.get(method, self.roles.get("*"))

    def scope_for(self, method: str) -> str | None:
        """The scope a key needs for the method; None where no key is accepted."""
        return self.scopes.get(method, self.scopes.get("*"))


def declare(view: View, permission: Permission) -> View:
    """Hang the permission on the view."""
    view.permission = permission  # type: ignore[attr-defined]
    return view


def open_page(view: View) -> View:
    """Anybody may call this view, signed in or not."""
    return declare(login_not_required(view), Permission(kind="open"))


def token_page(view: View) -> View:
    """The view needs no sign-in, because the secret in its address or header is checked by the view itself."""
    return declare(login_not_required(view), Permission(kind="token"))


def person_page(view: View) -> View:
    """Whoever is signed in may call this view; the middleware sends everybody else to sign in."""
    return declare(view, Permission(kind="person"))


def permission_of(view: object) -> Permission | None:
    """What the view declares, also when it hides behind a class; None when it declares nothing."""
    for holder in (view, getattr(view, "cls", None), getattr(view, "view_class", None)):
        found = getattr(holder, "permission", None)
        if isinstance(found, Permission):
            return found
    return None


@dataclass(frozen=True)
class Route:
    """One address of the URL table. `path` is as Django writes it, with converters in angle brackets."""

    path: str
    name: str
    view: Callable[..., Any]
    permission: Permission | None


def routes(resolver: URLResolver | None = None, prefix: str = "/") -> list[Route]:
    """Every address there is, in the order of the URL table."""
    found: list[Route] = []
    for entry in (resolver or get_resolver()).url_patterns:
        path = prefix + str(entry.pattern).removeprefix("^")
        if isinstance(entry, URLResolver):
            found += routes(entry, path)
        else:
            found.append(Route(path, entry.name or "", entry.callback, permission_of(entry.callback)))
    return found
