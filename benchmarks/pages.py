"""How long the server takes for each page of figures with a million spans stored, and how many queries it asks.

    python benchmarks/pages.py                       # an embedded PostgreSQL in a directory that is removed again
    python benchmarks/pages.py --database-url URL    # a server that is there; its database must be empty
    python benchmarks/pages.py --spans 200000 --repeats 9

It fills one project with `fill.py` (30 days), writes its cost records, puts live calls into the present hour so that
it is dirty as it is in production, and asks each page as a signed-in person through Django's test client: all of the
product's own work and nothing of the network. Medians of the repeats, beside the time of one trivial query on the same
connection, since an absolute time says little on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

AIM_MS = 100
MOST_QUERIES = 12
PAGES = {
    "Overview, 24 h": "/p/{slug}/?range=24h",
    "Overview, 7 d": "/p/{slug}/?range=7d",
    "Overview, 30 d": "/p/{slug}/?range=30d",
    "Overview, 90 d": "/p/{slug}/?range=90d",
    "Overview, 30 d, one feature": "/p/{slug}/?range=30d&feature={feature}",
    "Costs, 30 d": "/p/{slug}/costs?range=30d",
    "Latency, 30 d": "/p/{slug}/latency?range=30d",
    "Traces, 24 h": "/p/{slug}/traces?range=24h",
    "Traces, 30 d, one model": "/p/{slug}/traces?range=30d&model=gpt-4o",
    "Traces, 30 d, a rare word": "/p/{slug}/traces?range=30d&q=70-{rare}",
    "Traces, 30 d, a common word": "/p/{slug}/traces?range=30d&q=thank",
    "Traces, 30 d, a word of one call in 500": "/p/{slug}/traces?range=30d&q={word}",
    "Traces, 30 d, no such word": "/p/{slug}/traces?range=30d&q=quokka",
    "Traces, 30 d, a beginning": "/p/{slug}/traces?range=30d&q=70-{rare}*",
    "Traces, 30 d, longer than 30 s": "/p/{slug}/traces?range=30d&min_latency=30+s",
    "Traces, 30 d, one user, one word": "/p/{slug}/traces?range=30d&user=user-17&q=waiting",
    "API, traces, 30 d, a rare word": "/api/v1/traces?project={slug}&from={month_ago}&text=70-{rare}",
    "API, spans, 30 d, a rare word": "/api/v1/spans?project={slug}&from={month_ago}&text=70-{rare}",
    "One trace": "/p/{slug}/traces/{trace}",
    "One trace of 20,000 spans": "/p/{slug}/traces/{long_trace}?at={now}",
    "Its conversation": "/p/{slug}/traces/{long_trace}?at={now}&view=conversation",
    "Sessions, 24 h": "/p/{slug}/sessions?range=24h",
    "Sessions, 30 d": "/p/{slug}/sessions?range=30d",
    "One session": "/p/{slug}/sessions/one?id=session-17",
    "One session of 20,000 spans": "/p/{slug}/sessions/one?id=long&at={now}",
    "Users, 24 h": "/p/{slug}/users?range=24h",
    "Users, 30 d": "/p/{slug}/users?range=30d",
    "One user, 30 d": "/p/{slug}/users/one?id=user-17&range=30d",
}


@contextmanager
def database(url: str) -> Iterator[None]:
    """A migrated, empty database: the one named, or an embedded one in a directory of its own."""
    with tempfile.TemporaryDirectory(prefix="prodworthy-pages-") as directory:
        Path(directory).chmod(0o755)  # as root, the server runs as somebody else
        os.environ |= {"PRODWORTHY_VAR": directory, "DJANGO_SETTINGS_MODULE": "llmops_site.settings"}
        os.environ |= {"DATABASE_URL": url} if url else {}
        import django

        django.setup()
        from django.conf import settings
        from django.core.management import call_command
        from django.db import connection

        from apps.core.stack.postgres import Postgres

        server = None
        if settings.USES_EMBEDDED_POSTGRES:
            log = Path(directory) / "log" / "postgres.log"
            server = Postgres(settings.POSTGRES_DIR, settings.SOCKET_DIR, log, settings.POSTGRES_BIN)
            server.prepare()
            server.start()
            server.wait_ready()
        try:
            call_command("migrate", verbosity=0)
            call_command("createcachetable", verbosity=0)
            call_command("collectstatic", verbosity=0, interactive=False)
            yield
        finally:
            connection.close()
            if server is not None:
                server.stop()


def make_project(spans: int) -> Any:
    """A project with that many spans over 30 days and all cost records, and its owner's browser."""
    from django.conf import settings
    from django.test import Client
    from fill import fill, tidy

    from apps.accounts.models import User
    from apps.core import clock
    from apps.projects import services as projects
    from apps.projects.types import Actor
    from apps.telemetry.services.rollups import roll_up

    settings.ALLOWED_HOSTS.append("testserver")
    now = clock.now()
    user = User.objects.create_user("ana@example.com", "seventeen dull umbrellas", name="Ana")
    actor = Actor(kind="user", id=user.pk, name=user.email)
    project = projects.create_project(name="Pages", creator=user, actor=actor, now=now)
    fill(project.pk, spans=spans, days=30, until=clock.floor_hour(now), is_searched=True)
    while roll_up().hours:
        pass
    tidy()
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return project, browser


def send_live_calls(project_id: int, count: int) -> None:
    """Calls of the present hour, through the function that the intake's door calls."""
    from apps.telemetry import wire
    from apps.telemetry.services import store
    from apps.telemetry.types import Batch

    now = datetime.now(UTC)
    bodies = [
        {
            "trace_id": f"{number + 1:032x}",
            "span_id": f"{number + 1:016x}",
            "name": "live",
            "started_at": (now - timedelta(seconds=number % 60)).isoformat(),
            "latency_ms": 500 + number,
            "feature": "support-answers",
            "request_model": "gpt-4o",
            "input_tokens": 100,
            "output_tokens": 10,
        }
        for number in range(count)
    ]
    items = wire.read_body(json.dumps({"spans": bodies}).encode(), max_items=count)
    spans, positions, rejected = wire.read_spans(
        items.spans, project_id=project_id, received_at=now, keep_since=now - timedelta(days=400)
    )
    store([Batch(project_id, None, "benchmark", now, count, spans, positions, rejected)])


LONG_TRACE = "ab" * 16


def send_long_session(project_id: int, count: int) -> None:
    """One trace of `count` spans in a session of its own, two hours ago, ready to be searched."""
    from apps.telemetry import wire
    from apps.telemetry.services import digesting, store
    from apps.telemetry.types import Batch

    now = datetime.now(UTC)
    start = now - timedelta(hours=2)
    bodies = [
        {
            "trace_id": LONG_TRACE,
            "span_id": f"{number + 1:016x}",
            "parent_span_id": f"{number // 4 * 4 + 1 if number % 4 else 1:016x}" if number else None,
            "kind": ("chain", "llm", "tool", "retriever")[number % 4],
            "name": f"step {number}",
            "started_at": (start + timedelta(milliseconds=8 * number)).isoformat(),
            "latency_ms": 30,
            "session_id": "long",
            "user_id": "patient",
            "request_model": "gpt-4o" if number % 4 == 1 else None,
            "input_tokens": 100 if number % 4 == 1 else None,
            "output_tokens": 10 if number % 4 == 1 else None,
            "input": f"question {number}" if number % 4 in {1, 2} else None,
            "output": f"answer {number}" if number % 4 in {1, 2} else None,
        }
        for number in range(count)
    ]
    for first in range(0, count, 5_000):
        part = bodies[first : first + 5_000]
        items = wire.read_body(json.dumps({"spans": part}).encode(), max_items=5_000)
        spans, positions, rejected = wire.read_spans(
            items.spans, project_id=project_id, received_at=now, keep_since=now - timedelta(days=400)
        )
        store([Batch(project_id, None, "benchmark", now, len(part), spans, positions, rejected)])
    while digesting.digest(now=datetime.now(UTC), max_seconds=60):
        pass


def names_within(project_id: int, spans: int) -> dict[str, str]:
    """What the addresses are filled with: an order number of one call, a word of few, and a trace."""
    from django.db import connection

    rare = spans // 8 * 4 + 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT split_part(text, ' ', 3) FROM fill_paragraph WHERE number = 123")
        word = cursor.fetchone()[0].rstrip(".")
        cursor.execute(
            "SELECT trace_id FROM telemetry_span WHERE project_id = %s AND session_id = 'session-17'", [project_id]
        )
        trace = bytes(cursor.fetchone()[0]).hex()
    now = datetime.now(UTC)
    return {
        "rare": str(rare),
        "word": word,
        "trace": trace,
        "long_trace": LONG_TRACE,
        "now": f"{now - timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "month_ago": f"{now - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
    }


def measure(browser: Any, address: str, repeats: int) -> dict[str, Any]:
    """Median milliseconds of the page over the repeats, its queries and its size. Raises when it is not served."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser.get(address)
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        answer = browser.get(address)
        taken.append((time.perf_counter() - began) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answers {answer.status_code}")
    with CaptureQueriesContext(connection) as captured:
        browser.get(address)
    return {
        "median_ms": round(statistics.median(taken), 1),
        "slowest_ms": round(max(taken), 1),
        "queries": len(captured),
        "html_kb": round(len(answer.content) / 1024),
    }


def trivial_query_ms(repeats: int) -> float:
    """The median of `SELECT 1` on the same connection."""
    from django.db import connection

    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchone()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def main() -> int:
    """Print a table; exit 1 when a page misses the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--spans", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with database(options.database_url):
        began = time.perf_counter()
        project, browser = make_project(options.spans)
        send_live_calls(project.pk, 500)
        send_long_session(project.pk, 20_000)
        names = names_within(project.pk, options.spans) | {"slug": project.slug, "feature": "support-answers"}
        print(f"{options.spans:,} spans over 30 days, filled in {time.perf_counter() - began:.0f} s; the hour is dirty")
        trivial = trivial_query_ms(200)
        print(f"a trivial query takes {trivial:.2f} ms\n")
        print(f"{'page':40} {'median ms':>10} {'slowest ms':>11} {'queries':>8} {'HTML kB':>8}")
        results = {}
        for name, address in PAGES.items():
            found = measure(browser, address.format(**names), options.repeats)
            results[name] = found
            print(f"{name:40} {found['median_ms']:>10} {found['slowest_ms']:>11}", end=" ")
            print(f"{found['queries']:>8} {found['html_kb']:>8}")
    if options.json:
        options.json.write_text(json.dumps({"trivial_query_ms": trivial, "pages": results}, indent=1) + "\n")
    missed = [name for name, found in results.items() if found["median_ms"] > AIM_MS or found["queries"] > MOST_QUERIES]
    print(f"\naim: {AIM_MS} ms and {MOST_QUERIES} queries; missed by: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
