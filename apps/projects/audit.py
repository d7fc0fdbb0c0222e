"""The audit trail: who did what, when. Append-only, and each entry holds the hash of the one before.

There is one chain for each project and one for the installation (accounts and sign-ins). An entry is written
in the transaction of the change it tells of, so a change that is rolled back leaves none. The end of a chain
is a row that is locked while an entry is added; it is the last lock a transaction takes. When both chains get
an entry, the project's comes first.

The hash is SHA-256 over the canonical JSON of the entry, which anybody can compute from what `GET
/api/v1/audit` shows. Somebody who rewrites a whole chain and its end is found out by comparing with a hash
noted elsewhere; the daily verification logs the ends for that purpose.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import models, transaction

from apps.projects.models import AuditEntry, AuditHead, Project
from apps.projects.types import Actor

Detail = str | int | bool | None | list[str] | list[int]
GENESIS = bytes(32)


@transaction.atomic
def record(
    *,
    actor: Actor,
    action: str,
    project: Project | None,
    target: models.Model | None,
    at: datetime,
    details: Mapping[str, Detail] | None = None,
) -> AuditEntry:
    """Append one entry to the project's chain, or to the installation's when there is no project.

    `action` is dotted: `<app>.<what happened>`. Details hold names and numbers, never a secret.
    """
    head = _locked_head(None if project is None else project.pk)
    entry = AuditEntry(
        project_id=head.project_id,
        number=head.number + 1,
        at=at,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name[:254],
        action=action,
        target_kind=target._meta.model_name or "" if target is not None else "",
        target_id=str(getattr(target, "uuid", None) or target.pk) if target is not None else "",
        target_name=str(target)[:254] if target is not None else "",
        details=dict(details or {}),
        previous_hash=bytes(head.entry_hash),
    )
    entry.entry_hash = hash_of(entry)
    entry.save(force_insert=True)
    AuditHead.objects.filter(pk=head.pk).update(number=entry.number, entry_hash=entry.entry_hash)
    return entry


def _locked_head(project_id: int | None) -> AuditHead:
    """The end of the chain, locked until the transaction ends; made when the chain is new."""
    ends = AuditHead.objects.select_for_update().filter(project_id=project_id)
    head = ends.first()
    if head is None:
        AuditHead.objects.bulk_create(
            [AuditHead(project_id=project_id, number=0, entry_hash=GENESIS)], ignore_conflicts=True
        )
        head = ends.get()
    return head


def fields_of(entry: AuditEntry) -> dict[str, object]:
    """What is hashed: times in UTC with microseconds, the hash before as hexadecimal text."""
    return {
        "project_id": entry.project_id,
        "number": entry.number,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": entry.actor_kind,
        "actor_id": entry.actor_id,
        "actor_name": entry.actor_name,
        "action": entry.action,
        "target_kind": entry.target_kind,
        "target_id": entry.target_id,
        "target_name": entry.target_name,
        "details": entry.details,
        "previous_hash": bytes(entry.previous_hash).hex(),
    }


def canonical(entry: AuditEntry) -> str:
    """The entry as the JSON text that is hashed: sorted keys, no blanks, characters as they are."""
    return json.dumps(fields_of(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(entry: AuditEntry) -> bytes:
    """SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(entry).encode()).digest()


@dataclass(frozen=True)
class ChainReport:
    """What verifying one chain found. `problems` is empty when it is whole."""

    project_id: int | None
    entries: int
    end_hash: str
    problems: list[str]


def verify() -> list[ChainReport]:
    """Recompute every chain from its entries and compare with what is stored."""
    ids: set[int | None] = set(AuditHead.objects.values_list("project_id", flat=True))
    ids |= set(AuditEntry.objects.order_by().values_list("project_id", flat=True).distinct())
    return [verify_chain(project_id) for project_id in sorted(ids, key=lambda one: (one is not None, one or 0))]


def verify_chain(project_id: int | None) -> ChainReport:
    """Recompute one chain. Each problem is a sentence that names the entry."""
    entries = AuditEntry.objects.filter(project_id=project_id).order_by("number").iterator(chunk_size=2000)
    number, last, problems = _walk(entries)
    head = AuditHead.objects.filter(project_id=project_id).first()
    if head is None:
        problems.append("the end of the chain is missing")
    elif (head.number, bytes(head.entry_hash)) != (number, last):
        problems.append(f"the chain should end with entry {head.number} but ends with entry {number}")
    return ChainReport(project_id=project_id, entries=number, end_hash=last.hex(), problems=problems)


def _walk(entries: Iterable[AuditEntry]) -> tuple[int, bytes, list[str]]:
    """The number and hash of the last entry, and what is wrong on the way."""
    number, last, problems = 0, GENESIS, []
    for entry in entries:
        if entry.number != number + 1:
            problems.append(f"entry {number + 1} is missing")
        if bytes(entry.previous_hash) != last:
            problems.append(f"entry {entry.number} does not follow the one before it")
        if hash_of(entry) != bytes(entry.entry_hash):
            problems.append(f"entry {entry.number} was changed")
        number, last = entry.number, bytes(entry.entry_hash)
    return number, last, problems
