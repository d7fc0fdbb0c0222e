"""Exchanging the encryption key: everything sealed is brought over, whenever the work is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from allauth.mfa.models import Authenticator
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from apps.accounts.models import User
from apps.core import resealing, sealing
from apps.projects.models import Project
from apps.providers.models import Connection
from apps.telemetry.models import Erasure
from apps.telemetry.services.erasing import place_of
from tests import factories
from tests.architecture.sources import ROOT

NEW_KEY = "a new key of at least thirty-two characters: 9f3kq"
SECRET = "sk-canary-0123456789abcdef"


def _connection(project: Project, slug: str) -> Connection:
    row = Connection(project=project, slug=slug, name=slug, protocol="openai", base_url="https://api.example.com/v1")
    row.sealed_secret = sealing.seal(SECRET, place=row.place)
    row.save()
    return row


def _exchange(settings: Settings) -> str:
    """Put a new key in use; the old one is still there."""
    old: str = settings.ENCRYPTION_KEY
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_OLD = NEW_KEY, old
    return old


def _secret_of(row: Connection) -> str:
    row.refresh_from_db()
    return sealing.unseal(row.sealed_secret, place=row.place)


def test_knows_every_field_that_holds_a_sealed_text() -> None:
    sealed = {
        f"{model._meta.db_table}.{field.name}"
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.name.startswith("sealed_")
    }
    assert len(sealed) >= 2
    assert sealed <= resealing.names()
    assert "mfa_authenticator.data" in resealing.names()


def test_brings_everything_over(project: Project, alice: User, settings: Settings) -> None:
    connection = _connection(project, "openai")
    factor = Authenticator.objects.create(
        user=alice, type=Authenticator.Type.TOTP, data={"secret": sealing.seal("JBSWY3DP", place="mfa")}
    )
    erasure = Erasure(project_id=project.pk, user_digest=b"digest", requested_at=factories.NOW)
    erasure.sealed_user = sealing.seal("user-17", place=place_of(erasure))
    erasure.save()

    _exchange(settings)
    call_command("reseal")
    settings.ENCRYPTION_KEY_OLD = ""

    assert _secret_of(connection) == SECRET
    factor.refresh_from_db()
    assert sealing.unseal(factor.data["secret"], place="mfa") == "JBSWY3DP"
    erasure.refresh_from_db()
    assert sealing.unseal(erasure.sealed_user, place=place_of(erasure)) == "user-17"


def test_goes_on_after_it_was_killed(project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [_connection(project, f"c-{number}") for number in range(5)]
    _exchange(settings)
    monkeypatch.setattr(resealing, "PORTION", 2)
    sealed, seal = [], sealing.seal

    def killed_after_three(text: str, *, place: str) -> str:
        if len(sealed) == 3:
            raise KeyboardInterrupt
        sealed.append(place)
        return seal(text, place=place)

    monkeypatch.setattr(sealing, "seal", killed_after_three)
    with pytest.raises(KeyboardInterrupt):
        list(resealing.reseal())
    assert [_secret_of(row) for row in rows] == [SECRET] * 5, "in the middle, both keys open"
    over = list(Connection.objects.order_by("pk").values_list("sealed_secret", flat=True))
    assert [sealing.is_current(one) for one in over] == [True, True, True, False, False]

    monkeypatch.setattr(sealing, "seal", seal)
    done = {found.name: found for found in resealing.reseal()}["providers_connection.sealed_secret"]
    assert (done.brought_over, done.current, done.unreadable) == (2, 3, 0)
    settings.ENCRYPTION_KEY_OLD = ""
    assert [_secret_of(row) for row in rows] == [SECRET] * 5


@pytest.mark.django_db(transaction=True)
def test_loses_nothing_to_kill_9(project: Project, settings: Settings, tmp_path: Path) -> None:
    """The command in processes of its own, killed in the middle until one gets to its end."""
    rows = [_connection(project, f"c-{number}") for number in range(1000)]
    old, kills = settings.ENCRYPTION_KEY, 0
    while True:
        running = _command(tmp_path, key=NEW_KEY, old=old)
        before = _brought_over()
        while running.poll() is None and kills < 2:
            if before < _brought_over() < len(rows):
                running.kill()
                kills += 1
                break
        if running.wait(60) == 0:
            break
    assert kills >= 1, "no process was killed in the middle: make more rows"
    settings.ENCRYPTION_KEY, settings.ENCRYPTION_KEY_OLD = NEW_KEY, ""
    assert {_secret_of(row) for row in rows} == {SECRET}


def _command(tmp_path: Path, *, key: str, old: str) -> subprocess.Popen[bytes]:
    """`manage.py reseal` on the test's database."""
    database = connection.settings_dict
    port = f":{database['PORT']}" if database["PORT"] else ""
    url = f"postgresql://{database['USER']}@{quote(database['HOST'], safe='')}{port}/{database['NAME']}"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "manage.py", "reseal"],
        cwd=ROOT,
        env={
            **kept,
            "PRODWORTHY_VAR": str(tmp_path),
            "DATABASE_URL": url,
            "PRODWORTHY_ENCRYPTION_KEY": key,
            "PRODWORTHY_ENCRYPTION_KEY_OLD": old,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _brought_over() -> int:
    """How many are no longer sealed with the old key."""
    by_old = sealing.seal("", place="").rpartition(".")[0]
    return Connection.objects.exclude(sealed_secret__startswith=f"{by_old}.").count()


def test_leaves_a_key_that_was_replaced_meanwhile(project: Project, settings: Settings) -> None:
    row = _connection(project, "openai")
    old = row.sealed_secret
    _exchange(settings)
    Connection.objects.filter(pk=row.pk).update(sealed_secret=sealing.seal("sk-replaced", place=row.place))
    column = resealing.column(Connection, "sealed_secret", lambda found: found.place)
    assert not column.write(row.pk, old, sealing.seal(SECRET, place=row.place))
    assert _secret_of(row) == "sk-replaced"


def test_says_what_opens_with_neither_key(project: Project, settings: Settings) -> None:
    row = _connection(project, "openai")
    before = row.sealed_secret
    settings.ENCRYPTION_KEY = NEW_KEY
    with pytest.raises(CommandError, match="1 sealed texts open with neither key"):
        call_command("reseal")
    row.refresh_from_db()
    assert row.sealed_secret == before, "nothing is thrown away"
