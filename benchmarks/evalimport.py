"""How long an import of 100,000 examples takes, against the floor: the same rows written by one bare COPY.

    DATABASE_URL=postgresql://... python benchmarks/evalimport.py --rows 100000

The database must be migrated; a project is made in it and removed again. The import runs as the API runs it: the file
in pieces, read row by row, staged, and made one revision. The floor copies ready rows into a table of the same columns
without indexes. Times, the ratio, and the peak of this process's memory are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")
PIECE = 256 * 1024


def rows_of(count: int) -> list[str]:
    """Lines of JSON with a question of 40 words and an answer of 10, the same every time."""
    dice = random.Random(1)
    words = [f"word{number}" for number in range(5_000)]
    return [
        json.dumps(
            {
                "id": f"row-{number}",
                "question": " ".join(dice.choices(words, k=40)),
                "expected": " ".join(dice.choices(words, k=10)),
                "category": f"slice-{number % 7}",
            }
        )
        for number in range(count)
    ]


def pieces_of(body: bytes) -> Iterator[bytes]:
    """The body as it would arrive."""
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def peak_mib() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    count = parser.parse_args().rows

    import django

    django.setup()
    from django.db import connection

    from apps.core import clock
    from apps.evals.models import EvalSet
    from apps.evals.services import set_imports
    from apps.evals.types import ReviewState
    from apps.projects.models import Project
    from apps.projects.types import SYSTEM

    lines = rows_of(count)
    body = "\n".join(lines).encode()
    slug = f"bench-{os.getpid()}"
    project = Project.objects.create(slug=slug, name=slug)
    eval_set = EvalSet.objects.create(project=project, slug="bench", name="bench", created_by="bench")
    before = peak_mib()
    started = time.perf_counter()
    outcome = set_imports.import_at_once(
        eval_set=eval_set,
        filename="rows.jsonl",
        pieces=pieces_of(body),
        wish=set_imports.Wish(state=ReviewState.APPROVED),
        actor=SYSTEM,
        author=None,
        now=clock.now(),
    )
    took = time.perf_counter() - started
    grown = peak_mib() - before
    assert outcome.tally.added == count
    floor = bare_copy(lines)
    print(
        f"{count:,} rows, {len(body) / 1e6:.1f} MB: "
        f"import {took:.2f} s, bare COPY {floor:.2f} s, ratio {took / floor:.1f}"
    )
    print(f"memory grew by {grown:.0f} MiB at most")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('prodworthy.deleting_project', %s, false)", [str(project.pk)])
    project.delete()


def bare_copy(lines: list[str]) -> float:
    """Seconds to copy the rows, ready as they are, into a table without indexes, and commit."""
    from django.db import connection, transaction

    started = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bare (row int, key text, example jsonb) ON COMMIT DROP")
        with cursor.copy("COPY bare FROM STDIN") as copy:
            for number, line in enumerate(lines):
                copy.write_row((number, f"row-{number}", line))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
