"""Eval sets, their examples as they were at each revision, and uploads on their way in."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q

from apps.core import clock
from apps.evals.types import ExampleOrigin, ReviewState
from apps.projects.models import Project

STATES = [(state.value, state.value) for state in ReviewState]
ORIGINS = [(origin.value, origin.value) for origin in ExampleOrigin]


class EvalSet(models.Model):
    """Golden examples that one feature is held to. `head` is the newest revision, 0 before the first."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="eval_sets")
    slug = models.CharField(max_length=100)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    # The feature it stands for, as telemetry names it; empty when it is for none in particular.
    feature = models.CharField(max_length=128, blank=True)
    # JSON Schemas that every example's variables and expected output must meet.
    input_schema = models.JSONField(null=True, blank=True)
    expected_schema = models.JSONField(null=True, blank=True)
    minimum_examples = models.PositiveIntegerField(default=100)
    minimum_per_slice = models.PositiveIntegerField(default=10)
    # An example that nobody looked at for longer counts as stale.
    fresh_days = models.PositiveIntegerField(default=180)
    head = models.PositiveIntegerField(default=0)
    is_sample = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)
    created_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField(default=clock.now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "slug"], name="evals_set_slug_once")
        ]

    def __str__(self) -> str:
        return self.name


class Revision(models.Model):
    """One change of an eval set: who, when, why, and how many examples there were afterwards.

    `content_hash` is over the hashes of the examples that were in the set then, so two revisions with one hash hold the
    same.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    eval_set = models.ForeignKey(EvalSet, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    made_at = models.DateTimeField(default=clock.now)
    actor_kind = models.CharField(max_length=16)
    actor_name = models.CharField(max_length=254)
    note = models.TextField(blank=True)
    added = models.PositiveIntegerField(default=0)
    changed = models.PositiveIntegerField(default=0)
    removed = models.PositiveIntegerField(default=0)
    examples = models.PositiveIntegerField()
    approved = models.PositiveIntegerField()
    content_hash = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["eval_set", "number"], name="evals_revision_number_once")
        ]

    def __str__(self) -> str:
        return f"{self.eval_set} r{self.number}"


class Example(models.Model):
    """One example as it was from revision `since` on, up to but not in revision `until`; null: it still is.

    A change of an example ends its row and begins another with the same key. Only `until` of a row ever changes; the
    database sees to that. Revision R holds the rows with since <= R < until.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    eval_set = models.ForeignKey(EvalSet, on_delete=models.CASCADE, related_name="examples")
    # The example's name in its set, stable over its changes.
    key = models.CharField(max_length=200)
    since = models.PositiveIntegerField()
    until = models.PositiveIntegerField(null=True)

    variables = models.JSONField(default=dict)
    # A conversation in OpenAI's shape, for sets that are not about one prompt's variables; null when there is none.
    messages = models.JSONField(null=True)
    # Functions that the model may call for this example, in place of the prompt's.
    tools = models.JSONField(null=True)
    expected = models.JSONField(null=True)
    # Documents: [{"id", "content", "title"?}].
    context = models.JSONField(default=list)
    metadata = models.JSONField(default=dict)
    slices = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    state = models.CharField(max_length=16, choices=STATES, default=ReviewState.DRAFT.value)
    content_hash = models.CharField(max_length=64)

    origin = models.CharField(max_length=16, choices=ORIGINS)
    # The trace it was made of, as hex; empty when it was not.
    trace_id = models.CharField(max_length=32, blank=True)
    span_id = models.CharField(max_length=16, blank=True)
    note = models.TextField(blank=True)
    author_name = models.CharField(max_length=254)
    made_at = models.DateTimeField(default=clock.now)
    # When the key first appeared in the set.
    first_made_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["eval_set", "key"], condition=Q(until__isnull=True), name="evals_example_one_current"
            ),
            models.UniqueConstraint(fields=["eval_set", "key", "since"], name="evals_example_once_a_revision"),
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gt=F("since")), name="evals_example_ends_after_start"
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in ReviewState]), name="evals_example_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["eval_set", "id"], condition=Q(until__isnull=True), name="evals_example_current"),
            models.Index(fields=["eval_set", "content_hash"], name="evals_example_hash"),
            models.Index(fields=["project", "trace_id"], condition=~Q(trace_id=""), name="evals_example_trace"),
            GinIndex(fields=["slices"], name="evals_example_slices"),
        ]

    def __str__(self) -> str:
        return self.key


class SetImport(models.Model):
    """An upload of examples: read row by row, shown with its errors, then made a revision, or thrown away.

    States: `uploading`, `mapping` (somebody is to say what the columns mean), `reading`, `ready` (to be confirmed),
    `done`, `failed` (`sentence` says why), `expired`. Whoever uploads or reads holds `lease_token` until `lease_until`,
    and writes nothing without it. `problems` are {"row", "column", "code", "message"}, the first of them; `counts` say
    how many there were of each kind. The rows that were read wait in StagedExample.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    eval_set = models.ForeignKey(EvalSet, on_delete=models.CASCADE, related_name="+")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    actor_name = models.CharField(max_length=254)
    filename = models.CharField(max_length=255)
    format = models.CharField(max_length=16)
    encoding = models.CharField(max_length=16, blank=True)
    size = models.PositiveIntegerField(default=0)
    mapping = models.JSONField(default=dict)
    # The state of new and changed examples that say none themselves, and whether those not in the file are removed.
    default_state = models.CharField(max_length=16, choices=STATES, default=ReviewState.DRAFT.value)
    replaces_all = models.BooleanField(default=False)
    state = models.CharField(max_length=16, default="uploading")
    sentence = models.TextField(blank=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    readings = models.PositiveSmallIntegerField(default=0)
    rows = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict)
    problems = models.JSONField(default=list)
    duplicates = models.JSONField(default=list)
    revision = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["created_at"], name="evals_import_age")]

    def __str__(self) -> str:
        return self.filename


class SetImportPiece(models.Model):
    """A part of the bytes of an upload, kept until its rows are a revision or the upload expires."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    upload = models.ForeignKey(SetImport, on_delete=models.CASCADE, related_name="pieces")
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["upload", "number"], name="evals_piece_once")
        ]

    def __str__(self) -> str:
        return f"piece {self.number}"


class StagedExample(models.Model):
    """A row of an upload that nobody confirmed yet. `example` has the fields of Example."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    upload = models.ForeignKey(SetImport, on_delete=models.CASCADE, related_name="staged")
    row = models.PositiveIntegerField()
    key = models.CharField(max_length=200)
    example = models.JSONField()
    content_hash = models.CharField(max_length=64)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["upload", "row"], name="evals_staged_row")]

    def __str__(self) -> str:
        return f"row {self.row}"


class SetHealth(models.Model):
    """What was last found out about how far a set can be relied on: `health.Health` as JSON, and for which revision.

    It is worked out by a task, which holds `lease_token` until `lease_until`.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    eval_set = models.OneToOneField(EvalSet, on_delete=models.CASCADE, related_name="+")
    revision = models.PositiveIntegerField(default=0)
    figures = models.JSONField(null=True)
    computed_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    sentence = models.TextField(blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["asked_at"], condition=Q(asked_at__isnull=False), name="evals_health_asked")
        ]

    def __str__(self) -> str:
        return f"health of {self.eval_set_id}"
