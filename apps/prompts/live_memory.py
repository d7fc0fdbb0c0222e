"""What a process remembers of live prompts, and the thread that keeps it true.

Every second one query asks whether anything changed in the projects that are held; what changed is read anew and
replaces its snapshot as a whole. Nothing is sent between processes, so nothing has to be up for a change to arrive but
the database. While that does not answer, what is held stays, and says how long ago it was last known to be true.

The same thread writes down what the process began to serve (`services.live_seen`), so that others can tell how far a
change has got. When that cannot be written, it is tried again; nobody who asks for a prompt waits for it.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from apps.prompts.live import Snapshot
from apps.prompts.selectors.live import Mark, live_marks, live_snapshot
from apps.prompts.services import live_seen
from apps.prompts.services.live_seen import Began

log = logging.getLogger(__name__)

LOOK_EVERY_SECONDS = 1.0
STALE_AFTER_SECONDS = 5.0
"""What was not confirmed for so long is no longer promised to be live."""
IDLE_SECONDS = 3600.0
"""A project that nobody asked for in this time is let go of."""
ALIVE_EVERY_SECONDS = 2.0
"""How often a process that holds something says so, when there is nothing else to say."""


@dataclass(slots=True)
class Held:
    """A project's snapshot, when it was read, last known to be true, and last asked for (all monotonic)."""

    snapshot: Snapshot
    read_at: float
    confirmed_at: float
    asked_at: float

    def stale_seconds(self, at: float) -> int | None:
        """For how many seconds nobody knows whether this is still so; None while it is known."""
        age = at - self.confirmed_at
        return int(age) if age > STALE_AFTER_SECONDS else None


class LiveMemory:
    """The snapshots of one process."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self._reading: dict[int, threading.Lock] = defaultdict(threading.Lock)
        self._starting = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._is_away = False
        self._diary = Diary()
        self.answered_at = float("-inf")
        """When the database last answered here (monotonic)."""

    def held(self, project_id: int) -> Held | None:
        """What is held of the project. Never waits."""
        found = self._held.get(project_id)
        if found is not None:
            found.asked_at = time.monotonic()
        return found

    def load(self, project_id: int) -> Held | None:
        """Hold the project as it is now; None when it is gone. Waits for the database, and raises its errors."""
        with self._reading[project_id]:
            at = time.monotonic()
            snapshot = live_snapshot(project_id)
            self.answered_at = time.monotonic()
            if snapshot is None:
                self._held.pop(project_id, None)
                return None
            before = self._held.get(project_id)
            held = Held(snapshot, read_at=at, confirmed_at=at, asked_at=at if before is None else before.asked_at)
            self._held[project_id] = held
            self._diary.serves(project_id, snapshot.number)
        self._watch()
        return held

    def look(self) -> None:
        """Ask once whether anything changed, and read what did. Raises the errors of the database."""
        if not self._held:
            return
        at = time.monotonic()
        marks = live_marks(self._held)
        self.answered_at = time.monotonic()
        for project_id, held in list(self._held.items()):
            mark = marks.get(project_id)
            if mark is None or at - held.asked_at > IDLE_SECONDS:
                self._held.pop(project_id, None)
            elif mark == Mark(held.snapshot.number, held.snapshot.environments):
                held.confirmed_at = max(held.confirmed_at, at)
            else:
                self.load(project_id)

    def forget(self) -> None:
        """Hold nothing."""
        self._held.clear()

    def stop(self) -> None:
        """End the watcher and give its connection back."""
        self._stopping.set()
        watcher = self._watcher
        if watcher is not None:
            watcher.join(5)
        self._watcher = None

    def _watch(self) -> None:
        with self._starting:
            if self._watcher is None or not self._watcher.is_alive():
                self._stopping.clear()
                self._diary.begin()
                self._watcher = threading.Thread(target=self._keep_looking, name="live-prompts", daemon=True)
                self._watcher.start()

    def _keep_looking(self) -> None:
        try:
            while not self._stopping.wait(LOOK_EVERY_SECONDS):
                self._look_and_note()
                self._diary.write(self._held)
            self._diary.end()
        finally:
            connections.close_all()

    def _look_and_note(self) -> None:
        """One look; a fault is in the log, once for each time that the database is away."""
        if not self._held:
            return
        try:
            # A connection that broke is replaced; Django does this before each of its own requests.
            close_old_connections()
            self.look()
        except (DatabaseError, InterfaceError) as error:
            if not self._is_away:
                log.warning("the database does not answer; live prompts are served from memory: %s", error)
            self._is_away = True
        except Exception:
            log.exception("live prompts could not be looked at")
        else:
            if self._is_away:
                log.info("the database answers again; live prompts are fresh")
            self._is_away = False


class Diary:
    """What a process began to serve and has not yet written down. Kept by any thread, written by the watcher."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: UUID | None = None
        self._serves: dict[int, tuple[int, float]] = {}
        self._told: dict[int, tuple[int, float]] = {}
        self._told_at = float("-inf")
        self._has_failed = False

    def begin(self) -> None:
        """A watcher begins. Its process has a name of its own: a fork begins anew, since threads are not copied."""
        with self._lock:
            self._process, self._told, self._told_at = uuid4(), {}, float("-inf")

    def serves(self, project_id: int, number: int) -> None:
        """From now on this state of the project is served."""
        with self._lock:
            before = self._serves.get(project_id)
            if before is None or before[0] != number:
                self._serves[project_id] = number, time.monotonic()

    def write(self, held: Collection[int]) -> None:
        """Write down what is new, and that the process is alive; nothing when neither is due. What could not be
        written is written the next time."""
        with self._lock:
            self._serves = {project_id: known for project_id, known in self._serves.items() if project_id in held}
            serves = dict(self._serves)
        is_due = time.monotonic() - self._told_at >= ALIVE_EVERY_SECONDS
        if serves != self._told or (serves and is_due):
            self._note(lambda process: self._tell(process, serves))

    def _tell(self, process: UUID, serves: dict[int, tuple[int, float]]) -> None:
        at = time.monotonic()
        gone = self._told.keys() - serves.keys()
        if gone:
            live_seen.let_go(process, gone)
        if serves:
            news = {project_id: known for project_id, known in serves.items() if self._told.get(project_id) != known}
            began = [Began(project_id, number, at - since) for project_id, (number, since) in sorted(news.items())]
            live_seen.tell(process, f"{platform.node()} {os.getpid()}", began)
        self._told, self._told_at = serves, at

    def end(self) -> None:
        """The process ends as it should, and nobody need wait for it."""
        if self._told:
            self._note(live_seen.leave)

    def _note(self, what: Callable[[UUID], None]) -> None:
        """Write something; a fault is in the log, once until it goes again."""
        if self._process is None:
            return
        try:
            what(self._process)
        except (DatabaseError, InterfaceError) as error:
            if not self._has_failed:
                log.warning("what this process serves could not be written down: %s", error)
            self._has_failed = True
        except Exception:
            log.exception("what this process serves could not be written down")
        else:
            self._has_failed = False
