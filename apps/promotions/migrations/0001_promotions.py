"""Release rules, promotions, rollbacks, drills, watches, and experiments."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("evals", "0009_gates_and_online"),
        ("projects", "0002_audit_is_append_only"),
        ("prompts", "0005_models_evidence_and_splits"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Experiment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("slug", models.CharField(max_length=100)),
                ("name", models.CharField(max_length=200)),
                ("hypothesis", models.TextField(blank=True)),
                ("state", models.CharField(default="draft", max_length=16)),
                ("unit", models.CharField(default="user", max_length=16)),
                ("salt", models.CharField(max_length=64)),
                ("layer", models.CharField(blank=True, max_length=100)),
                ("layer_from", models.PositiveIntegerField(default=0)),
                (
                    "excluded",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=256), blank=True, default=list, size=None
                    ),
                ),
                (
                    "ramp",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.PositiveIntegerField(), default=list, size=None
                    ),
                ),
                ("step", models.PositiveSmallIntegerField(default=0)),
                ("primary_metric", models.JSONField()),
                ("guardrails", models.JSONField(default=list)),
                ("alpha", models.FloatField(default=0.05)),
                ("minimum_effect", models.FloatField(null=True)),
                ("planned_subjects", models.PositiveIntegerField(null=True)),
                ("stop_reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("counted_until", models.DateTimeField(null=True)),
                ("counted_at", models.DateTimeField(null=True)),
                ("is_sample", models.BooleanField(default=False)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="projects.environment"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="experiments", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="experiments", to="prompts.prompt"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ExperimentArm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=32)),
                ("position", models.PositiveSmallIntegerField(default=0)),
                ("model", models.CharField(blank=True, max_length=300)),
                ("weight", models.PositiveIntegerField()),
                ("is_control", models.BooleanField(default=False)),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="arms", to="promotions.experiment"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.version"
                    ),
                ),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.AddField(
            model_name="experiment",
            name="winner",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="promotions.experimentarm"
            ),
        ),
        migrations.CreateModel(
            name="Promotion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("number", models.PositiveIntegerField()),
                ("kind", models.CharField(default="promotion", max_length=16)),
                ("purpose", models.CharField(default="live", max_length=16)),
                ("state", models.CharField(default="checking", max_length=16)),
                ("model", models.CharField(blank=True, max_length=300)),
                ("content_hash", models.CharField(max_length=64)),
                ("rule_hash", models.CharField(blank=True, max_length=64)),
                ("rule_said", models.JSONField(default=dict)),
                ("requester_kind", models.CharField(max_length=16)),
                ("requester_name", models.CharField(max_length=254)),
                ("origin", models.CharField(max_length=16)),
                ("why", models.TextField(blank=True)),
                ("changes", models.JSONField(default=list)),
                ("reasons", models.JSONField(default=list)),
                ("asked_at", models.DateTimeField(default=apps.core.clock.now)),
                ("checked_at", models.DateTimeField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                ("reminded_at", models.DateTimeField(null=True)),
                ("reminders", models.PositiveSmallIntegerField(default=0)),
                (
                    "deployment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="prompts.deployment",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="projects.environment"
                    ),
                ),
                (
                    "live_before",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="prompts.deployment",
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="promotions", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="promotions", to="prompts.prompt"
                    ),
                ),
                (
                    "requester",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="promotions", to="prompts.version"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FollowUp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("due_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(null=True)),
                ("finding", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "done_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "promotion",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="follow_up", to="promotions.promotion"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="experimentarm",
            name="promotion",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="promotions.promotion"
            ),
        ),
        migrations.AddField(
            model_name="experiment",
            name="promotion",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="promotions.promotion"
            ),
        ),
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("kind", models.CharField(max_length=16)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("reason", models.TextField(blank=True)),
                ("bound_to", models.JSONField()),
                ("decided_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="decisions", to="promotions.promotion"
                    ),
                ),
            ],
            options={
                "ordering": ["decided_at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="PromotionCheck",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(default="waiting", max_length=16)),
                ("problem", models.TextField(blank=True)),
                (
                    "gate",
                    models.ForeignKey(on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="evals.gate"),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="checks", to="promotions.promotion"
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="evals.gatereport"
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="evals.evalrun"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PromotionComment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("text", models.TextField()),
                ("written_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="comments", to="promotions.promotion"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PromotionEvent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=32)),
                ("state", models.CharField(max_length=16)),
                ("sentence", models.TextField()),
                ("actor_name", models.CharField(max_length=254)),
                ("at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "promotion",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="events", to="promotions.promotion"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "pk"],
            },
        ),
        migrations.CreateModel(
            name="ReleaseRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("feature", models.CharField(blank=True, max_length=128)),
                ("approvals_needed", models.PositiveSmallIntegerField(default=1)),
                ("asks_on_merge", models.BooleanField(default=False)),
                ("guardrails", models.JSONField(default=dict)),
                ("rolls_back", models.BooleanField(default=False)),
                ("watch_hours", models.PositiveSmallIntegerField(default=24)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("created_by", models.CharField(max_length=254)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.environment"
                    ),
                ),
                ("gates", models.ManyToManyField(related_name="release_rules", to="evals.gate")),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="release_rules",
                        to="prompts.prompt",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="promotion",
            name="rule",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="promotions.releaserule"
            ),
        ),
        migrations.CreateModel(
            name="Rollback",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("is_drill", models.BooleanField(default=False)),
                ("is_automatic", models.BooleanField(default=False)),
                ("reason", models.TextField(blank=True)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("asked_at", models.DateTimeField()),
                ("committed_at", models.DateTimeField(null=True)),
                ("mark", models.BigIntegerField(default=0)),
                ("state", models.CharField(default="measuring", max_length=16)),
                ("processes", models.JSONField(default=list)),
                ("everywhere_at", models.DateTimeField(null=True)),
                ("first_call_at", models.DateTimeField(null=True)),
                ("last_bad_call_at", models.DateTimeField(null=True)),
                ("bad_calls_after", models.PositiveIntegerField(default=0)),
                ("measured_at", models.DateTimeField(null=True)),
                (
                    "bad",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.deployment"
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="projects.environment"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rollbacks", to="prompts.prompt"
                    ),
                ),
                (
                    "restored",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="rollback", to="prompts.deployment"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Drill",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("state", models.CharField(default="running", max_length=16)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
                ("target_seconds", models.PositiveIntegerField(default=300)),
                ("seconds", models.FloatField(null=True)),
                ("sentence", models.TextField(blank=True)),
                ("started_at", models.DateTimeField(default=apps.core.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="projects.environment"
                    ),
                ),
                (
                    "kept",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.deployment"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="drills", to="prompts.prompt"
                    ),
                ),
                (
                    "rollback",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="drill",
                        to="promotions.rollback",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Watch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("state", models.CharField(default="watching", max_length=16)),
                ("guardrails", models.JSONField()),
                ("rolls_back", models.BooleanField(default=False)),
                ("started_at", models.DateTimeField(default=apps.core.clock.now)),
                ("until", models.DateTimeField()),
                ("looked_at", models.DateTimeField(null=True)),
                ("figures", models.JSONField(default=dict)),
                ("breached_at", models.DateTimeField(null=True)),
                ("breach", models.TextField(blank=True)),
                (
                    "before",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="prompts.deployment",
                    ),
                ),
                (
                    "deployment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="watch", to="prompts.deployment"
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "promotion",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="watches",
                        to="promotions.promotion",
                    ),
                ),
                (
                    "rollback",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="promotions.rollback",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ExperimentLook",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField(default=apps.core.clock.now)),
                ("subjects", models.PositiveIntegerField()),
                ("figures", models.JSONField()),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="looks", to="promotions.experiment"
                    ),
                ),
            ],
            options={
                "ordering": ["at", "pk"],
                "indexes": [models.Index(fields=["experiment", "at"], name="promotions_look_newest")],
            },
        ),
        migrations.CreateModel(
            name="Exposure",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.BinaryField(max_length=16)),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("calls", models.PositiveIntegerField(default=0)),
                ("stray_calls", models.PositiveIntegerField(default=0)),
                ("errors", models.PositiveIntegerField(default=0)),
                ("cost_usd", models.DecimalField(decimal_places=24, default=0, max_digits=46)),
                ("unpriced", models.PositiveIntegerField(default=0)),
                ("latency_ms", models.BigIntegerField(default=0)),
                ("timed", models.PositiveIntegerField(default=0)),
                ("score", models.FloatField(default=0)),
                ("scored", models.PositiveIntegerField(default=0)),
                (
                    "arm",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="promotions.experimentarm"
                    ),
                ),
                (
                    "experiment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="exposures",
                        to="promotions.experiment",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("experiment", "subject"), name="promotions_exposure_once")
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="experimentarm",
            constraint=models.UniqueConstraint(fields=("experiment", "name"), name="promotions_arm_name_once"),
        ),
        migrations.AddConstraint(
            model_name="experimentarm",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_control", True)), fields=("experiment",), name="promotions_arm_one_control"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.UniqueConstraint(fields=("project", "slug"), name="promotions_experiment_slug_once"),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "running")),
                fields=("prompt", "environment"),
                name="promotions_experiment_one_running",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["draft", "running", "stopped", "finished"])),
                name="promotions_experiment_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("unit__in", ["user", "session"])), name="promotions_experiment_unit_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="experiment",
            constraint=models.CheckConstraint(
                condition=models.Q(("alpha__gt", 0), ("alpha__lt", 1)), name="promotions_experiment_alpha_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.UniqueConstraint(
                fields=("promotion", "person"), name="promotions_decision_once_a_person"
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["approved", "rejected"])), name="promotions_decision_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="decision",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "rejected"), _negated=True),
                    models.Q(("reason", ""), _negated=True),
                    _connector="OR",
                ),
                name="promotions_rejection_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotioncheck",
            constraint=models.UniqueConstraint(fields=("promotion", "gate"), name="promotions_check_once"),
        ),
        migrations.AddConstraint(
            model_name="promotioncheck",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["waiting", "passed", "failed", "cannot_tell"])),
                name="promotions_check_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotioncheck",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "passed"), _negated=True), ("report__isnull", False), _connector="OR"
                ),
                name="promotions_check_passes_by_report",
            ),
        ),
        migrations.AddConstraint(
            model_name="releaserule",
            constraint=models.UniqueConstraint(
                fields=("environment", "prompt", "feature"), name="promotions_rule_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="releaserule",
            constraint=models.CheckConstraint(
                condition=models.Q(("approvals_needed__gte", 1), ("approvals_needed__lte", 5)),
                name="promotions_rule_approvals",
            ),
        ),
        migrations.AddConstraint(
            model_name="releaserule",
            constraint=models.CheckConstraint(
                condition=models.Q(("prompt", None), ("feature", ""), _connector="OR"),
                name="promotions_rule_prompt_or_feature",
            ),
        ),
        migrations.AddConstraint(
            model_name="releaserule",
            constraint=models.CheckConstraint(
                condition=models.Q(("watch_hours__gte", 1), ("watch_hours__lte", 168)),
                name="promotions_rule_watch_hours",
            ),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(fields=["project", "state", "-asked_at"], name="promotions_by_state"),
        ),
        migrations.AddIndex(
            model_name="promotion",
            index=models.Index(fields=["prompt", "environment", "-asked_at"], name="promotions_by_prompt"),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.UniqueConstraint(fields=("project", "number"), name="promotions_number_once"),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        [
                            "checking",
                            "refused",
                            "waiting",
                        ],
                    )
                ),
                fields=("prompt", "environment", "version", "model", "purpose"),
                name="promotions_open_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        ["checking", "refused", "waiting", "approved", "live", "rejected", "withdrawn", "void"],
                    )
                ),
                name="promotions_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["promotion", "override"])), name="promotions_kind_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("purpose__in", ["live", "experiment"])), name="promotions_purpose_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "override"), _negated=True), models.Q(("why", ""), _negated=True), _connector="OR"
                ),
                name="promotions_override_has_a_reason",
            ),
        ),
        migrations.AddIndex(
            model_name="rollback",
            index=models.Index(fields=["prompt", "environment", "-asked_at"], name="promotions_rollback_by_prompt"),
        ),
        migrations.AddConstraint(
            model_name="rollback",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["measuring", "measured"])), name="promotions_rollback_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="drill",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["running", "passed", "failed"])), name="promotions_drill_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="drill",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "running")),
                fields=("prompt", "environment"),
                name="promotions_drill_one_at_a_time",
            ),
        ),
        migrations.AddIndex(
            model_name="watch",
            index=models.Index(
                condition=models.Q(("state", "watching")), fields=["looked_at"], name="promotions_watch_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="watch",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["watching", "healthy", "breached", "ended"])),
                name="promotions_watch_state_known",
            ),
        ),
    ]
