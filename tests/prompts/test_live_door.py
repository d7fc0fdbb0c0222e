"""The live door: what it answers, to whom, how soon it changes, and what it does without the database."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import OperationalError

from apps.core import clock
from apps.projects import authentication
from apps.projects import services as projects
from apps.projects.models import ApiKey, Project
from apps.projects.types import SYSTEM, Scope
from apps.prompts import doors, live_memory, services
from apps.prompts import live as live_values
from apps.prompts.doors import live_door
from apps.prompts.live_memory import LiveMemory
from apps.prompts.models import Prompt
from apps.prompts.selectors.live import live_snapshot
from apps.prompts.services import splits
from apps.prompts.services.splits import ArmChoice
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, publish
from tests.prompts.live_server import serving


@pytest.fixture(scope="module")
def address(django_db_setup: None) -> Iterator[str]:
    with serving() as where:
        yield where


class Reader:
    """Asks the live door."""

    def __init__(self, address: str, key: str) -> None:
        self.address = address
        self.http = httpx.Client(base_url=address, timeout=30, headers={"Authorization": f"Bearer {key}"})
        self.others: list[Reader] = []

    def other(self, key: str) -> Reader:
        """Somebody else who asks."""
        self.others.append(Reader(self.address, key))
        return self.others[-1]

    def close(self) -> None:
        for one in (self, *self.others):
            one.http.close()

    def get(self, name: str = "support/answer", environment: str = "staging", **more: Any) -> httpx.Response:
        params = {"environment": environment, **more.pop("params", {})}
        return self.http.get(f"/api/v1/prompts/{name}/live", params=params, **more)

    def post(self, body: Any, name: str = "support/answer", **more: Any) -> httpx.Response:
        return self.http.post(f"/api/v1/prompts/{name}/live", json=body, **more)


@pytest.fixture
def reader(transactional_db: None, address: str, project: Project) -> Iterator[Reader]:
    doors.forget()
    made = Reader(address, factories.make_key(project, Scope.PROMPTS_READ))
    yield made
    made.close()
    doors.forget()


@pytest.fixture
def live_prompt(project: Project) -> Prompt:
    """`support/answer` with 1.0.0 live in staging."""
    made = make_prompt(project)
    deploy(made, publish(made))
    return made


@pytest.fixture
def memory() -> Iterator[LiveMemory]:
    """A memory of its own, whose watcher ends with the test."""
    made = LiveMemory()
    yield made
    made.stop()


def deploy(prompt: Prompt, version: Any, where: str = "staging") -> None:
    services.deploy(
        prompt=prompt, version=version, environment=environment(prompt.project, where), actor=SYSTEM, now=clock.now()
    )


def split(prompt: Prompt, version: Any, where: str = "staging", **given: Any) -> None:
    """Halves of everybody: what is live, and the version on another model."""
    usual: dict[str, Any] = {"experiment": "tone", "unit": "user", "salt": "s", "share": 10_000}
    control = prompt.deployments.get(environment__slug=where, ended_at=None)
    splits.set_split(
        prompt=prompt,
        environment=environment(prompt.project, where),
        arms=[
            ArmChoice("control", control.version, control.model, 5_000),
            ArmChoice("new", version, "test/other", 5_000),
        ],
        actor=SYSTEM,
        now=clock.now(),
        **{**usual, **given},
    )


def changed(text: str) -> Any:
    return content(messages=[{"role": "system", "content": text}, {"role": "user", "content": "{{shop}} {{question}}"}])


def within(seconds: float, is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def error(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", {}).get("code", "")


# --- What it answers


def test_answers_the_version_that_is_live_there(reader: Reader, live_prompt: Prompt) -> None:
    answer = reader.get()
    assert answer.status_code == 200, answer.text
    version = live_prompt.versions.get()
    told = answer.json()
    since = told.pop("since")
    assert since.endswith("Z")
    assert told == {
        "name": "support/answer",
        "environment": "staging",
        "version": "1.0.0",
        "kind": "chat",
        "syntax": "mustache",
        "messages": version.resolved,
        "text": None,
        "variables": version.content["variables"],
        "model": "test/echo",
        "parameters": {"temperature": 0.2},
        "tools": [],
        "response_schema": None,
        "content_hash": version.content_hash,
        "arm": None,
        "is_rendered": False,
        "is_stale": False,
    }
    assert answer.headers["Cache-Control"] == "private, max-age=2, stale-if-error=86400"
    assert live_door.STALE not in answer.headers


def test_answers_a_text_prompt_with_its_snippets_in_place(reader: Reader, project: Project) -> None:
    snippet = make_prompt(project, "parts/tone")
    publish(snippet, content(kind="text", messages=[{"role": "user", "content": "Be kind."}], variables=[]))
    whole = make_prompt(project, "greeting")
    text = content(kind="text", messages=[{"role": "user", "content": "Greet. {{> parts/tone@1.0.0}}"}], variables=[])
    deploy(whole, publish(whole, text), "development")
    told = reader.get("greeting", "development").json()
    assert told["text"] == "Greet. Be kind."
    assert told["messages"] == [{"role": "user", "content": "Greet. Be kind."}]


def test_answers_304_for_what_the_caller_has(reader: Reader, live_prompt: Prompt) -> None:
    etag = reader.get().headers["ETag"]
    again = reader.get(headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert reader.get(headers={"If-None-Match": '"other"'}).status_code == 200
    deploy(live_prompt, publish(live_prompt, changed("Be brief.")))
    assert within(5, lambda: reader.get(headers={"If-None-Match": etag}).status_code == 200)
    assert reader.get().headers["ETag"] != etag


def test_renders_values_from_the_body_and_from_the_query(reader: Reader, live_prompt: Prompt) -> None:
    values = {"shop": "Fernhill", "question": "Où?"}
    posted = reader.post({"environment": "staging", "variables": values, "subject": "customer-7"})
    assert posted.status_code == 200, posted.text
    assert posted.json()["is_rendered"]
    assert [one["content"] for one in posted.json()["messages"]] == ["You help customers of Fernhill. Be brief.", "Où?"]
    assert posted.headers["Cache-Control"] == "no-store"
    asked = reader.get(params={"variables": json.dumps(values)})
    assert asked.json() == posted.json()
    assert asked.headers["ETag"] != reader.get().headers["ETag"]


def test_renders_jinja_in_its_child(reader: Reader, project: Project) -> None:
    made = make_prompt(project, "list")
    body = content(
        syntax="jinja",
        messages=[{"role": "user", "content": "{% for one in items %}[{{ one }}]{% endfor %}"}],
        variables=[{"name": "items", "type": "list"}],
    )
    deploy(made, publish(made, body))
    answer = reader.post({"environment": "staging", "variables": {"items": ["a", "b"]}}, "list")
    assert answer.status_code == 200, answer.text
    assert answer.json()["messages"] == [{"role": "user", "content": "[a][b]"}]


def test_says_which_value_is_missing(reader: Reader, live_prompt: Prompt) -> None:
    answer = reader.post({"environment": "staging", "variables": {"shop": "Fernhill"}})
    assert error(answer) == (422, "template_error")
    assert answer.json()["error"]["details"]["variable"] == "question"


def test_says_what_exists_when_there_is_nothing(reader: Reader, live_prompt: Prompt) -> None:
    assert error(reader.get("support/other")) == (404, "prompt_not_found")
    nowhere = reader.get(environment="moon")
    assert error(nowhere) == (404, "environment_not_found")
    assert nowhere.json()["error"]["details"]["environments"] == ["production", "staging", "development"]
    elsewhere = reader.http.get("/api/v1/prompts/support/answer/live")
    assert error(elsewhere) == (404, "not_live")
    assert elsewhere.json()["error"]["details"]["environment"] == "production"
    assert elsewhere.json()["error"]["details"]["live_in"] == {"staging": "1.0.0"}


def test_reads_anew_before_it_says_that_nothing_is_there(reader: Reader, live_prompt: Prompt, project: Project) -> None:
    assert reader.get().status_code == 200
    fresh = make_prompt(project, "support/fresh")
    assert error(reader.get("support/fresh")) == (404, "prompt_not_found")
    deploy(fresh, publish(fresh))
    live_door.memory.stop()  # nobody looks by themselves now
    time.sleep(live_door.REREAD_SECONDS)
    assert reader.get("support/fresh").json()["version"] == "1.0.0"


def test_reads_anew_only_now_and_then(reader: Reader, live_prompt: Prompt, monkeypatch: Any) -> None:
    assert reader.get().status_code == 200
    monkeypatch.setattr(live_door, "REREAD_SECONDS", 60)
    monkeypatch.setattr(live_memory, "live_snapshot", lambda _: pytest.fail("the project was read"))
    assert {error(reader.get("support/none")) for _ in range(5)} == {(404, "prompt_not_found")}


def test_answers_a_former_name_with_the_present_one(reader: Reader, live_prompt: Prompt, project: Project) -> None:
    assert reader.get().status_code == 200
    services.rename_prompt(prompt=live_prompt, name="help/answer", actor=SYSTEM, now=clock.now())
    assert within(5, lambda: reader.get("help/answer").status_code == 200)
    assert reader.get("support/answer").json()["name"] == "help/answer"


def test_knows_an_environment_that_was_added(reader: Reader, live_prompt: Prompt, project: Project) -> None:
    assert error(reader.get(environment="demo")) == (404, "environment_not_found")
    projects.add_environment(project=project, name="demo", is_protected=False, actor=SYSTEM, now=clock.now())
    assert within(5, lambda: error(reader.get(environment="demo")) == (404, "not_live"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("environment=staging&colour=red", (422, "invalid")),
        ("environment=staging&environment=development", (422, "invalid")),
        ("environment=staging&subject=" + "x" * 300, (422, "invalid")),
        ("environment=staging&variables=[1]", (400, "malformed")),
        ("environment=staging&variables={", (400, "malformed")),
    ],
)
def test_refuses_what_it_does_not_understand(
    reader: Reader, live_prompt: Prompt, query: str, expected: tuple[int, str]
) -> None:
    assert error(reader.http.get(f"/api/v1/prompts/support/answer/live?{query}")) == expected


def test_refuses_a_body_it_does_not_understand(reader: Reader, live_prompt: Prompt) -> None:
    assert error(reader.post({"enviroment": "staging"})) == (400, "malformed")
    assert error(reader.post([])) == (400, "malformed")
    assert error(reader.http.put("/api/v1/prompts/support/answer/live", json={})) == (405, "method_not_allowed")


# --- To subjects of an experiment


def test_a_subject_chooses_its_arm_and_keeps_it(reader: Reader, live_prompt: Prompt) -> None:
    alone = reader.get().json()
    split(live_prompt, publish(live_prompt, changed("Be kind.")), excluded=["customer-2"])
    subjects = [f"customer-{number}" for number in range(30)]
    assert within(5, lambda: reader.get(params={"subject": "customer-0"}).json()["arm"] is not None)
    got = {subject: reader.get(params={"subject": subject}) for subject in subjects}
    told = {subject: answer.json() for subject, answer in got.items()}
    assert reader.get().json() == told["customer-2"] == alone
    shown = [one for subject, one in told.items() if subject != "customer-2"]
    assert {(one["arm"]["arm"], one["version"], one["model"]) for one in shown} == {
        ("control", "1.0.0", "test/echo"),
        ("new", "1.0.1", "test/other"),
    }
    assert told["customer-0"]["arm"] == {"experiment": "tone", "arm": told["customer-0"]["arm"]["arm"], "unit": "user"}
    assert len({answer.headers["ETag"] for answer in got.values()}) == 3
    for subject, answer in list(got.items())[:5]:
        again = reader.get(params={"subject": subject}, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == 304
    values = {"shop": "Fernhill", "question": "Où?"}
    for subject in ("customer-1", "customer-2", "customer-3"):
        posted = reader.post({"environment": "staging", "variables": values, "subject": subject}).json()
        assert (posted["arm"], posted["version"], posted["model"]) == (
            told[subject]["arm"],
            told[subject]["version"],
            told[subject]["model"],
        )
        assert posted["messages"][-1]["content"] in ("Où?", "Fernhill Où?")


def test_a_rollback_stops_a_bad_arm_within_five_seconds(reader: Reader, live_prompt: Prompt) -> None:
    bad, good = publish(live_prompt, changed("Be rude.")), live_prompt.versions.get(patch=0)
    deploy(live_prompt, bad)
    split(live_prompt, bad)
    subjects = [f"customer-{number}" for number in range(20)]
    assert within(5, lambda: reader.get(params={"subject": "customer-0"}).json()["arm"] is not None)
    deploy(live_prompt, good)

    def all_well() -> bool:
        told = [reader.get(params={"subject": subject}).json() for subject in subjects]
        return all((one["version"], one["arm"]) == ("1.0.0", None) for one in told)

    assert within(5, all_well)


def test_serves_arms_while_the_database_is_away(reader: Reader, live_prompt: Prompt, away: Callable[[], None]) -> None:
    split(live_prompt, publish(live_prompt, changed("Be kind.")))
    subject = {"params": {"subject": "customer-0"}}
    fresh = reader.get(**subject)
    assert fresh.json()["arm"] is not None
    away()
    age_keys(30)
    assert within(10, lambda: live_door.STALE in reader.get(**subject).headers)
    stale = reader.get(**subject)
    assert stale.json() == {**fresh.json(), "is_stale": True}
    assert stale.headers["ETag"] == fresh.headers["ETag"]


def test_a_deployed_model_answers_in_place_of_the_versions_own(reader: Reader, live_prompt: Prompt) -> None:
    services.deploy(
        prompt=live_prompt,
        version=live_prompt.versions.get(),
        environment=environment(live_prompt.project, "staging"),
        actor=SYSTEM,
        now=clock.now(),
        model="test/other",
    )
    assert within(5, lambda: reader.get().json().get("model") == "test/other")


# --- To whom


def test_needs_a_key_with_the_scope_and_shows_no_other_project(
    reader: Reader, live_prompt: Prompt, address: str, other_project: Project
) -> None:
    assert httpx.get(f"{address}/api/v1/prompts/support/answer/live").status_code == 401
    ingest = reader.other(factories.make_key(live_prompt.project, Scope.INGEST))
    assert error(ingest.get()) == (403, "forbidden")
    stranger = reader.other(factories.make_key(other_project, Scope.PROMPTS_READ))
    assert error(stranger.get()) == (404, "prompt_not_found")


def test_never_takes_a_key_from_the_address(reader: Reader, live_prompt: Prompt, address: str) -> None:
    key = factories.make_key(live_prompt.project, Scope.PROMPTS_READ)
    answer = httpx.get(f"{address}/api/v1/prompts/support/answer/live", params={"environment": key})
    assert answer.status_code == 401


# --- How soon it changes


def test_a_deployment_and_its_end_arrive_within_five_seconds(reader: Reader, live_prompt: Prompt) -> None:
    assert reader.get().json()["version"] == "1.0.0"
    deploy(live_prompt, publish(live_prompt, changed("Be brief.")))
    assert within(5, lambda: reader.get().json()["version"] == "1.0.1")
    services.withdraw(
        prompt=live_prompt, environment=environment(live_prompt.project, "staging"), actor=SYSTEM, now=clock.now()
    )
    assert within(5, lambda: error(reader.get()) == (404, "not_live"))


def test_asks_the_database_nothing_for_what_it_holds(reader: Reader, live_prompt: Prompt, monkeypatch: Any) -> None:
    assert reader.get().status_code == 200

    def refuse(*_: Any) -> None:
        raise AssertionError("the database was asked")

    monkeypatch.setattr(live_memory, "live_snapshot", refuse)
    monkeypatch.setattr(authentication, "_look_up", refuse)
    assert reader.get().status_code == 200


def test_reads_all_of_a_project_in_five_queries(
    live_prompt: Prompt, project: Project, memory: LiveMemory, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        made = make_prompt(project, f"more/{number}")
        version = publish(made)
        deploy(made, version, "development")
        split(made, version, "development")
    with django_assert_num_queries(5):
        held = memory.load(project.pk)
    assert held is not None
    assert len(held.snapshot.live) == 6
    with django_assert_num_queries(1):
        memory.look()


def test_lets_go_of_projects_that_are_gone_or_idle(live_prompt: Prompt, project: Project, memory: LiveMemory) -> None:
    held = memory.load(project.pk)
    assert held is not None
    held.asked_at -= live_memory.IDLE_SECONDS + 1
    memory.look()
    assert memory.held(project.pk) is None
    assert memory.load(project.pk) is not None
    number = project.pk
    projects.delete_project(project=project, typed_name=project.name, actor=SYSTEM, now=clock.now())
    memory.look()
    assert memory.held(number) is None
    assert memory.load(number) is None


# --- Without the database


@pytest.fixture
def away(monkeypatch: Any) -> Callable[[], None]:
    """A function that takes the database away from every thread of the product until the test ends, or gives back."""
    is_away = False

    def refuse(*_: Any, **__: Any) -> Any:
        raise OperationalError("the database is away")

    def toggle() -> None:
        nonlocal is_away
        is_away = not is_away
        if is_away:
            for place, name in (
                (live_memory, "live_marks"),
                (live_memory, "live_snapshot"),
                (authentication, "_look_up"),
            ):
                monkeypatch.setattr(place, name, refuse)
        else:
            monkeypatch.undo()

    return toggle


def age_keys(seconds: float) -> None:
    """Let every key have been found good so long ago."""
    by = timedelta(seconds=seconds)
    authentication._known.clear()
    for fingerprint, (identity, at) in list(authentication._found_good.items()):
        authentication._found_good[fingerprint] = (identity, at - by)


def test_serves_what_it_holds_while_the_database_is_away(
    reader: Reader, live_prompt: Prompt, away: Callable[[], None]
) -> None:
    fresh = reader.get()
    away()
    age_keys(30)
    assert reader.get().json()["version"] == "1.0.0"
    assert within(10, lambda: live_door.STALE in reader.get().headers)
    stale = reader.get()
    assert int(stale.headers[live_door.STALE]) >= 5
    assert stale.json() == {**fresh.json(), "is_stale": True}
    assert reader.get(headers={"If-None-Match": fresh.headers["ETag"]}).status_code == 304
    rendered = reader.post({"environment": "staging", "variables": {"shop": "a", "question": "b"}})
    assert rendered.json()["is_stale"]
    away()
    assert within(5, lambda: live_door.STALE not in reader.get().headers)
    assert reader.get().json() == fresh.json()


def test_takes_a_key_at_its_word_for_ten_minutes_only(
    reader: Reader, live_prompt: Prompt, away: Callable[[], None]
) -> None:
    assert reader.get().status_code == 200
    unknown = reader.other(factories.make_key(live_prompt.project, Scope.PROMPTS_READ))
    away()
    age_keys(590)
    assert reader.get().status_code == 200
    refused = unknown.get()
    assert error(refused) == (503, "unavailable")
    assert refused.headers["Retry-After"] == "2"
    age_keys(20)
    assert error(reader.get()) == (503, "unavailable")


def test_a_revoked_key_stops_when_the_database_answers_again(
    reader: Reader, live_prompt: Prompt, away: Callable[[], None]
) -> None:
    assert reader.get().status_code == 200
    away()
    ApiKey.objects.update(revoked_at=clock.now())
    age_keys(5)
    assert reader.get().status_code == 200
    away()
    assert within(5, lambda: reader.get().status_code == 401)
    away()
    assert reader.get().status_code == 503


def test_says_to_come_again_when_nothing_is_held(reader: Reader, live_prompt: Prompt, away: Callable[[], None]) -> None:
    assert reader.get().status_code == 200
    doors.forget()
    away()
    refused = reader.get()
    assert error(refused) == (503, "unavailable")
    assert "Retry-After" in refused.headers


def test_the_tag_of_a_stale_answer_is_that_of_the_fresh_one(live_prompt: Prompt) -> None:
    snapshot = live_snapshot(live_prompt.project_id)
    assert snapshot is not None
    found = snapshot.find("support/answer", "staging")
    assert found.fresh.etag == found.stale.etag
    assert found.fresh.body != found.stale.body
    with pytest.raises(live_values.NotLive):
        snapshot.find("support/answer", "development")
