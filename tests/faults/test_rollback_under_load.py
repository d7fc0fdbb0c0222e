"""One call goes back in production while the database is busy, and nothing else is up (invariant F9).

Two web processes serve, pgbench keeps the database at work, there is no Valkey and no worker. Clients of both processes
write down what they got and when, and report their calls as a service does. What the stopwatch says of the rollback
must be what the clients saw.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from django.conf import settings
from django.db import connection

from apps.core import clock
from apps.core.stack.binaries import find_postgres
from apps.core.stack.processes import local_command
from apps.projects.models import Project
from apps.projects.types import Scope
from apps.promotions.services import deciding
from apps.prompts.models import LiveSeen, Version
from tests import factories
from tests.core.stack_harness import BASE, eventually, free_port
from tests.promotions import making

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

PROMISED = timedelta(seconds=5)
CLIENTS_A_PROCESS = 2
NOTICED_WITHIN = timedelta(seconds=1)
"""How far apart the stopwatch and a client may be: the client's own pause, and what a busy machine adds."""
LOAD = ("--client", "6", "--jobs", "1", "--time", "120", "--no-vacuum")
NOBODY = "redis://127.0.0.1:1/0"
TABLES = "pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers"
PROMPT = f"/api/v1/prompts/{making.NAME}"


class Ask(NamedTuple):
    """What a client got: when it asked, when it had the answer, which version; and when its call began after that."""

    asked_at: datetime
    status: int
    version: str
    called_at: datetime


@dataclass
class Caller(threading.Thread):
    """A service: it asks which version is live, calls a model with it, and reports the call."""

    base: str
    key: str
    stop: threading.Event
    log: list[Ask] = field(default_factory=list)
    unreported: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def run(self) -> None:
        """Ask until it is told to stop, over one connection."""
        headers = {"Authorization": f"Bearer {self.key}"}
        with httpx.Client(base_url=self.base, headers=headers, timeout=20) as http:
            while not self.stop.wait(0.02):
                self._ask(http)

    def _ask(self, http: httpx.Client) -> None:
        asked_at = clock.now()
        answer = http.get(f"{PROMPT}/live?environment=production")
        version = answer.json().get("version", "")
        ask = Ask(asked_at, answer.status_code, version, clock.now())
        told = http.post("/api/v1/telemetry", json={"spans": [span_of(ask)]})
        if told.status_code != 200 or told.json()["stored"] != 1:
            self.unreported.append(told.text)
        self.log.append(ask)

    def __hash__(self) -> int:
        return id(self)


def span_of(ask: Ask) -> dict[str, Any]:
    """The call as the service reports it."""
    return {
        "trace_id": os.urandom(16).hex(),
        "span_id": os.urandom(8).hex(),
        "name": "chat",
        "started_at": ask.called_at.isoformat(),
        "latency_ms": 1,
        "environment": "production",
        "prompt_name": making.NAME,
        "prompt_version": ask.version,
        "request_model": "echo",
    }


def database() -> dict[str, str]:
    """The test database as the environment of PostgreSQL's own programs."""
    held = connection.settings_dict
    told = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGDATABASE": "NAME"}
    return {name: str(held[key]) for name, key in told.items() if held[key]}


@pytest.fixture
def load() -> Iterator[None]:
    """PostgreSQL's own benchmark at work in the same database, with commits that wait for the disk."""
    program = str(find_postgres(settings.POSTGRES_BIN).directory / "pgbench")
    environment = {**os.environ, **database()}
    subprocess.run([program, "--initialize", "--scale", "2", "--quiet"], env=environment, check=True, timeout=60)
    running = subprocess.Popen([program, *LOAD], env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
        assert running.poll() is None, "the load ended early"
    finally:
        running.kill()
        running.wait(20)
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE {TABLES}")


@dataclass
class Web:
    """A web process of the product."""

    base: str
    process: subprocess.Popen[bytes]

    def is_up(self) -> bool:
        """True when it answers."""
        try:
            return httpx.get(f"{self.base}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


@pytest.fixture
def webs(tmp_path: Path) -> Iterator[list[Web]]:
    """Two web processes on the test database, with real jobs, which nobody carries out."""
    held = database()
    login = held.get("PGUSER", "") + (f":{held['PGPASSWORD']}" if "PGPASSWORD" in held else "")
    where = f"/{held['PGDATABASE']}?host={held.get('PGHOST', '')}&port={held.get('PGPORT', '')}"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "llmops_site.settings",
        "DATABASE_URL": f"postgresql://{login}@{where}",
        "REDIS_URL": NOBODY,
        "PRODWORTHY_VAR": str(settings.VAR_DIR),
    }
    made = []
    with (tmp_path / "web.log").open("wb") as log:
        for port in (free_port(), free_port()):
            command = local_command("web", port=port)
            process = subprocess.Popen(command, cwd=BASE, env=environment, stdout=log, stderr=log)
            made.append(Web(f"http://127.0.0.1:{port}", process))
    try:
        assert eventually(lambda: all(web.is_up() for web in made), seconds=60), (tmp_path / "web.log").read_text()
        yield made
    finally:
        for web in made:
            web.process.terminate()
        for web in made:
            web.process.wait(20)


def live_in_production(project: Project, text: str) -> Version:
    """A version that passed its gate, was approved, and is live."""
    rita = making.rita(project)
    promotion = making.waiting(project, text)
    actor = factories.actor_of(rita)
    done = deciding.approve(promotion=promotion, actor=actor, person=rita, now=clock.now())
    assert done.state == "live", done.reasons
    return done.version


def test_every_client_gets_the_old_version_and_the_stopwatch_saw_it(
    project: Project, webs: list[Web], load: None
) -> None:
    good, bad = (str(live_in_production(project, text).number) for text in (making.GOOD, f"{making.GOOD}\n"))
    scopes = (Scope.PROMOTIONS, Scope.READ, Scope.PROMPTS_READ, Scope.INGEST)
    key = factories.make_key(project, *scopes, created_by=making.rita(project))
    stop = threading.Event()
    callers = [Caller(web.base, key, stop) for web in webs for _ in range(CLIENTS_A_PROCESS)]
    for caller in callers:
        caller.start()
    try:
        assert eventually(lambda: all(len(caller.log) > 5 for caller in callers), seconds=20)
        assert eventually(lambda: LiveSeen.objects.filter(project=project).count() >= len(webs), seconds=10)
        told = clicked(webs[0], key, bad)
        assert eventually(
            lambda: all(caller.log[-1].version == good for caller in callers), seconds=PROMISED.total_seconds()
        ), told
        threading.Event().wait(1)  # nobody goes back to the bad one
    finally:
        stop.set()
        for caller in callers:
            caller.join(20)
    assert told["version"] == good
    watch = settled(webs[1], key, told["rollback"]["id"])
    agree(watch, callers, webs, good=good, bad=bad)


def clicked(web: Web, key: str, bad: str) -> dict[str, Any]:
    """One call of one address."""
    headers = {"Authorization": f"Bearer {key}"}
    body = {"environment": "production", "away_from": bad, "reason": "Wrong tone"}
    answer = httpx.post(f"{web.base}{PROMPT}/rollback", json=body, headers=headers, timeout=10)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def settled(web: Web, key: str, uuid: str) -> dict[str, Any]:
    """What the stopwatch says when every process has told it, through the other process."""
    told: dict[str, Any] = {}

    def has_everything() -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        told.update(httpx.get(f"{web.base}/api/v1/rollbacks/{uuid}", headers=headers, timeout=10).json())
        return told["everywhere_at"] is not None

    assert eventually(has_everything, seconds=10), told
    return told


def agree(watch: dict[str, Any], callers: list[Caller], webs: list[Web], *, good: str, bad: str) -> None:
    """The stopwatch's figures are those of the clients' own log."""
    asks = [ask for caller in callers for ask in caller.log]
    asked_at, everywhere_at = (datetime.fromisoformat(watch[name]) for name in ("asked_at", "everywhere_at"))
    assert {ask.status for ask in asks} == {200}
    assert not [text for caller in callers for text in caller.unreported]
    for caller in callers:
        versions = [ask.version for ask in caller.log]
        assert versions == [bad] * versions.count(bad) + [good] * versions.count(good), "a client went back and forth"
    assert not [ask for ask in asks if ask.version == bad and ask.asked_at > asked_at + PROMISED]

    had = {int(one["process"].split()[-1]): datetime.fromisoformat(one["at"]) for one in watch["processes"]}
    assert set(had) == {web.process.pid for web in webs}
    assert everywhere_at == max(had.values()) <= asked_at + PROMISED
    for web in webs:
        here = [ask for caller in callers if caller.base == web.base for ask in caller.log]
        first_good = min(ask.called_at for ask in here if ask.version == good)
        last_bad = max(ask.asked_at for ask in here if ask.version == bad)
        at = had[web.process.pid]
        assert last_bad - NOTICED_WITHIN < at < first_good + NOTICED_WITHIN, (last_bad, at, first_good)

    after = [ask for ask in asks if ask.called_at > asked_at]
    bad_calls = [ask.called_at for ask in after if ask.version == bad]
    assert datetime.fromisoformat(watch["first_call_at"]) == min(ask.called_at for ask in after if ask.version == good)
    assert watch["bad_calls_after"] == len(bad_calls)
    last = watch["last_bad_call_at"]
    assert (None if last is None else datetime.fromisoformat(last)) == max(bad_calls, default=None)
    print(f"\n{len(asks)} calls, {len(bad_calls)} bad ones after the click. {watch['sentence']}")
