"""`promotions ask|show|status`: promotions of a project, over HTTP, for CI.

One file with nothing but the standard library, so that CI can run a copy of it: the product need not be installed.
The key (with the scope promotions, or prompts:write to ask and read to look) comes from the environment
(PRODWORTHY_KEY), the address from --url or PRODWORTHY_URL.

Progress goes to stderr, the result to stdout. A key decides nothing here: people approve.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from email.message import Message
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

PASSED, REFUSED, CANNOT_TELL = 0, 1, 2
PATIENCE_SECONDS = 60.0
LOOK_EVERY_SECONDS = 2.0
ENDS_BADLY = ("refused", "rejected", "withdrawn", "void")
EPILOG = """\
Exit codes: 0 live, or every gate passed and it waits for a person; 1 refused by a gate, rejected, withdrawn or void;
2 it could not be told: still being checked when the time was over, an override, no promotion, no key, no answer, wrong
use.
"""

Json = Any


# --- The project, over HTTP -----------------------------------------------------------------------------------------


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
            raise CannotSay("There is no key. Put one with the scope promotions into PRODWORTHY_KEY.")
        self.url, self.key = url.rstrip("/"), key
        self.opener = urllib.request.build_opener(_NoRedirects)

    def ask(self, method: str, path: str, body: Json = None) -> Json:
        """The answer as JSON. Raises CannotSay."""
        data = None if body is None else json.dumps(body).encode()
        told = self.send(method, path, data, {"Content-Type": "application/json"})
        try:
            return json.loads(told)
        except ValueError as error:
            raise CannotSay(f"{self.url} answered with something else than JSON. Check --url.") from error

    def send(self, method: str, path: str, data: bytes | None, headers: dict[str, str]) -> bytes:
        """The answer's body; a server that is busy or away is asked again for a minute. Raises CannotSay.

        Every request is one that may come twice: asking for what is asked for already finds the same promotion.
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


# --- The verbs ------------------------------------------------------------------------------------------------------


def do_ask(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Ask, wait while its gates are checked if so told, say how it stands."""
    if not (options.what and options.version and options.environment):
        raise CannotSay("`promotions ask PROMPT VERSION --environment production` takes all three.")
    body = {
        "prompt": options.what,
        "version": options.version,
        "environment": options.environment,
        "model": options.model,
        "why": options.why,
        "origin": "cli",
    }
    found = project.ask("POST", "/api/v1/promotions", body)
    complaints.write(f"promotion {found['number']}: {found['url']}\n")
    return _say(wait_for(project, found, options.wait, complaints), options, out)


def do_show(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """How a promotion stands."""
    if not options.what.isdecimal():
        raise CannotSay("Which promotion? `promotions show 12` takes its number.")
    found = project.ask("GET", f"/api/v1/promotions/{int(options.what)}")
    return _say(wait_for(project, found, options.wait, complaints), options, out)


def do_status(project: Project, options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """How the newest promotion of a prompt stands."""
    if not options.what:
        raise CannotSay("Of which prompt? `promotions status support/answer` takes its name.")
    asked = {"prompt": options.what, "environment": options.environment, "limit": "1"}
    query = urlencode({name: value for name, value in asked.items() if value})
    items = project.ask("GET", f"/api/v1/promotions?{query}")["items"]
    if not items:
        raise CannotSay(f"Nobody asked for a promotion of {options.what} yet.")
    options.what = str(items[0]["number"])
    return do_show(project, options, out, complaints)


def wait_for(project: Project, found: dict[str, Json], seconds: float, complaints: IO[str]) -> dict[str, Json]:
    """The promotion once its gates have spoken, or as it is when the time is over; its progress on the way."""
    until, before = time.monotonic() + seconds, ""
    while found["state"] == "checking" and time.monotonic() < until:
        line = progress_line(found)
        if line != before:
            complaints.write(line + "\n")
            complaints.flush()
            before = line
        time.sleep(max(0.0, min(LOOK_EVERY_SECONDS, until - time.monotonic())))
        found = project.ask("GET", f"/api/v1/promotions/{found['number']}")
    return found


def progress_line(found: dict[str, Json]) -> str:
    """How far its runs are, in one line."""
    gates = [f"{one['gate']} {one['done']} of {one['total'] or '?'}" for one in found["gates"]]
    return f"promotion {found['number']}: checking, {', '.join(gates) or 'no gate yet'}"


def _say(found: dict[str, Json], options: argparse.Namespace, out: IO[str]) -> int:
    if options.json:
        out.write(json.dumps(found) + "\n")
        return exit_code(found)
    out.write(f"{found['sentence']} ({found['prompt']} {found['version']} in {found['environment']}, {found['url']})\n")
    for sentence in found["reasons"]:
        out.write(f"  {sentence}\n")
    for gate in found["gates"]:
        report = gate["report"]
        out.write(f"  {gate['state'].replace('_', ' '):<12} {gate['gate']}{_run(gate)}\n")
        for one in report["conditions"] if report else ():
            out.write(f"    {one['state'].replace('_', ' '):<12} {one['title']}: {one['sentence']}\n")
    if found["state"] == "waiting":
        out.write(f"  {found['approvals']} of {found['approvals_needed']} approvals\n")
    return exit_code(found)


def _run(gate: dict[str, Json]) -> str:
    return f" (run {gate['run']})" if gate["run"] is not None else ""


def exit_code(found: dict[str, Json]) -> int:
    """The code for how the promotion stands."""
    state, gates = found["state"], found["gates"]
    if state in ENDS_BADLY:
        return REFUSED
    has_passed = bool(gates) and all(gate["state"] == "passed" for gate in gates)
    if state in ("live", "approved") or (state == "waiting" and has_passed):
        return PASSED
    return CANNOT_TELL


VERBS: dict[str, Callable[[Project, argparse.Namespace, IO[str], IO[str]], int]] = {
    "ask": do_ask,
    "show": do_show,
    "status": do_status,
}


# --- The command line -----------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("verb", choices=sorted(VERBS), help="ask PROMPT VERSION; show N; status PROMPT")
    parser.add_argument("what", nargs="?", default="", help="ask, status: the prompt; show: the number")
    parser.add_argument("version", nargs="?", default="", help="ask: such as 1.2.0, or latest")
    parser.add_argument("--url", default="", help="where Prodworthy is; else PRODWORTHY_URL")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--environment", default="", help="ask: where it shall go live; status: of this one alone")
    parser.add_argument("--model", default="", help="ask: connection/model in place of the version's own")
    parser.add_argument("--why", default="", help="ask: what whoever decides reads first")
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="until its gates have spoken (0)")


def run(options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Do what the options say; the exit code."""
    try:
        project = Project(options.url or os.environ.get("PRODWORTHY_URL", ""), os.environ.get("PRODWORTHY_KEY", ""))
        return VERBS[options.verb](project, options, out, complaints)
    except (CannotSay, OSError) as error:
        if options.json:
            out.write(json.dumps({"error": str(error), "exit": CANNOT_TELL}) + "\n")
        complaints.write(f"{error}\n")
        return CANNOT_TELL


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="promotions", description="Promotions of a project, for CI.")
    add_arguments(parser)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else CANNOT_TELL
    return run(options, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
