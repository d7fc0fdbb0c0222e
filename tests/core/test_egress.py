"""The way out leads only to checked addresses, however one is written and whatever a name says the second time."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from apps.core import egress, egress_rules
from apps.core.db import NetworkInsideTransaction
from apps.core.egress import resolving
from apps.core.egress.pool import Guard
from tests.fakes.provider import FakeProvider, Fault, Script
from tests.fakes.sink import Sink

OUTSIDE = "93.184.216.34"
LEADING_INSIDE = [
    # Loopback, and how else it can be written
    "https://127.0.0.1/",
    "https://127.0.0.1:443/v1",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://2130706433/",
    "https://02130706433/",
    "https://0x7f000001/",
    "https://0x7f.0x0.0x0.0x1/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0177.0.0.01/",
    "https://017700000001/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://127.0.0.0x1/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://models.localhost/",
    "https://localhost.localdomain/",
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    # This host, and nobody
    "https://0/",
    "https://0.0.0.0/",
    "https://0.1.2.3/",
    "https://255.255.255.255/",
    "https://240.0.0.1/",
    "https://4294967295/",
    # Private, shared, link-local
    "https://10.0.0.1/",
    "https://10.255.255.255/",
    "https://167772161/",
    "https://012.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://0xc0a80101/",
    "https://192.168.257/",
    "https://100.64.0.1/",
    "https://100.127.255.255/",
    "https://169.254.0.1/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fc00::1]/",
    "https://[fd12:3456:789a::1]/",
    "https://[fec0::1]/",
    # Metadata services
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0xa9fea9fe/",
    "https://0251.0376.0251.0376/",
    "https://169.254.43518/",
    "https://[fd00:ec2::254]/",
    "https://100.100.100.200/",
    "https://168.63.129.16/",
    "https://192.0.0.192/",
    "https://metadata.google.internal/",
    "https://instance-data/",
    # An IPv4 address inside an IPv6 one
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[::ffff:93.184.216.34]/",
    "https://[::127.0.0.1]/",
    "https://[2002:7f00:1::]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2001:0:7f00:1::]/",
    "https://[2001::1]/",
    # Multicast, documentation, benchmarks, relays
    "https://224.0.0.1/",
    "https://239.255.255.255/",
    "https://[ff02::1]/",
    "https://192.0.2.1/",
    "https://198.51.100.1/",
    "https://203.0.113.1/",
    "https://198.18.0.1/",
    "https://192.88.99.1/",
    "https://[2001:db8::1]/",
    "https://[3fff::1]/",
    "https://[100::1]/",
    # Names of the inner network
    "https://intranet/",
    "https://printer.local/",
    "https://db.internal/",
    "https://router.lan/",
    "https://nas.home.arpa/",
]
READ_IN_TWO_WAYS = [
    "https://api.example.com@127.0.0.1/",
    "https://user:password@api.example.com/",
    "https://127.0.0.1#@api.example.com/",
    "https://127.0.0.1\\@api.example.com/",
    "https://api.example.com\\.127.0.0.1/",
    "https:\\\\127.0.0.1/",
    "https:///127.0.0.1/",
    "https:127.0.0.1/",
    "https:/127.0.0.1/",
    "//127.0.0.1/",
    "127.0.0.1",
    "https://",
    "https://?127.0.0.1",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0.0.1/",
    "https://１２７.0.0.1/",
    "https://127。0。0。1/",
    "https://ⓛocalhost/",
    "https://api.example.com:99999/",
    "https://api.example.com:0/",
    "https://api.example.com:44３/",
    "https://api.example.com:443:80/",
    "https://api..example.com/",
    "https://-api.example.com/",
    "https://api.example.com /",
    " https://api.example.com/",
    "https://api.example.com/\r\nHost: 127.0.0.1",
    "https://api.example.com/\t",
    "https://api\n.example.com/",
    "https://[::1/",
    "https://[127.0.0.1]/",
    "https://[api.example.com]/",
    "https://[v1.fe80::1]/",
    "https://" + "a" * 300 + ".com/",
    "https://api.example.com/" + "a" * 3000,
]
OTHERWISE_REFUSED = [
    "http://api.example.com/",
    "http://api.example.com:443/",
    "https://api.example.com:22/",
    "https://api.example.com:8000/",
    "ftp://api.example.com/",
    "file:///etc/passwd",
    "gopher://api.example.com/",
    "unix:///run/docker.sock",
    "javascript:alert(1)",
    "ws://api.example.com/",
]
REFUSED = [*LEADING_INSIDE, *READ_IN_TWO_WAYS, *OTHERWISE_REFUSED]
ADDRESSES_INSIDE = [
    *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.20.0.1", "192.168.0.10", "100.64.1.1", "169.254.169.254", "0.0.0.0"),
    *("224.0.0.5", "255.255.255.255", "198.18.5.5", "168.63.129.16", "192.0.2.7", "::1", "::", "fe80::1"),
    *(
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::ffff:93.184.216.34",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:0:1::1",
    ),
    "ff02::1",
]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server that must not be reached."""
    with Sink().running() as running:
        yield running


class Names:
    """A resolver that gives its answers one after the other, and the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What names are resolved to; nothing here asks a real resolver."""
    stub = Names([OUTSIDE])
    monkeypatch.setattr(resolving, "look_up", stub)
    return stub


@pytest.fixture
def any_port(monkeypatch: pytest.MonkeyPatch, sink: Sink) -> None:
    """The sink cannot listen on 443, so its port counts as a usual one."""
    monkeypatch.setattr(egress_rules, "PORTS", frozenset({443, sink.port}))


async def _fetch(url: str, **headers: str) -> tuple[int, bytes]:
    patience = egress.Patience(connect=2, first_byte=2, idle=2)
    exchange = egress.Exchange(url, body=b"{}", headers=headers, patience=patience, max_bytes=10_000)
    async with exchange as answer:
        return answer.status, await answer.read()


def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    """One request through the egress."""
    return egress.run_in_loop(_fetch(url, **headers))


# --- Addresses as they are written


def test_knows_more_than_eighty_ways_to_write_them() -> None:
    assert len(set(LEADING_INSIDE)) >= 80


@pytest.mark.parametrize("url", REFUSED)
def test_refuses_when_saved_and_when_used(url: str, names: Names) -> None:
    with pytest.raises(egress.EgressRefused):
        egress.check_url(url)
    with pytest.raises(egress.EgressRefused):
        fetch(url)
    assert names.asked == [], "it was refused by its form; nobody was asked"


def test_reaches_nothing_inside_however_it_is_written(sink: Sink, any_port: None) -> None:
    sink.proves_it_listens()
    for url in LEADING_INSIDE:
        scheme, host = url.split("/")[0], url.split("/")[2]
        with pytest.raises(egress.EgressRefused):
            fetch(f"{scheme}//{host.removesuffix(':443')}:{sink.port}/")
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443),
        ("https://API.Example.COM./v1", "api.example.com", 443),
        ("https://api.example.com:443", "api.example.com", 443),
        ("https://api.example.com:80/", "api.example.com", 80),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443),
        ("https://my_bucket.example.com/a?b=c", "my_bucket.example.com", 443),
        ("https://93.184.216.34/", OUTSIDE, 443),
        ("https://[2606:4700::1111]/", "2606:4700::1111", 443),
        ("https://127.0.0.1.example.com/", "127.0.0.1.example.com", 443),
    ],
)
def test_lets_the_outside_be(url: str, host: str, port: int) -> None:
    checked = egress.check_url(url)
    assert (checked.host, checked.port, checked.url) == (host, port, url)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_takes_nothing_for_outside_that_python_calls_inside(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if egress_rules.is_outside(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved
        assert isinstance(address, ipaddress.IPv4Address) or (
            address.ipv4_mapped is None and address.sixtofour is None and address.teredo is None
        )


# --- Names, and what they lead to


@pytest.mark.parametrize("address", ADDRESSES_INSIDE)
def test_refuses_a_name_that_leads_inside(address: str, names: Names) -> None:
    names.answers = [[address]]
    with pytest.raises(egress.EgressRefused) as for_git:
        egress.resolve("models.example.com", 443)
    with pytest.raises(egress.EgressRefused) as for_us:
        fetch("https://models.example.com/")
    for refusal in (for_git, for_us):
        assert "models.example.com" in refusal.value.text
        assert address not in str(refusal.value.as_dict()).replace("::", "") or address == "::"


def test_gives_git_all_the_addresses_it_may_connect_to(names: Names) -> None:
    names.answers = [[OUTSIDE, "2606:4700::1111", OUTSIDE]]
    assert egress.resolve("git.example.com", 443) == (OUTSIDE, "2606:4700::1111")


@pytest.mark.parametrize("answer", [[OUTSIDE, "127.0.0.1"], ["127.0.0.1", OUTSIDE], [OUTSIDE, "::ffff:127.0.0.1"]])
def test_refuses_a_name_with_one_bad_address(answer: list[str], names: Names, sink: Sink, any_port: None) -> None:
    names.answers = [answer]
    with pytest.raises(egress.EgressRefused):
        fetch(f"https://models.example.com:{sink.port}/")
    assert sink.connections == 0


def test_sees_through_a_name_that_changes_its_mind(names: Names, sink: Sink, any_port: None) -> None:
    """The first answer is outside, as when the connection was saved; the next one, a moment later, is inside."""
    names.answers = [[OUTSIDE], ["127.0.0.1"]]
    assert egress.resolve("rebind.example.com", sink.port) == (OUTSIDE,)
    for _ in range(3):
        with pytest.raises(egress.EgressRefused):
            fetch(f"https://rebind.example.com:{sink.port}/")
    assert sink.connections == 0


def test_connects_to_the_address_that_was_checked(names: Names, provider: FakeProvider, settings: Any) -> None:
    """Asked once for a connection: the second answer, which leads elsewhere, comes too late to matter."""
    settings.EGRESS_ALLOW = [f"models.example.com:{provider.port}"]
    names.answers = [["127.0.0.1"], ["127.0.0.99"]]
    before = provider.connections
    for _ in range(3):
        status, _ = fetch(f"http://models.example.com:{provider.port}/v1/chat/completions")
        assert status == 200
    assert len(names.asked) == 1
    assert provider.connections == before + 1
    assert {call.headers["host"] for call in provider.calls} == {f"models.example.com:{provider.port}"}


def test_asks_again_for_each_new_connection(names: Names, provider: FakeProvider, settings: Any) -> None:
    """A name that is not listed and whose time to live is 0: each connection is checked anew."""
    settings.EGRESS_ALLOW = [f"short.example.com:{provider.port}"]
    names.answers = [["127.0.0.1"]]
    provider.script(Fault.CUT_UNFRAMED, Fault.CUT_UNFRAMED)
    for _ in range(2):
        fetch(f"http://short.example.com:{provider.port}/v1/chat/completions")
    assert len(names.asked) == 2


def test_opens_no_socket_to_an_address_nobody_checked(settings: Any) -> None:
    guard, place = Guard(), (2, 1, 6, "", ("127.0.0.1", 8000))
    with pytest.raises(PermissionError):
        guard.open_socket(place)
    settings.EGRESS_ALLOW = ["127.0.0.0/8:8000"]
    guard.open_socket(place).close()


def test_says_that_a_name_is_unknown_without_saying_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known at 10.0.0.53")

    monkeypatch.setattr("apps.core.egress.resolving.socket.getaddrinfo", unknown)
    with pytest.raises(egress.Unreachable) as caught:
        fetch("https://nowhere.example.com/")
    assert caught.value.text == "The other server could not be reached: its name cannot be resolved."
    assert not caught.value.was_sent


def test_does_not_wait_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    is_over = threading.Event()

    def slow(host: str, port: int) -> list[str]:
        is_over.wait(30)
        return [OUTSIDE]

    monkeypatch.setattr(resolving, "look_up", slow)
    monkeypatch.setattr(resolving, "LOOK_UP_SECONDS", 0.2)
    with pytest.raises(egress.TimedOut) as caught:
        fetch("https://slow.example.com/")
    is_over.set()
    assert caught.value.stage is egress.Stage.CONNECT


def test_verifies_certificates_and_asks_for_the_name(names: Names, settings: Any, tmp_path: Path) -> None:
    """The server has a certificate that nobody vouches for; it is asked for by its name, at the address looked up."""
    asked: list[str | None] = []
    with tls_server(tmp_path, asked) as port:
        settings.EGRESS_ALLOW = [f"models.example.com:{port}"]
        names.answers = [["127.0.0.1"]]
        with pytest.raises(egress.Unreachable) as caught:
            fetch(f"https://models.example.com:{port}/")
    assert "certificate" in caught.value.text
    assert caught.value.is_lasting
    assert asked == ["models.example.com"]


@contextmanager
def tls_server(folder: Path, asked: list[str | None]) -> Iterator[int]:
    """A server with a certificate of its own making; it notes the names it is asked for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "models.example.com")])
    start = datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("models.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "key.pem")
    context.sni_callback = lambda _, server, __: asked.append(server)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            connection.settimeout(10)
            with connection, suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


# --- Hops, proxies, headers


def test_follows_no_redirect(provider: FakeProvider, sink: Sink) -> None:
    provider.script(Script(Fault.REDIRECT, location=f"http://127.0.0.1:{sink.port}/"))
    with pytest.raises(egress.Redirected):
        fetch(f"{provider.url}/chat/completions")
    assert (provider.count, sink.connections) == (1, 0)


def test_guards_the_session_whoever_uses_it(provider: FakeProvider, sink: Sink) -> None:
    async def get(url: str, **options: Any) -> None:
        async with egress.session().get(url, **options):
            raise AssertionError("it was let through")

    provider.script(Script(Fault.REDIRECT, location=f"http://127.0.0.1:{sink.port}/"))
    with pytest.raises(egress.EgressRefused):
        egress.run_in_loop(get(f"http://127.0.0.1:{sink.port}/"))
    with pytest.raises(egress.EgressRefused):
        egress.run_in_loop(get(f"{provider.url}/models", proxy=f"http://127.0.0.1:{sink.port}"))

    async def post() -> None:
        async with egress.session().post(f"{provider.url}/chat/completions", json={}, allow_redirects=True):
            raise AssertionError("it was let through")

    with pytest.raises(egress.Redirected):
        egress.run_in_loop(post())
    assert sink.connections == 0


def test_takes_no_proxy_from_the_environment(
    provider: FakeProvider, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{sink.port}")
    assert fetch(f"{provider.url}/chat/completions")[0] == 200
    assert sink.connections == 0


@pytest.mark.parametrize("name", ["Host", "host", "Content-Length", "Transfer-Encoding", "Connection", "Proxy-Any"])
def test_keeps_its_own_headers(name: str, provider: FakeProvider) -> None:
    with pytest.raises(egress.EgressRefused):
        fetch(f"{provider.url}/chat/completions", **{name: "x"})
    assert provider.count == 0


def test_sends_no_header_with_a_line_break(provider: FakeProvider) -> None:
    with pytest.raises(egress.EgressRefused):
        fetch(f"{provider.url}/chat/completions", Authorization="Bearer a\r\nHost: b")
    assert provider.count == 0


# --- The operator's list


@pytest.mark.parametrize(
    ("entry", "url", "is_let_in"),
    [
        ("models.corp", "http://models.corp:8000/v1", True),
        ("models.corp:8000", "http://models.corp:8000/v1", True),
        ("models.corp:8000", "http://models.corp:8001/v1", False),
        ("models.corp:8000", "http://other.corp:8000/v1", False),
        ("MODELS.corp", "http://models.CORP:1/", True),
        ("ollama:11434", "http://ollama:11434/v1", True),
        ("localhost:11434", "http://localhost:11434/v1", True),
        ("localhost:11434", "http://127.0.0.1:11434/v1", False),
        ("10.20.0.0/16", "http://10.20.3.4:8000/", True),
        ("10.20.0.0/16:8000", "http://10.20.3.4:8000/", True),
        ("10.20.0.0/16:8000", "http://10.20.3.4:9000/", False),
        ("10.20.0.0/16", "http://10.21.3.4:8000/", False),
        ("10.20.0.5", "http://10.20.0.5:8000/", True),
        ("10.20.0.5", "http://169082885:8000/", False),
        ("[fd00::5]:8000", "http://[fd00::5]:8000/", True),
        ("fd00::/8", "http://[fd00::5]:8000/", True),
        ("fd00::/8", "http://[fe80::5]:8000/", False),
        ("api.example.com:8443", "https://api.example.com:8443/", True),
    ],
)
def test_lets_in_what_the_operator_lists(entry: str, url: str, is_let_in: bool, settings: Any) -> None:
    settings.EGRESS_ALLOW = [entry]
    if is_let_in:
        assert egress.check_url(url).url == url
    else:
        with pytest.raises(egress.EgressRefused):
            egress.check_url(url)


def test_lets_names_lead_into_a_listed_network(names: Names, settings: Any) -> None:
    settings.EGRESS_ALLOW = ["10.20.0.0/16:443"]
    names.answers = [["10.20.3.4", OUTSIDE]]
    assert egress.resolve("models.example.com", 443) == ("10.20.3.4", OUTSIDE)
    with pytest.raises(egress.EgressRefused):
        egress.resolve("models.example.com", 80)


@pytest.mark.parametrize(
    "entry", ["http://a.corp", "a.corp:0", "a.corp:x", "a b", "10.0.0.0/99", "*", "*.corp", "2130706433"]
)
def test_understands_its_list_or_says_so(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is neither|has no port"):
        egress_rules.allowed_from([entry])


# --- Loops, forks, transactions


def test_works_in_the_loop_of_the_web_server(provider: FakeProvider) -> None:
    """Which is uvloop's, where there is one."""
    uvloop = pytest.importorskip("uvloop")

    async def fetch_and_finish() -> list[int]:
        url = f"{provider.url}/chat/completions"
        provider.script(None, Fault.CLOSE, Fault.HANG, None)
        statuses = [(await _fetch(url))[0]]
        with pytest.raises(egress.Unreachable):
            await _fetch(url)
        with pytest.raises(egress.TimedOut):
            await _fetch(url)
        statuses.append((await _fetch(url))[0])
        await egress.finish()
        return statuses

    assert uvloop.run(fetch_and_finish()) == [200, 200]
    assert provider.wait_until(lambda fake: fake.open_connections == 0)


def test_is_closed_from_another_thread_when_the_server_stops(provider: FakeProvider) -> None:
    async def serve() -> None:
        await _fetch(f"{provider.url}/chat/completions")
        await asyncio.to_thread(egress.close)

    asyncio.run(serve())
    assert provider.wait_until(lambda fake: fake.open_connections == 0)


@pytest.mark.django_db(transaction=True)
def test_calls_nobody_while_a_transaction_is_open(provider: FakeProvider) -> None:
    url = f"{provider.url}/chat/completions"
    with transaction.atomic(), pytest.raises(NetworkInsideTransaction):
        fetch(url)
    with transaction.atomic(), pytest.raises(NetworkInsideTransaction):
        egress.resolve("models.example.com", 443)
    assert provider.count == 0
    assert fetch(url)[0] == 200


def test_uses_one_connection_for_many_calls(provider: FakeProvider) -> None:
    egress.close()
    before = provider.connections
    for _ in range(5):
        fetch(f"{provider.url}/chat/completions")
    assert (provider.count, provider.connections - before) == (5, 1)


def test_begins_anew_after_it_was_closed(provider: FakeProvider) -> None:
    fetch(f"{provider.url}/chat/completions")
    egress.close()
    assert provider.wait_until(lambda fake: fake.open_connections == 0)
    assert fetch(f"{provider.url}/chat/completions")[0] == 200


def test_works_in_the_child_of_a_fork(provider: FakeProvider) -> None:
    fetch(f"{provider.url}/chat/completions")
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        try:
            status, _ = fetch(f"{provider.url}/chat/completions")
            os._exit(0 if status == 200 else 1)
        finally:
            os._exit(2)
    _, ended = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(ended) == 0
    assert fetch(f"{provider.url}/chat/completions")[0] == 200
    assert provider.count == 3


def test_cannot_wait_for_itself() -> None:
    async def inner() -> None:
        return None

    async def outer() -> None:
        egress.run_in_loop(inner())

    with pytest.raises(RuntimeError, match="await instead"):
        egress.run_in_loop(outer())
