"""How long the server takes for Costs and Latency with the cost records of ten million spans over 90 days.

    python benchmarks/cost_pages.py --database-url URL     # a server that is there; its database must be empty
    python benchmarks/cost_pages.py --spans 1000000        # fewer

Cost records are made by SQL alone: every hour of 90 days has one for each feature, model, prompt version, environment
and source that is used in it, with the counts and histograms that so many spans would leave; slices and days are added
up from them by the product's own function. The newest day has its spans, and the present hour is dirty. Each page is
asked as a signed-in person through Django's test client. Medians, beside a reference measured in the same run: a query
that adds up a day of spans, because an absolute time says little on a shared machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "benchmarks"))

DAYS = 90
AIM_MS = 100
PAGES = {
    "Costs, 24 h": "costs?range=24h",
    "Costs, 7 d": "costs?range=7d",
    "Costs, 30 d": "costs?range=30d",
    "Costs, 90 d": "costs?range=90d",
    "Costs, 90 d, by model": "costs?range=90d&by=model",
    "Costs, 90 d, by prompt version": "costs?range=90d&by=prompt_version",
    "Costs, 30 d, one feature": "costs?range=30d&feature=support-answers",
    "Latency, 24 h": "latency?range=24h",
    "Latency, 7 d": "latency?range=7d",
    "Latency, 30 d": "latency?range=30d",
    "Latency, 90 d": "latency?range=90d",
    "Latency, 90 d, by model": "latency?range=90d&by=model",
    "Behind the spend, 30 d (fetched after)": "costs/details?range=30d",
    "Users, 24 h (fetched after)": "costs/users?range=24h",
    "Unpriced, 90 d": "costs/unpriced?range=90d",
    "Optimise": "costs/optimise",
}

# A day of real-looking spans was rolled up; its hour rows are repeated over the days before, each with its own numbers.
COPY = """
INSERT INTO telemetry_costhour (project_id, hour, environment, feature, provider, model, prompt_version, source, calls,
  errors, unpriced_calls, input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
  cost_usd, latency_histogram, ttft_histogram)
SELECT project_id, hour - %s * interval '1 day', environment, feature, provider, model, prompt_version, source, calls,
  errors, unpriced_calls, input_tokens + %s, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens,
  cost_usd + cost_usd * %s / 50, latency_histogram, ttft_histogram
FROM telemetry_costhour WHERE project_id = %s AND hour >= %s
"""
REFERENCE = """
SELECT feature, count(*), sum(cost_usd), sum(input_tokens) FROM telemetry_span
WHERE project_id = %s AND counted AND started_at >= %s GROUP BY feature
"""


def fill_records(project_id: int, *, spans: int, now: datetime) -> int:
    """The newest day as spans, rolled up, and its records repeated over the days before; how many hour records."""
    from django.db import connection, transaction
    from fill import fill, tidy

    from apps.core.clock import floor_hour
    from apps.telemetry.services import rollups

    until = floor_hour(now)
    fill(project_id, spans=spans // DAYS // 4 * 4, days=1, until=until)
    while rollups.roll_up().hours:
        pass
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        for day in range(1, DAYS):
            cursor.execute(COPY, [day, day, day % 7, project_id, until - timedelta(days=1)])
        for first in range(0, DAYS + 1, 10):
            days = sorted({(until - timedelta(days=first + place)).date() for place in range(10)})
            hours = [datetime(day.year, day.month, day.day, hour, tzinfo=UTC) for day in days for hour in range(24)]
            with transaction.atomic():
                _summarise(cursor, project_id, days, hours)
        cursor.execute("SELECT count(*) FROM telemetry_costhour WHERE project_id = %s", [project_id])
        count: int = cursor.fetchone()[0]
    tidy()
    return count


def _summarise(cursor: Any, project_id: int, days: list[Any], hours: list[datetime]) -> None:
    """Slices of these hours and records of these days, as the product's roll-up writes them from hour records."""
    from apps.telemetry.coverage import HOUR, Stretch, union
    from apps.telemetry.services import rollups

    stretches = union(Stretch(hour, hour + HOUR) for hour in hours)
    rollups._write_summary(cursor, rollups.HOUR_SLICES, project_id, hours, stretches)
    rollups._write_summary(cursor, rollups.DAYS, project_id, days, [rollups._whole_day(day) for day in days])


def reference_ms(project_id: int, now: datetime, repeats: int) -> float:
    """The median of adding up the newest day's calls by feature."""
    from django.db import connection

    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(REFERENCE, [project_id, now - timedelta(days=1)])
            cursor.fetchall()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def make_project(spans: int, now: datetime) -> tuple[Any, Any, int]:
    """A project with the records, its owner's browser, and how many hour records there are."""
    from django.conf import settings
    from django.test import Client

    from apps.accounts.models import User
    from apps.projects import services as projects
    from apps.projects.types import Actor

    settings.ALLOWED_HOSTS.append("testserver")
    user = User.objects.create_user("ana@example.com", "seventeen dull umbrellas", name="Ana")
    actor = Actor(kind="user", id=user.pk, name=user.email)
    project = projects.create_project(name="Costs", creator=user, actor=actor, now=now)
    count = fill_records(project.pk, spans=spans, now=now)
    browser = Client()
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return project, browser, count


def main() -> int:
    """Print a table; exit 1 when Costs or Latency misses the aim."""
    from pages import database, measure, send_live_calls

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="")
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    now = datetime.now(UTC)
    with database(options.database_url):
        project, browser, count = make_project(options.spans, now)
        send_live_calls(project.pk, 500)
        print(f"the records of {options.spans:,} spans over {DAYS} days: {count:,} of hours; the present hour is dirty")
        print(f"reference: a day's calls added up by feature take {reference_ms(project.pk, now, 9):.1f} ms\n")
        print(f"{'page':40} {'median ms':>10} {'slowest ms':>11} {'queries':>8} {'HTML kB':>8}")
        missed = []
        for name, path in PAGES.items():
            found = measure(browser, f"/p/{project.slug}/{path}", options.repeats)
            print(f"{name:40} {found['median_ms']:>10} {found['slowest_ms']:>11}", end=" ")
            print(f"{found['queries']:>8} {found['html_kb']:>8}", flush=True)
            if found["median_ms"] > AIM_MS and name.startswith(("Costs", "Latency")):
                missed.append(name)
    print(f"\naim: {AIM_MS} ms for Costs and Latency; missed by: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
