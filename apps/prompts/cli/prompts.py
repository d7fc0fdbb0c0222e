"""`prompts pull|push|status`: prompt files in a folder and the prompts of a project, over HTTP.

One file with nothing but the standard library, so that CI can run a copy of it: the product need not be installed.
The key comes from the environment (PRODWORTHY_KEY), the address from --url or PRODWORTHY_URL.

A lock file in the folder remembers for each file what it was when both sides were the same. With it, a change here
("ahead"), there ("behind") and on both sides ("diverged") are told apart, and nothing is overwritten unseen.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

LOCK = "prompts.lock.json"
ENDINGS = (".prompt.yaml", ".prompt.yml")
FILES_AT_ONCE = 400
PATIENCE_SECONDS = 60
NAME_LINE = re.compile(r"^name:[ \t]*(?:\"([^\"\n]+)\"|'([^'\n]+)'|([^#\n]*?))[ \t]*(?:#.*)?\r?$", re.MULTILINE)

DONE, DIFFERS, FAILED = 0, 1, 2
EPILOG = """\
Exit codes: 0 everything is (now) the same on both sides; 1 something differs or was refused, as printed;
2 it could not be told: no key, no answer, wrong use.
"""

Json = Any


class CannotSay(Exception):
    """The project could not be asked, or the folder not read; the text says why."""


@dataclass(slots=True)
class Line:
    """One prompt: what state it is in, or what was done with it."""

    name: str
    path: str
    state: str
    version: str = ""
    detail: str = ""


@dataclass(slots=True)
class Local:
    """A file here. `digest` is empty when it is gone."""

    path: str
    name: str
    digest: str = ""
    text: str = ""


@dataclass(slots=True)
class Lock:
    """What both sides were when they were the same, by the files' paths."""

    url: str = ""
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    def path_of(self, name: str) -> str | None:
        """Where the prompt's file stands."""
        return next((path for path, entry in self.files.items() if entry["name"] == name), None)


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
            raise CannotSay("There is no key. Put one with the scope prompts:write into PRODWORTHY_KEY.")
        self.url, self.key = url.rstrip("/"), key
        self.opener = urllib.request.build_opener(_NoRedirects)

    def export(self) -> list[dict[str, Json]]:
        """Every prompt's newest version as a file."""
        items: list[dict[str, Json]] = []
        cursor = ""
        while True:
            page = self.ask("GET", f"/api/v1/prompts/export?limit=200&cursor={quote(cursor)}")
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = page["next"]

    def send(self, files: list[dict[str, Json]], *, note: str, dry_run: bool) -> dict[str, Json]:
        """Import the files as versions."""
        body = {"files": files, "note": note, "dry_run": dry_run}
        told: dict[str, Json] = self.ask("POST", "/api/v1/prompts/import", body)
        return told

    def ask(self, method: str, path: str, body: Json = None, *, patience: float = PATIENCE_SECONDS) -> Json:
        """The answer as JSON; a server that is busy is asked again for a minute. Raises CannotSay."""
        until = time.monotonic() + patience
        while True:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self.url + path, data=data, method=method)  # noqa: S310 - checked above
            request.add_header("Authorization", f"Bearer {self.key}")
            request.add_header("Content-Type", "application/json")
            request.add_header("Accept", "application/json")
            try:
                with self.opener.open(request, timeout=120) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                wait = _wait(error)
                if wait is None or time.monotonic() + wait > until:
                    raise CannotSay(_words(error, self.url)) from error
                time.sleep(wait)
            except (urllib.error.URLError, OSError) as error:
                reason = getattr(error, "reason", error)
                raise CannotSay(f"{self.url} does not answer: {reason}. Check --url and the network.") from error
            except ValueError as error:
                raise CannotSay(f"{self.url} answered with something else than JSON. Check --url.") from error


def _wait(error: urllib.error.HTTPError) -> float | None:
    """Seconds after which a busy server wants to be asked again; None for other answers."""
    if error.code not in (429, 503):
        return None
    given = error.headers.get("Retry-After", "1")
    return min(float(given), 30.0) if given.isdigit() else 1.0


def _words(error: urllib.error.HTTPError, url: str) -> str:
    try:
        told = json.load(error)["error"]
        return f"{url} answered {error.code}: {told['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{url} answered {error.code}. Check --url and the key."


# --- The folder -----------------------------------------------------------------------------------------------------


class Folder:
    """The folder with the prompt files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = self._read_lock()

    def _read_lock(self) -> Lock:
        path = self.root / LOCK
        if not path.exists():
            return Lock()
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return Lock(told["url"], {str(name): dict(entry) for name, entry in told["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CannotSay(f"{path} cannot be read. Restore it, or delete it and pull.") from error

    def save_lock(self, url: str) -> None:
        """Write the lock file, the same for the same content."""
        told = {"url": url, "files": dict(sorted(self.lock.files.items()))}
        self._write(LOCK, json.dumps(told, indent=2, ensure_ascii=False) + "\n")

    def files(self) -> dict[str, Local]:
        """The files here by their paths, and those that the lock remembers and that are gone."""
        found = {path: Local(path, entry["name"]) for path, entry in self.lock.files.items()}
        for ending in ENDINGS:
            for path in sorted(self.root.rglob(f"*{ending}")):
                if path.is_symlink() or not path.is_file():
                    continue
                inside = path.relative_to(self.root).as_posix()
                try:
                    text = path.read_bytes().decode("utf-8")
                except UnicodeDecodeError as error:
                    raise CannotSay(f"{path} is not UTF-8. Save it as UTF-8.") from error
                found[inside] = Local(inside, _name_in(text, inside), digest(text), text)
        return found

    def write(self, path: str, text: str, name: str, version: str) -> None:
        """Write the file and remember it as the same on both sides."""
        self._write(path, text)
        self.remember(path, text, name, version)

    def remember(self, path: str, text: str, name: str, version: str) -> None:
        """Note that the file is the same on both sides."""
        self.lock.files[path] = {"name": name, "version": version, "sha256": digest(text)}

    def remove(self, path: str) -> None:
        """Delete the file and forget it."""
        self._inside(path).unlink(missing_ok=True)
        self.lock.files.pop(path, None)

    def _write(self, path: str, text: str) -> None:
        target = self._inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(target.name + ".new")
        beside.write_bytes(text.encode("utf-8"))
        beside.replace(target)

    def _inside(self, path: str) -> Path:
        """The file's place, which is below the folder whatever links there are."""
        target = self.root / path
        if target.is_symlink() or not target.resolve().is_relative_to(self.root.resolve()):
            raise CannotSay(f"{path} leads out of {self.root}. Nothing was written there.")
        return target


def digest(text: str) -> str:
    """What tells one text from another."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _name_in(text: str, path: str) -> str:
    """The name that the file gives, or else the one that its path spells."""
    found = NAME_LINE.search(text.removeprefix("\ufeff"))
    name = next((group for group in found.groups() if group), "") if found else ""
    return name or next(path.removesuffix(ending) for ending in ENDINGS if path.endswith(ending))


# --- Comparing ------------------------------------------------------------------------------------------------------

IN_SYNC, AHEAD, BEHIND, DIVERGED = "in sync", "ahead", "behind", "diverged"


@dataclass(slots=True)
class Pair:
    """A prompt here and there, and how the two stand."""

    line: Line
    local: Local | None
    remote: dict[str, Json] | None


def compare(folder: Folder, exported: list[dict[str, Json]]) -> list[Pair]:
    """Every prompt that is on either side, in the order of names."""
    remotes = {item["name"]: item for item in exported}
    locals_ = folder.files()
    pairs = []
    for path, local in locals_.items():
        entry = folder.lock.files.get(path)
        name = entry["name"] if entry is not None and not local.digest else local.name
        pairs.append(_pair(path, name, local, remotes.pop(name, None), entry))
    for name, item in remotes.items():
        pairs.append(Pair(Line(name, item["path"], BEHIND, item["version"], "new there"), None, item))
    return sorted(pairs, key=lambda pair: (pair.line.name, pair.line.path))


def _pair(path: str, name: str, local: Local, remote: dict[str, Json] | None, entry: dict[str, str] | None) -> Pair:
    there = "" if remote is None else digest(remote["text"])
    before = "" if entry is None else entry["sha256"]
    version = remote["version"] if remote is not None else (entry or {}).get("version", "")
    if local.digest == there:
        state, detail = IN_SYNC, ""
    elif local.digest == before:
        state, detail = BEHIND, "gone there" if remote is None else ""
    elif there == before:
        state, detail = AHEAD, "gone here" if not local.digest else "" if entry is not None else "new here"
    else:
        state = DIVERGED
        detail = (
            "changed here, gone there" if remote is None else "gone here, changed there" if not local.digest else ""
        )
    return Pair(Line(name, path, state, version, detail), local, remote)


# --- The three verbs ------------------------------------------------------------------------------------------------


def status(folder: Folder, project: Project) -> tuple[list[Line], int]:
    """How each prompt stands. Changes nothing."""
    lines = [pair.line for pair in compare(folder, project.export())]
    return lines, DONE if all(line.state == IN_SYNC for line in lines) else DIFFERS


def pull(folder: Folder, project: Project, *, force: bool) -> tuple[list[Line], int]:
    """Bring what changed there. What was changed here stays, unless forced."""
    lines, code = [], DONE
    for pair in compare(folder, project.export()):
        line, remote = pair.line, pair.remote
        if line.state == IN_SYNC:
            if remote is not None:
                folder.remember(line.path, remote["text"], line.name, remote["version"])
            else:
                folder.lock.files.pop(line.path, None)
        elif line.state == BEHIND or (force and remote is not None):
            if remote is None:
                folder.remove(line.path)
                line.state, line.detail = "removed", "it is not there any more"
            else:
                folder.write(line.path, remote["text"], line.name, remote["version"])
                line.state, line.detail = "written", ""
        elif line.state == DIVERGED:
            line.detail = line.detail or "changed on both sides; kept yours. --force takes theirs"
            code = DIFFERS
        lines.append(line)
    folder.save_lock(project.url)
    return lines, code


def push(folder: Folder, project: Project, *, note: str, dry_run: bool) -> tuple[list[Line], int]:
    """Publish what changed here as versions. What changed there as well is refused."""
    lines, code, sending = [], DONE, []
    for pair in compare(folder, project.export()):
        line = pair.line
        if line.state == AHEAD and pair.local is not None and pair.local.digest:
            sending.append(pair.local)
            continue
        if line.state == DIVERGED:
            line.detail = line.detail or "changed on both sides. Pull, look, then push"
            code = DIFFERS
        elif line.detail == "gone here":
            line.detail = "gone here; archive the prompt in the project, or pull --force to have the file again"
        elif line.state == IN_SYNC and pair.remote is not None:
            folder.remember(line.path, pair.remote["text"], line.name, pair.remote["version"])
        lines.append(line)
    for start in range(0, len(sending), FILES_AT_ONCE):
        done, is_whole = _sent(folder, project, sending[start : start + FILES_AT_ONCE], note=note, dry_run=dry_run)
        lines += done
        code = code if is_whole else DIFFERS
    if not dry_run:
        folder.save_lock(project.url)
    return sorted(lines, key=lambda line: (line.name, line.path)), code


def _sent(folder: Folder, project: Project, files: list[Local], *, note: str, dry_run: bool) -> tuple[list[Line], bool]:
    """Send these files; what became of each, and whether all of them went through."""
    told = project.send([_told(folder, local) for local in files], note=note, dry_run=dry_run)
    by_path = {local.path: local for local in files}
    lines, is_whole = [], True
    for item in told["items"]:
        local = by_path[item["paths"][0]]
        state = item["status"] or f"would be {item['action'].replace('_', ' ')}"
        detail = item["sentence"] + ("" if not item["problems"] else " " + " ".join(item["problems"]))
        lines.append(Line(item["name"], local.path, state, item["version"] or "", detail))
        refused = state == "refused" or item["action"] == "conflict" or (dry_run and bool(item["problems"]))
        is_whole = is_whole and not refused
        if item["text"] is not None and state in ("created", "published", "skipped"):
            folder.write(local.path, item["text"], item["name"], item["version"])
    for one in told["refused"]:
        where = f"line {one['line']}, column {one['column']}: " if one["line"] is not None else ""
        name = by_path[one["path"]].name if one["path"] in by_path else ""
        lines.append(Line(name, one["path"], "refused", "", where + one["sentence"]))
        is_whole = False
    return lines, is_whole


def _told(folder: Folder, local: Local) -> dict[str, Json]:
    entry = folder.lock.files.get(local.path)
    return {"path": local.path, "text": local.text, "base": entry["version"] if entry is not None else None}


# --- The command line -----------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command line takes."""
    parser.epilog = EPILOG
    parser.add_argument("verb", choices=["pull", "push", "status"])
    parser.add_argument("--url", default="", help="where Prodworthy is; else PRODWORTHY_URL")
    parser.add_argument("--dir", default="prompts", help="the folder with the files (prompts)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--force", action="store_true", help="pull: take theirs where both changed")
    parser.add_argument("--note", default="", help="push: the note on the versions")
    parser.add_argument("--dry-run", action="store_true", help="push: only say what would be published")


def run(options: argparse.Namespace, out: IO[str], complaints: IO[str]) -> int:
    """Do what the options say; the exit code."""
    try:
        project = Project(options.url or os.environ.get("PRODWORTHY_URL", ""), os.environ.get("PRODWORTHY_KEY", ""))
        root = Path(options.dir)
        if options.verb == "pull":
            root.mkdir(parents=True, exist_ok=True)
        elif not root.is_dir():
            raise CannotSay(f"There is no folder {root}. Give --dir, or pull first.")
        folder = Folder(root)
        if folder.lock.files and folder.lock.url != project.url:
            raise CannotSay(f"These files belong to {folder.lock.url}. Give that --url, or delete {root / LOCK} first.")
        if options.verb == "pull":
            lines, code = pull(folder, project, force=options.force)
        elif options.verb == "push":
            lines, code = push(folder, project, note=options.note, dry_run=options.dry_run)
        else:
            lines, code = status(folder, project)
    except (CannotSay, OSError) as error:
        if options.json:
            out.write(json.dumps({"items": [], "error": str(error), "exit": FAILED}) + "\n")
        complaints.write(f"{error}\n")
        return FAILED
    if options.json:
        out.write(json.dumps({"items": [asdict(line) for line in lines], "error": None, "exit": code}) + "\n")
    else:
        for line in lines:
            words = [f"{line.state:<10}", line.name, line.version, f"({line.path})", line.detail]
            out.write("  ".join(word for word in words if word).rstrip() + "\n")
        if not lines:
            out.write("There are no prompts on either side.\n")
    return code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="prompts", description="Prompt files here and prompts in a project.")
    add_arguments(parser)
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else FAILED
    return run(options, sys.stdout, sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
