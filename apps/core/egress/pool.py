"""Connections that lead only to checked addresses, whoever asks for them and whatever they ask."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from apps.core.egress.failures import Redirected
from apps.core.egress.resolving import allowed, check_url, resolve_soon
from apps.core.egress_rules import EgressRefused, is_outside

CONNECTIONS = 512
KEEP_SECONDS = 4.0
"""How long an idle connection is kept: less than the five seconds after which servers of many local models close it,
because a request that meets the closing cannot safely be sent again."""
PINNED = 4096
UNREAD_MILLISECONDS = 60_000


def make_session() -> aiohttp.ClientSession:
    """A session of the running loop without cookies, proxies from the environment, redirects or a name cache."""
    guard = Guard()
    connector = aiohttp.TCPConnector(
        resolver=guard,
        use_dns_cache=False,
        limit=CONNECTIONS,
        keepalive_timeout=KEEP_SECONDS,
        socket_factory=guard.open_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        middlewares=(check_request,),
        skip_auto_headers=("User-Agent",),
        headers={"User-Agent": "prodworthy"},
    )


class Guard(AbstractResolver):
    """Resolves a name once for each connection, checks every answer, and opens sockets to these answers alone."""

    def __init__(self) -> None:
        self._pinned: dict[tuple[str, int], None] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The checked addresses; Host and SNI stay the name."""
        addresses = await resolve_soon(host, port)
        for address in addresses:
            self._pinned.pop((address, port), None)
            self._pinned[address, port] = None
        while len(self._pinned) > PINNED:
            del self._pinned[next(iter(self._pinned))]
        return [_result(host, address, port) for address in addresses]

    def open_socket(self, place: tuple[Any, ...]) -> socket.socket:
        """A socket for an address that was resolved here, lies outside or is listed: the last look at it."""
        family, kind, protocol, _, (address, port, *_) = place
        known = (address, port) in self._pinned
        if not known and not _may_be_connected(address, port):
            raise PermissionError("this address was not checked")
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A peer that reads nothing more would hold a closed connection with unsent bytes for ever.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MILLISECONDS)
        return opened

    async def close(self) -> None:
        """Nothing to release."""


async def check_request(
    request: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
) -> aiohttp.ClientResponse:
    """Check the URL of every request, and let no redirect through."""
    checked = check_url(str(request.url))
    if request.proxy is not None:
        raise EgressRefused("No proxy is used.")
    if request.url.raw_host not in {checked.host, f"{checked.host}."}:
        raise EgressRefused("The host of the URL can be read in two ways.")
    response = await send(request)
    if 300 <= response.status < 400:
        response.close()
        raise Redirected(response.status)
    return response


def _may_be_connected(address: str, port: int) -> bool:
    found = ip_address(address)
    return is_outside(found) or allowed().lists_address(found, port)


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": family,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }
