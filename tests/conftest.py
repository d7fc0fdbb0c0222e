"""The cast. Alice owns the project, Bob may look at it, Charlie is a stranger with a project of his own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import Client, TransactionTestCase
from hypothesis import HealthCheck, settings

from apps.accounts.models import User
from apps.projects import authentication
from apps.projects import services as projects
from apps.projects.models import Project, Role, Scope
from apps.providers.selectors import price_book
from tests import factories

pytest_plugins = ["tests.embedded", "tests.fakes.fixtures"]

# How long an example takes says how busy the machine is, and nothing of the product. The examples are the same on every
# machine, so that what fails in one place can be looked at in another.
settings.register_profile("any machine", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

KEPT_TABLES = {"auth_permission", "django_content_type", "django_site"}
"""What Django itself writes after a migration."""
MANY = 500
"""Fewer rows are deleted faster than the files of a table are made anew."""

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """The test database as migrated, except that tests with real commits may empty the audit trail after
    themselves. At the end, the threads of the ASGI application give their connections back.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE projects_auditentry DISABLE TRIGGER projects_audit_not_emptied")
    yield
    front = sys.modules.get("llmops_site.asgi")
    for stop in front.application.on_stop if front else ():
        stop()
    with django_db_blocker.unblock():
        try:
            _end_other_sessions()
        except OperationalError:
            connection.close()  # a session that was being ended may have taken ours along
            _end_other_sessions()


@pytest.fixture(scope="session", autouse=True)
def _emptied_at_little_cost() -> Iterator[None]:
    """After a test with real commits, only the tables that hold something are emptied; Django would empty all of them
    and write its permissions anew, which takes longer than most tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda case: _empty_what_is_filled())
        yield


def _empty_what_is_filled() -> None:
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True)) - KEPT_TABLES)
    counts = (f"(SELECT '{table}', count(*) FROM (SELECT 1 FROM \"{table}\" LIMIT {MANY}) AS t)" for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(counts))
        rows = dict(cursor.fetchall())
        # Without triggers, of which some refuse to delete.
        cursor.execute("SET LOCAL session_replication_role = replica")
        if full := [f'"{table}"' for table, count in rows.items() if count == MANY]:
            cursor.execute(f"TRUNCATE {', '.join(full)} CASCADE")
        for table, count in rows.items():
            if 0 < count < MANY:
                cursor.execute(f'DELETE FROM "{table}"')


def _end_other_sessions() -> None:
    """A thread that is still busy when the tests end keeps its connection, and the database could not be dropped."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000), state, left(query, 200) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        for _, state, query in cursor.fetchall():
            sys.stderr.write(f"\nA connection was left open ({state}), last asked: {query}\n")


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What a process remembers between requests must not reach the next test, whose rows are others."""
    yield
    authentication.forget_remembered_keys()
    projects.forget_remembered_names()
    price_book.forget()


@pytest.fixture
def now() -> datetime:
    """The moment at which the services of a test act, unless it says otherwise."""
    return factories.NOW


@pytest.fixture
def alice(db: None) -> User:
    """Owner and admin of `project`."""
    return factories.make_user("alice@example.com", name="Alice")


@pytest.fixture
def project(alice: User) -> Project:
    """Alice's project, in which Bob is a viewer."""
    return factories.make_project("Support desk", creator=alice)


@pytest.fixture
def bob(project: Project) -> User:
    """A viewer of `project`: the lowest role."""
    user = factories.make_user("bob@example.com", name="Bob")
    factories.make_member(project, user, role=Role.VIEWER)
    return user


@pytest.fixture
def charlie(db: None) -> User:
    """A stranger to `project`, admin of `other_project`."""
    return factories.make_user("charlie@example.net", name="Charlie")


@pytest.fixture
def other_project(charlie: User) -> Project:
    """Charlie's project: the other tenant."""
    return factories.make_project("Other shop", creator=charlie)


@pytest.fixture
def ingest_key(project: Project, alice: User) -> str:
    """A key of `project` that may send telemetry and nothing else."""
    return factories.make_key(project, Scope.INGEST, created_by=alice)


@pytest.fixture
def read_key(project: Project, alice: User) -> str:
    """A key of `project` that may read."""
    return factories.make_key(project, Scope.READ, created_by=alice)


@pytest.fixture
def admin_key(project: Project, alice: User) -> str:
    """A key of `project` that may do everything."""
    return factories.make_key(project, Scope.ADMIN, created_by=alice)


@pytest.fixture
def other_key(other_project: Project, charlie: User) -> str:
    """A key of the other tenant that may do everything there."""
    return factories.make_key(other_project, *Scope, created_by=charlie)


class Api(Client):
    """A client that speaks JSON, with a key or with somebody's session."""

    def __init__(self, key: str | None = None, user: User | None = None) -> None:
        super().__init__(headers={"Authorization": f"Bearer {key}"} if key else None)
        if user is not None:
            sign_in(self, user)

    def generic(self, method: str, path: str, data: Any = "", content_type: str = "", **extra: Any) -> Any:
        """As Django's client; every body is JSON."""
        return super().generic(method, path, data, "application/json", **extra)

    def post(self, path: str, data: Any = None, **extra: Any) -> Any:
        """POST the data as JSON."""
        return super().post(path, {} if data is None else data, content_type="application/json", **extra)

    def put(self, path: str, data: Any = None, **extra: Any) -> Any:
        """PUT the data as JSON."""
        body = {"content_type": "application/json", **extra}
        return super().put(path, {} if data is None else data, **body)

    def patch(self, path: str, data: Any = None, **extra: Any) -> Any:
        """PATCH the data as JSON."""
        return super().patch(path, {} if data is None else data, content_type="application/json", **extra)


def sign_in(client: Client, user: User, *, seconds_ago: int = 0) -> None:
    """Sign the person in, as if they had given (and confirmed) their password that long ago."""
    client.force_login(user, BACKEND)
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "password", "at": time.time() - seconds_ago, "email": user.email, "reauthenticated": True}
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


def page_client(user: User | None = None) -> Client:
    """A browser, freshly signed in when a person is given."""
    client = Client()
    if user is not None:
        sign_in(client, user)
    return client


@pytest.fixture
def alice_client(alice: User, project: Project) -> Client:
    """Alice's browser."""
    return page_client(alice)


@pytest.fixture
def bob_client(bob: User) -> Client:
    """Bob's browser."""
    return page_client(bob)


@pytest.fixture
def charlie_client(charlie: User, other_project: Project) -> Client:
    """Charlie's browser."""
    return page_client(charlie)


@pytest.fixture
def alice_api(alice: User, project: Project) -> Api:
    """Alice's session on the JSON API."""
    return Api(user=alice)


@pytest.fixture
def bob_api(bob: User) -> Api:
    """Bob's session on the JSON API."""
    return Api(user=bob)


@pytest.fixture
def charlie_api(charlie: User, other_project: Project) -> Api:
    """Charlie's session on the JSON API."""
    return Api(user=charlie)


@pytest.fixture
def key_api(admin_key: str) -> Api:
    """The JSON API with a key of `project` that may do everything."""
    return Api(key=admin_key)
