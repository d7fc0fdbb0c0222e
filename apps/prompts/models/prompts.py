"""Prompts, drafts, versions, and what is live where."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Environment, Project
from apps.prompts import content as contents
from apps.prompts.content import Content
from apps.prompts.semver import MOST, Number
from apps.prompts.types import Bump, Origin

BUMPS = [(bump.value, bump.value) for bump in Bump]
ORIGINS = [(origin.value, origin.value) for origin in Origin]


class Prompt(models.Model):
    """A named prompt. Its name may have folders, as in `support/answer`; its contents are in drafts and versions."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="prompts")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    tags = ArrayField(models.CharField(max_length=64), default=list, blank=True)
    # The feature that it serves, by its slug; empty while nobody said.
    feature = models.CharField(max_length=128, blank=True)
    # Names it had before; callers who still use one are answered.
    former_names = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "name"], name="prompts_prompt_name_once")]

    def __str__(self) -> str:
        return self.name

    @property
    def folder(self) -> str:
        """The name up to its last `/`; empty at the top."""
        return self.name.rpartition("/")[0]

    @property
    def base_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]


class Version(models.Model):
    """What a prompt said at one number. The database refuses to change it."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="versions")
    major = models.PositiveIntegerField()
    minor = models.PositiveIntegerField()
    patch = models.PositiveIntegerField()
    content = models.JSONField()
    # The messages with every included snippet in its place.
    resolved = models.JSONField()
    # The snippets in use, as [{"name", "version"}].
    includes = models.JSONField(default=list)
    content_hash = models.CharField(max_length=64)
    note = models.TextField(blank=True)
    bump = models.CharField(max_length=8, choices=BUMPS)
    suggested_bump = models.CharField(max_length=8, choices=BUMPS)
    bump_reasons = ArrayField(models.TextField(), default=list)
    origin = models.CharField(max_length=16, choices=ORIGINS)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")
    publisher_kind = models.CharField(max_length=16)
    publisher_name = models.CharField(max_length=254)
    published_at = models.DateTimeField(default=clock.now)
    # The file it was read from, byte for byte, and the commit that brought it; empty when it came another way.
    source_text = models.TextField(blank=True)
    commit_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-major", "-minor", "-patch"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "major", "minor", "patch"], name="prompts_version_number_once"),
            models.CheckConstraint(
                condition=Q(major__lte=MOST, minor__lte=MOST, patch__lte=MOST), name="prompts_version_number_in_range"
            ),
            models.CheckConstraint(condition=Q(bump__in=[bump.value for bump in Bump]), name="prompts_version_bump"),
            models.CheckConstraint(
                condition=Q(origin__in=[origin.value for origin in Origin]), name="prompts_version_origin"
            ),
        ]
        indexes = [models.Index(fields=["prompt", "content_hash"], name="prompts_version_hash")]

    def __str__(self) -> str:
        return f"{self.prompt.name}@{self.number}"

    @property
    def number(self) -> Number:
        """The semantic version."""
        return Number(self.major, self.minor, self.patch)

    @property
    def body(self) -> Content:
        """The content as a value."""
        return contents.content_from_dict(self.content)


class Draft(models.Model):
    """What somebody is writing and has not published: one for each person and prompt.

    A draft without an author came from git and waits for a person. `revision` counts the saves, so that two windows
    of one person cannot overwrite each other unseen.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="drafts")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+")
    base = models.ForeignKey(Version, on_delete=models.SET_NULL, null=True, related_name="+")
    content = models.JSONField()
    note = models.TextField(blank=True)
    origin = models.CharField(max_length=16, choices=ORIGINS)
    revision = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(default=clock.now)
    updated_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "author"], name="prompts_draft_one_a_person", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"a draft of {self.prompt.name}"

    @property
    def body(self) -> Content:
        """The content as a value."""
        return contents.content_from_dict(self.content)


class Deployment(models.Model):
    """A version that is, or was, live in an environment. The one without an end is live now.

    `evidence` names what let it into a protected environment, in an app above; the database looks there.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="deployments")
    environment = models.ForeignKey(Environment, on_delete=models.RESTRICT, related_name="+")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="deployments")
    started_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    reason = models.TextField(blank=True)
    # The model that answers instead of the version's own; empty: the version's own.
    model = models.CharField(max_length=300, blank=True)
    evidence_kind = models.CharField(max_length=16, blank=True)
    evidence_id = models.UUIDField(null=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["prompt", "environment"],
                condition=Q(ended_at=None),
                name="prompts_deployment_one_live",
            ),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=models.F("started_at")),
                name="prompts_deployment_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(evidence_kind__in=["", "promotion", "return"]), name="prompts_deployment_evidence_known"
            ),
            models.CheckConstraint(
                condition=Q(evidence_kind="", evidence_id=None) | (~Q(evidence_kind="") & Q(evidence_id__isnull=False)),
                name="prompts_deployment_evidence_named",
            ),
            # A promotion makes its candidate live once; coming back to it is a return.
            models.UniqueConstraint(
                fields=["evidence_id"],
                condition=Q(evidence_kind="promotion"),
                name="prompts_deployment_promoted_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} in {self.environment.slug}"


class LiveMark(models.Model):
    """One row a project, whose number grows with every change of what is live; processes compare it with theirs."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, primary_key=True, related_name="+")
    number = models.BigIntegerField(default=0)
