"""The table of everything that runs: `manage.py up` and docker-compose.yml take their commands from here.

A test compares docker-compose.yml with this table, so a command is changed in both or in neither.
"""

from __future__ import annotations

import sys

WEB = (
    *("python", "-m", "uvicorn", "llmops_site.asgi:application", "--host", "{host}", "--port", "{port}"),
    # One process holds the hot doors and the pages; more of it is run as more processes behind a proxy.
    *("--workers", "1", "--ws", "none", "--no-access-log", "--log-level", "warning", "--no-server-header"),
    # Django decides which proxies to believe (PRODWORTHY_TRUSTED_PROXIES); uvicorn would believe any local one.
    *("--no-proxy-headers", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "3"),
)
WORKER = (
    *("python", "-m", "celery", "-A", "llmops_site", "worker", "--concurrency", "2", "--queues", "default,telemetry"),
    *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
)
EVALS = (
    # Of its own, so that a run that goes on for minutes delays nothing else; calls are many in each of its processes.
    *("python", "-m", "celery", "-A", "llmops_site", "worker", "--concurrency", "2", "--queues", "evals"),
    *("--hostname", "evals@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"),
)
BEAT = ("python", "-m", "celery", "-A", "llmops_site", "beat", "--loglevel", "INFO")
PREPARE = ("python", "manage.py", "prepare")
SECRETS = ("python", "manage.py", "make_secrets")

COMMANDS = {"secrets": SECRETS, "prepare": PREPARE, "web": WEB, "worker": WORKER, "evals": EVALS, "beat": BEAT}


def command(name: str, *, host: str = "127.0.0.1", port: int = 8000) -> list[str]:
    """The command of a process as documentation and docker-compose.yml write it."""
    return [word.format(host=host, port=port) for word in COMMANDS[name]]


def local_command(name: str, *, host: str = "127.0.0.1", port: int = 8000) -> list[str]:
    """The same command run by this very Python."""
    return [sys.executable, *command(name, host=host, port=port)[1:]]
