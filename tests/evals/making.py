"""Rows of evals by the shortest way, for tests that are about something else. Defaults are dull on purpose."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from apps.evals.examples import BODY_FIELDS, body_as_dict, body_from_dict, canonical, content_hash
from apps.evals.models import EvalSet, Example, Revision, Scorer, ScorerVersion
from apps.projects.models import Project
from tests import factories

CAPITALS = [
    {"key": "fr", "variables": {"question": "Capital of France?"}, "expected": "Paris", "slices": ["europe"]},
    {"key": "jp", "variables": {"question": "Capital of Japan?"}, "expected": "Tokyo", "slices": ["asia"]},
    {"key": "pe", "variables": {"question": "Capital of Peru?"}, "expected": "Lima", "slices": ["america"]},
]


def make_set(
    project: Project,
    slug: str = "golden",
    *,
    examples: Sequence[Mapping[str, Any]] = (),
    approved: bool = True,
    **fields: Any,
) -> EvalSet:
    """A set; with examples, at its first revision. An example is a body, with `key`, `state` and other fields of the
    row where they matter."""
    made = EvalSet.objects.create(
        project=project, slug=slug, **{"name": slug.title(), "created_by": "alice@example.com", **fields}
    )
    if examples:
        make_examples(made, examples, approved=approved)
    return made


def make_examples(
    eval_set: EvalSet, examples: Sequence[Mapping[str, Any]], *, approved: bool = True, removed: Sequence[str] = ()
) -> list[Example]:
    """One more revision of the set with these examples besides; one whose key is there already takes its place."""
    number = eval_set.head + 1
    keys = [str(told.get("key") or f"r{number}-{place}") for place, told in enumerate(examples)]
    ended = Example.objects.filter(eval_set=eval_set, key__in=[*keys, *removed], until=None).update(until=number)
    rows = Example.objects.bulk_create(
        [_row(eval_set, key, number, told, approved) for key, told in zip(keys, examples, strict=True)]
    )
    _revision(eval_set, number, added=len(rows), changed=ended - len(removed), removed=len(removed))
    return rows


def _row(eval_set: EvalSet, key: str, number: int, told: Mapping[str, Any], approved: bool) -> Example:
    body = body_from_dict({name: told[name] for name in BODY_FIELDS if name in told})
    others = {name: value for name, value in told.items() if name not in {*BODY_FIELDS, "key"}}
    return Example(
        project_id=eval_set.project_id,
        eval_set=eval_set,
        key=key,
        since=number,
        content_hash=content_hash(body),
        **body_as_dict(body),
        **{
            "state": "approved" if approved else "draft",
            "origin": "person",
            "author_name": "alice@example.com",
            "made_at": factories.NOW,
            "first_made_at": factories.NOW,
            **others,
        },
    )


def _revision(eval_set: EvalSet, number: int, *, added: int, changed: int, removed: int) -> Revision:
    held = Example.objects.filter(eval_set=eval_set, until=None)
    lines = sorted(held.values_list("key", "state", "content_hash"))
    EvalSet.objects.filter(pk=eval_set.pk).update(head=number)
    eval_set.head = number
    return Revision.objects.create(
        project_id=eval_set.project_id,
        eval_set=eval_set,
        number=number,
        made_at=factories.NOW,
        actor_kind="user",
        actor_name="alice@example.com",
        added=added - changed,
        changed=changed,
        removed=removed,
        examples=len(lines),
        approved=sum(state == "approved" for _, state, _ in lines),
        content_hash=hashlib.sha256("\n".join(" ".join(reversed(line)) for line in lines).encode()).hexdigest(),
    )


def make_scorer(
    project: Project,
    slug: str = "exact",
    kind: str = "exact",
    config: Mapping[str, Any] | None = None,
    *,
    pass_mark: float = 0.5,
    **fields: Any,
) -> ScorerVersion:
    """The first version of a scorer; the config is stored as given. One that is there already gets another version."""
    scorer, is_new = Scorer.objects.get_or_create(
        project=project, slug=slug, defaults={"name": slug.title(), "kind": kind, "created_by": "alice", **fields}
    )
    number = 1 if is_new else scorer.head + 1
    Scorer.objects.filter(pk=scorer.pk).update(head=number)
    scorer.head = number
    settings = dict(config or {})
    return ScorerVersion.objects.create(
        project=project,
        scorer=scorer,
        number=number,
        config=settings,
        config_hash=hashlib.sha256(canonical([kind, settings, pass_mark]).encode()).hexdigest(),
        pass_mark=pass_mark,
        actor_kind="user",
        actor_name="alice@example.com",
    )
