"""Hostile addresses, servers and repositories: nothing of theirs is carried out, followed, or grows without bounds."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from apps.accounts.models import User
from apps.core.egress import resolving
from apps.core.errors import Invalid
from apps.projects.models import Project
from apps.prompts.git import program, remotes, repository
from apps.prompts.git.failures import GitFailed, GitTooSlow
from apps.prompts.git.program import Access, Limits
from apps.prompts.git.repository import Repository, fault_of_branch, fault_of_path
from apps.prompts.models import GitFile, GitNote, GitRemote, Prompt, Version
from apps.prompts.services import git as git_services
from apps.prompts.services import git_local
from apps.prompts.services.git_remotes import Wishes
from tests.factories import NOW, actor_of
from tests.prompts.git_hands import git, publish
from tests.prompts.git_server import GitServer, served

APPS = Path(__file__).parents[2] / "apps"
SECRET = "secret-of-the-test-1f0c"
GOOD = "name: good\ntext: Hello\n"

ADDRESSES = [
    "ext::sh -c touch% canary",
    "file:///etc",
    "/etc",
    "../elsewhere",
    "fd::17",
    "git://git.example.com/a.git",
    "ftp://git.example.com/a.git",
    "http://git.example.com/a.git",
    "--upload-pack=touch canary",
    "-oProxyCommand=touch canary",
    "ssh://-oProxyCommand=touch/a.git",
    "ssh://-x@git.example.com/a.git",
    "ssh://us;er@git.example.com/a.git",
    "ssh://git.example.com/a b",
    "ssh://git.example.com/a$(touch canary)",
    "ssh://git.example.com/`touch canary`",
    "ssh://git@git.example.com:99999/a.git",
    "ssh://git@git.example.com:2222/a.git",
    "ssh://git:password@git.example.com/a.git",
    "git@git.example.com:a/../../b.git",
    "git@git.example.com:--upload-pack=x",
    "git@-oProxyCommand=x:a.git",
    "git@10.0.0.1:a.git",
    "git@localhost:a.git",
    "https://git.example.com/a.git?x=1",
    "https://git.example.com/a.git#x",
    "https://git.example.com/../a.git",
    "https://git.example.com/a\n.git",
    "https://git.example.com",
    "https://user@git.example.com/a.git",
    "https://127.0.0.1/a.git",
    "https://[::1]/a.git",
    "https://[::ffff:127.0.0.1]/a.git",
    "https://169.254.169.254/latest",
    "https://2130706433/a.git",
    "https://0x7f.1/a.git",
    "https://git.internal/a.git",
    "https://gít.example.com/a.git",
    "",
]


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, settings: Any) -> None:
    """Repositories of this test alone: other workers of the run have projects with the same numbers."""
    settings.VAR_DIR = tmp_path / "var"


@pytest.mark.parametrize("address", ADDRESSES)
def test_refuses_addresses(address: str) -> None:
    with pytest.raises(Invalid) as refused:
        remotes.parse(address)
    assert refused.value.details["url"][0].endswith(".")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("https://github.com/o/r.git", "https://github.com/o/r.git"),
        ("git@github.com:o/r.git", "ssh://git@github.com/o/r.git"),
        ("ssh://deploy@git.example.com/~/r.git", "ssh://deploy@git.example.com/~/r.git"),
    ],
)
def test_takes_usual_addresses(address: str, url: str) -> None:
    assert remotes.parse(address).url == url


@pytest.mark.parametrize(
    "name",
    ["", "-x", "--upload-pack=x", "a..b", "a b", "a~1", "a^", "a:b", "a?", "a*", "a[", "a\\b", "/a", "a/", "a//b",
     "a.lock", "a.lock/b", ".a", "a/.b", "a.", "@", "a@{b", "a\x00b", "a\nb", "x" * 201],
)  # fmt: skip
def test_refuses_branches(name: str) -> None:
    assert fault_of_branch(name)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../a", "a/../../b", "a/./b", "a//b", ".git/config", "a/.GIT/hooks", "-x", "a\nb", "a\x00b",
     "a\\b", "x" * 1001],
)  # fmt: skip
def test_refuses_paths(path: str) -> None:
    assert fault_of_path(path)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that must never appear."""
    return tmp_path / "canary"


@pytest.mark.parametrize("protocols", ["https:ssh", "none", "https", "ssh", ""])
@pytest.mark.parametrize("form", ["ext::sh -c 'touch {}'", "file://{}", "{}", "fd::3,4"])
def test_speaks_no_other_protocol_even_if_asked(tmp_path: Path, canary: Path, protocols: str, form: str) -> None:
    """Should an address slip through all checks, git itself refuses it."""
    place = Repository.made(tmp_path / "copy")
    victim = tmp_path / "victim.git"
    git("init", "-q", "--bare", str(victim))
    address = form.format(canary if "ext" in form else victim)
    with pytest.raises(GitFailed):
        place.heads(address, Access(protocols=protocols))
    with pytest.raises(GitFailed):
        place.fetch(address, Access(protocols=protocols), {"refs/heads/main": "refs/remote/main"})
    assert not canary.exists()


def test_is_started_in_one_place() -> None:
    starters = {
        str(path.relative_to(APPS))
        for path in APPS.rglob("*.py")
        if re.search(
            r"^\s*(?:import|from) (?:subprocess|pty)\b|os\.(?:system|popen|exec|spawn)", path.read_text(), re.M
        )
    }
    assert "prompts/git/program.py" in starters
    others = {path for path in starters if "git" in path and path != "prompts/git/program.py"}
    assert not others
    naming = {str(path.relative_to(APPS)) for path in APPS.rglob("*.py") if 'which("git")' in path.read_text()}
    assert naming == {"prompts/git/program.py"}


def test_reads_nobodys_configuration(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / ".gitconfig"
    config.write_text(
        f"[alias]\n\tversion = !touch {canary}\n[core]\n\tfsmonitor = touch {canary}\n[user]\n\tname = Eve\n"
    )
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_PARAMETERS": f"'core.fsmonitor=touch {canary}'",
        "GIT_SSH_COMMAND": f"touch {canary}",
        "GIT_EXTERNAL_DIFF": f"touch {canary}",
        "GIT_DIR": str(tmp_path / "elsewhere"),
        "GIT_TRACE": str(canary),
        "https_proxy": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    place = Repository.made(tmp_path / "copy")
    told = program.run(["config", "--list", "--show-origin"], directory=place.directory).decode()
    assert "Eve" not in told
    origins = {line.split("\t")[0] for line in told.splitlines()}
    assert origins == {f"file:{place.directory}/config", "command line:"}
    assert not canary.exists()


def test_runs_no_hooks(tmp_path: Path, canary: Path) -> None:
    place = Repository.made(tmp_path / "copy")
    hooks = place.directory / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("reference-transaction", "post-update", "pre-push", "post-checkout", "pre-auto-gc", "post-rewrite"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {canary}\n")
        (hooks / name).chmod(0o755)
    place.bring_in(b"commit refs/heads/main\ncommitter x <x@x> 0 +0000\ndata 1\nx\ndone\n")
    place.tidy()
    assert place.find("refs/heads/main")
    assert not canary.exists()


def test_stops_what_takes_too_long_with_all_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "git"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 60 & echo $! > {tmp_path}/child\nwait\n")
    slow.chmod(0o755)
    monkeypatch.setattr(program, "_path", lambda: str(slow))
    began = time.monotonic()
    with pytest.raises(GitTooSlow):
        program.run(["x"], limits=Limits(seconds=1))
    assert time.monotonic() - began < 20
    for name in ("pid", "child"):
        assert not _lives(int((tmp_path / name).read_text()))


def _lives(pid: int) -> bool:
    """True while the process runs; a moment is given to go."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.05)
    return True


def test_keeps_only_so_much_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loud = tmp_path / "git"
    loud.write_text("#!/bin/sh\nexec yes\n")
    loud.chmod(0o755)
    monkeypatch.setattr(program, "_path", lambda: str(loud))
    with pytest.raises(program.GitTooLarge):
        program.run(["x"], limits=Limits(seconds=30, output_bytes=1_000_000))


# --- Against a server


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[GitServer]:
    """A git server that may be connected to."""
    with served(tmp_path / "git") as running:
        settings.EGRESS_ALLOW = [f"127.0.0.1:{running.port}"]
        yield running


def connect(project: Project, alice: User, server: GitServer, **wishes: Any) -> GitRemote:
    """Connect the server's repository; edits are published."""
    wishes = {"edits": "versions", **wishes}
    return git_services.connect(
        project=project, wishes=Wishes(url=server.url, **wishes), actor=actor_of(alice), now=NOW
    )


def look(project: Project, minutes: int = 0) -> GitRemote:
    """Look at the repository; the row afterwards."""
    assert git_services.sync(project.pk, now=NOW + timedelta(minutes=minutes))
    return GitRemote.objects.get(project=project)


def plumbed(server: GitServer, entries: list[tuple[str, bytes, str]], message: str = "Hostile") -> None:
    """Put a commit on main whose tree has these entries (mode, name, object) and no others, checked by nobody."""
    tree = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(blob) for mode, name, blob in entries)
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        cwd=server.bare, input=tree, capture_output=True, check=True,
    )  # fmt: skip
    commit = git("commit-tree", done.stdout.decode().strip(), "-m", message, cwd=server.bare).strip()
    git("update-ref", "refs/heads/main", commit, cwd=server.bare)


def blob(server: GitServer, content: bytes) -> str:
    """An object in the server's repository."""
    done = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=server.bare, input=content, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def on_disk(place: Path) -> int:
    """The bytes of all files below."""
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file())


@pytest.mark.django_db
def test_carries_nothing_of_a_repository_out(project: Project, alice: User, server: GitServer, canary: Path) -> None:
    passwd = blob(server, b"/etc/passwd")
    attributes = f"*.yaml filter=evil diff=evil merge=evil\n[attr]evil filter=evil\n# {canary}\n".encode()
    modules = f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {canary}"\n'.encode()
    config = f'[filter "evil"]\n\tsmudge = touch {canary}\n\tclean = touch {canary}\n[core]\n\thooksPath = .\n'.encode()
    hook = blob(server, f"#!/bin/sh\ntouch {canary}\n".encode())
    good = blob(server, GOOD.encode())
    plumbed(
        server,
        sorted(
            [
                ("100644", b".gitattributes", blob(server, attributes)),
                ("100644", b".gitmodules", blob(server, modules)),
                ("100644", b".lfsconfig", blob(server, b"[lfs]\n\turl = http://127.0.0.1:9/\n")),
                ("100644", b"config", blob(server, config)),
                ("100755", b"post-checkout", hook),
                ("120000", b"link.prompt.yaml", passwd),
                ("160000", b"module.prompt.yaml", "1" * 40),
                ("100644", b"good.prompt.yaml", good),
            ],
            key=lambda entry: entry[1],
        ),
    )
    connect(project, alice, server)
    assert look(project).last_error == ""
    assert [version.prompt.name for version in Version.objects.all()] == ["good"]
    problems = dict(GitFile.objects.exclude(problem="").values_list("path", "problem"))
    assert set(problems) == {"link.prompt.yaml", "module.prompt.yaml"}
    assert "not followed" in problems["link.prompt.yaml"]
    assert not GitFile.objects.filter(text__contains="root:").exists()
    assert not canary.exists()
    assert not (git_local.directory() / f"remote-{GitRemote.objects.get().uuid}" / "hooks").exists()


@pytest.mark.django_db
def test_ignores_paths_that_lead_elsewhere(project: Project, alice: User, server: GitServer, tmp_path: Path) -> None:
    good = blob(server, GOOD.encode())
    inner = b"100644 escaped.prompt.yaml\0" + bytes.fromhex(good)
    tree = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
        cwd=server.bare, input=inner, capture_output=True, check=True,
    ).stdout.decode().strip()  # fmt: skip
    plumbed(
        server,
        [
            ("40000", b"..", tree),
            ("40000", b".GIT", tree),
            ("40000", b".git", tree),
            ("100644", b"a\\b.prompt.yaml", good),
            ("100644", b"a\nb.prompt.yaml", good),
            ("100644", b"good.prompt.yaml", good),
        ],
    )
    connect(project, alice, server)
    assert look(project).last_error == ""
    assert list(GitFile.objects.values_list("path", flat=True)) == ["good.prompt.yaml"]
    assert not list(tmp_path.rglob("escaped.prompt.yaml"))
    assert not list(git_local.directory().rglob("escaped.prompt.yaml"))


@pytest.mark.django_db
def test_holds_out_against_names_in_files(project: Project, alice: User, server: GitServer) -> None:
    server.write({"x.prompt.yaml": "name: ../../etc/passwd\ntext: Hello\n", "good.prompt.yaml": GOOD}, "Names")
    connect(project, alice, server)
    assert look(project).last_error == ""
    assert [prompt.name for prompt in Prompt.objects.all()] == ["good"]
    assert "name:" in GitFile.objects.get(path="x.prompt.yaml").problem


@pytest.mark.django_db
def test_copes_with_a_hundred_thousand_files(project: Project, alice: User, server: GitServer) -> None:
    parts = ["commit refs/heads/main\ncommitter x <x@x> 0 +0000\ndata 1\nx\n"]
    parts += [f"M 100644 inline d{number % 100}/f{number}.txt\ndata 1\nx\n" for number in range(100_000)]
    parts.append(f"M 100644 inline good.prompt.yaml\ndata {len(GOOD)}\n{GOOD}\ndone\n")
    subprocess.run(
        ["git", "fast-import", "--quiet", "--done"], cwd=server.bare, input="".join(parts).encode(), check=True
    )
    connect(project, alice, server)
    assert look(project).last_error == ""
    assert Version.objects.get().prompt.name == "good"


@pytest.mark.django_db
def test_refuses_far_too_many_prompts(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write({f"p{number}.prompt.yaml": f"name: p{number}\ntext: Hello\n" for number in range(12)}, "Many")
    monkeypatch.setattr("apps.prompts.services.git_reading.MOST_FILES", 10)
    connect(project, alice, server)
    assert "more than 10 prompt files" in look(project).last_error
    assert not Prompt.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: x\ntext: |\n  " + b"x" * 300_000, "larger than 256 KiB"),
        (b"name: x\ntext: \xff\xfe\n", "UTF-8"),
        (b"name: x\ntext: a\0b\n", "NUL"),
        (b"name: &a x\ntext: *a\n", "Anchors"),
        (b"a: " * 1000, "Line 1"),
        (b"", "empty"),
    ],
    ids=["large", "latin", "nul", "anchors", "nested", "empty"],
)
def test_says_what_is_wrong_with_a_file(
    project: Project, alice: User, server: GitServer, content: bytes, words: str
) -> None:
    server.write({"x.prompt.yaml": content, "good.prompt.yaml": GOOD}, "Bad")
    connect(project, alice, server)
    assert look(project).last_error == ""
    assert words in GitFile.objects.get(path="x.prompt.yaml").problem
    assert Version.objects.get().prompt.name == "good", "its neighbour is taken"


@pytest.mark.django_db
def test_stops_a_repository_that_is_too_large(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write({"huge.bin": os.urandom(8 * 1024 * 1024), "good.prompt.yaml": GOOD}, "Huge")
    monkeypatch.setattr(repository, "FETCHING", Limits(seconds=60, file_bytes=1024 * 1024))
    remote = connect(project, alice, server)
    assert "larger than may be read" in look(project).last_error
    assert not Version.objects.exists()
    assert on_disk(git_local.directory() / f"remote-{remote.uuid}") < 2 * 1024 * 1024


@pytest.mark.django_db
def test_stops_a_server_that_lets_one_wait(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write({"good.prompt.yaml": GOOD}, "Begin")
    server.delay = 60
    monkeypatch.setattr(repository, "ASKING", Limits(seconds=2))
    connect(project, alice, server)
    began = time.monotonic()
    assert "stopped after 2 s" in look(project).last_error
    assert time.monotonic() - began < 30


@pytest.mark.django_db
@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"001e# service=git-upload-pack\n0000", b"ffff" * 1000,
     b"001e# service=git-upload-pack\n00000000" * 9, hashlib.shake_256(b"noise").digest(100_000)],
    ids=["nothing", "page", "cut", "long", "repeated", "noise"],
)  # fmt: skip
def test_survives_rubbish_from_a_server(project: Project, alice: User, server: GitServer, answer: bytes) -> None:
    server.answer = answer
    connect(project, alice, server)
    remote = look(project)
    assert len(remote.last_error) <= 600
    assert not Version.objects.exists()
    server.answer = None
    server.write({"good.prompt.yaml": GOOD}, "Begin")
    assert look(project, 1).last_error == ""
    assert Version.objects.count() == 1


@pytest.mark.django_db
def test_follows_no_redirect_and_tells_its_credential_to_nobody_else(
    project: Project, alice: User, server: GitServer, tmp_path: Path, settings: Any
) -> None:
    server.password = f"git:{SECRET}"
    with served(tmp_path / "other") as other:
        other.write({"good.prompt.yaml": GOOD}, "Begin")
        settings.EGRESS_ALLOW = [*settings.EGRESS_ALLOW, f"127.0.0.1:{other.port}"]
        server.redirects_to = f"http://127.0.0.1:{other.port}"
        connect(project, alice, server, credential="token", secret=SECRET)
        assert "redirects" in look(project).last_error
        assert server.asked
        assert other.asked == []
    assert not Version.objects.exists()


@pytest.mark.django_db
def test_puts_the_credential_into_no_argument_and_no_file(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    popen = subprocess.Popen

    def watched(command: Any, **options: Any) -> Any:
        seen.append(repr(command))
        return popen(command, **options)

    server.write({"good.prompt.yaml": GOOD}, "Begin")
    server.password = f"git:{SECRET}"
    monkeypatch.setattr(subprocess, "Popen", watched)
    connect(project, alice, server, credential="token", secret=SECRET)
    publish(project, alice, "a", "Say hello.")
    assert look(project).last_error == ""
    basic = server.authorizations[-1].removeprefix("Basic ")
    assert basic
    assert seen
    assert not [line for line in seen if SECRET in line or basic in line]
    for path in git_local.directory().rglob("*"):
        assert not path.is_file() or not {SECRET.encode(), basic.encode()} & set(path.read_bytes().split())


@pytest.mark.django_db
def test_connects_to_the_address_that_was_checked(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """The name exists nowhere but in our resolver: git must have been told where it is."""
    server.write({"good.prompt.yaml": GOOD}, "Begin")
    connect(project, alice, server)
    settings.EGRESS_ALLOW = [f"git.rebind.example:{server.port}"]
    monkeypatch.setattr(resolving, "look_up", lambda host, port: ["127.0.0.1"])
    GitRemote.objects.update(url=server.url.replace("127.0.0.1", "git.rebind.example"))
    assert look(project).last_error == ""
    assert Version.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("answers", [["10.0.0.1"], ["93.184.215.14", "127.0.0.1"], ["169.254.169.254"], ["::1"]])
def test_asks_each_time_where_a_host_is(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    """A name that was public when it was saved and leads inside now is not followed."""
    git_services.connect(
        project=project, wishes=Wishes(url="https://git.rebind.example/a.git"), actor=actor_of(alice), now=NOW
    )
    monkeypatch.setattr(resolving, "look_up", lambda host, port: answers)
    started: list[Any] = []
    monkeypatch.setattr(Repository, "heads", lambda *arguments: started.append(arguments))
    assert "not on the public internet" in look(project).last_error
    assert not started


@pytest.mark.django_db
def test_does_not_begin_with_a_git_that_cannot_be_told_the_address(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "version", lambda: (2, 30))
    connect(project, alice, server)
    assert "Install git 2.37" in look(project).last_error
    assert server.asked == []


@pytest.mark.django_db
def test_refuses_http_when_the_operator_no_longer_allows_it(
    project: Project, alice: User, server: GitServer, settings: Any
) -> None:
    connect(project, alice, server)
    settings.EGRESS_ALLOW = []
    assert look(project).last_error
    assert server.asked == []


# --- ssh


@pytest.fixture
def fake_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh that writes down how it was called and serves the local repository; the directory of its notes."""
    notes = tmp_path / "notes"
    notes.mkdir()
    script = tmp_path / "ssh"
    script.write_text(
        f"""#!/bin/sh
printf '%s\\n' "$@" > {notes}/arguments
for argument in "$@"; do case "$argument" in
    IdentityFile=*) cp -p "${{argument#IdentityFile=}}" {notes}/key ;;
    UserKnownHostsFile=*) cp "${{argument#UserKnownHostsFile=}}" {notes}/hosts ;;
esac; last="$argument"; done
printf '%s' "$last" > {notes}/command
exec sh -c "$(printf '%s' "$last" | sed "s#'/remote.git'#'{tmp_path}/git/remote.git'#")"
"""
    )
    script.chmod(0o755)
    monkeypatch.setattr(remotes.shutil, "which", lambda name: str(script))
    return notes


@pytest.mark.django_db
def test_reaches_a_host_by_ssh_with_its_key_pinned(
    project: Project, alice: User, server: GitServer, fake_ssh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write({"good.prompt.yaml": GOOD}, "Begin")
    monkeypatch.setattr(resolving, "look_up", lambda host, port: ["93.184.215.14"])
    key = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n-----END OPENSSH PRIVATE KEY-----\n"
    git_services.connect(
        project=project,
        wishes=Wishes(
            url="git@git.example.com:remote.git",
            credential="ssh_key",
            secret=key,
            known_hosts="# git.example.com:22 SSH-2.0\ngit.example.com ssh-ed25519 AAAAC3Nza\n",
            edits="versions",
        ),
        actor=actor_of(alice),
        now=NOW,
    )
    assert look(project).last_error == ""
    assert Version.objects.get().prompt.name == "good"
    arguments = (fake_ssh / "arguments").read_text().splitlines()
    for option in (
        "HostName=93.184.215.14",
        "HostKeyAlias=git.example.com",
        "StrictHostKeyChecking=yes",
        "ProxyCommand=none",
        "PermitLocalCommand=no",
        "BatchMode=yes",
        "ForwardAgent=no",
        "GlobalKnownHostsFile=/dev/null",
    ):
        assert option in arguments
    assert arguments[:2] == ["-F", "/dev/null"]
    assert SECRET not in "".join(arguments)
    assert (fake_ssh / "hosts").read_text() == "git.example.com ssh-ed25519 AAAAC3Nza\n"
    assert (fake_ssh / "key").read_text() == key
    assert stat.S_IMODE((fake_ssh / "key").stat().st_mode) == 0o600
    identity = next(line.partition("=")[2] for line in arguments if line.startswith("IdentityFile="))
    assert not Path(identity).exists(), "gone when the work is done"


@pytest.mark.django_db
def test_keeps_its_directory_to_itself(project: Project, alice: User) -> None:
    publish(project, alice, "a", "Hello")
    git_local.updated(project)
    assert stat.S_IMODE(git_local.directory().stat().st_mode) == 0o700


@pytest.mark.django_db
def test_shows_what_a_server_says_without_its_tricks(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "x"}, "Begin")
    hook = server.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nprintf 'no\\033[2J\\342\\200\\256<script>'; exit 1\n")
    hook.chmod(0o755)
    connect(project, alice, server)
    publish(project, alice, "a", "Hello")
    error = look(project).last_error
    assert error
    assert "\x1b" not in error
    assert "\u202e" not in error
    assert GitNote.objects.filter(is_trouble=True).exists()
