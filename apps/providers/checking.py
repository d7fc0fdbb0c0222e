"""Whether a connection works: one small call with what is saved, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from apps.core.errors import DomainError
from apps.providers import client
from apps.providers.call_errors import redacted, secrets_of
from apps.providers.calls import ModelRequest, Target

QUESTION = "Reply with the word ok."
MOST_TOKENS = 16
LIMITS_SECONDS = 20.0
NOTE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Checked:
    """What the call brought, in a sentence without secrets."""

    is_ok: bool
    note: str


def check(target: Target, *, is_embedding: bool = False) -> Checked:
    """Call the model once, from a thread, for 20 seconds at most. Costs a few tokens; a refusal is an answer, too."""
    limits = replace(
        target.limits,
        first_byte_seconds=min(target.limits.first_byte_seconds, LIMITS_SECONDS),
        total_seconds=min(target.limits.total_seconds, LIMITS_SECONDS),
        attempts=1,
    )
    target = replace(target, limits=limits)
    try:
        if is_embedding:
            took = client.embed_now(target, [QUESTION]).total_ms
        else:
            took = client.complete_now(target, _request(target)).total_ms
    except DomainError as error:
        return Checked(False, redacted(error.text, secrets_of(target))[:NOTE_CHARACTERS])
    return Checked(True, f"{target.model} answered after {took:,} ms.")


def _request(target: Target) -> ModelRequest:
    # OpenAI's reasoning models take only the newer name; hardly anybody else knows it.
    name = "max_completion_tokens" if target.provider in {"openai", "azure"} else "max_tokens"
    # Those think within the limit too, and refuse when it is too small for any answer.
    tokens = 1024 if name == "max_completion_tokens" else MOST_TOKENS
    return ModelRequest(messages=({"role": "user", "content": QUESTION},), parameters={name: tokens})
