"""`evals run|show|results|import`: eval runs of a project, over HTTP, for CI.

One file with nothing but the standard library, so that CI can run a copy of it: the product need not be installed.
The key (with the scope evals) comes from the environment (PRODWORTHY_KEY), the address from --url or PRODWORTHY_URL.

Progress goes to stderr, the result to stdout. Without --gate a run passes when every example reached the threshold of
every scorer; with --gate the gate decides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

PASSED, FAILED, CANNOT_TELL = 0, 1, 2
PATIENCE_SECONDS = 60.0
LOOK_EVERY_SECONDS = 2.0
OUTPUTS_AT_ONCE = 500
EXIT_CODES = {"passed": PASSED, "failed": FAILED, "cannot_tell": CANNOT_TELL}
MEDIA_TYPES = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/x-ndjson"}
EPILOG = """\
Exit codes: 0 passed; 1 failed; 2 it could not be told: nothing was scored, the budget was spent, the run was canceled,
no key, no answer, wrong use.

Without --gate a run passes when every example reached the threshold of every scorer. With --gate the gate's conditions
decide. What was not scored never counts as passed.
"""

Json = Any


class CannotSay(Exception):
    """The project could not be asked, or what it said is no answer; the text says why."""


# --- The project, over HTTP -----------------------------------------------------------------------------------------


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to somebody else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow none."""
        return


class Project:
    """The project that the key belongs to."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotSay(f"'{url}' is no address of Prodworthy. Give --url https://host or set PRODWORTHY_URL.")
        if not key:
            raise CannotSay("There is no key. Put one with the scope evals into PRODWORTHY_KEY.")
        self.url, self.key = url.rstrip("/"), key
        self.opener = urllib.request.build_opener(_NoRedirects)

    def ask(self, method: str, path: str, body: Json = None, *, headers: dict[str, str] | None = None) -> Json:
        """The answer as JSON. Raises CannotSay."""
        data = None if body is None else json.dumps(body).encode()
        told = self.send(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        try:
            return json.loads(told)
        except ValueError as error:
            raise CannotSay(f"{self.url} answered with something else than JSON. Check --url.") from error

    def send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> bytes:
        """The answer's body; a server that is busy or away is asked again for a minute. Raises CannotSay.

        Every request is one that may come twice: what starts something carries an Idempotency-Key.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310 - checked above
            for name, value in {"Authorization": f"Bearer {self.key}", "Accept": "*/*", **headers}.items():
                request.add_header(name, value)
            try:
                with self.opener.open(request, timeout=120) as answer:
                    body: bytes = answer.read()
                    return body
            except urllib.error.HTTPError as error:
                wait = _wait(error)
                if wait is None or time.monotonic() + wait > until:
                    raise CannotSay(_words(error, self.url)) from error
            except (urllib.error.URLError, OSError) as error:
                reason = getattr(error, "reason", error)
                wait = 2.0
                if isinstance(reason, ConnectionRefusedError) or time.monotonic() + wait > until:
                    raise CannotSay(f"{self.url} does not answer: {reason}. Check --url and the network.") from error
            time.sleep(wait)


def _wait(error: urllib.error.HTTPError) -> float | None:
    """Seconds after which a busy server wants to be asked again; None for other answers."""
    if error.code not in (429, 502, 503, 504):
        return None
    given = error.headers.get("Retry-After", "1")
    return min(float(given), 30.0) if given.isdigit() else 1.0


def _words(error: urllib.error.HTTPError, url: str) -> str:
    try:
        told = json.load(error)["error"]
        message = str(told["message"])
        details = told.get("details") or {}
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{url} answered {error.code}. Check --url and the key."
    said = [f"{name}: {_flat(value)}" for name, value in details.items()] if isinstance(details, dict) else []
    return f"{url} answered {error.code}: " + "\n  ".join([message, *(one for one in said if one not in message)])


def _flat(value: Json) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {_flat(one)}" for name, one in value.items())
    if isinstance(value, list):
        return " ".join(_flat(one) for one in value)
    return str(value)


# --- Running --------------------------------------------------------------------------------------------------------


def run_body(options: argparse.Namespace) -> dict[str, Json]:
    """What the run shall do, as the API takes it. Raises CannotSay for options that do not fit together."""
    if not options.set:
        raise CannotSay("Which eval set? Give --set (its slug), or --gate alone.")
    if not options.scorer:
        raise CannotSay("Which scorers? Give --scorer (its slug) once or more, or --gate.")
    body: dict[str, Json] = {
        "eval_set": options.set,
        "scorers": [_scorer(text) for text in options.scorer],
        "kind": "outputs" if options.outputs else "model",
        "source": "cli",
    }
    given = {
        "prompt": options.prompt,
        "version": options.version,
        "model": options.model,
        "revision": options.revision,
        "slices": options.slice,
        "repetitions": options.repetitions,
        "concurrency": options.concurrency,
        "budget_usd": options.budget,
        "name": options.name,
    }
    body |= {name: value for name, value in given.items() if value not in (None, "", [])}
    if options.no_cache:
        body["use_cache"] = False
    if not options.outputs and not options.prompt:
        raise CannotSay("Which prompt? Give --prompt (and --version), or bring answers with --outputs.")
    return body


def _scorer(text: str) -> dict[str, Json]:
    """`slug`, `slug@2`, `slug>=0.8` or `slug@2>=0.8`."""
    name, _, threshold = text.partition(">=")
    slug, _, version = name.strip().partition("@")
    told: dict[str, Json] = {"slug": slug}
    try:
        if version:
            told["version"] = int(version)
        if threshold:
            told["threshold"] = float(threshold)
    except ValueError as error:
        raise CannotSay(f"'{text}' names no scorer. Write slug, slug@2, slug>=0.8 or slug@2>=0.8.") from error
    return told


def start(project: Project, body: dict[str, Json]) -> dict[str, Json]:
    """The run, started once however often the network fails."""
    told: dict[str, Json] = project.ask(
        "POST", "/api/v1/eval-runs", body, headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    return told


def bring(project: Project, number: int, path: Path) -> None:
    """Send the outputs of a JSON Lines file, then say that these were all. Raises CannotSay."""
    outputs = []
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            outputs.append(json.loads(line))
        except ValueError as error:
            raise CannotSay(f"Line {at} of {path} is no JSON.") from error
    for first in range(0, len(outputs), OUTPUTS_AT_ONCE):
        part = {"outputs": outputs[first : first + OUTPUTS_AT_ONCE], "complete": False}
        project.ask("POST", f"/api/v1/eval-runs/{number}/outputs", part)
    project.ask("POST", f"/api/v1/eval-runs/{number}/finish")


def wait_for(project: Project, number: int, complaints: IO[str], *, seconds: float) -> dict[str, Json]:
    """The run when it is over, with its progress on the way. Raises CannotSay when it takes longer."""
    until = time.monotonic() + seconds
    before = ""
    while True:
        run: dict[str, Json] = project.ask("GET", f"/api/v1/eval-runs/{number}")
        line = progress_line(run)
        if line != before:
            complaints.write(line + "\n")
            complaints.flush()
            before = line
        if run["is_over"]:
            return run
        if time.monotonic() > until:
            raise CannotSay(f"Run {number} is not over after {seconds:.0f} s. It goes on: {run['url']}")
        time.sleep(LOOK_EVERY_SECONDS)


def progress_line(run: dict[str, Json]) -> str:
    """How far the run is, in one line."""
    failed = f", {run['failed']} without an output" if run["failed"] else ""
    cached = f", {run['from_cache']} from the cache" if run["from_cache"] else ""
    return f"run {run['number']}: {run['state']}, {run['done']} of {run['total']}{failed}{cached}, ${run['spent_usd']}"


# --- The verbs ------------------------------------------------------------------------------------------------------


def do_run(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Start a run, wait for it, say how it came out."""
    if options.gate and not options.set and not options.scorer and not options.outputs:
        number, report = _by_gate(project, options, complaints)
        return _say_gate(project, options, number, report, out)
    if options.gate:
        _fill_in(project, options)
    body = run_body(options) | ({"gate": options.gate} if options.gate else {})
    run = start(project, body)
    number = int(run["number"])
    complaints.write(f"run {number}: {run['url']}\n")
    if options.outputs:
        bring(project, number, Path(options.outputs))
    if not options.wait:
        out.write(json.dumps(run) + "\n" if options.json else f"{number}\n")
        return PASSED
    wait_for(project, number, complaints, seconds=options.timeout)
    if options.gate:
        return _say_gate(project, options, number, check(project, options, {"run": str(number)}), out)
    return say_run(project, options, number, out)


def _fill_in(project: Project, options: argparse.Namespace) -> None:
    """The set and the scorers of the gate, where the command names none."""
    gate: dict[str, Json] = project.ask("GET", f"/api/v1/gates/{quote(options.gate, safe='')}")
    options.set = options.set or gate["eval_set"]
    options.scorer = options.scorer or [_written(one) for one in gate["conditions"]["scorers"]]


def _written(scorer: dict[str, Json]) -> str:
    version = "" if scorer["version"] is None else f"@{scorer['version']}"
    threshold = "" if scorer["threshold"] is None else f">={scorer['threshold']}"
    return f"{scorer['slug']}{version}{threshold}"


def check(project: Project, options: argparse.Namespace, candidate: dict[str, str]) -> dict[str, Json]:
    """What the gate says of the candidate, or which run has to end first."""
    body = {name: value for name, value in candidate.items() if value}
    if options.baseline not in ("", "live"):
        body["baseline"] = options.baseline
    told: dict[str, Json] = project.ask("POST", f"/api/v1/gates/{quote(options.gate, safe='')}/check", body)
    return told


def _by_gate(project: Project, options: argparse.Namespace, complaints: IO[str]) -> tuple[int, dict[str, Json]]:
    """The gate knows set and scorers: it starts the run itself, or uses one that is there."""
    if not options.prompt:
        raise CannotSay("Which prompt shall the gate judge? Give --prompt (and --version).")
    candidate = {"prompt": options.prompt, "version": options.version, "model": options.model}
    told = check(project, options, candidate)
    number = int(told["run"])
    if "verdict" not in told:
        wait_for(project, number, complaints, seconds=options.timeout)
        told = check(project, options, {"run": str(number)})
    return number, told


def _say_gate(project: Project, options: argparse.Namespace, number: int, report: dict[str, Json], out: IO[str]) -> int:
    if "verdict" not in report:
        raise CannotSay(f"The gate {options.gate} did not judge run {number}: it is {report.get('state')}.")
    write_files(project, options, f"/api/v1/gate-reports/{report['id']}")
    if options.json:
        out.write(json.dumps(report) + "\n")
    else:
        out.write(f"{report['verdict'].replace('_', ' ')}: {report['sentence']} (run {number}, gate {options.gate})\n")
        for one in report["conditions"]:
            out.write(f"  {one['state'].replace('_', ' '):<12} {one['title']}: {one['sentence']}\n")
    return EXIT_CODES.get(report["verdict"], CANNOT_TELL)


def say_run(project: Project, options: argparse.Namespace, number: int, out: IO[str]) -> int:
    """How the run came out, and the code for it."""
    run = project.ask("GET", f"/api/v1/eval-runs/{number}")
    write_files(project, options, f"/api/v1/eval-runs/{number}")
    if options.json:
        out.write(json.dumps(run) + "\n")
    elif run["is_over"]:
        text = project.send("GET", f"/api/v1/eval-runs/{number}?format=markdown", None, {})
        out.write(text.decode("utf-8"))
    else:
        out.write(progress_line(run) + "\n")
    if options.baseline:
        say_baseline(project, run, options.baseline, out if not options.json else sys.stderr)
    return EXIT_CODES.get(run["verdict"] or "cannot_tell", CANNOT_TELL)


def say_baseline(project: Project, run: dict[str, Json], baseline: str, out: IO[str]) -> None:
    """How the run compares. It informs; only a gate lets it decide."""
    number = baseline_number(project, run) if baseline == "live" else baseline
    if number is None:
        out.write("There is no earlier run to compare with.\n")
        return
    query = urlencode({"candidate": run["number"], "baseline": number})
    told = project.ask("GET", f"/api/v1/comparisons?{query}")
    out.write(f"Against run {number}: {told.get('verdict', '?').replace('_', ' ')}. {told.get('sentence', '')}\n")


def baseline_number(project: Project, run: dict[str, Json]) -> int | None:
    """The number of what the run is best compared with, as its page suggests it."""
    found: int | None = project.ask("GET", f"/api/v1/eval-runs/{run['number']}/baseline")["number"]
    return found


def write_files(project: Project, options: argparse.Namespace, path: str) -> None:
    """Write what --junit and --markdown ask for."""
    for kind, name in (("junit", options.junit), ("markdown", options.markdown)):
        if name:
            Path(name).write_bytes(project.send("GET", f"{path}?format={kind}", None, {}))


def do_show(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """How a run stands, or came out."""
    number = int(options.what)
    if options.wait:
        wait_for(project, number, complaints, seconds=options.timeout)
    return say_run(project, options, number, out)


def do_results(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """The results of a run, the worst first, as lines or as JSON Lines."""
    cursor: str | None = ""
    left = options.limit
    while cursor is not None and left > 0:
        asked = {"show": options.show, "scorer": options.only_scorer, "cursor": cursor, "limit": str(min(left, 200))}
        query = urlencode({name: value for name, value in asked.items() if value})
        page = project.ask("GET", f"/api/v1/eval-runs/{quote(options.what, safe='')}/results?{query}")
        for item in page["items"]:
            out.write(json.dumps(item) + "\n" if options.json else _result_line(item))
        left -= len(page["items"])
        cursor = page["next"] if page["items"] else None
    return PASSED


def _result_line(item: dict[str, Json]) -> str:
    state = {True: "passed", False: "failed", None: "no score"}[item["is_passed"]]
    if item["state"] != "done":
        state = "no output" if item["state"] == "failed" else item["state"]
    value = "    –" if item["value"] is None else f"{item['value']:.3f}"
    unscored = [one for one in item["scores"] if one["is_passed"] is not True]
    reason = item["error"] or "; ".join(f"{one['scorer']}: {one['reason']}" for one in unscored)
    return f"{state:<10} {value}  {item['key']}  {' '.join(reason.split())[:160]}".rstrip() + "\n"


def do_import(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Send a file of examples (JSON, JSON Lines or CSV) to a set."""
    path = Path(options.file)
    kind = MEDIA_TYPES.get(path.suffix.lower())
    if kind is None:
        raise CannotSay(f"{path} ends in none of {', '.join(MEDIA_TYPES)}.")
    address = f"/api/v1/eval-sets/{quote(options.what, safe='')}/import"
    told = json.loads(project.send("POST", address, path.read_bytes(), {"Content-Type": kind}))
    if options.json:
        out.write(json.dumps(told) + "\n")
    else:
        for name, value in told.items():
            if not isinstance(value, dict | list) and value is not None:
                out.write(f"{name}: {value}\n")
        for problem in told["rejected"]:
            complaints.write(f"row {problem.get('row')}: {problem.get('message')}\n")
    return FAILED if told["rejected_rows"] else PASSED


VERBS: dict[str, Callable[[Project, argparse.Namespace, IO[str], IO[str]], int]] = {
    "run": do_run,
    "show": do_show,
    "results": do_results,
    "import": do_import,
}


# --- The command line -----------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("verb", choices=sorted(VERBS), help="run; show N; results N; import SET FILE")
    parser.add_argument("what", nargs="?", default="", help="show, results: the number of the run; import: the set")
    parser.add_argument("file", nargs="?", default="", help="import: the file with the examples")
    parser.add_argument("--url", default="", help="where Prodworthy is; else PRODWORTHY_URL")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--set", default="", help="run: the eval set (its slug)")
    parser.add_argument(
        "--scorer", action="append", default=[], help="run: a scorer, such as exact, exact@2 or tone>=0.8; repeatable"
    )
    parser.add_argument("--prompt", default="", help="run: the prompt")
    parser.add_argument(
        "--prompt-version", "--version", dest="version", default="", help="run: its version; the newest"
    )
    parser.add_argument("--model", default="", help="run: connection/model; the one that the prompt names")
    parser.add_argument("--outputs", default="", help="run: a JSON Lines file with answers in place of a model's")
    parser.add_argument("--gate", default="", help="run: a gate, which then decides; it knows its set and scorers")
    parser.add_argument("--baseline", default="", help="live, or the number of a run to compare with")
    parser.add_argument("--revision", type=int, help="run: the revision of the set; the newest")
    parser.add_argument("--slice", action="append", default=[], help="run: only examples of this slice; repeatable")
    parser.add_argument("--repetitions", type=int, help="run: how often each example is asked")
    parser.add_argument("--concurrency", type=int, help="run: calls at once")
    parser.add_argument("--budget", default=None, help="run: the most it may spend, in US dollars")
    parser.add_argument("--no-cache", action="store_true", help="run: ask anew for calls that were made before")
    parser.add_argument("--name", default="", help="run: a note on the run")
    parser.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, default=True, help="run, show: until the run is over (yes)"
    )
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds to wait (3600)")
    parser.add_argument("--junit", default="", help="run, show: write JUnit XML here")
    parser.add_argument("--markdown", default="", help="run, show: write a summary for a pull request here")
    parser.add_argument("--show", default="", help="results: failed, passed, not_scored, error or waiting")
    parser.add_argument("--only-scorer", default="", help="results: by this scorer alone")
    parser.add_argument("--limit", type=int, default=1000, help="results: at most so many (1000)")


def run(options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Do what the options say; the exit code."""
    try:
        project = Project(options.url or os.environ.get("PRODWORTHY_URL", ""), os.environ.get("PRODWORTHY_KEY", ""))
        if options.verb in ("show", "results") and not options.what.isdigit():
            raise CannotSay(f"Which run? `evals {options.verb} 12` takes its number.")
        if options.verb == "import" and not (options.what and options.file):
            raise CannotSay("`evals import SET FILE` takes the set's slug and a file.")
        return VERBS[options.verb](project, options, out, complaints)
    except (CannotSay, OSError) as error:
        if options.json:
            out.write(json.dumps({"error": str(error), "exit": CANNOT_TELL}) + "\n")
        complaints.write(f"{error}\n")
        return CANNOT_TELL


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="evals", description="Eval runs of a project, for CI.")
    add_arguments(parser)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else CANNOT_TELL
    return run(options, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
