"""Judges whose words a test writes: an Asker in this process, and what a judge sees of its question."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.evals.scoring.kinds import Asked
from apps.evals.types import Json
from apps.providers.calls import ModelReply, ModelRequest
from apps.providers.pricing import Usage

CHECK = re.compile(r'"check" is the word ([0-9a-f]+), copied exactly')
FENCED = re.compile(r"<<<([0-9a-f]+) ([A-Z ]+)>>>\n(.*?)\n<<<\1 END>>>", re.DOTALL)


def check_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """The check word in the instructions."""
    found = CHECK.search(str(messages[0]["content"]))
    assert found is not None
    return found[1]


def parts_of(messages: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What stands between the marks of the last question, by title."""
    asked = [message for message in messages if message["role"] == "user"]
    found = [one for message in asked for one in FENCED.findall(str(message["content"]))]
    return {title: text for _, title, text in found}


def verdict(messages: Sequence[Mapping[str, Any]], said: Json, reason: str = "because") -> str:
    """An answer in good order."""
    return json.dumps({"check": check_of(messages), "reason": reason, "verdict": said})


class Scripted:
    """An Asker that answers with what a function makes of the messages, and keeps what it was asked."""

    def __init__(self, answer: Callable[[str, Sequence[Mapping[str, Any]]], str]) -> None:
        self.answer = answer
        self.requests: list[ModelRequest] = []

    async def ask(self, model: str, request: ModelRequest) -> Asked:
        """What the function says."""
        self.requests.append(request)
        text = self.answer(model, request.messages)
        return Asked(ModelReply(text, (), "stop", True, model, None, Usage(), None, 1, 1), None)

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Never asked."""
        raise AssertionError

    async def post(self, url: str, body: Mapping[str, Any], *, secret: str, seconds: float) -> Json:
        """Never asked."""
        raise AssertionError
