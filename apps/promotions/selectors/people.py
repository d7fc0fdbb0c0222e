"""The person behind a call: whoever is signed in, or whoever made the key."""

from __future__ import annotations

from apps.accounts.models import User
from apps.projects.types import KeyIdentity


def person_behind(user: object, identity: KeyIdentity | None) -> User | None:
    """The person who answers for the call; None where none stands behind the key."""
    if identity is None:
        return user if isinstance(user, User) else None
    if identity.created_by_id is None:
        return None
    return User.objects.filter(pk=identity.created_by_id).first()
