"""Relations and jobs cross apps by a string, which import contracts cannot see: they too point downwards."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.db.models import Model

from tests.architecture.sources import APPS, ROOT, dotted, parts, place, product_files, tree_of

FLOOR = {label: number for number, label in enumerate(APPS)}
SIBLINGS = {"prompts": "telemetry", "telemetry": "prompts"}
"""Neither may point at the other, though one of them stands first in the list."""
UPWARDS = {
    # Deleting a project tells the apps above to delete their rows, which carry its id without a foreign key.
    "telemetry.forget_project",
    # A new sample project is told to the app that has prompts for it.
    "prompts.fill_samples",
}
OURS = [model for model in apps.get_models() if model._meta.app_label in FLOOR]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_points_downwards(model: type[Model]) -> None:
    own = FLOOR[model._meta.app_label]
    upwards = [
        f"{field.name} -> {field.related_model._meta.label}"
        for field in model._meta.get_fields()
        if field.is_relation
        and not field.auto_created
        and (
            FLOOR.get(label := field.related_model._meta.app_label, -1) > own
            or SIBLINGS.get(label) == model._meta.app_label
        )
    ]
    assert not upwards


def test_finds_models_in_every_app_that_should_have_some() -> None:
    assert {model._meta.app_label for model in OURS} >= {"accounts", "projects", "providers", "telemetry"}
    assert not [model for model in OURS if model._meta.app_label == "dashboards"], "the top floor owns no table"


def _task_names() -> set[str]:
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def test_names_tasks_after_their_app() -> None:
    wrong = [
        f"{name} is defined in {current_app.tasks[name].run.__module__}"
        for name in _task_names()
        if current_app.tasks[name].run.__module__ != f"apps.{name.split('.')[0]}.tasks"
    ]
    assert _task_names()
    assert not wrong


@pytest.mark.parametrize("entry", settings.CELERY_BEAT_SCHEDULE)
def test_schedules_only_tasks_that_exist(entry: str) -> None:
    assert settings.CELERY_BEAT_SCHEDULE[entry]["task"] in _task_names()


def _constants(path: Path) -> dict[str, str]:
    """The texts that the module gives a name at its top level."""
    return {
        target.id: node.value.value
        for node in tree_of(path).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _queued() -> Iterator[tuple[str, str, str]]:
    """Where a job is queued, by which app, and its name (empty when it only shows at run time)."""
    for path in product_files():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and dotted(node.func).endswith("jobs.enqueue") and node.args:
                name = node.args[0]
                given = name.value if isinstance(name, ast.Constant) else _constants(path).get(dotted(name), "")
                yield place(path, node), path.relative_to(ROOT).parts[1], str(given)


def test_queues_only_tasks_that_exist_on_the_same_floor_or_below() -> None:
    wrong = []
    for where, app, name in _queued():
        if name not in _task_names():
            wrong.append(f"{where} queues {name or 'a name that only shows at run time'}, which is no task")
        elif FLOOR[name.split(".")[0]] > FLOOR[app] and name not in UPWARDS:
            wrong.append(f"{where} queues {name} of an app above")
    assert not wrong


def test_writes_tasks_that_an_older_or_newer_release_can_call() -> None:
    """During a release, messages of the other version arrive: unknown arguments must not kill the task."""
    strict = [
        place(path, node)
        for path in parts("tasks")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.decorator_list and node.args.kwarg is None
    ]
    assert not strict
