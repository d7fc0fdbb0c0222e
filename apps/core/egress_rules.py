"""Which URLs and addresses may be connected to. Pure: it asks nobody and knows no settings.

Outside is what the registries of special-purpose addresses (RFC 6890 and IANA's lists for IPv4 and IPv6) call globally
reachable, without the ranges that carry an IPv4 address inside an IPv6 one. The table is our own because
`ipaddress.is_global` differs between versions of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from apps.core.errors import DomainError

PORTS = frozenset({80, 443})
LONGEST_URL = 2048
VARIABLE = "PRODWORTHY_EGRESS_ALLOW"

AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
NAME = re.compile(r"(?=.{1,253}\Z)(?:[0-9a-z_](?:[0-9a-z_-]{0,61}[0-9a-z_])?\.)*[0-9a-z](?:[0-9a-z-]{0,61}[0-9a-z])?")
NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
"""A last label like this makes the C library and browsers read the whole name as an IPv4 address."""
INSIDE_NAMES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa")

INSIDE_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers' address translation, and Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's service for its own machines
        "169.254.0.0/16",  # link-local, and the metadata services of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, and Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
OUTSIDE_V6 = IPv6Network("2000::/3")
"""All of IPv6 that has been given out. Loopback, mapped, compatible, NAT64, local and multicast lie elsewhere."""
INSIDE_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, among them Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class EgressRefused(DomainError):
    """The rules do not let us connect there; nothing was sent."""

    code, http_status = "egress_refused", 422

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the operator lets in besides the outside: names and networks, each for one port or for every port."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[Network, int | None], ...] = ()

    def lists_host(self, host: str, port: int) -> bool:
        """Whether this name, or this address written out, is listed."""
        if (host, port) in self.hosts or (host, None) in self.hosts:
            return True
        address = _address(host)
        return address is not None and self.lists_address(address, port)

    def lists_address(self, address: Address, port: int) -> bool:
        """Whether a listed network has the address."""
        return any(address in network and listed in (None, port) for network, listed in self.networks)


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL that the rules let through. `host` is in lower case, without brackets."""

    url: str
    scheme: str
    host: str
    port: int


def allowed_from(entries: Iterable[str]) -> Allowed:
    """The operator's list: `host`, `host:port`, an address or a network, IPv6 in brackets when a port follows.

    Raises ValueError with the entry that makes no sense.
    """
    hosts: set[tuple[str, int | None]] = set()
    networks: list[tuple[Network, int | None]] = []
    for entry in entries:
        place, port = _entry_parts(entry.strip().lower())
        try:
            networks.append((ip_network(place), port))
        except ValueError:
            if not NAME.fullmatch(place) or NUMBER.fullmatch(place.rpartition(".")[2]):
                raise ValueError(f"{entry!r} is neither a host, nor host:port, nor a network") from None
            hosts.add((place, port))
    return Allowed(frozenset(hosts), tuple(networks))


def check(url: str, allowed: Allowed) -> CheckedUrl:
    """The URL, when its form and, as far as it can be told without asking, its host are allowed; else EgressRefused."""
    scheme, authority = _split(url)
    found = AUTHORITY.fullmatch(authority)
    if found is None:
        raise EgressRefused("The host of the URL must be a plain name (xn--... for others) or an IP address.")
    host = found["host"].strip("[]").lower().removesuffix(".")
    port = int(found["port"] or (443 if scheme == "https" else 80))
    if not 0 < port < 65536:
        raise EgressRefused("The port of the URL must be from 1 to 65535.")
    checked = CheckedUrl(url, scheme, host, port)
    if allowed.lists_host(host, port):
        return checked
    _check_host(found["host"].lower(), host)
    if scheme != "https":
        raise EgressRefused(f"Only https is allowed. The operator can allow http for a host: {VARIABLE}.")
    if port not in PORTS:
        raise EgressRefused(f"Only the ports 80 and 443 are allowed. The operator can allow more: {VARIABLE}.")
    return checked


def is_outside(address: Address) -> bool:
    """Whether an address is on the public internet, and nothing else in disguise."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in INSIDE_V4)
    if address not in OUTSIDE_V6 or address.scope_id is not None:
        return False
    return not any(address in network for network in INSIDE_V6)


def check_addresses(host: str, port: int, addresses: Iterable[str], allowed: Allowed) -> tuple[str, ...]:
    """All the addresses that a name was resolved to, when each of them may be connected to; else EgressRefused.

    One bad address refuses them all: who mixes them is up to something. The refusal does not say what they were.
    """
    found = tuple(dict.fromkeys(addresses))
    if (host, port) in allowed.hosts or (host, None) in allowed.hosts:
        return found
    for text in found:
        address = _address(text)
        if address is None or not (is_outside(address) or allowed.lists_address(address, port)):
            raise _inside(host)
    return found


def _entry_parts(entry: str) -> tuple[str, int | None]:
    """The host or network of an entry, and its port."""
    if entry.startswith("["):
        place, _, rest = entry[1:].partition("]")
        port = rest.removeprefix(":")
    elif entry.count(":") > 1:
        place, port = entry, ""
    else:
        place, _, port = entry.partition(":")
    if not port:
        return place, None
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{entry!r} has no port from 1 to 65535")
    return place, int(port)


def _split(url: str) -> tuple[str, str]:
    """Scheme and authority of a URL in which every reader sees the same ones."""
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise EgressRefused("The URL is too long, or holds characters that no URL may hold.")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise EgressRefused("This is not a URL.") from None
    if parts.scheme not in {"http", "https"} or not re.match(r"https?://[^/]", url, re.IGNORECASE):
        raise EgressRefused("The URL must begin with https:// and a host.")
    if "@" in parts.netloc:
        raise EgressRefused("The URL must not hold a name or password. Put the key into the field for it.")
    return parts.scheme, parts.netloc


def _check_host(written: str, host: str) -> None:
    """Refuse what leads inside by its very form."""
    if written.startswith("["):
        address = _address(host)
        if not isinstance(address, IPv6Address):
            raise EgressRefused("The host of the URL is not an IPv6 address.")
    elif NUMBER.fullmatch(host.rpartition(".")[2]):
        address = _address(host)
        if address is None:
            raise EgressRefused("Write an IP address as four decimal numbers.")
    else:
        if not NAME.fullmatch(host):
            raise EgressRefused("The host of the URL is not a name that can exist.")
        if "." not in host or host.endswith(tuple(f".{name}" for name in INSIDE_NAMES)):
            raise _inside(host)
        return
    if not is_outside(address):
        raise _inside(host)


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _inside(host: str) -> EgressRefused:
    return EgressRefused(
        f"{host} is not on the public internet, and nothing else is connected to. "
        f"If it shall be, the operator lists it: {VARIABLE}."
    )
