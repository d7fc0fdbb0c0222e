"""`evals run|show|results|import` against a running product: what is printed and written, and the exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.evals.cli import evals as cli
from apps.evals.models import EvalRun, EvalSet, Example
from apps.evals.scoring.registry import KINDS
from apps.evals.services import executing
from apps.evals.services.gates import NewGate, create_gate
from apps.projects.models import Project
from apps.projects.types import Scope
from tests import factories
from tests.evals import making, run_making
from tests.evals.run_making import Came, publish_answer

pytestmark = pytest.mark.django_db(transaction=True)

Evals = Callable[..., tuple[int, str, str]]


@pytest.fixture
def evals(live_server: Any, project: Project, monkeypatch: Any, capsys: Any) -> Evals:
    """Runs the command line; its exit code, what it says, what it tells on the way."""
    monkeypatch.setenv("PRODWORTHY_KEY", factories.make_key(project, Scope.EVALS))
    monkeypatch.setenv("PRODWORTHY_URL", live_server.url)

    def evals_(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return evals_


def test_a_run_from_start_to_reports(evals: Evals, project: Project, golden: EvalSet, tmp_path: Path) -> None:
    """Started, worked on, shown: `echo` answers the question itself, which is never what is expected."""
    making.make_scorer(project, "same", "exact", KINDS["exact"].read({}))
    publish_answer(project)
    code, number, _ = evals(
        "run", "--set", "golden", "--prompt", "support/answer", "--version", "1.0.0", "--no-wait", "--no-cache",
        "--scorer", "same>=0.9", "--budget", "1",
    )  # fmt: skip
    assert (code, number) == (0, "1\n")
    run = EvalRun.objects.get()
    assert (run.source, run.use_cache, run.scorers.get().threshold) == ("cli", False, 0.9)
    executing.work()
    junit, summary = tmp_path / "evals.xml", tmp_path / "evals.md"
    code, out, told = evals("show", "1", "--wait", "--junit", str(junit), "--markdown", str(summary))
    assert (code, out.startswith("### Eval failed: 0 of 3 examples pass")) == (cli.FAILED, True), out
    assert out == summary.read_text()
    assert ET.parse(junit).getroot().get("tests") == "3"  # noqa: S314 - written by the product
    assert "run 1: finished" in told


@pytest.mark.parametrize(
    ("came", "code"),
    [
        (Came(), cli.PASSED),
        (Came((0.0,)), cli.FAILED),
        (Came(("not_scored",)), cli.CANNOT_TELL),
        (Came(error="rate_limited"), cli.CANNOT_TELL),
    ],
)
def test_the_exit_code_says_how_a_run_came_out(
    evals: Evals, project: Project, golden: EvalSet, came: Came, code: int
) -> None:
    """0, 1, or 2 when nobody can tell."""
    run_making.make_run(project, golden, [making.make_scorer(project)], {"fr": came})
    assert evals("show", "1")[0] == code
    assert json.loads(evals("show", "1", "--json")[1])["number"] == 1
    line = json.loads(evals("results", "1", "--json")[1])
    assert line["key"] == "fr"


def test_a_gate_decides_over_answers_of_ones_own(
    evals: Evals, project: Project, golden: EvalSet, alice: User, tmp_path: Path
) -> None:
    """Exit 0, 1 and 2: the gate brings set and scorers along, and a run that is not enough for it is no verdict."""
    making.make_scorer(project, "same", "exact", KINDS["exact"].read({}))
    conditions = {"scorers": [{"slug": "same", "minimum_mean": 0.9}], "minimum_examples": 3, "by": "mean"}
    made = NewGate(name="Same", eval_set=golden, config=conditions)
    create_gate(project=project, gate=made, actor=factories.actor_of(alice), is_admin=True, now=factories.NOW)
    expected = dict(Example.objects.filter(eval_set=golden).values_list("key", "expected"))
    answers, junit = tmp_path / "answers.jsonl", tmp_path / "gate.xml"
    for verdict, code, change in (("passed", cli.PASSED, ""), ("failed", cli.FAILED, "not ")):
        lines = [{"key": key, "text": f"{change}{text}"} for key, text in expected.items()]
        answers.write_text("\n".join(map(json.dumps, lines)))
        found, out, told = evals("run", "--gate", "same", "--outputs", str(answers), "--junit", str(junit))
        assert (found, out.split(":")[0]) == (code, verdict), out + told
        failures = ET.parse(junit).getroot().findall(".//failure")  # noqa: S314
        assert bool(failures) == (verdict == "failed")
    assert evals("run", "--gate", "other", "--outputs", str(answers))[0] == cli.CANNOT_TELL


def test_examples_are_imported_from_a_file(evals: Evals, golden: EvalSet, tmp_path: Path) -> None:
    """A row that cannot be one is told of, and the code says so."""
    path = tmp_path / "more.jsonl"
    path.write_text('{"key": "it", "variables": {"question": "Capital of Italy?"}, "expected": "Rome"}\n')
    assert evals("import", "golden", str(path))[0] == cli.PASSED
    assert Example.objects.filter(key="it", until=None).exists()
    path.write_text('{"key": "es", "variables": {"question": "Capital of Spain?"}}\n{"key": "no", "variables"\n')
    code, _, told = evals("import", "golden", str(path))
    assert code == cli.FAILED
    assert "row 2" in told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run", "--set", "golden", "--prompt", "x"], "Which scorers?"),
        (["run", "--set", "golden", "--scorer", "exact"], "Which prompt?"),
        (["run", "--set", "golden", "--prompt", "x", "--scorer", "exact>=high"], "names no scorer"),
        (["run", "--set", "nobody", "--prompt", "x", "--scorer", "exact"], "There is no such eval set"),
        (["run", "--gate", "nobody", "--prompt", "x"], "no such gate"),
        (["show", "one"], "Which run?"),
        (["show", "99"], "There is no eval run 99"),
        (["import", "golden", "examples.pdf"], "ends in none of"),
    ],
)
def test_wrong_use_says_what_to_do(evals: Evals, golden: EvalSet, arguments: list[str], sentence: str) -> None:
    """It is never taken for a pass or a failure."""
    code, _, told = evals(*arguments)
    assert (code, sentence in told) == (cli.CANNOT_TELL, True), told


def test_the_file_runs_alone_and_no_answer_is_no_verdict(tmp_path: Path) -> None:
    """A copy needs nothing but Python; a network that does not answer is exit code 2."""
    copy = tmp_path / "evals.py"
    copy.write_bytes(Path(cli.__file__).read_bytes())
    environment = {"PRODWORTHY_KEY": "k", "PRODWORTHY_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-I", str(copy), "show", "1"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "does not answer" in done.stderr) == (cli.CANNOT_TELL, True)
    helped = subprocess.run([sys.executable, "-I", str(copy), "--help"], capture_output=True, text=True, check=True)
    assert "Without --gate a run passes when every example reached the threshold" in helped.stdout
