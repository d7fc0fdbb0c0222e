"""Spend budgets, and what was told of them, each thing once."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.budgets.scopes import SCOPE_FIELDS, SpendScope
from apps.core import clock
from apps.projects.models import Project


class Budget(models.Model):
    """What may be spent in a day or month of the project's time zone by calls of its scope. Empty takes every one."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120)
    period = models.CharField(max_length=8)
    amount_usd = models.DecimalField(max_digits=20, decimal_places=6)
    # A soft budget tells; a hard one also has the gateway refuse.
    is_hard = models.BooleanField(default=False)
    # In percent, ascending.
    thresholds = ArrayField(models.PositiveSmallIntegerField())
    environment = models.CharField(max_length=64, blank=True)
    feature = models.CharField(max_length=128, blank=True)
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=64, blank=True)
    user_id = models.CharField(max_length=256, blank=True)
    # Grows with every change, so that whoever evaluates knows that it looked at what still holds.
    revision = models.PositiveIntegerField(default=1)
    created_by = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)
    archived_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(amount_usd__gt=0), name="budgets_budget_amount_positive"),
            models.CheckConstraint(condition=Q(period__in=["day", "month"]), name="budgets_budget_period_known"),
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(archived_at=None), name="budgets_budget_name_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def scope(self) -> SpendScope:
        """Whose spend it is about."""
        return SpendScope(**{name: getattr(self, name) for name in SCOPE_FIELDS})


class BudgetAlert(models.Model):
    """That something was told of a budget in a period: a threshold, or that the forecast crosses the amount.

    One of each kind and threshold in a period. A raised amount re-arms those that it put out of reach again: their rows
    stay, and are marked.
    """

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="alerts")
    # The first local day of the period.
    period_on = models.DateField()
    kind = models.CharField(max_length=16)
    threshold = models.PositiveSmallIntegerField()
    amount_usd = models.DecimalField(max_digits=20, decimal_places=6)
    spent_usd = models.DecimalField(max_digits=46, decimal_places=24)
    unpriced_calls = models.BigIntegerField(default=0)
    # For a forecast: the day on which the amount will be reached.
    crosses_on = models.DateField(null=True)
    at = models.DateTimeField(default=clock.now)
    rearmed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["budget", "period_on", "kind", "threshold"],
                condition=Q(rearmed_at=None),
                name="budgets_alert_once",
            ),
            models.CheckConstraint(condition=Q(kind__in=["threshold", "forecast"]), name="budgets_alert_kind_known"),
        ]


class BudgetLook(models.Model):
    """When the budgets were last evaluated: one row. Without it nobody would notice that nobody looks."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(id=1), name="budgets_look_is_one")
        ]
