"""What passes between modules: roles, scopes, who is acting, and what a key was found to be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    """What a member may do; each role may do all that the ones before it may."""

    VIEWER = "viewer", _("viewer")
    EDITOR = "editor", _("editor")
    REVIEWER = "reviewer", _("reviewer")
    ADMIN = "admin", _("admin")

    @property
    def rank(self) -> int:
        """0 for viewer up to 3 for admin."""
        return list(Role).index(self)

    def allows(self, needed: Role) -> bool:
        """True when this role is the needed one or stands above it."""
        return self.rank >= needed.rank


class Scope(TextChoices):
    """What an API key may do."""

    INGEST = "ingest", _("send telemetry and scores")
    READ = "read", _("read traces, metrics and settings")
    PROMPTS_READ = "prompts:read", _("fetch prompts")
    PROMPTS_WRITE = "prompts:write", _("write prompt versions")
    EVALS = "evals", _("start and read eval runs")
    PROMOTIONS = "promotions", _("ask for, approve and roll back promotions")
    GATEWAY = "gateway", _("call models through the gateway")
    ADMIN = "admin", _("everything an admin may do")


ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.VIEWER: frozenset(),
    Role.EDITOR: frozenset(
        {Scope.INGEST, Scope.READ, Scope.PROMPTS_READ, Scope.PROMPTS_WRITE, Scope.EVALS, Scope.GATEWAY}
    ),
    Role.REVIEWER: frozenset(set(Scope) - {Scope.ADMIN}),
    Role.ADMIN: frozenset(Scope),
}
"""The most that a key made by a person of this role may do. It is looked up again at each use of the key, so
a key
never outlives its maker's role."""


@dataclass(frozen=True)
class Actor:
    """Who does something: a person, an API key, or the product itself. `id` is the row's, None for the
    product.
    """

    kind: Literal["user", "key", "system"]
    id: int | None
    name: str


SYSTEM = Actor(kind="system", id=None, name="system")


@dataclass(frozen=True)
class KeyIdentity:
    """A usable key: whose it is and what it may do now. Scopes are already cut to its maker's role."""

    key_id: int
    key_name: str
    project_id: int
    project_slug: str
    scopes: frozenset[str]
    expires_at: datetime | None
    created_by_id: int | None
    retention_days: int = 400

    @property
    def actor(self) -> Actor:
        """The key as the one who acts."""
        return Actor(kind="key", id=self.key_id, name=self.key_name)
