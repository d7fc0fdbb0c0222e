"""Names to addresses: asked once, every answer checked, and only checked ones handed out."""

from __future__ import annotations

import asyncio
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from django.conf import settings

from apps.core.db import assert_no_transaction
from apps.core.egress.failures import Stage, TimedOut, Unreachable
from apps.core.egress_rules import Allowed, CheckedUrl, allowed_from, check, check_addresses

LOOK_UP_SECONDS = 5.0
LOOK_UPS = 32
"""So many names can be looked up at once. The threads are our own, so that slow name servers hold up nothing else."""
_threads: list[ThreadPoolExecutor] = []
os.register_at_fork(after_in_child=_threads.clear)


def allowed() -> Allowed:
    """What the operator lists in PRODWORTHY_EGRESS_ALLOW."""
    return _parsed(tuple(settings.EGRESS_ALLOW))


def check_url(url: str) -> CheckedUrl:
    """The URL, when it may be connected to as far as its form tells; no name is looked up. Raises EgressRefused.

    For the moment of saving. It is checked again, with the addresses, whenever it is used.
    """
    return _checked(url, allowed())


def resolve(host: str, port: int) -> tuple[str, ...]:
    """The addresses of a host, all of them checked, for a program that is told to connect to one of them.

    Waits for the network, so no transaction may be open. Raises EgressRefused or Unreachable.
    """
    assert_no_transaction()
    return check_addresses(_plain(host), port, look_up(host, port), allowed())


async def resolve_soon(host: str, port: int) -> tuple[str, ...]:
    """As `resolve`, without blocking the event loop, and for five seconds at most."""
    looking = asyncio.get_running_loop().run_in_executor(_pool(), look_up, host, port)
    try:
        found = await asyncio.wait_for(looking, LOOK_UP_SECONDS)
    except TimeoutError:
        raise TimedOut(Stage.CONNECT, LOOK_UP_SECONDS) from None
    return check_addresses(_plain(host), port, found, allowed())


def look_up(host: str, port: int) -> list[str]:
    """What the system's resolver says, unchecked. Raises Unreachable when it knows no such name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable("its name cannot be resolved") from None
    return [str(address[4][0]) for address in found]


def _pool() -> ThreadPoolExecutor:
    if not _threads:
        _threads.append(ThreadPoolExecutor(LOOK_UPS, thread_name_prefix="names"))
    return _threads[-1]


def _plain(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


@lru_cache(maxsize=8)
def _parsed(entries: tuple[str, ...]) -> Allowed:
    return allowed_from(entries)


@lru_cache(maxsize=512)
def _checked(url: str, permitted: Allowed) -> CheckedUrl:
    return check(url, permitted)
