"""Projects and everything that says who may do what in them."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from apps.core import clock
from apps.projects.types import Role as Role
from apps.projects.types import Scope as Scope


class Project(models.Model):
    """The tenant. Members, keys and everything below belong to one project."""

    MAX_RETENTION_DAYS = 3650

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    timezone = models.CharField(max_length=64, default="UTC")
    created_at = models.DateTimeField(default=clock.now)
    retention_days = models.PositiveIntegerField(default=400)
    is_sample = models.BooleanField(default=False)
    first_call_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(retention_days__gte=1, retention_days__lte=3650),
                name="projects_retention_in_range",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a project."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role.choices)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="projects_membership_once"),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="projects_membership_role_known"),
        ]

    def __str__(self) -> str:
        return self.user.email

    @property
    def rank(self) -> Role:
        """The role as the enumeration, which knows what it allows."""
        return Role(self.role)


class Invitation(models.Model):
    """A link that lets one address join a project in a role. Only the token's hash is kept."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField(max_length=254)
    role = models.CharField(max_length=16, choices=Role.choices)
    token_hash = models.BinaryField(max_length=32, unique=True)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="projects_invitation_role_known"),
            models.UniqueConstraint(
                "project",
                Lower("email"),
                condition=Q(accepted_at=None, revoked_at=None),
                name="projects_invitation_open_once",
            ),
        ]

    def __str__(self) -> str:
        return self.email


class Environment(models.Model):
    """Where a feature runs. `production` is protected. `last_call_on` is the UTC day of its latest call, if
    any.
    """

    DEFAULTS: ClassVar[list[str]] = ["production", "staging", "development"]

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="environments")
    # Not a SlugField: the name may arrive in telemetry as the client spells it, and must be found again under
    # it.
    slug = models.CharField(max_length=64)
    is_protected = models.BooleanField(default=False)
    position = models.PositiveSmallIntegerField(default=0)
    made_by_call = models.BooleanField(default=False)
    last_call_on = models.DateField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["position", "slug"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="projects_environment_once")]

    def __str__(self) -> str:
        return self.slug


class Feature(models.Model):
    """One AI feature of a product: made by hand, or by its first call."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="features")
    slug = models.CharField(max_length=128)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    made_by_call = models.BooleanField(default=False)
    last_call_on = models.DateField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        ordering = ["slug"]
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="projects_feature_once")]

    def __str__(self) -> str:
        return self.slug


class ApiKey(models.Model):
    """A key of a service. The key itself is shown once; an HMAC of it and a visible prefix are kept."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120)
    prefix = models.CharField(max_length=32, db_index=True)
    key_hash = models.BinaryField(max_length=32, unique=True)
    scopes = ArrayField(models.CharField(max_length=32, choices=Scope.choices))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    rotated_to = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="rotated_from")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=[]), name="projects_key_has_a_scope"),
        ]

    def __str__(self) -> str:
        return self.name


class AuditHead(models.Model):
    """The end of one audit chain: whoever writes an entry locks this row first, so that entries form one
    line.

    `project_id` is None for the chain of the installation (sign-ins, accounts).
    """

    project_id = models.BigIntegerField(null=True)
    number = models.BigIntegerField()
    entry_hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project_id"], name="projects_audit_head_once", nulls_distinct=False)
        ]


class AuditEntry(models.Model):
    """One line of the audit trail. The database refuses to change or delete it; each line holds the last
    one's hash.
    """

    # No foreign keys: an entry outlives the project, the person and the thing it speaks of.
    project_id = models.BigIntegerField(null=True, db_index=True)
    number = models.BigIntegerField()
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=16)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=254)
    action = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=64)
    target_id = models.CharField(max_length=64)
    target_name = models.CharField(max_length=254)
    details = models.JSONField(default=dict)
    previous_hash = models.BinaryField(max_length=32)
    entry_hash = models.BinaryField(max_length=32)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project_id", "number"], name="projects_audit_number_once", nulls_distinct=False
            )
        ]

    @property
    def details_in_words(self) -> str:
        """The details in one line; what is not known is left out."""
        known = {name: value for name, value in self.details.items() if value is not None}
        texts = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else value for name, value in known.items()
        }
        return " · ".join(f"{name.replace('_', ' ')}: {text}" for name, text in texts.items())

    @property
    def entry_hash_hex(self) -> str:
        """The hash as the API shows it."""
        return bytes(self.entry_hash).hex()
