"""Starting a run once, however often it is asked for with the same key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.evals.models import EvalRun
from apps.evals.models.run_requests import RunRequest
from apps.projects.models import Project

LONGEST_KEY = 200


class KeyReused(Conflict):
    """An `Idempotency-Key` came again with another request."""

    code, http_status = "idempotency_key_reused", 422
    message = "This Idempotency-Key started another run. Send a new key for a new run."


def start_once(
    *, project: Project, key: str, body: Mapping[str, Any], start: Callable[[], EvalRun], now: datetime
) -> tuple[EvalRun, bool]:
    """The run that `start` makes, and True; or the one that the same request made before, and False.

    Without a key every request makes a run. Raises KeyReused, and what `start` raises (then the key stays free).
    """
    if not key:
        return start(), True
    if len(key) > LONGEST_KEY or not key.isprintable():
        raise Invalid(f"An Idempotency-Key is text of at most {LONGEST_KEY} characters.")
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()
    with transaction.atomic():
        # A second request with the key waits here for the end of the first.
        wanted = RunRequest(project=project, key=key, body_hash=digest, made_at=now)
        RunRequest.objects.bulk_create([wanted], ignore_conflicts=True)
        row = RunRequest.objects.select_for_update(of=("self",)).get(project=project, key=key)
        if row.body_hash != digest:
            raise KeyReused
        if row.run_id is not None:
            return EvalRun.objects.select_related("project", "eval_set", "gate").get(pk=row.run_id), False
        run = start()
        RunRequest.objects.filter(pk=row.pk).update(run=run)
    return run, True
