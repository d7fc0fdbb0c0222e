"""Plain functions that make rows, through the services where there is one. Defaults are dull on purpose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.projects import services as projects
from apps.projects.models import Membership, Project, Role, Scope
from apps.projects.types import Actor

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
PASSWORD = "a long and dull sentence"
FAR = timedelta(days=36500)
_numbers = count(1)


def actor_of(user: User) -> Actor:
    """The person as the one who acts."""
    return Actor(kind="user", id=user.pk, name=user.email)


def make_user(email: str | None = None, *, name: str = "", password: str = PASSWORD) -> User:
    """A person with an account."""
    email = email or f"person{next(_numbers)}@example.org"
    return accounts.create_account(email=email, name=name, password=password, words=[], now=NOW)


def make_project(name: str | None = None, *, creator: User | None = None, **overrides: object) -> Project:
    """A project with the usual environments; its creator is admin."""
    creator = creator or make_user()
    project = projects.create_project(
        name=name or f"Project {next(_numbers)}", creator=creator, actor=actor_of(creator), now=NOW
    )
    if overrides:
        Project.objects.filter(pk=project.pk).update(**overrides)
        project.refresh_from_db()
    return project


def make_member(project: Project, user: User | None = None, *, role: Role = Role.VIEWER) -> Membership:
    """A membership, of a new person unless one is given."""
    return Membership.objects.create(project=project, user=user or make_user(), role=role)


def make_key(
    project: Project,
    *scopes: Scope,
    name: str = "a key",
    created_by: User | None = None,
    expires_at: datetime | None = None,
    now: datetime = NOW,
) -> str:
    """The text of a new key that does not expire unless told to; `ingest` unless scopes are given."""
    return projects.create_key(
        project=project,
        name=name,
        scopes=list(scopes or [Scope.INGEST]),
        allowed=list(Scope),
        created_by_id=None if created_by is None else created_by.pk,
        actor=Actor(kind="system", id=None, name="tests"),
        now=now,
        expires_at=expires_at,
    ).raw
