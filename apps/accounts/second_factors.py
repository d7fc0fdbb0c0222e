"""Where the sealed secrets of second factors lie: within the JSON of django-allauth's table."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.db import transaction

from apps.accounts.adapters import MfaAdapter
from apps.core.resealing import SealedColumn, SealedText

NAMES = ("secret", "seed")
"""What allauth seals: the secret of an authenticator app, the seed of recovery codes."""


def _rows(after: int, limit: int) -> list[SealedText]:
    found = Authenticator.objects.filter(pk__gt=after, data__has_any_keys=NAMES).order_by("pk")[:limit]
    return [
        SealedText(row.pk, str(row.data[name]), MfaAdapter.PLACE) for row in found for name in NAMES if name in row.data
    ]


@transaction.atomic
def _write(pk: int, old: str, new: str) -> bool:
    row = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return False
    changed = {name: new if value == old else value for name, value in row.data.items()}
    return bool(Authenticator.objects.filter(pk=pk).update(data=changed)) if changed != row.data else False


SEALED = SealedColumn("mfa_authenticator.data", _rows, _write)
