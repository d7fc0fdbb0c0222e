"""Secrets between their making and their one showing: kept sealed in the person's own session, on the server.

A new key or invitation link is shown by the page after the form. The first key of a project stays for the
examples on the empty Overview, until the first call has arrived or an hour has passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.contrib.sessions.backends.base import SessionBase

from apps.core import sealing
from apps.projects.models import Project

LIFETIME = timedelta(hours=1)
FIRST_KEY = "first_key"


def keep(session: SessionBase, name: str, text: str, *, now: datetime) -> None:
    """Remember the text under the name for an hour."""
    until = int((now + LIFETIME).timestamp())
    session[name] = {"until": until, "sealed": sealing.seal(text, place=f"session:{name}:{until}")}


def look(session: SessionBase, name: str, *, now: datetime) -> str | None:
    """The text, which stays; None when there is none or its hour is over."""
    kept = session.get(name)
    if not isinstance(kept, dict):
        return None
    if now.timestamp() >= kept["until"]:
        del session[name]
        return None
    return sealing.unseal(kept["sealed"], place=f"session:{name}:{kept['until']}")


def take(session: SessionBase, name: str, *, now: datetime) -> str | None:
    """The text, which is then forgotten; None when there is none or its hour is over."""
    text = look(session, name, now=now)
    session.pop(name, None)
    return text


def keep_first_key(session: SessionBase, *, project: Project, raw: str, now: datetime) -> None:
    """Remember the first key of the project for its empty Overview."""
    keep(session, f"{FIRST_KEY}:{project.pk}", raw, now=now)


def first_key(session: SessionBase, *, project: Project, now: datetime) -> str | None:
    """The first key for the examples of the empty Overview; None once a call has arrived or the hour is over."""
    name = f"{FIRST_KEY}:{project.pk}"
    if project.first_call_at is not None:
        session.pop(name, None)
        return None
    return look(session, name, now=now)
