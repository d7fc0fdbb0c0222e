"""Addresses of repositories elsewhere, and the way to them.

The host is resolved and checked by the egress, and git is told to connect to the checked address, so that a name which
resolves to something else a moment later leads nowhere.
"""

from __future__ import annotations

import base64
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from apps.core import egress
from apps.core.errors import Invalid
from apps.prompts.git.program import Access

SHORT = re.compile(r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/:\s][^\s]*)", re.ASCII)
"""`git@github.com:owner/repository.git`, as hosts show it."""
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", re.ASCII)
PATH = re.compile(r"/[A-Za-z0-9_~./%+@-]+", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", re.ASCII)
HOST_KEY = re.compile(
    r"(?:(?P<names>\S+)\s+)?(?P<kind>ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp\d+)\s+(?P<key>[A-Za-z0-9+/]+={0,2})(?:\s.*)?"
)
SSH_PORT = 22

Kind = Literal["none", "token", "ssh_key"]


@dataclass(frozen=True, slots=True)
class RemoteUrl:
    """An address of a repository, in its long form and without any credential."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    user: str = ""

    @property
    def web(self) -> str:
        """Where the host's pages about the repository usually are."""
        port = f":{self.port}" if self.scheme != "ssh" and self.port not in (80, 443) else ""
        scheme = "http" if self.scheme == "http" else "https"
        return f"{scheme}://{self.host}{port}{self.path.removesuffix('/').removesuffix('.git')}"


def parse(text: str) -> RemoteUrl:
    """The address, checked as far as that goes without asking anybody. Raises Invalid for the field `url`."""
    text = text.strip()
    short = SHORT.fullmatch(text)
    if short is not None:
        text = f"ssh://{short['user']}@{short['host']}/{short['path']}"
    if not text.isascii() or not text.isprintable() or len(text) > 1000:
        raise _bad("The address holds characters that no address may hold.")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _bad("This is not an address.") from None
    if parts.scheme not in {"https", "http", "ssh"}:
        raise _bad("Use an address that begins with https:// or ssh://, or one like git@host:owner/name.git.")
    if parts.query or parts.fragment or not PATH.fullmatch(parts.path) or "/../" in f"{parts.path}/":
        raise _bad("After the host comes the plain path of the repository, as in /owner/name.git.")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise _bad("The address must not hold a name or password. There are fields for them below.")
    host = (parts.hostname or "").lower()
    if not HOST.fullmatch(host):
        raise _bad("The host is not a name or an IPv4 address.")
    if parts.scheme == "ssh":
        return _ssh(host, port or SSH_PORT, parts.path, parts.username or "git")
    usual = 443 if parts.scheme == "https" else 80
    place = host if port in (None, usual) else f"{host}:{port}"
    checked = _checked(f"{parts.scheme}://{place}{parts.path}")
    return RemoteUrl(checked.url, checked.scheme, checked.host, checked.port, parts.path)


def split(url: str) -> RemoteUrl:
    """An address that was parsed before, in its parts, without asking whether it may be used."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, SSH_PORT)
    return RemoteUrl(url, parts.scheme, parts.hostname or "", port, parts.path, parts.username or "")


def _ssh(host: str, port: int, path: str, user: str) -> RemoteUrl:
    if not USER.fullmatch(user):
        raise _bad("The name before the @ may have letters, digits, dots, hyphens and underscores.")
    try:
        _checked(f"https://{host}:{port}/")
    except Invalid:
        if port != SSH_PORT:
            raise
        _checked(f"https://{host}/")
    place = host if port == SSH_PORT else f"{host}:{port}"
    return RemoteUrl(f"ssh://{user}@{place}{path}", "ssh", host, port, path, user)


def _checked(url: str) -> egress.CheckedUrl:
    try:
        return egress.check_url(url)
    except egress.EgressRefused as error:
        raise _bad(error.text) from error


def _bad(sentence: str) -> Invalid:
    return Invalid(url=[sentence])


def kind_of(word: str) -> Kind:
    """The kind of credential that the word names; `none` for any other."""
    known: dict[str, Kind] = {"token": "token", "ssh_key": "ssh_key"}
    return known.get(word, "none")


def host_keys(text: str) -> list[str]:
    """The keys in lines of a known_hosts file or of `ssh-keyscan`, as `kind key`. Raises Invalid for `known_hosts`."""
    keys = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        found = HOST_KEY.fullmatch(line.strip())
        if found is None:
            raise Invalid(known_hosts=["Each line has a kind and a key, as `ssh-keyscan` prints them."])
        keys.append(f"{found['kind']} {found['key']}")
    return list(dict.fromkeys(keys))


@contextmanager
def reached(remote: RemoteUrl, *, kind: Kind, credential: str, user: str, known_hosts: str) -> Iterator[Access]:
    """How git gets there, for as long as the block lasts. The host is resolved and checked anew each time.

    Raises EgressRefused or Unreachable. No transaction may be open.
    """
    parse(remote.url)
    address = egress.resolve(remote.host, remote.port)[0]
    if remote.scheme == "ssh":
        with _ssh_files(credential, known_hosts) as (key, hosts):
            command = _ssh_command(remote, address, key, hosts)
            yield Access(protocols="ssh", environment={"GIT_SSH_COMMAND": command}, secrets=(credential,))
        return
    pinned = f"[{address}]" if ":" in address else address
    config = {"http.curloptResolve": f"{remote.host}:{remote.port}:{pinned}"}
    secrets: tuple[str, ...] = ()
    if kind == "token" and credential:
        basic = base64.b64encode(f"{user or 'git'}:{credential}".encode()).decode()
        origin = f"{remote.scheme}://{remote.host}:{remote.port}/"
        config[f"http.{origin}.extraHeader"] = f"Authorization: Basic {basic}"
        secrets = (credential, basic, quote(credential, safe=""))
    yield Access(protocols=remote.scheme, config=config, secrets=secrets)


@contextmanager
def _ssh_files(private_key: str, known_hosts: str) -> Iterator[tuple[Path, Path]]:
    """The key and the host's keys in files that only we may read, gone when the block is left."""
    place = Path(tempfile.mkdtemp(prefix="git-ssh-"))
    try:
        key, hosts = place / "key", place / "known_hosts"
        for path, text in ((key, private_key), (hosts, known_hosts)):
            path.touch(mode=0o600)
            path.write_text(text.replace("\r\n", "\n").strip() + "\n")
        yield key, hosts
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ssh_command(remote: RemoteUrl, address: str, key: Path, hosts: Path) -> str:
    """An ssh that reads no configuration, connects to this address, and knows the host by the keys entered for it."""
    options = {
        "HostName": address,
        "HostKeyAlias": remote.host,
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "IdentityFile": str(key),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "BatchMode": "yes",
        "ProxyCommand": "none",
        "PermitLocalCommand": "no",
        "ForwardAgent": "no",
        "ClearAllForwardings": "yes",
        "ControlMaster": "no",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
    }
    command = [shutil.which("ssh") or "ssh", "-F", "/dev/null", "-p", str(remote.port)]
    for name, value in options.items():
        command += ["-o", f"{name}={value}"]
    return shlex.join(command)


def known_hosts_file(host: str, keys: list[str]) -> str:
    """The lines that ssh compares with, under the name it is told to look for."""
    return "".join(f"{host} {key}\n" for key in keys)
