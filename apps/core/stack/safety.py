"""What the database and the broker must have switched on before anything is acknowledged or queued."""

from __future__ import annotations

from urllib.parse import urlsplit

import redis
from django.db.backends.base.base import BaseDatabaseWrapper

NEEDED = ("fsync", "full_page_writes", "synchronous_commit")
REDIS_SCHEMES = {"redis", "rediss", "redis+socket", "unix"}


class Unsafe(RuntimeError):
    """A server would lose what was acknowledged; the message says which setting to change."""


def switched_off(connection: BaseDatabaseWrapper) -> list[str]:
    """Which of the settings are off that keep a committed row from being lost with the power."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'", [list(NEEDED)])
        return sorted(name for (name,) in cursor.fetchall())


def check_durability(connection: BaseDatabaseWrapper) -> None:
    """Raise Unsafe if a committed row could be lost with the power: "2xx" promises that it cannot."""
    off = switched_off(connection)
    if off:
        raise Unsafe(
            f"PostgreSQL runs with {', '.join(off)} off, so calls that were acknowledged could be lost. "
            f"Switch {'it' if len(off) == 1 else 'them'} on in postgresql.conf (or for this role) and start again."
        )


def check_broker(url: str) -> str | None:
    """A sentence about a broker that does not answer, None for one that is fine.

    Raises Unsafe for a Redis that throws away keys when its memory is full, since those are queued jobs. A broker that
    is down stops nothing: intake, pages and limits work without it.
    """
    if urlsplit(url).scheme not in REDIS_SCHEMES:
        return None
    try:
        memory = client(url).info("memory")
    except redis.RedisError as error:
        return f"The broker does not answer, so jobs wait until it does: {error}"
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise Unsafe(
            f"The Redis at REDIS_URL has the maxmemory-policy {policy!r}, which drops queued jobs without a word when "
            "memory is full. Set it to noeviction and start again."
        )
    return None


def client(url: str) -> redis.Redis:
    """A client of the broker that gives up after two seconds."""
    address = url.replace("redis+socket://", "unix://", 1)
    client: redis.Redis = redis.Redis.from_url(address, socket_timeout=2, socket_connect_timeout=2)
    return client
