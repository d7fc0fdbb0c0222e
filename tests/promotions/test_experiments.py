"""An experiment from the draft to its winner, by API and page: approved arms, subjects who stay, a plan that stays."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.promotions.models import Experiment, Exposure, Promotion, ReleaseRule
from apps.promotions.services import deciding, exposing
from apps.promotions.types import Purpose
from apps.prompts.models import Deployment, Split, SplitArm, Version
from apps.prompts.splitting import Splitting, choose
from tests import factories
from tests.conftest import Api, page_client
from tests.promotions import making

pytestmark = pytest.mark.django_db
EXPERIMENTS = "/api/v1/experiments"
QUERIES_AT_MOST = 12


@pytest.fixture
def live(project: Project) -> Version:
    """What is live in production, by the one way there is."""
    promotion = making.waiting(project)
    approve(promotion)
    return promotion.version


@pytest.fixture
def candidate(live: Version) -> Version:
    """A version that passes the gate."""
    return making.make_version(live.prompt.project, parameters={"temperature": 0.5})


def approve(promotion: Promotion) -> Promotion:
    rita = making.rita(promotion.project)
    return deciding.approve(promotion=promotion, actor=factories.actor_of(rita), person=rita, now=clock.now())


def approve_as_arm(version: Version) -> Promotion:
    """Let the version be an arm in production."""
    gate = ReleaseRule.objects.get(project=version.prompt.project).gates.get()
    making.passed_report(gate, version)
    asked = making.ask(version, purpose=Purpose.EXPERIMENT)
    done = approve(asked)
    assert done.state == "approved"
    return done


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def plan(version: Version, **changes: Any) -> dict[str, Any]:
    return {
        "treatments": [{"version": str(version.number)}],
        "ramp": [500, 2_500, 10_000],
        "excluded": ["robot"],
        "primary_metric": {"name": "error_rate"},
        "guardrails": [{"name": "score:helpful", "direction": "up", "most_harm": 0.05}],
        **changes,
    }


def draft(api: Api, version: Version, **changes: Any) -> Any:
    told = {"name": "Warmer", "prompt": making.NAME, "plan": plan(version, **changes)}
    made = api.post(EXPERIMENTS, told)
    assert made.status_code == 201, made.content
    return made.json()


def arm_of(subject: str) -> int | None:
    """Which arm the split that is served gives this subject."""
    split = Split.objects.get(ended_at=None)
    weights = tuple(split.arms.order_by("position").values_list("weight", flat=True))
    asked = Splitting(salt=split.salt, share=split.share, weights=weights, excluded=frozenset(split.excluded))
    return choose(asked, subject)


def test_from_the_draft_to_the_winner_by_the_gate(project: Project, live: Version, candidate: Version) -> None:
    editor, reviewer = Api(user=making.ed(project)), Api(user=making.rita(project))
    made = draft(editor, candidate)
    assert (made["state"], made["share"], made["planned_subjects"]) == ("draft", 0, None)
    at = f"{EXPERIMENTS}/warmer"
    assert code(editor.post(f"{at}/start")) == (403, "reviewer_needed")
    assert code(reviewer.post(f"{at}/start")) == (409, "arm_not_approved")
    assert not Split.objects.exists()
    allowed = approve_as_arm(candidate)
    assert Deployment.objects.get(ended_at=None).version == live, "an approval as an arm makes nothing live"

    started = reviewer.post(f"{at}/start").json()
    assert (started["state"], started["share"]) == ("running", 500)
    assert [(arm["name"], arm["version"]) for arm in started["arms"]] == [
        ("control", str(live.number)),
        (started["arms"][1]["name"], str(candidate.number)),
    ]
    evidence = SplitArm.objects.get(version=candidate)
    assert (evidence.evidence_kind, evidence.evidence_id) == ("promotion", allowed.uuid)
    assert code(editor.patch(at, {"plan": plan(candidate, ramp=[10_000])})) == (409, "not_a_draft")

    people = [f"user-{number}" for number in range(2_000)]
    seen: dict[str, int] = {}
    for share, low, high in ((500, 60, 145), (2_500, 420, 580), (10_000, 2_000, 2_000)):
        assert Split.objects.get(ended_at=None).share == share
        now = {one: arm for one in people if (arm := arm_of(one)) is not None}
        assert low <= len(now) <= high
        assert {one: now[one] for one in seen} == seen, "who takes part stays in the same arm"
        assert arm_of("robot") is None
        seen = now
        if share < 10_000:
            assert code(editor.post(f"{at}/ramp", {"direction": "next"})) == (403, "reviewer_needed")
            assert reviewer.post(f"{at}/ramp", {"direction": "next"}).status_code == 200
    assert code(reviewer.post(f"{at}/ramp", {"direction": "next"})) == (409, "no_such_step")

    winner = started["arms"][1]["name"]
    assert code(reviewer.post(f"{at}/finish", {"winner": winner})) == (409, "no_winner")
    experiment = Experiment.objects.get()
    arms = {arm.name: arm for arm in experiment.arms.all()}
    Exposure.objects.bulk_create(
        Exposure(
            experiment=experiment,
            subject=exposing.subject_key(experiment, one),
            arm=arms["control" if arm == 0 else winner],
            first_at=experiment.started_at,
            last_at=experiment.started_at,
            calls=1,
            errors=int(arm == 0 and place % 3 == 0),
        )
        for place, (one, arm) in enumerate(seen.items())
    )
    done = reviewer.post(f"{at}/finish", {"winner": winner})
    assert done.status_code == 200, done.content
    assert (done.json()["state"], done.json()["winner"]) == ("finished", winner)
    assert not Split.objects.filter(ended_at=None).exists()
    assert Deployment.objects.get(ended_at=None).version == live

    asked = editor.post(f"{at}/promote").json()
    promotion = Promotion.objects.get(number=asked["promotion"])
    assert (promotion.state, promotion.purpose, promotion.version) == ("waiting", "live", candidate)
    assert editor.post(f"{at}/promote").json()["promotion"] == promotion.number, "asked once"
    approve(promotion)
    assert Deployment.objects.get(ended_at=None).version == candidate
    told = set(AuditEntry.objects.filter(action__startswith="promotions.experiment_").values_list("action", flat=True))
    steps = ("drafted", "started", "ramped", "finished", "winner_asked")
    assert told == {f"promotions.experiment_{one}" for one in steps}


def test_the_database_lets_no_arm_in_that_was_not_approved(live: Version, candidate: Version) -> None:
    """Whatever program writes: no evidence, made-up evidence, or that of another version."""
    project = live.prompt.project
    approve_as_arm(candidate)
    draft(Api(user=making.ed(project)), candidate)
    assert Api(user=making.rita(project)).post(f"{EXPERIMENTS}/warmer/start").status_code == 200
    split, other = Split.objects.get(), making.make_version(project, making.BAD)
    approved = Promotion.objects.get(purpose="experiment")
    for kind, evidence in (
        ("", None),
        ("promotion", uuid.uuid4()),
        ("promotion", approved.uuid),
        ("return", uuid.uuid4()),
    ):
        with pytest.raises(DatabaseError, match="is protected"), transaction.atomic():
            SplitArm.objects.create(
                split=split,
                name="sneaked",
                position=9,
                version=other,
                weight=1,
                evidence_kind=kind,
                evidence_id=evidence,
            )
    for change in ("state = 'draft'", "ramp = '{10000}'", "alpha = 0.4", "salt = 'x'"):
        with pytest.raises(DatabaseError, match="keeps its plan"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE promotions_experiment SET {change}")


def test_a_rollback_ends_it(live: Version, candidate: Version) -> None:
    """Everybody gets what is gone back to, whoever took part in what."""
    project = live.prompt.project
    newer = making.waiting(project, f"{making.GOOD} ")
    approve(newer)
    approve_as_arm(candidate)
    draft(Api(user=making.ed(project)), candidate)
    reviewer = Api(user=making.rita(project))
    assert reviewer.post(f"{EXPERIMENTS}/warmer/start").status_code == 200
    assert reviewer.post(f"/api/v1/prompts/{making.NAME}/rollback", {"environment": "production"}).status_code == 201
    assert not Split.objects.filter(ended_at=None).exists()
    experiment = Experiment.objects.get()
    assert experiment.state == "stopped"
    assert experiment.stop_reason


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"treatments": []}, "treatments"),
        ({"treatments": [{"version": "9.9.9"}]}, "treatments.0.version"),
        ({"ramp": [10_000, 500]}, "ramp"),
        ({"primary_metric": {"name": "happiness"}}, "primary_metric.name"),
        ({"guardrails": [{"name": "latency_ms"}]}, "guardrails.0.most_harm"),
        ({"alpha": 0}, "alpha"),
        ({"minimum_effect": 0}, "minimum_effect"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_says_what_is_wrong_with_a_plan(candidate: Version, changes: dict[str, Any], field: str) -> None:
    editor = Api(user=making.ed(candidate.prompt.project))
    refused = editor.post(EXPERIMENTS, {"name": "Warmer", "prompt": making.NAME, "plan": plan(candidate, **changes)})
    assert code(refused) == (422, "invalid")
    assert field in refused.json()["error"]["details"]
    assert not Experiment.objects.exists()


def test_pages_draft_start_and_stop(
    project: Project, live: Version, candidate: Version, django_assert_max_num_queries: Any
) -> None:
    """The form keeps a guardrail on a score; a viewer sees and cannot act."""
    approve_as_arm(candidate)
    base = f"/p/{project.slug}/experiments"
    place = f"{base}/new?prompt={making.NAME}&environment=production"
    editor, reviewer = page_client(making.ed(project)), page_client(making.rita(project))
    editor.get(base)
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        assert f"{candidate.number} (approved by promotion" in editor.get(place).content.decode()
    typed = {
        "name": "Warmer",
        "unit": "user",
        "metric": "error_rate",
        "direction": "down",
        "alpha": "5",
        "ramp": "5, 25, 100",
        "minimum_effect": "0.05",
        "arm-0-candidate": f"{candidate.number}|",
        "score-guard-0-name": "helpful",
        "score-guard-0-direction": "up",
        "score-guard-0-most_harm": "0.1",
        "score-guard-0-stops": "on",
    }
    refused = editor.post(place, {**typed, "score-guard-0-most_harm": ""})
    assert refused.status_code == 422
    assert "Say how much worse it may get" in refused.content.decode()
    assert editor.post(place, typed).status_code == 302
    made = Experiment.objects.get()
    assert made.guardrails == [{"name": "score:helpful", "direction": "up", "most_harm": 0.1, "stops": True}]
    assert made.ramp == [500, 2_500, 10_000]
    edit = editor.get(f"{base}/warmer/edit").content.decode()
    assert 'name="score-guard-0-name" value="helpful"' in edit

    assert "reviewer" in editor.post(f"{base}/warmer/act", {"act": "start"}, follow=True).content.decode()
    assert reviewer.post(f"{base}/warmer/act", {"act": "start"}, follow=True).status_code == 200
    for path in (base, f"{base}/warmer"):
        with django_assert_max_num_queries(QUERIES_AT_MOST):
            assert "Warmer" in reviewer.get(path).content.decode()
    viewer = page_client(making.make_person(project, "vic", making.Role.VIEWER))
    assert viewer.get(f"{base}/warmer").status_code == 200
    assert viewer.post(f"{base}/warmer/act", {"act": "stop", "reason": "no"}).status_code == 403
    reviewer.post(f"{base}/warmer/act", {"act": "stop", "reason": ""})
    made.refresh_from_db()
    assert made.state == "running", "a reason is needed"
    page = reviewer.post(f"{base}/warmer/act", {"act": "stop", "reason": "Enough <b>seen</b>"}, follow=True)
    assert "Enough &lt;b&gt;seen" in page.content.decode()
    made.refresh_from_db()
    assert (made.state, made.stop_reason) == ("stopped", "Enough <b>seen</b>")


def taking_part(split: Split) -> set[int]:
    """Which of 500 users the split serves."""
    part = Splitting(split.salt, split.share, (5_000, 5_000), layer=split.layer, layer_from=split.layer_from)
    return {number for number in range(500) if choose(part, f"user-{number}") is not None}


def test_experiments_of_a_layer_share_no_subject(project: Project) -> None:
    """Two of 60 % do not fit beside each other; two of 40 % do, and nobody takes part in both."""
    editor = Api(user=making.ed(project))
    told = {}
    for name, share in (("one", 4_000), ("two", 4_000), ("three", 4_000)):
        first = making.make_version(project, name=f"support/{name}")
        other = making.make_version(project, name=f"support/{name}", parameters={"temperature": 0.3})
        moved = editor.post(
            f"/api/v1/prompts/support/{name}/deployments", {"environment": "staging", "version": str(first.number)}
        )
        assert moved.status_code == 201, moved.content
        body = {"name": name, "prompt": f"support/{name}", "environment": "staging"}
        body["plan"] = plan(other, ramp=[share], layer="front page", excluded=[])
        assert editor.post(EXPERIMENTS, body).status_code == 201
        told[name] = editor.post(f"{EXPERIMENTS}/{name}/start")
    assert (told["one"].status_code, told["two"].status_code) == (200, 200)
    assert code(told["three"]) == (409, "layer_full")
    parts = [taking_part(split) for split in Split.objects.filter(ended_at=None)]
    assert not parts[0] & parts[1]
    assert all(150 < len(one) < 250 for one in parts)
