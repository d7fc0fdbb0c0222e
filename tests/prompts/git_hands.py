"""What the tests of git share: prompts published at given moments, and a git of the tests' own."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

from apps.accounts.models import User
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts.content import Content, content_from_dict
from apps.prompts.models import Prompt, Version
from tests.factories import NOW, actor_of


def git(*arguments: str, cwd: Path | None = None, **environment: str) -> str:
    """Run a git as a person has it, without their configuration; its output."""
    clean = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Dora",
        "GIT_AUTHOR_EMAIL": "dora@example.com",
        "GIT_COMMITTER_NAME": "Dora",
        "GIT_COMMITTER_EMAIL": "dora@example.com",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=clean | environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout.decode()


def says(text: str, **others: object) -> Content:
    """A conversation with one message."""
    return content_from_dict({"messages": [{"role": "user", "content": text}], **others})


def publish(
    project: Project, author: User, name: str, text: str, *, minutes: int = 0, note: str = "", now: datetime = NOW
) -> Version:
    """Publish a version of the prompt, made first when there is none."""
    at = now + timedelta(minutes=minutes)
    prompt = Prompt.objects.filter(project=project, name=name).first()
    if prompt is None:
        prompt = prompts.create_prompt(project=project, name=name, actor=actor_of(author), now=at)
    return prompts.publish(prompt=prompt, content=says(text), note=note, actor=actor_of(author), author=author, now=at)


def texts_of(version: Version) -> list[str]:
    """What the messages of a version say."""
    return [message.content for message in version.body.messages]
