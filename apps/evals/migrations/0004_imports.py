"""What imports keep while they are under way, and what is found out about how healthy a set is."""

from typing import Any, ClassVar

import django.db.models.deletion
from django.db import migrations, models
from django.db.migrations.operations.base import Operation

ID: tuple[str, Any] = (
    "id",
    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
)
STATES = [("draft", "draft"), ("approved", "approved"), ("rejected", "rejected")]
FIELDS: dict[str, Any] = {
    "default_state": models.CharField(choices=STATES, default="draft", max_length=16),
    "duplicates": models.JSONField(default=list),
    "encoding": models.CharField(blank=True, max_length=16),
    "lease_token": models.UUIDField(null=True),
    "lease_until": models.DateTimeField(null=True),
    "readings": models.PositiveSmallIntegerField(default=0),
    "replaces_all": models.BooleanField(default=False),
    "sentence": models.TextField(blank=True),
    "size": models.PositiveIntegerField(default=0),
}


def _project() -> tuple[str, Any]:
    key: Any = models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="projects.project")
    return "project", key


class Migration(migrations.Migration):
    """Leases of imports, the bytes they read, and the row of a set's health."""

    dependencies: ClassVar[list[tuple[str, str]]] = [("evals", "0002_rows_do_not_change")]

    operations: ClassVar[list[Operation]] = [
        *(migrations.AddField(model_name="setimport", name=name, field=field) for name, field in FIELDS.items()),
        migrations.AlterField(
            model_name="setimport", name="state", field=models.CharField(default="uploading", max_length=16)
        ),
        migrations.CreateModel(
            name="SetHealth",
            fields=[
                ID,
                ("revision", models.PositiveIntegerField(default=0)),
                ("figures", models.JSONField(null=True)),
                ("computed_at", models.DateTimeField(null=True)),
                ("asked_at", models.DateTimeField(null=True)),
                ("lease_token", models.UUIDField(null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                ("sentence", models.TextField(blank=True)),
                (
                    "eval_set",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="evals.evalset"
                    ),
                ),
                _project(),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("asked_at__isnull", False)), fields=["asked_at"], name="evals_health_asked"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="SetImportPiece",
            fields=[
                ID,
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                _project(),
                (
                    "upload",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="pieces", to="evals.setimport"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("upload", "number"), name="evals_piece_once")],
            },
        ),
    ]
