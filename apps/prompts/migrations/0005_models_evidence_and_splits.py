"""A deployment names its model and its evidence; splits of the traffic; and what each process serves."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import apps.core.clock


class Migration(migrations.Migration):
    dependencies = [
        ("projects", "0002_audit_is_append_only"),
        ("prompts", "0004_git"),
    ]

    operations = [
        migrations.CreateModel(
            name="LiveProcess",
            fields=[
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=254)),
                ("started_at", models.DateTimeField(default=apps.core.clock.now)),
                ("seen_at", models.DateTimeField(db_index=True, default=apps.core.clock.now)),
            ],
        ),
        migrations.CreateModel(
            name="LiveSeen",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Split",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("experiment", models.CharField(max_length=100)),
                ("unit", models.CharField(max_length=16)),
                ("salt", models.CharField(max_length=64)),
                ("layer", models.CharField(blank=True, max_length=100)),
                ("layer_from", models.PositiveIntegerField(default=0)),
                ("share", models.PositiveIntegerField()),
                (
                    "excluded",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=256), blank=True, default=list, size=None
                    ),
                ),
                ("started_at", models.DateTimeField(default=apps.core.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_name", models.CharField(max_length=254)),
            ],
            options={
                "ordering": ["-started_at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="SplitArm",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.PositiveSmallIntegerField()),
                ("name", models.CharField(max_length=32)),
                ("model", models.CharField(blank=True, max_length=300)),
                ("weight", models.PositiveIntegerField()),
                ("evidence_kind", models.CharField(blank=True, max_length=16)),
                ("evidence_id", models.UUIDField(null=True)),
            ],
            options={
                "ordering": ["position"],
            },
        ),
        migrations.AddField(
            model_name="deployment",
            name="evidence_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="deployment",
            name="evidence_kind",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddField(
            model_name="deployment",
            name="model",
            field=models.CharField(blank=True, max_length=300),
        ),
        migrations.AddField(
            model_name="prompt",
            name="feature",
            field=models.CharField(blank=True, max_length=128),
        ),
        migrations.AddConstraint(
            model_name="deployment",
            constraint=models.CheckConstraint(
                condition=models.Q(("evidence_kind__in", ["", "promotion", "return"])),
                name="prompts_deployment_evidence_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="deployment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("evidence_id", None), ("evidence_kind", "")),
                    models.Q(models.Q(("evidence_kind", ""), _negated=True), ("evidence_id__isnull", False)),
                    _connector="OR",
                ),
                name="prompts_deployment_evidence_named",
            ),
        ),
        migrations.AddConstraint(
            model_name="deployment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("evidence_kind", "promotion")),
                fields=("evidence_id",),
                name="prompts_deployment_promoted_once",
            ),
        ),
        migrations.AddField(
            model_name="liveseen",
            name="process",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.liveprocess"
            ),
        ),
        migrations.AddField(
            model_name="liveseen",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
            ),
        ),
        migrations.AddField(
            model_name="split",
            name="environment",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.RESTRICT, related_name="+", to="projects.environment"
            ),
        ),
        migrations.AddField(
            model_name="split",
            name="project",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
            ),
        ),
        migrations.AddField(
            model_name="split",
            name="prompt",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="splits", to="prompts.prompt"
            ),
        ),
        migrations.AddField(
            model_name="splitarm",
            name="split",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="arms", to="prompts.split"
            ),
        ),
        migrations.AddField(
            model_name="splitarm",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.version"
            ),
        ),
        migrations.AddConstraint(
            model_name="liveseen",
            constraint=models.UniqueConstraint(fields=("process", "project", "number"), name="prompts_live_seen_once"),
        ),
        migrations.AddConstraint(
            model_name="split",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)), fields=("prompt", "environment"), name="prompts_split_one_open"
            ),
        ),
        migrations.AddConstraint(
            model_name="split",
            constraint=models.CheckConstraint(
                condition=models.Q(("share__lte", 10000)), name="prompts_split_share_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="split",
            constraint=models.CheckConstraint(
                condition=models.Q(("layer_from__lte", 10000)), name="prompts_split_layer_in_range"
            ),
        ),
        migrations.AddConstraint(
            model_name="splitarm",
            constraint=models.UniqueConstraint(fields=("split", "position"), name="prompts_split_arm_position_once"),
        ),
        migrations.AddConstraint(
            model_name="splitarm",
            constraint=models.UniqueConstraint(fields=("split", "name"), name="prompts_split_arm_name_once"),
        ),
        migrations.AddConstraint(
            model_name="splitarm",
            constraint=models.CheckConstraint(
                condition=models.Q(("weight__lte", 10000)), name="prompts_split_arm_weight_in_range"
            ),
        ),
    ]
