"""`prompts pull|push|status` against a running product: what is written, what is published, and the exit codes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.projects.models import Project, Scope
from apps.prompts import selectors
from apps.prompts import services as prompts
from apps.prompts.cli import prompts as cli
from apps.prompts.content import text_content
from apps.prompts.models import Version
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

MINE = "# mine\nname: greet\nkind: text\ntext: |\n  Hello\n"

Run = Callable[..., tuple[int, dict[str, dict[str, Any]]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files are."""
    return tmp_path / "prompts"


@pytest.fixture
def run(live_server: Any, project: Project, alice: User, folder: Path, monkeypatch: Any, capsys: Any) -> Run:
    """Runs a verb; its exit code and what it says of each prompt by name."""
    key = factories.make_key(project, Scope.PROMPTS_READ, Scope.PROMPTS_WRITE, created_by=alice)
    monkeypatch.setenv("PRODWORTHY_KEY", key)
    monkeypatch.setenv("PRODWORTHY_URL", live_server.url)

    def run_(*arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
        capsys.readouterr()
        code = cli.main([*arguments, "--dir", str(folder), "--json"])
        told = json.loads(capsys.readouterr().out)
        assert told["exit"] == code
        return code, {item["name"]: item for item in told["items"]}

    return run_


def publish(project: Project, alice: User, name: str, text: str) -> Version:
    """Publish a text prompt there."""
    found = [line.prompt for line in selectors.list_prompts(project).items if line.name == name]
    actor = factories.actor_of(alice)
    prompt = found[0] if found else prompts.create_prompt(project=project, name=name, actor=actor, now=factories.NOW)
    return prompts.publish(prompt=prompt, content=text_content(text), actor=actor, author=alice, now=factories.NOW)


def file_of(folder: Path, text: str = MINE, path: str = "greet.prompt.yaml") -> Path:
    """Write a file here."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode())
    return target


def test_pull_brings_files_and_then_both_sides_are_the_same(
    run: Run, project: Project, alice: User, folder: Path
) -> None:
    publish(project, alice, "support/answer", "Answer.\n")
    assert run("pull") == (
        0,
        {
            "support/answer": {
                "name": "support/answer",
                "path": "support/answer.prompt.yaml",
                "state": "written",
                "version": "1.0.0",
                "detail": "",
            }
        },
    )
    assert "version: 1.0.0" in (folder / "support/answer.prompt.yaml").read_text()
    code, lines = run("status")
    assert (code, lines["support/answer"]["state"]) == (0, "in sync")


def test_a_new_file_is_pushed_and_gets_its_version(run: Run, project: Project, folder: Path) -> None:
    target = file_of(folder, MINE.replace("\n", "\r\n"))
    assert run("status")[1]["greet"]["state"] == "ahead"
    code, lines = run("push", "--dry-run")
    assert (code, lines["greet"]["state"]) == (0, "would be new")
    assert not Version.objects.exists()
    code, lines = run("push", "--note", "From CI")
    assert (code, lines["greet"]["state"], lines["greet"]["version"]) == (0, "created", "1.0.0")
    assert target.read_bytes().decode() == MINE.replace("kind:", "version: 1.0.0\nkind:").replace("\n", "\r\n")
    assert run("status") == (0, {"greet": {**lines["greet"], "state": "in sync", "detail": ""}})
    assert Version.objects.get().note == "From CI"
    target.write_bytes(target.read_bytes().replace(b"Hello", b"Good day"))
    code, lines = run("push")
    assert (lines["greet"]["state"], lines["greet"]["version"]) == ("published", "1.0.1")
    assert run("push")[1]["greet"]["state"] == "in sync"
    assert Version.objects.count() == 2


def test_a_breaking_change_in_a_small_step_is_refused(run: Run, folder: Path) -> None:
    text = "name: greet\nvariables:\n  who:\ntext: |\n  Hello {{who}}\n"
    target = file_of(folder, text)
    run("push")
    target.write_text(
        target.read_text().replace(" {{who}}", "").replace("variables:\n  who:\n", "").replace("1.0.0", "1.0.1")
    )
    code, lines = run("push")
    assert (code, lines["greet"]["state"]) == (1, "refused")
    assert "the change needs 2.0.0" in lines["greet"]["detail"]
    assert Version.objects.count() == 1


def test_changes_on_both_sides_are_told_and_never_overwritten(
    run: Run, project: Project, alice: User, folder: Path
) -> None:
    publish(project, alice, "greet", "One.\n")
    run("pull")
    target = folder / "greet.prompt.yaml"
    publish(project, alice, "greet", "Two.\n")
    assert run("status")[1]["greet"]["state"] == "behind"
    target.write_text(target.read_text().replace("One.", "Mine."))
    assert run("status")[1]["greet"]["state"] == "diverged"
    for verb in ("pull", "push"):
        code, lines = run(verb)
        assert (code, lines["greet"]["state"]) == (1, "diverged")
        assert "Mine." in target.read_text()
    assert Version.objects.count() == 2
    assert run("pull", "--force")[0] == 0
    assert "Two." in target.read_text()
    assert run("status")[0] == 0


def test_an_edit_here_survives_a_pull(run: Run, project: Project, alice: User, folder: Path) -> None:
    publish(project, alice, "greet", "One.\n")
    run("pull")
    target = folder / "greet.prompt.yaml"
    target.write_text(target.read_text().replace("One.", "Mine."))
    code, lines = run("pull")
    assert (code, lines["greet"]["state"]) == (0, "ahead")
    assert "Mine." in target.read_text()


def test_what_was_archived_there_goes_here_unless_it_was_changed(
    run: Run, project: Project, alice: User, folder: Path
) -> None:
    for name in ("gone", "kept"):
        publish(project, alice, name, "One.\n")
    run("pull")
    for line in selectors.list_prompts(project).items:
        prompts.archive_prompt(prompt=line.prompt, actor=factories.actor_of(alice), now=factories.NOW)
    kept = folder / "kept.prompt.yaml"
    kept.write_text(kept.read_text().replace("One.", "Mine."))
    code, lines = run("pull")
    assert (code, lines["gone"]["state"], lines["kept"]["state"]) == (1, "removed", "diverged")
    assert not (folder / "gone.prompt.yaml").exists()
    assert "Mine." in kept.read_text()


def test_a_rename_there_moves_the_file_here(run: Run, project: Project, alice: User, folder: Path) -> None:
    version = publish(project, alice, "greet", "One.\n")
    run("pull")
    prompts.rename_prompt(prompt=version.prompt, name="talk/greet", actor=factories.actor_of(alice), now=factories.NOW)
    run("pull")
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))
    assert files == ["talk/greet.prompt.yaml"]
    assert run("status")[0] == 0


def test_a_file_may_stand_elsewhere_than_its_name_says(run: Run, folder: Path) -> None:
    file_of(folder, path="deep/er/anything.prompt.yml")
    assert run("push")[1]["greet"]["path"] == "deep/er/anything.prompt.yml"
    assert run("status") == (
        0,
        {
            "greet": {
                "name": "greet",
                "path": "deep/er/anything.prompt.yml",
                "state": "in sync",
                "version": "1.0.0",
                "detail": "",
            }
        },
    )


def test_a_deleted_file_is_told_and_brought_back_only_by_force(
    run: Run, project: Project, alice: User, folder: Path
) -> None:
    publish(project, alice, "greet", "One.\n")
    run("pull")
    (folder / "greet.prompt.yaml").unlink()
    assert run("status")[1]["greet"]["detail"] == "gone here"
    run("push")
    assert selectors.get_prompt(project, "greet").archived_at is None
    run("pull")
    assert not (folder / "greet.prompt.yaml").exists()
    run("pull", "--force")
    assert (folder / "greet.prompt.yaml").exists()


def test_a_file_that_cannot_be_read_is_refused_with_its_line(run: Run, folder: Path) -> None:
    file_of(folder, "name: bad\ntext: hi\ntext: ho\n", "bad.prompt.yaml")
    file_of(folder)
    code, lines = run("push")
    assert (code, lines["greet"]["state"], lines["bad"]["state"]) == (1, "created", "refused")
    assert lines["bad"]["detail"].startswith("line 3, column 1: The key 'text' stands twice")


def test_never_writes_outside_of_its_folder(
    run: Run, project: Project, alice: User, folder: Path, tmp_path: Path
) -> None:
    publish(project, alice, "out/greet", "One.\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "out").symlink_to(elsewhere)
    assert run("pull")[0] == 2
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PRODWORTHY_KEY": ""}, "There is no key"),
        ({"PRODWORTHY_KEY": "nonsense"}, "answered 401"),
        ({"PRODWORTHY_URL": "file:///etc"}, "is no address"),
        ({"PRODWORTHY_URL": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_says_why_it_could_not_tell(
    run: Run, folder: Path, monkeypatch: Any, capsys: Any, variables: Any, words: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert cli.main(["pull", "--dir", str(folder)]) == 2
    assert words in capsys.readouterr().err


def test_files_of_one_address_are_not_sent_to_another(run: Run, folder: Path) -> None:
    file_of(folder)
    run("push")
    lock = folder / cli.LOCK
    lock.write_text(lock.read_text().replace('"url": "http', '"url": "https'))
    before = (folder / "greet.prompt.yaml").read_text()
    assert run("pull") == (2, {})
    assert (folder / "greet.prompt.yaml").read_text() == before


@pytest.mark.parametrize("is_copied", [True, False])
def test_the_one_file_runs_without_the_product(run: Run, folder: Path, tmp_path: Path, is_copied: bool) -> None:
    """The command line needs nothing but Python, wherever it lies; `-S` leaves out everything that is installed."""
    script = Path(cli.__file__)
    if is_copied:
        script = Path(shutil.copy(script, tmp_path / "prodworthy_prompts.py"))
    file_of(folder)
    done = subprocess.run(
        [sys.executable, "-E", "-s", "-S", str(script), "push", "--dir", str(folder)],
        env={name: os.environ[name] for name in ("PRODWORTHY_KEY", "PRODWORTHY_URL")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("created     greet  1.0.0  (greet.prompt.yaml)")


def test_the_management_command_is_the_same(run: Run, folder: Path, tmp_path: Path) -> None:
    """It asks no database: the one it is told of does not exist."""
    file_of(folder)
    root = Path(cli.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(root / "manage.py"), "prompts", "status", "--dir", str(folder)],
        env={
            **{name: os.environ[name] for name in ("PRODWORTHY_KEY", "PRODWORTHY_URL", "PATH")},
            "PRODWORTHY_VAR": str(tmp_path / "var"),
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:9/nothing",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "ahead       greet  (greet.prompt.yaml)  new here\n")
