"""Event loops and their connections: one pooled session for each loop, and one loop for everybody who has none.

What a process has here is made when it is first needed, so that it survives a fork: the child begins with nothing.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from apps.core.db import assert_no_transaction
from apps.core.egress.pool import make_session

T = TypeVar("T")
GIVE_UP_SECONDS = 5.0
_END = object()


@dataclass(slots=True)
class _Process:
    """What this process has opened."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    loop: asyncio.AbstractEventLoop | None = None
    thread: threading.Thread | None = None
    sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = field(default_factory=dict)


_processes = [_Process()]
"""The last one is this process. Those before it belong to its parents: they are kept and never touched, because even
collecting them would reach for connections that are not ours."""
os.register_at_fork(after_in_child=lambda: _processes.append(_Process()))


def session() -> aiohttp.ClientSession:
    """The pooled session of the running loop, guarded whoever uses it. Nobody closes it but `close` and `finish`."""
    assert_no_transaction()
    loop = asyncio.get_running_loop()
    here = _processes[-1]
    found = here.sessions.get(loop)
    if found is None or found.closed:
        found = here.sessions[loop] = make_session()
    return found


async def finish() -> None:
    """Close the session of the running loop, for whoever ends a loop of their own."""
    found = _processes[-1].sessions.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


def run_in_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it in this process's loop of its own and wait, from a thread. An exception of the waiting thread, such as a
    task's time limit, cancels it. Raises NetworkInsideTransaction before anything was done."""
    try:
        assert_no_transaction()
    except BaseException:
        coroutine.close()
        raise
    return _wait_for(coroutine)


def iterate_in_loop(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """The items, one by one, for a thread. Closing this generator closes the other at once."""
    assert_no_transaction()
    try:
        while True:
            item = run_in_loop(_next(items))
            if item is _END:
                return
            yield item
    finally:
        _wait_for(_close(items))  # it waits for nobody, so a transaction may be open by now


def close() -> None:
    """Close what this process has opened and end its loop; a later call begins anew. Call it from a thread."""
    here = _processes[-1]
    with here.lock:
        loop, thread, here.loop, here.thread = here.loop, here.thread, None, None
        sessions, here.sessions = here.sessions, {}
    for owner, opened in sessions.items():
        if owner.is_running():
            asyncio.run_coroutine_threadsafe(opened.close(), owner).result(GIVE_UP_SECONDS)
    if loop is not None and thread is not None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(GIVE_UP_SECONDS)


def _wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    except BaseException:
        coroutine.close()
        raise
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _loop() -> asyncio.AbstractEventLoop:
    here = _processes[-1]
    with here.lock:
        if here.loop is None:
            here.loop = asyncio.new_event_loop()
            here.thread = threading.Thread(target=_serve, args=(here.loop,), name="egress", daemon=True)
            here.thread.start()
            atexit.register(close)
        if threading.current_thread() is here.thread:
            raise RuntimeError("The loop cannot wait for itself: await instead.")
        return here.loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run until stopped; whatever is then still under way is cancelled."""
    asyncio.set_event_loop(loop)
    with closing(loop):
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))  # closed connections let go of their sockets one round later
        loop.run_until_complete(loop.shutdown_default_executor())


async def _next(items: AsyncGenerator[T, None]) -> T | Any:
    return await anext(items, _END)


async def _close(items: AsyncGenerator[Any, None]) -> None:
    await items.aclose()
