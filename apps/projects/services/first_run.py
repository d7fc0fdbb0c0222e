"""The first account, its project and its key: by the set-up link in a browser, or by command."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from apps.accounts import selectors as people
from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.core.errors import Forbidden
from apps.projects import audit
from apps.projects.models import Membership, Project, Role, Scope
from apps.projects.services.api_keys import DEFAULT_LIFETIME, create_key, make_first_key
from apps.projects.services.projects import create_project
from apps.projects.types import SYSTEM, Actor


class NotYourAccount(Forbidden):
    """Somebody has an account already, and its password was not given."""

    code = "not_your_account"
    message = "There is an account already. Give its e-mail address and password to add a project and a key."


class FirstRun(NamedTuple):
    """What the first run leaves: a person, their project and the text of its key."""

    user: User
    project: Project
    raw_key: str


@transaction.atomic
def set_up(
    *, token: str, email: str, name: str, password: str, project_name: str, timezone: str, now: datetime
) -> FirstRun:
    """Spend the set-up link on the first account, its project and an ingest key.

    Raises SetupLinkInvalid, AccountExists, or Invalid for a bad time zone or password.
    """
    accounts.use_setup_link(token, now=now)
    user = accounts.create_first_account(email=email, name=name, password=password, words=[project_name], now=now)
    project = _first_project(user, project_name, timezone, now)
    made = make_first_key(project=project, created_by_id=user.pk, actor=_actor(user), now=now)
    return FirstRun(user=user, project=project, raw_key=made.raw)


@transaction.atomic
def start_project(*, name: str, timezone: str, creator: User, actor: Actor, now: datetime) -> FirstRun:
    """A project with an ingest key for its first call. Raises Invalid for an unknown time zone."""
    project = create_project(name=name, timezone=timezone, creator=creator, actor=actor, now=now)
    made = make_first_key(project=project, created_by_id=creator.pk, actor=actor, now=now)
    return FirstRun(user=creator, project=project, raw_key=made.raw)


@transaction.atomic
def bootstrap(*, email: str, password: str, project_name: str, now: datetime) -> FirstRun:
    """The same without a browser, for automation; the key has all scopes.

    Where an account exists, its address and password must be given; a project of theirs with this name is
    used again. Raises NotYourAccount, or Invalid for a bad password.
    """
    if people.has_accounts():
        user = _existing(email, password)
    else:
        user = accounts.create_first_account(email=email, name="", password=password, words=[project_name], now=now)
    project = _administered(user, project_name) or _first_project(user, project_name, "UTC", now)
    made = create_key(
        project=project,
        name="bootstrap",
        scopes=list(Scope),
        allowed=list(Scope),
        created_by_id=user.pk,
        actor=_actor(user),
        now=now,
        expires_at=now + DEFAULT_LIFETIME,
    )
    return FirstRun(user=user, project=project, raw_key=made.raw)


def _existing(email: str, password: str) -> User:
    user = people.find_user(email)
    if user is None or not user.is_active or not user.check_password(password):
        raise NotYourAccount
    return user


def _administered(user: User, name: str) -> Project | None:
    """The person's own project of this name, if they are its admin."""
    memberships = Membership.objects.select_related("project")
    mine = memberships.filter(user=user, role=Role.ADMIN, project__name=name).order_by("pk").first()
    return None if mine is None else mine.project


def _first_project(user: User, name: str, timezone: str, now: datetime) -> Project:
    project = create_project(name=name, timezone=timezone, creator=user, actor=_actor(user), now=now)
    audit.record(actor=SYSTEM, action="accounts.created", project=None, target=user, at=now, details={"how": "set-up"})
    return project


def _actor(user: User) -> Actor:
    return Actor(kind="user", id=user.pk, name=user.email)
