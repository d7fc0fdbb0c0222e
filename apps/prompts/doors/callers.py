"""Who asks for live prompts, also while the database does not answer."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from django.db import InterfaceError, OperationalError, close_old_connections

from apps.core import clock
from apps.core.doors import HotRequest
from apps.core.errors import Unavailable
from apps.projects import authentication
from apps.projects.types import KeyIdentity
from apps.prompts.live_memory import LiveMemory

PATIENCE_SECONDS = 1.0
"""How long a look-up of a key may take before a key that was good lately is taken at its word."""
SHORT_PATIENCE_SECONDS = 0.05
"""The same, when the database did not answer a moment ago and nobody has heard of it since."""


class Callers:
    """Looks up keys, one look-up at a time for each key."""

    def __init__(self, memory: LiveMemory) -> None:
        self._memory = memory
        self._pending: dict[str, asyncio.Future[KeyIdentity]] = {}
        self._failed_at = float("-inf")

    async def identify(self, request: HotRequest, threads: ThreadPoolExecutor) -> KeyIdentity:
        """Whose key it is. While the database is away, a key that was good in the last ten minutes is good.

        Raises Unauthenticated, and Unavailable for a key that cannot be looked up and is not known here.
        """
        authentication.refuse_key_in_query(request.query)
        raw = authentication.key_from_headers(request.headers)
        now = clock.now()
        known = authentication.cached_identity(raw, now=now)
        if known is not None:
            return known
        pending = self._look_up(raw, now, threads)
        is_away = self._failed_at > self._memory.answered_at
        patience = SHORT_PATIENCE_SECONDS if is_away else PATIENCE_SECONDS
        try:
            known = await asyncio.wait_for(asyncio.shield(pending), patience)
        except (TimeoutError, Unavailable) as error:
            self._failed_at = time.monotonic()
            known = authentication.identity_while_away(raw, now=clock.now())
            if known is None:
                raise Unavailable("The database does not answer, and this key is not known here. Try again.") from error
        else:
            self._failed_at = float("-inf")
        return known

    def _look_up(self, raw: str | None, now: datetime, threads: ThreadPoolExecutor) -> asyncio.Future[KeyIdentity]:
        loop = asyncio.get_running_loop()
        pending = self._pending.get(raw or "")
        if pending is not None and not pending.done() and pending.get_loop() is loop:
            return pending
        pending = asyncio.ensure_future(loop.run_in_executor(threads, _looked_up, raw, now))
        # Nobody may be waiting any more when it fails.
        pending.add_done_callback(lambda done: done.cancelled() or done.exception())
        pending.add_done_callback(lambda done: self._pending.pop(raw or "", None))
        self._pending[raw or ""] = pending
        return pending


def _looked_up(raw: str | None, now: datetime) -> KeyIdentity:
    """The key's identity from the database. Raises Unavailable while that is away."""
    # Django does this before each request of its own; these threads have none, and outlive a restart of the database.
    close_old_connections()
    try:
        return authentication.identify_key(raw, now=now)
    except (InterfaceError, OperationalError) as error:
        raise Unavailable from error
