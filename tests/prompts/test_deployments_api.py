"""Deploying and going back over the API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.prompts import services
from apps.prompts.models import LiveMark, Prompt
from tests import factories
from tests.conftest import Api
from tests.prompts.conftest import content, environment, publish

DEPLOYMENTS = "/api/v1/prompts/support/answer/deployments"
ROLLBACK = "/api/v1/prompts/support/answer/rollback"


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def other(text: str) -> Any:
    return content(messages=[{"role": "system", "content": text}, {"role": "user", "content": "{{shop}} {{question}}"}])


def deploy(api: Api, version: str, environment: str = "staging", **more: Any) -> Any:
    return api.post(DEPLOYMENTS, {"environment": environment, "version": version, **more})


@pytest.fixture
def three(prompt: Prompt) -> Prompt:
    """1.0.0, 1.0.1 and 1.0.2."""
    publish(prompt, other("One."))
    publish(prompt, other("Two."))
    return prompt


def test_makes_a_version_live(writer_api: Api, prompt: Prompt) -> None:
    mark = LiveMark.objects.get().number
    answer = deploy(writer_api, "1.0.0", reason="  first try ")
    assert answer.status_code == 201, answer.content
    told = answer.json()
    row = prompt.deployments.get()
    assert told == {
        "id": str(row.uuid),
        "environment": "staging",
        "version": "1.0.0",
        "model": "",
        "content_hash": prompt.versions.get().content_hash,
        "is_live": True,
        "since": told["since"],
        "until": None,
        "by": "a key",
        "by_kind": "key",
        "reason": "first try",
        "evidence_kind": "",
        "evidence_id": None,
    }
    assert datetime.fromisoformat(told["since"]).astimezone(UTC) == row.started_at
    assert LiveMark.objects.get().number > mark
    assert AuditEntry.objects.filter(action="prompts.deployed").count() == 1


def test_repeating_it_changes_nothing(writer_api: Api, prompt: Prompt) -> None:
    first = deploy(writer_api, "1.0.0").json()
    assert deploy(writer_api, "1.0.0").json() == first
    assert prompt.deployments.count() == 1


def test_lists_what_is_and_was_live(writer_api: Api, reader_api: Api, three: Prompt) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        deploy(writer_api, version)
    deploy(writer_api, "1.0.0", "development")
    told = reader_api.get(f"{DEPLOYMENTS}?environment=staging").json()
    assert [(one["version"], one["is_live"]) for one in told["items"]] == [
        ("1.0.2", True),
        ("1.0.1", False),
        ("1.0.0", False),
    ]
    assert told["next"] is None
    assert told["items"][1]["until"] == told["items"][0]["since"]
    page = reader_api.get(f"{DEPLOYMENTS}?limit=3").json()
    rest = reader_api.get(f"{DEPLOYMENTS}?limit=3&cursor={page['next']}").json()
    everything = [(one["environment"], one["version"]) for one in page["items"] + rest["items"]]
    assert everything == [("development", "1.0.0"), ("staging", "1.0.2"), ("staging", "1.0.1"), ("staging", "1.0.0")]
    assert rest["next"] is None


def test_goes_back_to_the_version_before(writer_api: Api, three: Prompt) -> None:
    deploy(writer_api, "1.0.0")
    deploy(writer_api, "1.0.2")
    answer = writer_api.post(ROLLBACK, {"environment": "staging", "to": None, "reason": "wrong tone"})
    assert answer.status_code == 201, answer.content
    assert (answer.json()["version"], answer.json()["reason"]) == ("1.0.0", "wrong tone")
    assert str(three.deployments.get(ended_at=None).version.number) == "1.0.0"
    entry = AuditEntry.objects.get(action="promotions.rolled_back")
    evidence = entry.details.pop("evidence")
    assert evidence == f"return {three.deployments.order_by('started_at')[0].uuid}"
    assert entry.details == {"environment": "staging", "before": "1.0.2", "reason": "wrong tone"}


def test_goes_back_to_a_named_version_that_was_live_there(writer_api: Api, three: Prompt) -> None:
    for version in ("1.0.0", "1.0.1", "1.0.2"):
        deploy(writer_api, version)
    assert writer_api.post(ROLLBACK, {"environment": "staging", "to": "1.0.0"}).json()["version"] == "1.0.0"
    deploy(writer_api, "1.0.0", "development")
    refused = writer_api.post(ROLLBACK, {"environment": "development", "to": "1.0.2"})
    assert code(refused) == (422, "never_live")


def test_goes_back_to_what_was_live_when_nothing_is(writer_api: Api, three: Prompt) -> None:
    deploy(writer_api, "1.0.1")
    services.withdraw(prompt=three, environment=environment(three.project, "staging"), actor=SYSTEM, now=factories.NOW)
    assert writer_api.post(ROLLBACK, {"environment": "staging"}).json()["version"] == "1.0.1"


def test_says_when_there_is_nothing_before(writer_api: Api, prompt: Prompt) -> None:
    assert code(writer_api.post(ROLLBACK, {"environment": "staging"})) == (409, "nothing_before")
    deploy(writer_api, "1.0.0")
    assert code(writer_api.post(ROLLBACK, {"environment": "staging"})) == (409, "nothing_before")
    assert prompt.deployments.count() == 1


def test_production_takes_promotions_only(writer_api: Api, admin_key: str, prompt: Prompt) -> None:
    """Going back there is for reviewers and admins."""
    for api, refusal in ((writer_api, (403, "reviewer_needed")), (Api(admin_key), (409, "nothing_before"))):
        assert code(deploy(api, "1.0.0", "production")) == (409, "protected_environment")
        assert code(api.post(ROLLBACK, {"environment": "production"})) == refusal
    assert not prompt.deployments.exists()


@pytest.mark.parametrize("path", [DEPLOYMENTS, ROLLBACK])
def test_needs_the_right_to_write(path: str, reader_api: Api, bob: Any, prompt: Prompt) -> None:
    body = {"environment": "staging", **({"version": "1.0.0"} if path == DEPLOYMENTS else {})}
    assert Api().post(path, body).status_code == 401
    assert code(reader_api.post(path, body)) == (403, "forbidden")
    assert code(Api(user=bob).post(path, body)) == (403, "forbidden")
    assert not prompt.deployments.exists()


@pytest.mark.parametrize("path", [DEPLOYMENTS, ROLLBACK])
def test_shows_nothing_to_another_project(path: str, other_key: str, prompt: Prompt, other_project: Project) -> None:
    body = {"environment": "staging", **({"version": "1.0.0"} if path == DEPLOYMENTS else {})}
    assert Api(other_key).post(path, body).status_code == 404
    assert Api(other_key).get(DEPLOYMENTS).status_code == 404


def test_refuses_what_does_not_exist(writer_api: Api, prompt: Prompt) -> None:
    assert deploy(writer_api, "9.9.9").status_code == 404
    assert deploy(writer_api, "newest").status_code == 404
    assert deploy(writer_api, "1.0.0", "moon").status_code == 404
    assert code(deploy(writer_api, "1.0.0", colour="red")) == (422, "invalid")
    assert code(writer_api.post(DEPLOYMENTS, {"environment": "staging"})) == (422, "invalid")
    assert code(writer_api.get(f"{DEPLOYMENTS}?limit=0")) == (422, "invalid")
    assert code(writer_api.get(f"{DEPLOYMENTS}?cursor=nonsense")) == (422, "invalid")
    assert not prompt.deployments.exists()


def test_lets_nothing_be_live_any_more(writer_api: Api, project: Project, three: Prompt) -> None:
    deploy(writer_api, "1.0.1")
    ended = writer_api.delete(f"{DEPLOYMENTS}?environment=staging&reason=wrong+tone")
    assert (ended.status_code, ended.content) == (204, b"")
    assert not three.deployments.filter(ended_at=None).exists()
    assert writer_api.delete(f"{DEPLOYMENTS}?environment=staging").status_code == 204
    (entry,) = AuditEntry.objects.filter(project_id=project.pk, action="prompts.withdrawn")
    assert entry.details == {"environment": "staging", "reason": "wrong tone"}
    assert code(writer_api.delete(f"{DEPLOYMENTS}?environment=production")) == (409, "protected_environment")
    assert code(writer_api.delete(f"{DEPLOYMENTS}?environment=moon")) == (404, "not_found")
    assert writer_api.delete(DEPLOYMENTS).status_code == 422
    assert writer_api.post(ROLLBACK, {"environment": "staging"}).json()["version"] == "1.0.1"


def test_lets_readers_end_nothing(reader_api: Api, writer_api: Api, three: Prompt) -> None:
    deploy(writer_api, "1.0.1")
    assert reader_api.delete(f"{DEPLOYMENTS}?environment=staging").status_code == 403
    assert three.deployments.filter(ended_at=None).exists()


def test_deploys_a_version_on_another_model_and_tells_it(writer_api: Api, three: Prompt) -> None:
    deploy(writer_api, "1.0.1")
    answer = deploy(writer_api, "1.0.1", model="test/other")
    assert (answer.status_code, answer.json()["model"], answer.json()["evidence_kind"]) == (201, "test/other", "")
    told = writer_api.get(DEPLOYMENTS).json()["items"]
    assert [(one["model"], one["is_live"]) for one in told] == [("test/other", True), ("", False)]
