"""What lets a browser fetch one answer as it comes: a short-lived, signed note of which answer and whose."""

from __future__ import annotations

from typing import NamedTuple

from django.core import signing

from apps.core.errors import DomainError

PREFIX = "/playground/stream/"
"""Where answers are fetched; the token follows."""

SALT = "apps.playground.stream"
SECONDS = 120


class BadToken(DomainError):
    """A token that is not ours, or too old."""

    code, http_status, message = "bad_token", 403, "This link to an answer does not work any more. Run it again."


class Ticket(NamedTuple):
    """Which answer, and for whom."""

    answer_id: int
    user_id: int


def address_of(ticket: Ticket) -> str:
    """Where the ticket's answer can be fetched, once."""
    return PREFIX + signing.dumps(list(ticket), salt=SALT)


def read(token: str) -> Ticket:
    """The ticket of a token. Raises BadToken."""
    try:
        answer_id, user_id = signing.loads(token, salt=SALT, max_age=SECONDS)
        return Ticket(int(answer_id), int(user_id))
    except (signing.BadSignature, TypeError, ValueError) as error:
        raise BadToken from error
