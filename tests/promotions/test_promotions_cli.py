"""`promotions ask|show|status` against a running product: what is printed, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.core import clock
from apps.evals.services import executing
from apps.projects.models import Project
from apps.projects.types import Scope
from apps.promotions.cli import promotions as cli
from apps.promotions.models import Promotion
from apps.promotions.services import deciding
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db(transaction=True)

Promotions = Callable[..., tuple[int, str, str]]


@pytest.fixture
def promotions(live_server: Any, project: Project, monkeypatch: Any, capsys: Any) -> Promotions:
    """Runs the command line with a key of an editor; its exit code, what it says, what it tells on the way."""
    key = factories.make_key(project, Scope.PROMPTS_WRITE, Scope.READ, created_by=making.ed(project))
    monkeypatch.setenv("PRODWORTHY_KEY", key)
    monkeypatch.setenv("PRODWORTHY_URL", live_server.url)
    monkeypatch.setattr(cli, "LOOK_EVERY_SECONDS", 0.05)

    def promotions_(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return promotions_


def test_asks_waits_and_tells(promotions: Promotions, project: Project) -> None:
    """A bad version is refused with its conditions, a good one waits for a person, then is live; each by its code."""
    making.make_rule(project)
    bad, good = making.make_version(project, making.BAD), making.make_version(project, making.GOOD)
    where = ("--environment", "production")
    code, out, told = promotions("ask", making.NAME, str(bad.number), *where, "--why", "Shorter", "--wait", "60")
    assert code == cli.REFUSED, out + told
    assert "failed       Pass rate" in out
    assert told.startswith("promotion 1: http")
    assert Promotion.objects.get().origin == "cli"

    code, out, _ = promotions("ask", making.NAME, str(good.number), *where, "--wait", "60", "--json")
    found = json.loads(out)
    assert (code, found["state"], found["gates"][0]["state"]) == (cli.PASSED, "waiting", "passed")
    code, out, _ = promotions("status", making.NAME)
    assert (code, "0 of 1 approvals" in out) == (cli.PASSED, True), out
    rita = making.rita(project)
    promotion = Promotion.objects.get(number=2)
    deciding.approve(promotion=promotion, actor=factories.actor_of(rita), person=rita, now=clock.now())
    code, out, _ = promotions("show", "2")
    assert (code, out.startswith("Live in production.")) == (cli.PASSED, True), out
    assert promotions("show", "1")[0] == cli.REFUSED


def test_says_what_it_could_not_tell(
    promotions: Promotions, project: Project, monkeypatch: Any, tmp_path: Path
) -> None:
    """Still checking, wrong use, nothing there, no key: 2, with a sentence. It runs as a copy without the product."""
    monkeypatch.setattr(executing, "work", lambda *_, **__: False)  # no worker takes the run
    making.make_rule(project)
    assert making.ask(making.make_version(project)).state == "checking"
    code, out, told = promotions("show", "1", "--wait", "0.1")
    assert (code, "checking" in told) == (cli.CANNOT_TELL, True), out
    for arguments, sentence in (
        (("ask", making.NAME), "takes all three"),
        (("show", "x"), "takes its number"),
        (("show", "99"), "404"),
        (("status", "no/such"), "Nobody asked"),
        (("ask", making.NAME, "1.0.0", "--environment", "staging"), "409"),
    ):
        code, _, told = promotions(*arguments)
        assert (code, sentence in told) == (cli.CANNOT_TELL, True), told
    copy = tmp_path / "promotions.py"
    copy.write_text(Path(cli.__file__).read_text())
    ran = subprocess.run(
        [sys.executable, "-I", str(copy), "show", "1", "--url", "http://127.0.0.1:9", "--json"],
        capture_output=True, text=True, env={}, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, "PRODWORTHY_KEY" in json.loads(ran.stdout)["error"]) == (2, True)
