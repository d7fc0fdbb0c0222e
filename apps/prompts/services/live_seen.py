"""What a process serves, written down for those who want to know how far a change has got.

Times are the database's, so that processes on several machines can be compared. Nobody waits for any of this, and a
process that cannot write serves all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, OuterRef, Subquery

from apps.prompts.models import LiveProcess, LiveSeen

KEPT_FOR = timedelta(days=1)
"""How long it is remembered what a process served, and a process that was not heard of again."""

# One statement for the process and all that it began to serve. A project that is gone meanwhile is left out; one that
# is being deleted is not waited for, since the thread that writes has more to do.
TELL = """
WITH patience AS MATERIALIZED (SELECT set_config('lock_timeout', '500ms', true)),
process AS (
  INSERT INTO prompts_liveprocess (uuid, name, started_at, seen_at)
  SELECT %(uuid)s, %(name)s, clock_timestamp(), clock_timestamp() FROM patience
  ON CONFLICT (uuid) DO UPDATE SET seen_at = clock_timestamp()
  RETURNING uuid
)
INSERT INTO prompts_liveseen (process_id, project_id, number, at)
SELECT process.uuid, told.project, told.number, clock_timestamp() - told.age * interval '1 second'
FROM process, unnest(%(projects)s::bigint[], %(numbers)s::bigint[], %(ages)s::float8[]) AS told (project, number, age)
JOIN projects_project ON projects_project.id = told.project
ON CONFLICT (process_id, project_id, number) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class Began:
    """That a process began to serve a state of a project, so many seconds ago."""

    project_id: int
    number: int
    seconds_ago: float


def tell(process: UUID, name: str, began: Sequence[Began] = ()) -> None:
    """Say that the process is alive, and what it began to serve. Raises the errors of the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            TELL,
            {
                "uuid": process,
                "name": name[:254],
                "projects": [one.project_id for one in began],
                "numbers": [one.number for one in began],
                "ages": [one.seconds_ago for one in began],
            },
        )


def let_go(process: UUID, project_ids: Collection[int]) -> None:
    """The process serves these projects no more. Raises the errors of the database."""
    LiveSeen.objects.filter(process_id=process, project_id__in=project_ids).delete()


def leave(process: UUID) -> None:
    """The process ends as it should. Raises the errors of the database."""
    LiveProcess.objects.filter(uuid=process).delete()


def forget_old(*, now: datetime) -> int:
    """Delete processes that are gone, and of the others what they served long ago; how many rows went."""
    long_ago = now - KEPT_FOR
    gone, _ = LiveProcess.objects.filter(seen_at__lt=long_ago).delete()
    of_the_same = LiveSeen.objects.filter(process=OuterRef("process"), project=OuterRef("project"))
    newest = of_the_same.order_by().values("process").annotate(newest=Max("number")).values("newest")
    passed = LiveSeen.objects.filter(at__lt=long_ago).annotate(newest=Subquery(newest)).exclude(number=F("newest"))
    deleted, _ = passed.delete()
    return gone + deleted
