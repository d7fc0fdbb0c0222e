"""Expected failures are types. Each has a stable code for programs and a sentence for people that says what to do."""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """Something a caller did, or a state they met, that the product answers in words.

    Subclasses set `code`, `http_status` and `message`; `details` carries values a program may want. A message may hold
    `{names}` that are filled from the details. `retry_after_seconds` becomes the Retry-After header.
    """

    code = "invalid"
    http_status = 400
    message = "The request cannot be carried out."
    retry_after_seconds: int | None = None

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.details = details
        self.text = message if message is not None else self.message.format(**details)
        super().__init__(self.text)

    def as_dict(self) -> dict[str, Any]:
        """The error as the API writes it: `{"error": {"code", "message", "details"}}`."""
        return {"error": {"code": self.code, "message": self.text, "details": self.details}}


class NotFound(DomainError):
    """The thing does not exist, or the caller may not know that it does."""

    code, http_status, message = "not_found", 404, "There is nothing here, or it is not shared with you."


class Forbidden(DomainError):
    """The caller is known and let in, but may not do this."""

    code, http_status, message = "forbidden", 403, "Your role does not allow this."


class Unauthenticated(DomainError):
    """Nobody is signed in and no usable key was sent."""

    code, http_status = "unauthenticated", 401
    message = "Send an API key as 'Authorization: Bearer <key>', or sign in."


class Conflict(DomainError):
    """The state changed, or already is as asked."""

    code, http_status, message = "conflict", 409, "Somebody changed this first. Reload and try again."


class Invalid(DomainError):
    """The shape of the input is right but a value is not; `details` maps field names to lists of sentences."""

    code, http_status, message = "invalid", 422, "One or more fields need a change."


class Unavailable(DomainError):
    """A server behind us is down for the moment."""

    code, http_status, message = "unavailable", 503, "The database does not answer. Nothing was stored; send it again."
    retry_after_seconds = 2
