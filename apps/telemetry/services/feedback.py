"""Scores from whoever has a link: no key, no sign-in, and no row until somebody votes.

A link is a signed token that says what may be scored, under which name, and until when. It holds nothing secret, but
whoever has it can give this one score, and change it. Two links for one trace are two votes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.core import signing
from django.core.cache import cache

from apps.core.errors import DomainError, NotFound
from apps.projects import selectors as projects
from apps.telemetry import scoring
from apps.telemetry.scoring import Said
from apps.telemetry.services import scores
from apps.telemetry.types import Batch
from apps.telemetry.wire import Refused

SALT = "telemetry.feedback"
SOURCE = "feedback"
THUMBS, RATING = "thumbs", "rating"
KINDS = (THUMBS, RATING)
STARS = (1, 2, 3, 4, 5)
MAX_TOKEN_CHARS = 2_000
MAX_COMMENT_CHARS = 2_000
VOTES_PER_MINUTE = 12


class DeadLink(DomainError):
    """The token was not made here, was changed, or is too old; or its project is gone."""

    code, http_status, message = "link_expired", 404, "This link does not work any more. Ask for a new one."


class TooManyVotes(DomainError):
    """Somebody presses the button again and again."""

    code, http_status, message = "too_many_requests", 429, "That was often. Wait a minute and try again."
    retry_after_seconds = 60


class VoteRefused(DomainError):
    """What was sent is no vote of this kind."""

    code, http_status = "invalid", 422


@dataclass(frozen=True)
class Link:
    """What a token says: the thing that may be scored, how, by whom if known, until when. `nonce` makes it one vote."""

    project_id: int
    trace_id: str
    span_id: str
    session_id: str
    kind: str
    name: str
    user_id: str
    expires_at: datetime
    nonce: str


def make_link(
    *,
    project_id: int,
    trace_id: str,
    span_id: str,
    session_id: str,
    kind: str,
    name: str,
    user_id: str,
    expires_in: timedelta,
    now: datetime,
) -> Link:
    """A new link; the name is that of the kind when none is given. Raises VoteRefused for a name that cannot be."""
    link = Link(
        project_id=project_id,
        trace_id=trace_id.lower(),
        span_id=span_id.lower(),
        session_id=session_id,
        kind=kind,
        name=name or kind,
        user_id=user_id,
        expires_at=(now + expires_in).replace(microsecond=0),
        nonce=secrets.token_urlsafe(9),
    )
    _record(link, value=1.0, comment="", now=now)
    return link


def token_of(link: Link) -> str:
    """The link as text that cannot be changed without notice."""
    facts = {
        "p": link.project_id,
        "t": link.trace_id,
        "s": link.span_id,
        "c": link.session_id,
        "k": KINDS.index(link.kind),
        "n": "" if link.name == link.kind else link.name,
        "u": link.user_id,
        "e": int(link.expires_at.timestamp()),
        "r": link.nonce,
    }
    return signing.Signer(salt=SALT).sign_object({name: value for name, value in facts.items() if value != ""})


def read_token(token: str, *, now: datetime) -> Link:
    """The link. Raises DeadLink for a token that is not ours, is too old, or whose project is gone."""
    if len(token) > MAX_TOKEN_CHARS:
        raise DeadLink
    try:
        facts = signing.Signer(salt=SALT).unsign_object(token)
        projects.get_project(facts["p"])
    except (signing.BadSignature, ValueError, NotFound) as error:
        raise DeadLink from error
    kind = KINDS[facts["k"]]
    link = Link(
        project_id=facts["p"],
        trace_id=facts.get("t", ""),
        span_id=facts.get("s", ""),
        session_id=facts.get("c", ""),
        kind=kind,
        name=facts.get("n", kind),
        user_id=facts.get("u", ""),
        expires_at=datetime.fromtimestamp(facts["e"], UTC),
        nonce=facts["r"],
    )
    if now >= link.expires_at:
        raise DeadLink
    return link


def vote(link: Link, *, value: object, comment: str, now: datetime) -> None:
    """Store the score; voting again replaces it. Raises VoteRefused and TooManyVotes."""
    number = read_value(link.kind, value)
    if len(comment) > MAX_COMMENT_CHARS:
        raise VoteRefused(f"A comment has at most {MAX_COMMENT_CHARS:,} characters.")
    _count(link, now)
    batch = Batch(
        project_id=link.project_id,
        key_id=None,
        client="feedback link",
        received_at=now,
        received=1,
        spans=[],
        positions=[],
        rejected=[],
        scores=[_record(link, value=number, comment=comment, now=now)],
    )
    scores.store(batch, now=now)


def read_value(kind: str, value: object) -> float:
    """The number of a vote: 0 or 1 for thumbs, 1 to 5 for a rating. Raises VoteRefused."""
    if kind == THUMBS:
        number = scoring.THUMB_WORDS.get(str(value).lower().removesuffix(".0"))
        if number is None:
            raise VoteRefused("Send value 1 or 0, true or false, up or down.")
        return number
    try:
        stars = float(str(value))
    except ValueError:
        stars = 0.0
    if stars not in STARS:
        raise VoteRefused("Send value 1, 2, 3, 4 or 5.")
    return stars


def _record(link: Link, *, value: float, comment: str, now: datetime) -> scoring.ScoreRecord:
    said = Said(
        name=link.name,
        value=value,
        comment=comment,
        trace_id=bytes.fromhex(link.trace_id) or None,
        span_id=bytes.fromhex(link.span_id) or None,
        session_id=link.session_id,
        user_id=link.user_id,
        score_id=f"feedback {link.nonce}",
        at=now,
    )
    try:
        return scoring.record_of(said, project_id=link.project_id, received_at=now, source=SOURCE)
    except Refused as reason:
        raise VoteRefused(reason.message) from reason


def _count(link: Link, now: datetime) -> None:
    key = f"feedback:{link.nonce}:{int(now.timestamp()) // 60}"
    cache.add(key, 0, timeout=120)
    if cache.incr(key) > VOTES_PER_MINUTE:
        raise TooManyVotes
