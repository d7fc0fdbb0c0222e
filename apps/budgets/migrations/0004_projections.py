"""Projections and their approval."""

import uuid
from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import apps.core.clock

# What somebody approves must be what they saw, for good; only the state and the decision move, and a decision once.
FROZEN = """
CREATE FUNCTION budgets_projection_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.uuid, NEW.lineage, NEW.revision, NEW.project_id, NEW.name, NEW.feature, NEW.environment, NEW.inputs,
      NEW.sample, NEW.price, NEW.numbers, NEW.month_usd, NEW.content_hash, NEW.author_id, NEW.author_name,
      NEW.created_at)
    IS DISTINCT FROM
     (OLD.uuid, OLD.lineage, OLD.revision, OLD.project_id, OLD.name, OLD.feature, OLD.environment, OLD.inputs,
      OLD.sample, OLD.price, OLD.numbers, OLD.month_usd, OLD.content_hash, OLD.author_id, OLD.author_name,
      OLD.created_at)
    OR (OLD.state IN ('approved', 'rejected') AND NEW IS DISTINCT FROM OLD)
  THEN
    RAISE EXCEPTION 'a projection is frozen: make a new revision' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER budgets_projection_frozen BEFORE UPDATE ON budgets_projection
  FOR EACH ROW EXECUTE FUNCTION budgets_projection_frozen();
"""
THAWED = """
DROP TRIGGER budgets_projection_frozen ON budgets_projection;
DROP FUNCTION budgets_projection_frozen();
"""


class Migration(migrations.Migration):
    """Projections and their approval."""

    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("budgets", "0003_latency_targets"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("projects", "0002_audit_is_append_only"),
    ]

    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="Projection",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("lineage", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("revision", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=120)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("environment", models.CharField(max_length=64)),
                ("state", models.CharField(default="draft", max_length=16)),
                ("inputs", models.JSONField()),
                ("sample", models.JSONField()),
                ("price", models.JSONField()),
                ("numbers", models.JSONField()),
                ("month_usd", models.DecimalField(decimal_places=6, max_digits=24)),
                ("content_hash", models.CharField(max_length=64)),
                ("author_name", models.CharField(max_length=254)),
                ("decided_by_name", models.CharField(blank=True, max_length=254)),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("asked_at", models.DateTimeField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("valid_until", models.DateTimeField(null=True)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="projections", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="projection",
            index=models.Index(fields=["project", "-created_at"], name="budgets_projection_newest"),
        ),
        migrations.AddIndex(
            model_name="projection",
            index=models.Index(
                condition=models.Q(("state", "approved")),
                fields=["project", "environment", "feature", "-decided_at"],
                name="budgets_projection_approved",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.UniqueConstraint(fields=("lineage", "revision"), name="budgets_projection_revision_once"),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "asked", "approved", "rejected"])),
                name="budgets_projection_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_at", None), ("decided_by", None), ("state__in", ["draft", "asked"])),
                    models.Q(
                        ("author__isnull", False),
                        ("decided_at__isnull", False),
                        ("decided_by__isnull", False),
                        ("state__in", ["approved", "rejected"]),
                    ),
                    _connector="OR",
                ),
                name="budgets_projection_decided_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("decided_by", None),
                    models.Q(
                        models.Q(("decided_by", models.F("author")), _negated=True),
                        models.Q(
                            ("asked_by", None),
                            models.Q(("decided_by", models.F("asked_by")), _negated=True),
                            _connector="OR",
                        ),
                    ),
                    _connector="OR",
                ),
                name="budgets_projection_not_by_its_author",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "rejected"), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="budgets_projection_rejected_with_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "approved"), _negated=True), ("valid_until__isnull", False), _connector="OR"
                ),
                name="budgets_projection_approval_ends",
            ),
        ),
        migrations.AddConstraint(
            model_name="projection",
            constraint=models.CheckConstraint(
                condition=models.Q(("month_usd__gte", 0)), name="budgets_projection_cost_not_negative"
            ),
        ),
        migrations.RunSQL(FROZEN, THAWED),
    ]
