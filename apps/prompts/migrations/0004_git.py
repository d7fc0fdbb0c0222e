"""Prompts in git: the steps of each project's own repository, and a repository elsewhere."""

import uuid
from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

import apps.core.clock


class Migration(migrations.Migration):
    """Tables of git."""

    dependencies: ClassVar[list[tuple[str, str]]] = [
        ("projects", "0002_audit_is_append_only"),
        ("prompts", "0003_imports"),
    ]
    operations: ClassVar[list[Operation]] = [
        migrations.CreateModel(
            name="GitRemote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("url", models.CharField(max_length=1000)),
                ("branch", models.CharField(default="main", max_length=200)),
                ("prefix", models.CharField(blank=True, max_length=200)),
                (
                    "credential",
                    models.CharField(
                        choices=[("none", "None"), ("token", "Token"), ("ssh_key", "Ssh Key")],
                        default="none",
                        max_length=16,
                    ),
                ),
                ("user", models.CharField(blank=True, max_length=64)),
                ("sealed_secret", models.TextField(blank=True)),
                ("host_keys", models.TextField(blank=True)),
                (
                    "edits",
                    models.CharField(
                        choices=[("drafts", "Drafts"), ("versions", "Versions")], default="drafts", max_length=16
                    ),
                ),
                (
                    "publishing",
                    models.CharField(
                        choices=[("branches", "Branches"), ("direct", "Direct")], default="branches", max_length=16
                    ),
                ),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                ("seen_commit", models.CharField(blank=True, max_length=64)),
                ("rewritten_at", models.DateTimeField(null=True)),
                ("rewritten_from", models.CharField(blank=True, max_length=64)),
                ("fetched_at", models.DateTimeField(null=True)),
                ("pushed_at", models.DateTimeField(null=True)),
                ("failed_at", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=600)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("due_at", models.DateTimeField(default=apps.core.clock.now)),
                ("lease", models.UUIDField(null=True)),
                ("leased_until", models.DateTimeField(null=True)),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="git_remote", to="projects.project"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="GitPush",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("branch", models.CharField(max_length=300)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("pushed", "Pushed"),
                            ("merged", "Merged"),
                            ("superseded", "Superseded"),
                        ],
                        default="waiting",
                        max_length=16,
                    ),
                ),
                ("is_asked", models.BooleanField(default=False)),
                ("commit", models.CharField(blank=True, max_length=64)),
                ("merged_commit", models.CharField(blank=True, max_length=64)),
                ("title", models.CharField(blank=True, max_length=300)),
                ("body", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(default=apps.core.clock.now)),
                ("pushed_at", models.DateTimeField(null=True)),
                ("merged_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.version"
                    ),
                ),
                (
                    "remote",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pushes", to="prompts.gitremote"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="GitNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("is_trouble", models.BooleanField(default=False)),
                ("text", models.CharField(max_length=800)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "remote",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="notes", to="prompts.gitremote"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.CreateModel(
            name="GitFile",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("path", models.CharField(max_length=1000)),
                ("blob", models.CharField(max_length=64)),
                ("commit", models.CharField(blank=True, max_length=64)),
                ("author", models.CharField(blank=True, max_length=254)),
                ("subject", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField(blank=True)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("number", models.CharField(blank=True, max_length=24)),
                ("content_hash", models.CharField(blank=True, max_length=64)),
                ("problem", models.CharField(blank=True, max_length=600)),
                ("taken_hash", models.CharField(blank=True, max_length=64)),
                ("refusal", models.CharField(blank=True, max_length=600)),
                ("changed_at", models.DateTimeField(default=apps.core.clock.now)),
                ("gone_at", models.DateTimeField(null=True)),
                (
                    "agreed",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="prompts.version"
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
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="prompts.prompt"
                    ),
                ),
                (
                    "remote",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="files", to="prompts.gitremote"
                    ),
                ),
            ],
            options={
                "ordering": ["path"],
            },
        ),
        migrations.CreateModel(
            name="HistoryStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.BigIntegerField()),
                ("path", models.CharField(blank=True, max_length=260)),
                ("former_path", models.CharField(blank=True, max_length=260)),
                ("text", models.TextField(blank=True)),
                ("author_name", models.CharField(max_length=254)),
                ("author_address", models.CharField(max_length=300)),
                ("at", models.DateTimeField()),
                ("message", models.TextField()),
                ("tags", models.JSONField(default=list)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project"
                    ),
                ),
                (
                    "prompt",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.prompt"
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="prompts.version"
                    ),
                ),
            ],
            options={
                "ordering": ["number"],
            },
        ),
        migrations.AddConstraint(
            model_name="gitremote",
            constraint=models.CheckConstraint(
                condition=models.Q(("credential__in", ["none", "token", "ssh_key"])),
                name="prompts_gitremote_credential_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="gitremote",
            constraint=models.CheckConstraint(
                condition=models.Q(("edits__in", ["drafts", "versions"])), name="prompts_gitremote_edits_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="gitremote",
            constraint=models.CheckConstraint(
                condition=models.Q(("publishing__in", ["branches", "direct"])),
                name="prompts_gitremote_publishing_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="gitremote",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("credential", "none"), _negated=True), ("sealed_secret", ""), _connector="OR"
                ),
                name="prompts_gitremote_secret_has_a_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="gitpush",
            constraint=models.UniqueConstraint(fields=("remote", "version"), name="prompts_gitpush_version_once"),
        ),
        migrations.AddConstraint(
            model_name="gitpush",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["waiting", "pushed", "merged", "superseded"])),
                name="prompts_gitpush_state_known",
            ),
        ),
        migrations.AddIndex(
            model_name="gitnote",
            index=models.Index(fields=["remote", "-id"], name="prompts_gitnote_newest"),
        ),
        migrations.AddConstraint(
            model_name="gitfile",
            constraint=models.UniqueConstraint(fields=("remote", "path"), name="prompts_gitfile_path_once"),
        ),
        migrations.AddConstraint(
            model_name="historystep",
            constraint=models.UniqueConstraint(fields=("project", "number"), name="prompts_historystep_once"),
        ),
    ]
