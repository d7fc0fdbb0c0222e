"""A git server on loopback for tests: smart HTTP over a bare repository, with a log of what it was asked.

It can be down or slow, want a password, redirect, or answer rubbish.
"""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.prompts.git_hands import git


@dataclass
class GitServer:
    """A bare repository, a checkout of it for the people of the test, and a server in front of it."""

    place: Path
    port: int = 0
    password: str = ""
    redirects_to: str = ""
    is_down: bool = False
    answer: bytes | None = None
    delay: float = 0.0
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    waiting: threading.Event = field(default_factory=threading.Event)

    @property
    def bare(self) -> Path:
        """The repository."""
        return self.place / "remote.git"

    @property
    def checkout(self) -> Path:
        """Where Dora works."""
        return self.place / "dora"

    @property
    def url(self) -> str:
        """The repository's address."""
        return f"http://127.0.0.1:{self.port}/remote.git"

    def make(self) -> None:
        """An empty repository, and Dora's checkout of it."""
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare))
        git("config", "http.receivepack", "true", cwd=self.bare)
        git("init", "--quiet", "--initial-branch=main", str(self.checkout))
        git("remote", "add", "origin", str(self.bare), cwd=self.checkout)

    def write(self, files: dict[str, str | bytes | None], message: str = "Edit", *, pushes: str = "main") -> str:
        """Dora writes files (None: deletes) and pushes; the commit's id."""
        for path, content in files.items():
            target = self.checkout / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        git("add", "--all", cwd=self.checkout)
        git("commit", "--quiet", "--allow-empty", "-m", message, cwd=self.checkout)
        self.push(pushes)
        return git("rev-parse", "HEAD", cwd=self.checkout).strip()

    def push(self, branch: str = "main", *options: str) -> None:
        """Dora pushes what she has."""
        git("push", "--quiet", *options, "origin", f"HEAD:refs/heads/{branch}", cwd=self.checkout)

    def pull(self) -> None:
        """Dora takes what is on main."""
        git("fetch", "--quiet", "origin", cwd=self.checkout)
        git("reset", "--quiet", "--hard", "origin/main", cwd=self.checkout)

    def merge(self, branch: str, *, squashes: bool = False) -> str:
        """Dora merges a branch into main, as a host's button does; the commit's id."""
        self.pull()
        if squashes:
            git("merge", "--quiet", "--squash", f"origin/{branch}", cwd=self.checkout)
            git("commit", "--quiet", "-m", f"Squashed {branch}", cwd=self.checkout)
        else:
            git("merge", "--quiet", "--no-ff", "-m", f"Merge {branch}", f"origin/{branch}", cwd=self.checkout)
        self.push()
        return git("rev-parse", "HEAD", cwd=self.checkout).strip()

    def heads(self) -> dict[str, str]:
        """The branches and their commits."""
        lines = git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads", cwd=self.bare)
        return dict(line.split(" ") for line in lines.splitlines())

    def text(self, path: str, branch: str = "main") -> str:
        """A file as it is on a branch, line breaks and all."""
        done = subprocess.run(["git", "show", f"{branch}:{path}"], cwd=self.bare, capture_output=True, check=True)
        return done.stdout.decode()


def _handler(server: GitServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline().strip(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(body)

        def _answer(self, body: bytes) -> None:
            server.asked.append(f"{self.command} {self.path}")
            server.authorizations.append(self.headers.get("Authorization", ""))
            server.waiting.wait(server.delay)
            wanted = f"Basic {base64.b64encode(server.password.encode()).decode()}"
            if server.is_down:
                self._send(503, {}, b"down")
            elif server.redirects_to:
                self._send(302, {"Location": server.redirects_to + self.path}, b"")
            elif server.password and self.headers.get("Authorization") != wanted:
                self._send(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            elif server.answer is not None:
                self._send(200, {"Content-Type": "application/x-git-upload-pack-advertisement"}, server.answer)
            else:
                self._backend(body)

        def _backend(self, body: bytes) -> None:
            parts = urlsplit(self.path)
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(server.place),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "REMOTE_USER": "somebody",
                "PATH_INFO": parts.path,
                "QUERY_STRING": parts.query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], input=body, env=environment, capture_output=True, check=False
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
            self._send(int(headers.pop("Status", "200").split()[0]), headers, content)

        def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            with contextlib.suppress(ConnectionError):  # whoever waits too long for us hangs up
                self.end_headers()
                self.wfile.write(content)

    return Handler


@contextmanager
def served(place: Path) -> Iterator[GitServer]:
    """A server with an empty repository below the directory."""
    server = GitServer(place)
    server.make()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.waiting.set()
            http.shutdown()
            thread.join(10)
