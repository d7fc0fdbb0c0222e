"""Workers of runs that die or sleep in the middle (invariants C3, G1 and G2), as processes of their own.

A worker here is the task in a loop, on the database of the tests: whoever wakes it, it works from the rows alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import psutil
import pytest
from django.db import connection

from apps.core import clock
from apps.evals import pacing
from apps.evals.models import EvalRun, Result
from apps.projects.models import Project
from tests.core.stack_harness import BASE, eventually
from tests.evals import running
from tests.fakes.provider import FakeProvider, Fault, Script

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

NURSERY = """
import os, signal, sys, time, django
django.setup()
from apps.core import jobs
from apps.evals.services import executing, run_ending  # loaded once, for all of them
jobs.enqueue = lambda *_, **__: None
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for _ in sys.stdin:
    if pid := os.fork():
        print(pid, flush=True)
        continue
    while True:
        executing.work(seconds=60)
        time.sleep(0.05)
"""


class Workers:
    """Processes that execute runs."""

    def __init__(self, provider: FakeProvider) -> None:
        held = connection.settings_dict
        place = f"{held['HOST']}:{held['PORT']}" if held["PORT"] else held["HOST"]
        is_socket = str(held["HOST"]).startswith("/")
        where = f"/{held['NAME']}?host={held['HOST']}&port={held['PORT']}" if is_socket else f"{place}/{held['NAME']}"
        login = held["USER"] + (f":{held['PASSWORD']}" if held["PASSWORD"] else "")
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "llmops_site.test_settings",
            "DATABASE_URL": f"postgresql://{login}@{where}",
            "PRODWORTHY_EGRESS_ALLOW": provider.listed,
        }
        self.nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            cwd=BASE,
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.running: list[psutil.Process] = []

    def start(self) -> psutil.Process:
        """One more of them, forked from a process that has loaded everything, as Celery does it."""
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write("\n")
        self.nursery.stdin.flush()
        process = psutil.Process(int(self.nursery.stdout.readline()))
        self.running.append(process)
        return process

    def end(self) -> None:
        """Leave none."""
        for process in self.running:
            if process.is_running():
                process.kill()
        psutil.wait_procs(self.running, timeout=20)
        self.nursery.communicate(timeout=20)


@pytest.fixture
def workers(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)
    made = Workers(provider)
    yield made
    made.end()


def expire(run: EvalRun) -> None:
    """Let the lease of a worker that is gone run out now, which takes 15 seconds otherwise."""
    EvalRun.objects.filter(pk=run.pk).update(lease_until=clock.now() - timedelta(seconds=1))


def is_over(run: EvalRun) -> bool:
    run.refresh_from_db()
    return run.ended_at is not None


def test_five_kills_leave_every_example_once_and_all_costs_told(
    project: Project, provider: FakeProvider, workers: Workers
) -> None:
    running.ready(project, provider, 200)
    running.price(project)
    provider.by_model["fake-1"] = Script(Fault.SLOW_START, seconds=0.1)
    run = running.start(project, concurrency=10)
    for kill in range(5):
        worker = workers.start()
        wanted = 30 * (kill + 1)
        assert eventually(lambda wanted=wanted: provider.count >= wanted, seconds=60), provider.count  # type: ignore[misc]
        worker.send_signal(signal.SIGKILL)
        worker.wait(20)
        expire(run)
    workers.start()
    assert eventually(lambda: is_over(run), seconds=90)

    assert (run.state, run.total, run.done, run.failed, run.leases) == ("finished", 200, 200, 0, 6)
    assert Counter(Result.objects.filter(run=run).values_list("state", flat=True)) == {"done": 200}
    asked = Counter(call.body["messages"][-1]["content"] for call in provider.calls)
    assert len(asked) == 200
    assert provider.count <= 200 * (1 + pacing.RETRIES) + 5 * 10
    assert provider.count - 200 <= run.lost_calls <= 5 * 20
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), sum(cost_usd), min(source) FROM telemetry_span WHERE status = 'ok' AND project_id = %s",
            [project.pk],
        )
        assert cursor.fetchone() == (200, run.spent_usd, "eval")
    assert sum(cost or 0 for cost in Result.objects.filter(run=run).values_list("cost_usd", flat=True)) == run.spent_usd


def test_a_worker_that_slept_past_its_lease_writes_nothing(
    project: Project, provider: FakeProvider, workers: Workers
) -> None:
    running.ready(project, provider, 20)
    provider.by_model["fake-1"] = Script(Fault.SLOW_START, seconds=0.4)
    run = running.start(project, concurrency=4)
    sleeper = workers.start()
    assert provider.wait_until(lambda one: one.count >= 6, 60)
    sleeper.send_signal(signal.SIGSTOP)
    expire(run)
    workers.start()
    assert eventually(lambda: is_over(run), seconds=60)
    assert (run.state, run.done) == ("finished", 20)
    kept = list(Result.objects.filter(run=run).order_by("id").values())
    held = EvalRun.objects.filter(pk=run.pk).values().get()
    calls = provider.count

    sleeper.send_signal(signal.SIGCONT)
    time.sleep(1.5)  # what it still had to write was on its way within a second
    assert list(Result.objects.filter(run=run).order_by("id").values()) == kept
    assert EvalRun.objects.filter(pk=run.pk).values().get() == held
    # What it was about to send when it fell asleep goes out; its answers are thrown away.
    assert provider.count - calls <= run.concurrency
