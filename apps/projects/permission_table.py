"""The permission matrix in words, made from what the views themselves declare."""

from __future__ import annotations

from apps.core.permissions import Permission, Route, routes
from apps.projects.types import ROLE_SCOPES, Role, Scope

HEAD = """# Who may do what

This page is made by `python manage.py permissions > docs/permissions.md` from what each view declares; a test compares
the two, and tries every address as nobody, as a stranger, and as a member of the lowest role.

A project's page or endpoint answers 404 to whoever is not a member, the same as for a project that does not exist,
and 403 to a member whose role is too low. Each role may do all that the ones before it may.

## What an API key may do

A key does no more than the role of the person who made it allows, looked up at each use. The scope `admin` holds all
others. The last column is the lowest role that may give the scope.

| scope | allows to | given by |
|---|---|---|
"""
ADDRESSES = """
## Addresses

*Anybody*: no sign-in. *A person*: whoever is signed in. *A secret*: whoever holds the secret in the address or header.
Where a role or scope is followed by a method, it is for that method alone.

| address | people | keys |
|---|---|---|
"""
PEOPLE = {"open": "anybody", "person": "a person", "token": "a secret"}


def as_markdown() -> str:
    """The whole page."""
    scopes = "".join(f"| `{scope.value}` | {scope.label} | {_lowest(scope)} |\n" for scope in Scope)
    lines = "".join(_line(route) for route in sorted(routes(), key=lambda route: route.path))
    return HEAD + scopes + ADDRESSES + lines


def _lowest(scope: Scope) -> str:
    return next(role.value for role in Role if scope in ROLE_SCOPES[role])


def _line(route: Route) -> str:
    permission = route.permission
    if permission is None:
        return f"| `{route.path}` | undeclared | |\n"
    if permission.kind in PEOPLE:
        return f"| `{route.path}` | {PEOPLE[permission.kind]} | |\n"
    return f"| `{route.path}` | {_by_method(permission.roles)} | {_by_method(_either(permission))} |\n"


def _either(permission: Permission) -> dict[str, str]:
    """The scopes by method, each with the one that does as well."""
    both = {method: f"{permission.scope_for(method)} or {other}" for method, other in permission.also.items()}
    return {**permission.scopes, **both}


def _by_method(needed: dict[str, str]) -> str:
    """`viewer; POST admin`: the usual one first, then the methods that differ from it."""
    usual = needed.get("*", needed.get("GET", ""))
    if needed.get("GET") not in {None, usual}:
        return f"{needed['GET']}; changes {usual}"
    others = [f"{method} {one}" for method, one in sorted(needed.items()) if method != "*" and one != usual]
    return "; ".join([usual, *others]).removeprefix("; ")
