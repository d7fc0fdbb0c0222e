"""docker-compose.yml, without an engine: the same commands in the same environment, against servers over TCP."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import yaml

from apps.core.stack.child import spawn
from apps.core.stack.postgres import Postgres
from apps.core.stack.processes import command
from apps.core.stack.valkey import Valkey
from tests.core.stack_harness import BASE, clean_environment, eventually, free_port

COMPOSE = yaml.safe_load((BASE / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROCESS_OF = {
    "secrets": "secrets",
    "setup": "prepare",
    "web": "web",
    "doors": "web",
    "worker": "worker",
    "evals": "evals",
    "beat": "beat",
}


class NetworkPostgres(Postgres):
    """As in its container: reached over TCP with a password."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder / "postgres", folder / "sockets", folder / "postgres.log")
        self.tcp_port = port

    def _options(self) -> Iterator[str]:
        yield from super()._options()
        rules = self.data / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        # The socket's name holds the port, and the base class knows it by the usual one.
        yield from ("-c", "listen_addresses=127.0.0.1", "-c", f"port={self.tcp_port}")

    def _connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=str(self.sockets), port=self.tcp_port, user="prodworthy", dbname=database, autocommit=True
        )


class NetworkValkey(Valkey):
    """As in its container: reached over TCP with the rights of its ACL file."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(folder / "valkey", folder / "sockets", folder / "valkey.log")
        self.tcp_port = port
        self.rules = folder / "users.acl"

    def _options(self) -> list[str]:
        network = ["--port", str(self.tcp_port), "--bind", "127.0.0.1", "--aclfile", str(self.rules)]
        return [*super()._options()[2:], *network]

    def answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.tcp_port, timeout=1)
        try:
            connection.connect()
        except OSError:
            return False
        connection.close()
        return True


class Containers:
    """Runs services of docker-compose.yml on this machine, with its addresses and paths put in place of theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.ports = {"web": free_port(), "doors": free_port()}
        self.postgres = NetworkPostgres(folder, free_port())
        self.valkey = NetworkValkey(folder, free_port())
        self.running: list[subprocess.Popen[bytes]] = []

    def environment(self, service: str) -> dict[str, str]:
        """The service's variables, with the defaults of its interpolations and our places."""
        given = {"PRODWORTHY_VAR": "/data", **SERVICES[service]["environment"]}
        return clean_environment(**{name: self._here(str(value)) for name, value in given.items()})

    def command(self, service: str) -> list[str]:
        """The service's command run by this Python, with a port of its own."""
        words = [sys.executable, *SERVICES[service]["command"][1:]]
        return [str(self.ports[service]) if word == "8000" else word.replace("0.0.0.0", "127.0.0.1") for word in words]

    def run(self, service: str) -> subprocess.CompletedProcess[str]:
        """A service that ends by itself."""
        return subprocess.run(
            self.command(service),
            env=self.environment(service),
            cwd=BASE,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def start(self, service: str) -> None:
        """A service that goes on."""
        log = self.folder / f"{service}.log"
        self.running.append(spawn(self.command(service), log=log, cwd=BASE, environment=self.environment(service)))

    def get(self, service: str, path: str) -> tuple[int, str]:
        """Status and body; (0, "") when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[service], timeout=5)
        try:
            connection.request("GET", path, headers={"Host": "localhost"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def stop(self) -> None:
        for child in self.running:
            child.send_signal(signal.SIGTERM)
        for child in self.running:
            child.wait(timeout=20)
        self.valkey.stop()
        self.postgres.stop()

    def _here(self, value: str) -> str:
        value = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        value = value.replace("postgres:5432", f"127.0.0.1:{self.postgres.tcp_port}")
        value = value.replace("valkey:6379", f"127.0.0.1:{self.valkey.tcp_port}")
        return re.sub(r"^/data\b", str(self.data), value)


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    folder = Path(tempfile.mkdtemp(prefix="prodworthy-compose-"))
    folder.chmod(0o755)
    made = Containers(folder)
    yield made
    made.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(("service", "process"), PROCESS_OF.items())
def test_runs_what_the_process_table_says(service: str, process: str) -> None:
    assert SERVICES[service]["command"] == command(process, host="0.0.0.0", port=8000)


def test_every_service_that_goes_on_has_a_health_check() -> None:
    for name, service in SERVICES.items():
        assert "healthcheck" in service or service["restart"] == "no", name


def test_publishes_one_port_on_the_loopback_address() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["${PRODWORTHY_BIND:-127.0.0.1}:${PRODWORTHY_PORT:-8000}:8000"]}


def test_holds_no_password() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|TOKEN|PEPPER", variable):
                assert variable.endswith("_FILE") or value == f"${{{variable}:-}}", f"{name}: {variable}"


def test_the_proxy_sends_every_hot_path_to_the_doors() -> None:
    # Importing the application sets Django up, which this process has done already.
    from llmops_site.asgi import application

    caddyfile = COMPOSE["configs"]["caddyfile"]["content"]
    found = re.search(r"@hot path (.+)", caddyfile)
    assert found is not None
    patterns = [re.compile(re.escape(path).replace(r"\*", ".*") + "$") for path in found.group(1).split()]
    for path in application.application.doors:
        assert any(pattern.match(path) for pattern in patterns), path
    assert not any(pattern.match("/p/desk/") for pattern in patterns)


@pytest.mark.stack
def test_becomes_ready_with_secrets_made_on_the_first_start(containers: Containers) -> None:
    assert containers.run("secrets").returncode == 0
    password = (containers.data / "secrets" / "database_password").read_text().strip()
    assert containers.run("secrets").returncode == 0
    assert (containers.data / "secrets" / "database_password").read_text().strip() == password, "made once"

    postgres = containers.postgres
    postgres.prepare()
    postgres.start()
    postgres.wait_ready()
    with postgres._connect() as connection:
        connection.execute(f"ALTER ROLE prodworthy PASSWORD '{password}'")
    shutil.copy(containers.data / "broker" / "users.acl", containers.valkey.rules)
    containers.valkey.prepare()
    containers.valkey.start()
    containers.valkey.wait_ready()

    setup = containers.run("setup")
    assert setup.returncode == 0, setup.stderr
    assert "/setup/" in setup.stdout
    assert "does not answer" not in setup.stderr

    for service in ("web", "doors", "worker", "evals", "beat"):
        containers.start(service)
    for service in ("web", "doors"):
        assert eventually(lambda service=service: containers.get(service, "/readyz")[0] == 200, seconds=120), service
        checks = json.loads(containers.get(service, "/readyz")[1])["checks"]
        assert {check["name"]: check["ok"] for check in checks}.items() >= {"database": True, "broker": True}.items()
    assert containers.get("doors", "/api/v1/telemetry")[0] == 405, "the hot path is there, and takes POST alone"


@pytest.mark.stack
def test_the_worker_answers_its_health_check_with_the_rights_it_has(containers: Containers) -> None:
    check = SERVICES["worker"]["healthcheck"]["test"][1]
    words = check.replace("$$HOSTNAME", "$(hostname)").replace("python", sys.executable, 1)

    def answers() -> bool:
        done = subprocess.run(
            ["/bin/sh", "-c", words], cwd=BASE, env=containers.environment("worker"), capture_output=True, text=True
        )
        return done.returncode == 0 and "pong" in done.stdout

    assert eventually(answers, seconds=120), (containers.folder / "worker.log").read_text()[-2000:]
    log = (containers.folder / "worker.log").read_text() + (containers.folder / "beat.log").read_text()
    assert "NOPERM" not in log


@pytest.mark.stack
def test_the_broker_gives_the_product_no_rights_to_configure_it(containers: Containers) -> None:
    from apps.core.stack.safety import client

    password = (containers.data / "secrets" / "redis_password").read_text().strip()
    connection = client(f"redis://prodworthy:{quote(password)}@127.0.0.1:{containers.valkey.tcp_port}/0")
    lock = connection.lock("as-a-worker-takes-it", timeout=5)
    assert lock.acquire()
    lock.release()
    for forbidden in (["CONFIG", "GET", "*"], ["FLUSHALL"], ["EVAL", "return 1", "0"], ["ACL", "LIST"]):
        with pytest.raises(Exception, match="no permissions"):
            connection.execute_command(*forbidden)
    connection.close()
