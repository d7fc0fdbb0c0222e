"""The person behind a call of the API."""

from __future__ import annotations

from apps.accounts.models import User
from apps.accounts.selectors import find_person
from apps.projects.models import Membership
from apps.projects.types import KeyIdentity


def author_of(membership: Membership | None, identity: KeyIdentity | None) -> User | None:
    """The person who calls, or who made the key that does; None where nobody stands behind the key."""
    if membership is not None:
        return membership.user
    if identity is None or identity.created_by_id is None:
        return None
    return find_person(identity.created_by_id)
