"""What is live in a project, as one value that is replaced as a whole, so that no reader meets a mix of two states.

A `Snapshot` holds each answer as the bytes that are sent. It knows no database; `live_memory` keeps it fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from apps.core.errors import NotFound
from apps.prompts import content as contents
from apps.prompts.content import Content, Message
from apps.prompts.splitting import Splitting, choose

encode = msgspec.json.Encoder().encode


class NoSuchPrompt(NotFound):
    """The project has no prompt of this name, and had none."""

    code, message = "prompt_not_found", "There is no prompt {name} in this project."


class NoSuchEnvironment(NotFound):
    """The project has no environment of this name."""

    code = "environment_not_found"
    message = "This project has no environment {environment}. It has: {known}."


class NotLive(NotFound):
    """The prompt exists, and nothing of it is live in the environment."""

    code = "not_live"
    message = "Nothing of {name} is live in {environment}. {elsewhere}"


@dataclass(frozen=True, slots=True)
class Arm:
    """Which arm of which experiment an answer is, and by whom it splits (`user` or `session`)."""

    experiment: str
    arm: str
    unit: str


@dataclass(frozen=True, slots=True)
class LiveSplit:
    """A split that is served: how it draws, and what each arm answers, in the order of the weights."""

    drawing: Splitting
    arms: tuple[LivePrompt, ...]


@dataclass(frozen=True)
class LivePrompt:
    """What an environment answers for a prompt: a version, whole. With `model`, that one answers in place of the
    version's own; `arm` says that it is what a part of a split gets."""

    name: str
    environment: str
    version: str
    content_hash: str
    since: datetime
    content: Mapping[str, Any]
    resolved: tuple[Mapping[str, Any], ...]
    model: str = ""
    arm: Arm | None = None
    split: LiveSplit | None = None

    def chosen(self, subject: str) -> LivePrompt:
        """What the subject gets: its arm of the split that is open, or this."""
        if self.split is None or not subject:
            return self
        position = choose(self.split.drawing, subject)
        return self if position is None else self.split.arms[position]

    def told(self, messages: Iterable[Mapping[str, Any]] | None = None, *, is_stale: bool = False) -> dict[str, Any]:
        """The answer; with `messages`, which were rendered, in place of the templates."""
        shown = [dict(message) for message in (self.resolved if messages is None else messages)]
        is_text = self.content["kind"] == "text"
        return {
            "name": self.name,
            "environment": self.environment,
            "version": self.version,
            "kind": self.content["kind"],
            "syntax": self.content["syntax"],
            "messages": shown,
            "text": shown[0]["content"] if is_text else None,
            "variables": self.content["variables"],
            "model": self.model or self.content["model"] or None,
            "parameters": self.content["parameters"],
            "tools": self.content["tools"],
            "response_schema": self.content["response_schema"],
            "content_hash": self.content_hash,
            "since": self.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "arm": None if self.arm is None else asdict(self.arm),
            "is_rendered": messages is not None,
            "is_stale": is_stale,
        }

    @cached_property
    def fresh(self) -> Answer:
        """The answer as it is sent while this is known to be live."""
        return answer(self.told(), self.version)

    @cached_property
    def stale(self) -> Answer:
        """The answer as it is sent while nobody can tell whether this is live still."""
        return answer(self.told(is_stale=True), self.version)

    @cached_property
    def size(self) -> int:
        """The characters of all messages."""
        return sum(len(message["content"]) for message in self.resolved)

    @cached_property
    def template(self) -> Content:
        """What is rendered: the content with every snippet in its place."""
        messages = tuple(Message(one["role"], one["content"], one.get("name", "")) for one in self.resolved)
        return replace(contents.content_from_dict(self.content), messages=messages)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and the tag that changes with it."""

    body: bytes
    etag: str


def answer(told: Mapping[str, Any], version: str) -> Answer:
    """The body that tells this. Its tag is the same for a fresh and a stale copy, hence a weak one."""
    body = encode(told)
    hashed = body if not told["is_stale"] else encode({**told, "is_stale": False})
    return Answer(body, f'W/"{version}-{hashlib.sha256(hashed).hexdigest()[:24]}"')


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is live in a project, as it was at one change. `names` leads from every name, former ones
    included, to the present one."""

    number: int
    environments: tuple[str, ...]
    names: Mapping[str, str]
    live: Mapping[tuple[str, str], LivePrompt]

    def find(self, name: str, environment: str) -> LivePrompt:
        """What is live there. Raises NoSuchPrompt, NoSuchEnvironment or NotLive, which say what there is."""
        found = self.live.get((name, environment))
        if found is not None:
            return found
        present = self.names.get(name)
        if present is None:
            raise NoSuchPrompt(name=name[:200])
        if environment not in self.environments:
            known = ", ".join(self.environments)
            raise NoSuchEnvironment(environment=environment[:64], known=known, environments=list(self.environments))
        found = self.live.get((present, environment))
        if found is not None:
            return found
        places = {where: one.version for (who, where), one in self.live.items() if who == present}
        told = ", ".join(f"{version} in {where}" for where, version in sorted(places.items()))
        raise NotLive(
            name=present,
            environment=environment,
            elsewhere=f"It is live as {told}." if places else "It is live nowhere. Publish a version and deploy it.",
            live_in=places,
        )
