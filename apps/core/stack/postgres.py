"""Our own PostgreSQL: made, started as our child, recovered, stopped. It listens on a Unix socket alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from apps.core.stack import binaries, places
from apps.core.stack.child import Child, end_process, spawn, tail, wait_until

USER = DATABASE = "prodworthy"
PORT = 5432
"""Part of the socket's name; nothing listens on a network."""

RECOVERY_SECONDS = 600.0
STOP_SECONDS = 8.0
MEBIBYTE = 1024 * 1024


class PostgresFailed(RuntimeError):
    """PostgreSQL did not start or did not become usable; the message holds the end of its log."""


@dataclass
class Postgres:
    """One cluster in one directory. `start` and `stop` may be called again and again."""

    data: Path
    sockets: Path
    log: Path
    bin_setting: str = ""
    child: Child | None = None

    name = "postgres"

    def prepare(self) -> None:
        """Make the cluster if there is none yet, and end a server that a killed supervisor left behind."""
        self._account = places.server_account(self.data)
        self._binaries = self._usable_binaries()
        places.make_private(self.sockets, self._account)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._end_orphan()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._check_version()

    def start(self) -> None:
        """Start the server as our child; returns before it answers."""
        self.child = spawn(
            [str(self._binaries.directory / "postgres"), "-D", str(self.data), *self._options()],
            log=self.log,
            cwd=Path("/"),
            environment=_environment(),
            account=self._account,
            # Fast shutdown: roll back what is open, write a checkpoint, leave.
            when_orphaned=signal.SIGINT,
        )

    def wait_ready(self, *, give_up: Callable[[], bool] = lambda: False) -> None:
        """Wait until the server answers a query, through crash recovery if need be, and the database exists.

        Raises PostgresFailed when it exits or takes longer than RECOVERY_SECONDS, or when `give_up` says so.
        """
        if not wait_until(lambda: self.answers() or self._died() or give_up(), seconds=RECOVERY_SECONDS):
            raise PostgresFailed(f"PostgreSQL is silent after {RECOVERY_SECONDS:.0f} s.\n{tail(self.log)}")
        if self._died():
            raise PostgresFailed(f"PostgreSQL did not start. The end of {self.log}:\n{tail(self.log)}")
        if not give_up():
            self._ensure_database()

    def answers(self) -> bool:
        """True if a query is answered now. A pid file proves nothing."""
        try:
            with self._connect() as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Fast shutdown; immediate shutdown when that takes longer (nothing is lost, the next start recovers)."""
        if self.child is None:
            return
        for number, patience in ((signal.SIGINT, seconds), (signal.SIGQUIT, 0.5), (signal.SIGKILL, 5.0)):
            if self.child.poll() is None:
                self.child.send_signal(number)
                wait_until(self._died, seconds=patience)
        self.child = None

    def url(self) -> str:
        """How libpq finds the server."""
        return f"host={self.sockets} port={PORT} user={USER} dbname={DATABASE}"

    def _died(self) -> bool:
        return self.child is not None and self.child.poll() is not None

    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets), port=PORT, user=USER, dbname=database, connect_timeout=2, autocommit=True
        )

    def _ensure_database(self) -> None:
        with self._connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if known.fetchone() is None:
                connection.execute(f'CREATE DATABASE "{DATABASE}"')

    def _usable_binaries(self) -> binaries.PostgresBinaries:
        """The binaries, copied beside the data when the server's account cannot reach them where they lie."""
        found = binaries.find_postgres(self.bin_setting)
        if self._account is None or binaries.runnable_by(self._account, found.directory / "postgres"):
            return found
        return binaries.copy_install(found, self.data.parent / "binaries" / "postgres")

    def _initialise(self) -> None:
        """`initdb` into a directory beside the final one, moved there when it is whole."""
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        places.make_private(fresh, self._account)
        account = self._account
        command = [str(self._binaries.directory / "initdb"), "-D", str(fresh), "-U", USER, "-E", "UTF8"]
        # The socket's directory is what keeps others out; nothing listens on a network, and nothing may.
        command += ["--auth-local=trust", "--auth-host=reject", "--locale=C", "--no-instructions"]
        if self._binaries.major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=_environment(),
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise PostgresFailed(f"initdb failed:\n{done.stdout.strip()}")
        if self.data.exists():
            self.data.rmdir()  # an empty directory may have been made for us; anything else must not be lost
        fresh.rename(self.data)

    def _check_version(self) -> None:
        """Say in words what PostgreSQL would only log: data of another major version."""
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(self._binaries.major):
            raise PostgresFailed(
                f"The data in {self.data} was written by PostgreSQL {version}, and the one found here is "
                f"{self._binaries.major} ({self._binaries.directory}). Set PRODWORTHY_POSTGRES_BIN to a "
                f"PostgreSQL {version}, or move the data with pg_dump as docs/running.md says."
            )

    def _options(self) -> Iterator[str]:
        memory = psutil.virtual_memory().total // MEBIBYTE
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "unix_socket_permissions": "0700",
            "port": str(PORT),
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "max_connections": "100",
            "shared_buffers": f"{max(32, min(256, memory // 8))}MB",
            "effective_cache_size": f"{max(64, memory // 2)}MB",
            "maintenance_work_mem": f"{max(16, min(128, memory // 32))}MB",
            "work_mem": "16MB",
            "max_wal_size": "2GB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
            # A statement or its detail can hold what people wrote to a model; neither belongs in a log.
            "log_error_verbosity": "terse",
            "log_min_error_statement": "panic",
        }
        for name, value in options.items():
            yield from ("-c", f"{name}={value}")

    def _end_orphan(self) -> None:
        """End a server on our data that nobody supervises, and drop a pid file that names another program."""
        servers = [process for process in psutil.process_iter(["name"]) if self._works_here(process)]
        for process in servers:
            end_process(process, politely=signal.SIGINT, seconds=STOP_SECONDS)
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        first = re.match(r"-?\d+", pid_file.read_text())
        # PostgreSQL sees by itself that a pid is dead, and then also looks for old backends. Only a pid that
        # has been given to another program would keep it from starting for ever.
        if first is None or psutil.pid_exists(abs(int(first.group()))):
            pid_file.unlink()

    def _works_here(self, process: psutil.Process) -> bool:
        """True for a postmaster or one of its children on our data: they all work in the data directory."""
        if process.info["name"] != "postgres":
            return False
        try:
            return self.data.exists() and os.path.samefile(process.cwd(), self.data)
        except (psutil.Error, OSError):
            return False


def _environment() -> dict[str, str]:
    """Ours without what would change the server: PG* variables and locales."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
