"""Embedded PostgreSQL and Valkey: durable, private, and up again whatever was left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from apps.core.stack import binaries, places, safety
from apps.core.stack.postgres import Postgres, PostgresFailed
from apps.core.stack.valkey import Valkey
from tests.core.stack_harness import BASE, clean_environment, eventually

pytestmark = [pytest.mark.stack]


class Careless(Postgres):
    """A PostgreSQL as somebody might have set it up for speed."""

    def _options(self) -> Iterator[str]:
        yield from super()._options()
        yield from ("-c", "fsync=off")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="prodworthy-srv-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[Postgres]:
    """One cluster for all tests here, each of which starts it in its own way."""
    server = Postgres(folder / "postgres", folder / "sockets", folder / "postgres.log")
    server.prepare()
    server.start()
    server.wait_ready()
    execute(server, "CREATE TABLE kept (number int)")
    yield server
    server.stop()


@pytest.fixture
def valkey(folder: Path) -> Iterator[Valkey]:
    server = Valkey(folder / "valkey", folder / "sockets", folder / "valkey.log")
    server.prepare()
    server.start()
    server.wait_ready()
    yield server
    server.stop()


def execute(server: Postgres, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def restart(server: Postgres) -> None:
    server.prepare()
    server.start()
    server.wait_ready()


def test_keeps_every_setting_on_that_an_acknowledgement_relies_on(postgres: Postgres) -> None:
    found = dict(execute(postgres, "SELECT name, setting FROM pg_settings"))  # type: ignore[arg-type]
    assert [found[name] for name in safety.NEEDED] == ["on", "on", "on"]
    assert found["listen_addresses"] == ""
    assert found["server_encoding"] == "UTF8"


def test_cannot_be_made_careless_from_inside(postgres: Postgres) -> None:
    execute(postgres, "ALTER SYSTEM SET fsync = off")
    execute(postgres, "SELECT pg_reload_conf()")
    postgres.stop()
    restart(postgres)
    assert execute(postgres, "SHOW fsync") == [("on",)]
    execute(postgres, "ALTER SYSTEM RESET fsync")


def test_loses_no_committed_row_when_killed(postgres: Postgres) -> None:
    execute(postgres, "TRUNCATE kept")
    assert postgres.child is not None
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for number in range(200):
            connection.execute("INSERT INTO kept VALUES (%s)", [number])
        os.kill(postgres.child.pid, signal.SIGKILL)
    postgres.child.wait()
    restart(postgres)
    assert execute(postgres, "SELECT count(*) FROM kept") == [(200,)]


def test_takes_over_from_a_server_that_nobody_supervises(postgres: Postgres) -> None:
    assert postgres.child is not None
    orphan = postgres.child
    successor = Postgres(postgres.data, postgres.sockets, postgres.log)
    successor.prepare()
    assert orphan.wait(timeout=5) == 0, "it was asked to shut down, and did"
    successor.start()
    successor.wait_ready()
    assert successor.child is not None
    assert successor.child.pid != orphan.pid
    successor.stop()
    restart(postgres)


def test_starts_over_a_pid_file_whose_number_belongs_to_another_program(postgres: Postgres) -> None:
    postgres.stop()
    account = places.server_account(postgres.data)
    stranger = subprocess.Popen(["sleep", "600"], user=account.uid if account else None)
    (postgres.data / "postmaster.pid").write_text(f"{stranger.pid}\n{postgres.data}\n1\n5432\n")
    restart(postgres)
    assert postgres.answers()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("content", ["", "999999\n", "nonsense\n"])
def test_starts_over_a_stale_pid_file(postgres: Postgres, content: str) -> None:
    postgres.stop()
    (postgres.data / "postmaster.pid").write_text(content)
    restart(postgres)
    assert postgres.answers()


def test_a_cut_off_initialisation_is_done_again(folder: Path) -> None:
    server = Postgres(folder / "again", folder / "again-sockets", folder / "again.log")
    half = folder / "again.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")
    server.prepare()
    assert (server.data / "global" / "pg_control").exists()
    assert not half.exists()


def test_refuses_data_of_another_version_in_words(postgres: Postgres, folder: Path) -> None:
    old = Postgres(folder / "old", folder / "old-sockets", folder / "old.log")
    places.make_private(old.data, places.server_account(old.data))
    (old.data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(PostgresFailed, match=r"written by PostgreSQL 9\.6.*PRODWORTHY_POSTGRES_BIN"):
        old.prepare()


def test_says_what_the_log_says_when_it_cannot_start(folder: Path) -> None:
    server = Careless(folder / "careless", folder / "careless-sockets", folder / "careless.log")
    server.prepare()
    (server.data / "postgresql.conf").write_text("nonsense here\n")
    server.start()
    with pytest.raises(PostgresFailed, match="unrecognized configuration parameter"):
        server.wait_ready()


def test_the_product_refuses_to_start_on_a_careless_server(folder: Path) -> None:
    server = Careless(folder / "fast", folder / "fast-sockets", folder / "fast.log")
    server.prepare()
    server.start()
    server.wait_ready()
    try:
        refused = subprocess.run(
            [sys.executable, str(BASE / "manage.py"), "prepare"],
            capture_output=True,
            text=True,
            env=clean_environment(DATABASE_URL=server.url(), PRODWORTHY_VAR=str(folder / "fast-var")),
        )
    finally:
        server.stop()
    assert refused.returncode == 1
    assert "PostgreSQL runs with fsync off" in refused.stderr


def test_an_unreachable_installation_is_copied_beside_the_data(folder: Path) -> None:
    found = binaries.find_postgres()
    package = found.directory.parent.parent
    closed = folder / "closed"
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    inside = closed / package.name / found.directory.relative_to(package)
    copy = binaries.copy_install(binaries.PostgresBinaries(inside, found.major), folder / "copies" / "postgres")
    shutil.rmtree(closed)
    server = Postgres(folder / "copied", folder / "copied-sockets", folder / "copied.log", str(copy.directory))
    server.prepare()
    server.start()
    server.wait_ready()
    server.stop()


def test_says_where_it_looked_when_there_is_no_server_program(tmp_path: Path) -> None:
    with pytest.raises(binaries.BinaryMissing, match="PRODWORTHY_POSTGRES_BIN") as missing:
        binaries.find_postgres(str(tmp_path))
    assert str(tmp_path) in str(missing.value)
    with pytest.raises(binaries.BinaryMissing, match="PRODWORTHY_VALKEY_BIN"):
        binaries.find_valkey(str(tmp_path / "valkey-server"))


def test_valkey_keeps_its_queue_over_a_kill(valkey: Valkey) -> None:
    assert valkey.child is not None
    safety.client(f"unix://{valkey.socket}").rpush("queue", "job")
    assert eventually(lambda: b"job" in b"".join(p.read_bytes() for p in valkey.data.rglob("*.aof")), seconds=5)
    valkey.child.kill()
    valkey.child.wait()
    valkey.prepare()
    valkey.start()
    valkey.wait_ready()
    assert safety.client(f"unix://{valkey.socket}").lrange("queue", 0, -1) == [b"job"]


def test_valkey_starts_empty_over_data_it_cannot_load(valkey: Valkey) -> None:
    valkey.stop()
    for path in valkey.data.rglob("*.manifest"):
        path.write_text("this is no manifest\n")
    valkey.prepare()
    valkey.start()
    valkey.wait_ready()
    assert valkey.answers()
    assert list(valkey.data.parent.glob("valkey.broken-*")), (
        "what could not be loaded is kept for whoever wants to look"
    )


def test_valkey_takes_over_from_a_server_that_nobody_supervises(valkey: Valkey) -> None:
    assert valkey.child is not None
    orphan = valkey.child
    successor = Valkey(valkey.data, valkey.sockets, valkey.log)
    successor.prepare()
    assert orphan.wait(timeout=5) == 0
    assert not psutil.pid_exists(orphan.pid)
    successor.start()
    successor.wait_ready()
    successor.stop()


def test_refuses_a_broker_that_would_drop_jobs(valkey: Valkey) -> None:
    assert safety.check_broker(valkey.url()) is None
    safety.client(valkey.url()).config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(safety.Unsafe, match="allkeys-lru"):
        safety.check_broker(valkey.url())


def test_a_broker_that_is_down_is_a_remark_and_not_a_refusal(tmp_path: Path) -> None:
    assert "does not answer" in str(safety.check_broker(f"redis+socket://{tmp_path}/nothing.sock"))


def test_root_keeps_data_where_an_unprivileged_account_reaches_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "home"
    closed.mkdir(mode=0o700)
    apart = folder / "apart"
    apart.mkdir()
    monkeypatch.setattr(places, "APART", apart)
    found = places.choose(closed / "var")
    if os.geteuid() == 0:
        assert found.home.parent == apart
        assert closed.stat().st_mode & 0o077 == 0, "nobody opens a home for us"
        (found.home / "postgres").mkdir(parents=True)
        (found.home / "postgres" / "PG_VERSION").write_text("18")
        closed.chmod(0o755)
        assert places.choose(closed / "var").home == found.home, "data stays where it is once there is some"
    else:
        assert found.home == closed / "var"
