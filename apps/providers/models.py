"""Dated prices, where they came from, and the mark that tells caches that something changed; and connections to
providers."""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from apps.core import clock
from apps.projects.models import Project


class Price(models.Model):
    """What a model costs from a day on (UTC). A row that has begun is never edited, except to end it.

    Rows without a project are from the price file. A project's own row goes before them for as long as it is
    in force: from `starts_on` until its `ends_on`, or until the project's next row for the same name begins.
    """

    class Source(models.TextChoices):
        LITELLM = "litellm"
        OWN = "own"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, null=True, related_name="prices")
    source = models.CharField(max_length=16, choices=Source.choices)
    # As `names.providers_of` writes it; empty in an own row that holds for every provider.
    provider = models.CharField(max_length=64, blank=True)
    # As listed in the file, or as calls name it. Compared without regard to case.
    model = models.CharField(max_length=200)
    mode = models.CharField(max_length=32, blank=True)
    starts_on = models.DateField()
    # The first day on which it no longer holds. The same day as starts_on: withdrawn, it never held.
    ends_on = models.DateField(null=True)
    # A price list as `rates.rates_from_json` reads it, dollars per million tokens as text; empty: listed
    # without price.
    rates = models.JSONField()
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "project",
                "provider",
                Lower("model"),
                "starts_on",
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
                nulls_distinct=False,
                name="providers_price_one_a_day",
            ),
            models.CheckConstraint(
                condition=Q(project__isnull=True, source="litellm") | Q(project__isnull=False, source="own"),
                name="providers_price_source_fits",
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                name="providers_price_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider}: {self.model}" if self.provider else self.model


class PriceSync(models.Model):
    """A price file that was read. Reading the same content again only moves `checked_at`."""

    synced_at = models.DateTimeField()
    checked_at = models.DateTimeField()
    source = models.CharField(max_length=200)
    version = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64)
    models_count = models.PositiveIntegerField()
    added_count = models.PositiveIntegerField()
    changed_count = models.PositiveIntegerField()
    skipped_count = models.PositiveIntegerField()


class PriceBookVersion(models.Model):
    """One row whose token changes with every change of a price; caches compare it, and writers take turns on
    it."""

    ONLY = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY)
    token = models.UUIDField(default=uuid.uuid4)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="providers_pricebook_one_row")]


class Reprice(models.Model):
    """Costs of one model's past calls worked out anew: the work, and what is kept of it for good.

    Calls that started from `starts_at` up to, not including, `ends_at`; those without a cost, and with
    `includes_priced` the others too. The calls up to the cursor are done; sums are of the calls whose cost changed.
    `leased_until` is set while somebody works on it.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="reprices")
    provider = models.TextField(blank=True)
    model = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    includes_priced = models.BooleanField(default=False)
    requested_by = models.TextField()
    requested_by_kind = models.TextField()
    requested_at = models.DateTimeField(default=clock.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    cursor_at = models.DateTimeField(null=True)
    cursor_trace = models.BinaryField(default=bytes)
    cursor_span = models.BinaryField(default=bytes)
    seen_calls = models.BigIntegerField(default=0)
    changed_calls = models.BigIntegerField(default=0)
    newly_priced_calls = models.BigIntegerField(default=0)
    still_unpriced_calls = models.BigIntegerField(default=0)
    before_usd = models.DecimalField(max_digits=46, decimal_places=24, default=0)
    after_usd = models.DecimalField(max_digits=46, decimal_places=24, default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "provider", "model"],
                condition=Q(finished_at=None),
                name="providers_reprice_open_once",
            ),
            models.CheckConstraint(condition=Q(ends_at__gte=F("starts_at")), name="providers_reprice_ends_after_start"),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="providers_reprice_newest")]

    def __str__(self) -> str:
        return f"{self.provider}: {self.model}" if self.provider else self.model

    @property
    def status(self) -> str:
        """`waiting`, `running` or `finished`."""
        if self.finished_at is not None:
            return "finished"
        return "waiting" if self.started_at is None else "running"


class Connection(models.Model):
    """How a project reaches a provider, with its sealed key. The key can be replaced and used, never read again.

    The key belongs to the place it was given for: changing the protocol or the address clears it.
    """

    class Protocol(models.TextChoices):
        """Those of `calls.Protocol` that a connection may speak; the test model needs none."""

        OPENAI = "openai"
        ANTHROPIC = "anthropic"
        LITELLM = "litellm"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="connections")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # The first part of a model's full name, as in `<slug>/gpt-4o`.
    slug = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    protocol = models.CharField(max_length=16, choices=Protocol.choices)
    # As the price book names it, and with LiteLLM as LiteLLM does; empty: unknown, so calls have no listed price.
    provider = models.CharField(max_length=64, blank=True)
    # Empty with LiteLLM alone, which knows where its providers are.
    base_url = models.CharField(max_length=500, blank=True)
    sealed_secret = models.TextField(blank=True)
    # The last four characters of a key that has at least twelve.
    secret_hint = models.CharField(max_length=4, blank=True)
    # What pickers offer. Any other model may be named with the slug before it.
    model_names = ArrayField(models.CharField(max_length=200), default=list)
    connect_seconds = models.PositiveSmallIntegerField(default=5)
    first_byte_seconds = models.PositiveSmallIntegerField(default=30)
    idle_seconds = models.PositiveSmallIntegerField(default=30)
    total_seconds = models.PositiveSmallIntegerField(default=300)
    attempts = models.PositiveSmallIntegerField(default=2)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)
    last_checked_at = models.DateTimeField(null=True)
    # None: not checked since the last change.
    last_check_ok = models.BooleanField(null=True)
    last_check_note = models.CharField(max_length=300, blank=True)
    disabled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="providers_connection_slug_once"),
            models.CheckConstraint(
                condition=Q(protocol__in=["openai", "anthropic", "litellm"]), name="providers_connection_protocol_known"
            ),
            models.CheckConstraint(
                condition=Q(protocol="litellm") | ~Q(base_url=""), name="providers_connection_has_address"
            ),
            models.CheckConstraint(
                condition=~Q(sealed_secret="") | Q(secret_hint=""),
                name="providers_connection_hint_of_secret",
            ),
            models.CheckConstraint(
                condition=Q(
                    connect_seconds__range=(1, 60),
                    first_byte_seconds__range=(1, 600),
                    idle_seconds__range=(1, 600),
                    total_seconds__range=(1, 3600),
                    attempts__range=(1, 5),
                ),
                name="providers_connection_limits_in_range",
            ),
        ]

    def __str__(self) -> str:
        return self.slug

    @property
    def place(self) -> str:
        """What the sealed key is bound to: a copy of it in another row does not open."""
        return f"providers_connection:{self.uuid}:secret"
