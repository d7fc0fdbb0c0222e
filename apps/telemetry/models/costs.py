"""Cost records, and the hours whose records are to be written anew."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from apps.core import clock


class DirtyHour(models.Model):
    """An hour whose spans changed since its cost records were written. Only ever appended by the intake."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    marked_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project_id", "hour"], name="telemetry_dirty_project_hour")
        ]


class CostFigures(models.Model):
    """What a cost record counts. Sums are of calls (`Span.counted`); a null cost is unpriced and counted as such."""

    calls = models.BigIntegerField()
    errors = models.BigIntegerField()
    unpriced_calls = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_usd = models.DecimalField(max_digits=46, decimal_places=24)
    latency_histogram = models.BinaryField()
    ttft_histogram = models.BinaryField()

    class Meta:
        abstract = True


class CostDimensions(models.Model):
    """What a cost record is kept by. Empty text stands for calls that did not say."""

    project_id = models.BigIntegerField()
    environment = models.TextField()
    feature = models.TextField()
    provider = models.TextField()
    model = models.TextField()
    prompt_version = models.TextField()
    source = models.TextField()

    class Meta:
        abstract = True


class CostHour(CostDimensions, CostFigures):
    """The cost record: one hour of one combination of dimensions."""

    hour = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id",
                "hour",
                "environment",
                "feature",
                "provider",
                "model",
                "prompt_version",
                "source",
                name="telemetry_cost_hour_once",
            )
        ]


class CostHourSlice(CostFigures):
    """One hour by one dimension alone, for series of hours and for days that are not those of UTC. Only for `all` (the
    hour's total), `feature` and `model`: most reads are by those, and more would be as many rows as the records."""

    project_id = models.BigIntegerField()
    hour = models.DateTimeField()
    environment = models.TextField()
    dimension = models.TextField()
    value = models.TextField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id", "dimension", "hour", "environment", "value", name="telemetry_cost_hour_slice_once"
            )
        ]


class CostDay(CostDimensions, CostFigures):
    """The hours of one UTC day, added up."""

    day = models.DateField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id",
                "day",
                "environment",
                "feature",
                "provider",
                "model",
                "prompt_version",
                "source",
                name="telemetry_cost_day_once",
            )
        ]


class CostDaySlice(CostFigures):
    """One UTC day by one dimension alone, for long ranges. The dimension `all` has the day's total."""

    project_id = models.BigIntegerField()
    day = models.DateField()
    environment = models.TextField()
    dimension = models.TextField()
    value = models.TextField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                "project_id", "dimension", "day", "environment", "value", name="telemetry_cost_day_slice_once"
            )
        ]
