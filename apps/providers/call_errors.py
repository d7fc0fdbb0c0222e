"""How a call to a model fails, whoever the provider is. No sentence here ever holds a key: see `redacted`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apps.core.egress import Stage as Stage
from apps.core.errors import DomainError
from apps.core.logs import SECRET_SHAPES
from apps.providers.calls import ModelReply, Target

BLOT = "[secret]"
SHORTEST_PART = 8
"""A part of a key that is as long as this is blotted out like the whole key."""
TEXT_CHARACTERS = 2048
"""So much of what a provider says about a refusal is kept."""


class ProviderError(DomainError):
    """A call to a model gave no whole answer.

    `is_transient` says that no answer can have been made, so that trying again is safe. `attempts` counts the upstream
    attempts, the last one included. `so_far` is what a stream had brought before it failed.
    """

    code, http_status = "provider_error", 502
    message = "The model could not be called."
    is_transient = False

    def __init__(self, message: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.attempts = 1
        self.so_far: ModelReply | None = None


class ProviderUnreachable(ProviderError):
    """No connection came about, or it broke before a byte of an answer."""

    code = "provider_unreachable"
    message = "The provider could not be reached: {reason}. Check the address of the connection, then try again."

    def __init__(self, reason: str, *, was_sent: bool = False) -> None:
        super().__init__(reason=reason)
        self.is_transient = not was_sent


class ProviderTimeout(ProviderError):
    """The provider took longer than the limits of the call allow."""

    code, http_status = "provider_timeout", 504
    SENTENCES = {
        Stage.CONNECT: "The provider took no connection within {seconds:g} s.",
        Stage.FIRST_BYTE: "The provider did not begin to answer within {seconds:g} s.",
        Stage.IDLE: "The provider fell silent in the middle of an answer for {seconds:g} s.",
        Stage.TOTAL: "The answer was not finished within {seconds:g} s.",
    }

    def __init__(self, stage: Stage, seconds: float) -> None:
        sentence = self.SENTENCES[stage].format(seconds=seconds)
        super().__init__(f"{sentence} Try again, or allow the connection more time.", stage=stage, seconds=seconds)
        self.is_transient = stage is Stage.CONNECT


class ProviderRateLimited(ProviderError):
    """The provider answered 429. `retry_after_seconds` is what it asked for, rounded up; None when it did not say."""

    code, http_status, is_transient = "provider_rate_limited", 429, True
    message = "The provider takes no more calls for the moment. It says: {text}"

    def __init__(self, text: str = "", retry_after_seconds: int | None = None) -> None:
        super().__init__(text=text or "nothing", status=429, retry_after=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class ProviderRefused(ProviderError):
    """The provider answered with an error. `details` has its `status` and up to 2 kB of its `text`, without keys.

    A status of 0 is an error within a stream that had begun with 200.
    """

    code = "provider_refused"
    SENTENCES = {
        400: "The provider does not take this request.",
        401: "The provider does not accept the key of this connection. Put in a new one.",
        403: "The provider does not let this key use the model.",
        404: "The provider has no such model, or nothing at this address.",
        413: "The request is too large for the provider.",
    }

    def __init__(self, status: int, text: str = "", retry_after_seconds: int | None = None) -> None:
        failed = "The provider failed." if status >= 500 or status == 0 else "The provider refused the call."
        sentence = self.SENTENCES.get(status, failed)
        answered = f"It answered {status}" if status else "It broke the answer off"
        super().__init__(f"{sentence} {answered}: {text or 'no text'}", status=status, text=text)
        self.is_transient = status >= 500
        self.retry_after_seconds = retry_after_seconds


class ProviderRedirected(ProviderError):
    """The provider answered with a redirect, which is never followed."""

    code = "provider_redirected"
    message = (
        "The provider answered {status}, a redirect, and those are not followed. "
        "Put the final address into the connection."
    )

    def __init__(self, status: int) -> None:
        super().__init__(status=status)


class ProviderAnswerMalformed(ProviderError):
    """What came back is not what the protocol says."""

    code = "provider_answer_malformed"
    message = "The provider's answer cannot be read: {reason}. Is this the right kind of connection for that address?"

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


class ProviderAnswerTooLarge(ProviderError):
    """The answer, or one event of it, is larger than the limits of the call allow."""

    code = "provider_answer_too_large"
    message = "The provider's answer was cut off: {what} exceeds {limit} bytes."

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(what=what, limit=limit)


class ProviderCannot(ProviderError):
    """This kind of provider does not offer what was asked for, such as embeddings."""

    code, http_status = "provider_cannot", 422
    message = "This provider has no {what}. Choose a connection that has."

    def __init__(self, what: str) -> None:
        super().__init__(what=what)


class ProviderKeyUnusable(ProviderError):
    """The key cannot be sent: it holds characters that no HTTP header may hold."""

    code, http_status = "provider_key_unusable", 422
    message = "The key of this connection holds characters that cannot be sent. Put it in again, without line breaks."


def refusal(target: Target, status: int, text: str, retry_after_seconds: int | None = None) -> ProviderError:
    """The error for a status of 400 and more; the text is redacted and shortened."""
    clean = redacted(text, secrets_of(target))[:TEXT_CHARACTERS]
    if status == 429:
        return ProviderRateLimited(clean, retry_after_seconds)
    return ProviderRefused(status, clean, retry_after_seconds)


def secrets_of(target: Target) -> tuple[str, ...]:
    """What of a target may never be shown: its key and the values of its headers."""
    return (target.secret, *target.headers.values())


def redacted(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, without any part of one that has 8 or more characters, and without anything else
    that has the shape of a key."""
    for secret in secrets:
        text = _without(text, secret.strip())
    return SECRET_SHAPES.sub(BLOT, text)


def _without(text: str, secret: str) -> str:
    if len(secret) <= SHORTEST_PART:
        return text.replace(secret, BLOT) if len(secret) >= 4 else text
    parts = {secret[start : start + SHORTEST_PART] for start in range(len(secret) - SHORTEST_PART + 1)}
    kept: list[str] = []
    position = clean_until = 0
    while position <= len(text) - SHORTEST_PART:
        if text[position : position + SHORTEST_PART] not in parts:
            position += 1
            continue
        end = position + SHORTEST_PART
        while end < len(text) and text[end - SHORTEST_PART + 1 : end + 1] in parts:
            end += 1
        kept += [text[clean_until:position], BLOT]
        position = clean_until = end
    return "".join([*kept, text[clean_until:]])
