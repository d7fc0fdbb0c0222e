"""Pages of scorers and calibrations, through a browser's requests."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.evals.models import Calibration, Scorer, ScorerVersion
from apps.evals.scoring.registry import KINDS
from apps.evals.services import calibrations
from apps.projects.models import AuditEntry, Project
from tests.evals.making import make_set
from tests.evals.test_calibration import a_judge, connect, honest
from tests.fakes.provider import FakeProvider


def at(name: str, project: Project, **named: object) -> str:
    """The address of a page of the project."""
    return reverse(name, kwargs={"project": project.slug, **named})


@pytest.mark.parametrize("key", ["exact", "numeric", "fields", "judge"])
def test_adds_a_suggestion_in_a_click(alice_client: Client, project: Project, key: str) -> None:
    shown = alice_client.get(at("scorers", project))
    assert f'value="{key}"' in shown.content.decode()
    added = alice_client.post(at("scorer_new", project), {"suggestion": key}, follow=True)
    scorer = Scorer.objects.get(project=project)
    version = ScorerVersion.objects.get(scorer=scorer)
    assert version.config == KINDS[scorer.kind].read(version.config)
    assert scorer.name in added.content.decode()
    assert AuditEntry.objects.filter(project_id=project.pk, action="evals.scorer_created").count() == 1


def test_makes_every_kind_by_its_form_and_changes_it(alice_client: Client, project: Project) -> None:
    """The form of each kind, sent as it is shown, gives the defaults; one setting less is another version."""
    for kind in KINDS.values():
        address = f"{at('scorer_new', project)}?kind={kind.name}"
        form = alice_client.get(address).context["form"]
        sent = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
        sent = {name: value for name, value in sent.items() if value not in (None, False)}
        sent |= {"slug": kind.name.replace("_", "-")}
        if "set_rubric" in form.fields:
            sent["set_rubric"] = "Good?"
        if "set_model" in form.fields:
            sent["set_model"] = "test/embed" if kind.name == "embedding_similarity" else "test/steady"
        if "set_url" in form.fields:
            sent |= {"set_url": "https://scorer.example.com/score", "secret": "key-0123456789"}
        answer = alice_client.post(address, sent)
        assert answer.status_code == 302, (kind.name, answer.context["form"].errors)
        version = ScorerVersion.objects.get(scorer__slug=sent["slug"], number=1)
        told = {"rubric": "Good?", "model": sent.get("set_model"), "url": sent.get("set_url")}
        wanted = kind.read({name: value for name, value in told.items() if any(f.name == name for f in kind.fields)})
        assert {**version.config, "secret": ""} == {**wanted, "secret": ""}
    assert "key-0123456789" not in json.dumps(list(ScorerVersion.objects.values_list("config", flat=True)))
    edit = at("scorer_edit", project, scorer="exact")
    alice_client.post(edit, {"pass_mark": "0.5", "note": "exactly", "set_accept_any": "on"})
    newer = ScorerVersion.objects.get(scorer__slug="exact", number=2)
    assert (newer.config["strip"], newer.note) == (False, "exactly")
    shown = alice_client.get(at("scorer", project, scorer="exact")).content.decode()
    assert "What changed from version 1 to 2" in shown
    again = alice_client.post(edit, {"pass_mark": "0.5", "set_accept_any": "on"})
    assert again.status_code == 302
    assert ScorerVersion.objects.filter(scorer__slug="exact").count() == 2


def test_tries_a_scorer_on_a_typed_case_and_on_an_example(alice_client: Client, project: Project) -> None:
    address = f"{at('scorer_new', project)}?kind=numeric"
    typed = {"name": "Number", "pass_mark": "0.5", "set_take": "last", "action": "try"}
    shown = alice_client.post(address, {**typed, "case-output": "so 12", "case-expected": "12"})
    assert shown.context["panel"].tried.score.value == 1.0
    assert not Scorer.objects.exists()
    wrong = alice_client.post(address, {**typed, "set_absolute": "-1", "case-output": "12", "case-expected": "12"})
    assert wrong.status_code == 422
    assert "set_absolute" in wrong.context["form"].errors
    golden = make_set(project, examples=[{"key": "a", "variables": {"q": "6*7"}, "expected": 42}])
    alice_client.post(at("scorer_new", project), {"suggestion": "numeric"})
    sent = {"case-example": str(golden.examples.get().uuid), "case-output": "It is 42."}
    tried = alice_client.post(at("scorer_try", project, scorer="number"), sent)
    assert tried.context["panel"].tried.score.value == 1.0


def test_calibrates_from_a_file_and_shows_where_they_differ(
    alice_client: Client, project: Project, provider: FakeProvider, django_assert_max_num_queries: object
) -> None:
    connect(project, provider)
    provider.answers = honest
    a_judge(project)
    rows: list[dict[str, object]] = [
        {"q": "?", "output": f"yes {n}", "label": "yes" if n < 52 else "no"} for n in range(60)
    ]
    rows += [{"q": "?", "output": f"no {n}", "labels": ["no", "no"]} for n in range(60)]
    content = "\n".join(map(json.dumps, rows)).encode()
    new = at("calibration_new", project, scorer="judge")
    bad = alice_client.post(new, {"source": "upload", "floor": "0.6", "file": SimpleUploadedFile("a.jsonl", b"{")})
    assert bad.status_code == 422
    assert "Row 1: It is not JSON." in bad.content.decode()
    alice_client.post(new, {"source": "upload", "floor": "0.6", "file": SimpleUploadedFile("a.jsonl", content)})
    made = Calibration.objects.get()
    waiting = alice_client.get(at("calibration", project, calibration=made.uuid)).content.decode()
    assert "0 of 120" in waiting.replace("\u202f", "")
    calibrations.calibrate(made.pk)
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        shown = alice_client.get(at("calibration", project, calibration=made.uuid))
    assert "May gate." in shown.content.decode()
    assert len(shown.context["differing"]) == 8
    cell = alice_client.get(at("calibration", project, calibration=made.uuid) + "?people=no&judge=no")
    assert {one.judge for one in cell.context["differing"]} == {"no"}
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        page = alice_client.get(at("scorer", project, scorer="judge"))
    assert "May gate." in page.content.decode()
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        assert "calibrated" in alice_client.get(at("scorers", project)).content.decode()


def test_lets_viewers_look_and_strangers_see_nothing(
    bob_client: Client, charlie_client: Client, project: Project
) -> None:
    version = a_judge(project)
    assert bob_client.get(at("scorer", project, scorer="judge")).status_code == 200
    assert bob_client.post(at("scorer_try", project, scorer="judge"), {}).status_code == 403
    assert bob_client.get(at("scorer_edit", project, scorer="judge")).status_code == 403
    assert charlie_client.get(at("scorer", project, scorer="judge")).status_code == 404
    made = Calibration.objects.create(project=project, version=version, name="x", labels_from="upload", actor_name="a")
    assert charlie_client.get(at("calibration", project, calibration=made.uuid)).status_code == 404
    assert bob_client.post(at("calibration_act", project, calibration=made.uuid)).status_code == 403
