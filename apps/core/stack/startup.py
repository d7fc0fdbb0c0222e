"""One start of the whole stack, from the lock to the summary; `manage.py up` is the door to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.core.stack import places, ports
from apps.core.stack.child import tail
from apps.core.stack.postgres import Postgres
from apps.core.stack.processes import local_command
from apps.core.stack.program import Program, always, http_answers
from apps.core.stack.running import RunFile
from apps.core.stack.supervisor import Server, Supervisor
from apps.core.stack.valkey import Valkey

Print = Callable[[str], None]
LABEL_WIDTH = 10


class StartFailed(RuntimeError):
    """The stack cannot run; the message says why and what to change."""


@dataclass(frozen=True)
class Plan:
    """What to start and where; worked out from the settings by the command."""

    base: Path
    var: Path
    host: str
    port: int
    url: str
    postgres: Postgres | None
    """None when DATABASE_URL names a server that is not ours to start."""
    valkey: Valkey | None

    @property
    def logs(self) -> Path:
        """The directory with one log for each part."""
        return self.var / "log"

    def environment(self) -> dict[str, str]:
        """What every child gets: ours, with the address and the data directory spelled out."""
        return {
            **os.environ,
            "PRODWORTHY_VAR": str(self.var),
            "PRODWORTHY_HOST": self.host,
            "PRODWORTHY_PORT": str(self.port),
            "PRODWORTHY_URL": self.url,
            "PYTHONUNBUFFERED": "1",
        }

    def program(self, name: str, *, arguments: list[str] | None = None) -> Program:
        """One of our own processes, as the table in `processes` has it."""
        command = local_command(name, host=self.host, port=self.port) + (arguments or [])
        ask = {"web": lambda: http_answers(self.host, self.port)}
        log = self.logs / f"{name}.log"
        return Program(name, command, log, self.base, self.environment(), is_answering=ask.get(name, always))


def run(plan: Plan, *, first_link: Callable[[str], str | None], show: Print) -> None:
    """Start everything, watch over it until a signal comes, and stop everything.

    `first_link` is asked with the public address, once the database is ready, for the link of the first account
    (None when there are accounts). Raises AlreadyRunning, PortTaken, StartFailed, and what servers and programs raise
    when they fail.
    """
    _make_directories(plan)
    run_file = RunFile(plan.var / "run" / "up.json")
    run_file.take(url=plan.url)
    supervisor = Supervisor(say=lambda part, what: show(_line(part, what, now=True)), record=run_file.record)
    supervisor.catch_signals()
    started = time.monotonic()
    try:
        left = run_file.end_left_behind()
        if left:
            show(_line("recovered", f"ended {left} processes that a killed start had left behind"))
        ports.check_free(plan.host, plan.port)
        _start_all(plan, supervisor, show)
        if not supervisor.is_stopping:
            _summary(plan, first_link(plan.url), time.monotonic() - started, show)
            supervisor.watch()
        show("Stopping ...")
    finally:
        supervisor.stop()
        run_file.give_back()
    show("Everything is stopped. The data stays where it is.")


def _start_all(plan: Plan, supervisor: Supervisor, show: Print) -> None:
    servers: list[Server] = [server for server in (plan.postgres, plan.valkey) if server is not None]
    if plan.postgres is not None and not (plan.postgres.data / "PG_VERSION").exists():
        show("Making a database; this happens once.")
    supervisor.bring_up(servers)
    if supervisor.is_stopping:
        return
    prepare = plan.program("prepare", arguments=["--quiet-link"])
    if supervisor.run_once(prepare) != 0 and not supervisor.is_stopping:
        raise StartFailed(f"Preparing the database failed. The end of {prepare.log}:\n{tail(prepare.log)}")
    if not supervisor.is_stopping:
        supervisor.bring_up([plan.program(name) for name in ("web", "worker", "evals", "beat")])


def _make_directories(plan: Plan) -> None:
    if not plan.var.exists():
        plan.var.mkdir(parents=True)
        # As root the servers run as somebody else, who must pass through here whatever our umask is.
        plan.var.chmod(0o755)
    for name in ("run", "log"):
        directory = plan.var / name
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)


def _summary(plan: Plan, link: str | None, seconds: float, show: Print) -> None:
    show("")
    show(f"Prodworthy is up after {seconds:.0f} s.")
    show("")
    show(_line("open", plan.url))
    if link:
        show(_line("set up", f"{link}"))
        show(_line("", "makes the first account; works once, for one hour (a new one: manage.py setup_link)"))
    else:
        show(_line("sign in", 'with your account there; "Forgot your password?" helps if need be'))
    show(_line("database", _place(plan.postgres, "the server in DATABASE_URL")))
    show(_line("broker", _place(plan.valkey, "the server in REDIS_URL")))
    show(_line("logs", str(plan.logs)))
    if plan.host not in {"127.0.0.1", "localhost", "::1"}:
        show(_line("careful", f"listening on {plan.host}: put a proxy with TLS in front (docs/running.md)"))
    show(_line("stop", "Ctrl-C"))
    show("")


def _place(server: Postgres | Valkey | None, elsewhere: str) -> str:
    if server is None:
        return elsewhere
    account = places.server_account(server.data)
    return f"{server.data}{f', run as {account.name}' if account else ''}"


def _line(label: str, text: str, *, now: bool = False) -> str:
    stamp = f"{time.strftime('%H:%M:%S')}  " if now else "  "
    return f"{stamp}{label:<{LABEL_WIDTH}}{text}"
