"""Drafts: what a person is writing. Saving never overwrites what somebody else, or another window, has saved."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict
from apps.prompts.content import Content, content_as_dict
from apps.prompts.models import Draft, Prompt, Version
from apps.prompts.services.prompts import locked
from apps.prompts.types import Origin


class DraftConflict(Conflict):
    """The draft was saved from elsewhere since it was opened; `draft` is what is stored. Nothing was overwritten."""

    code = "draft_conflict"

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        super().__init__(
            f"This draft was saved elsewhere at {draft.updated_at:%H:%M:%S} UTC. Compare, then save on top of it.",
            revision=draft.revision,
        )


@transaction.atomic
def save_draft(
    *,
    prompt: Prompt,
    author: User | None,
    content: Content,
    revision: int | None,
    base: Version | None,
    now: datetime,
    note: str = "",
    origin: Origin = Origin.EDITOR,
) -> Draft:
    """Store the content as this person's draft. `revision` is the one they opened (None: there was none).

    `base` is the version the draft began with. Raises DraftConflict when another revision is stored by now.
    """
    locked(prompt)
    draft = Draft.objects.select_for_update().filter(prompt=prompt, author=author).first()
    if draft is None:
        # Also after it was published or thrown away elsewhere: what was typed here becomes a draft again.
        return Draft.objects.create(
            project_id=prompt.project_id,
            prompt=prompt,
            author=author,
            base=base,
            content=content_as_dict(content),
            note=note[:2000],
            origin=origin,
            created_at=now,
            updated_at=now,
        )
    if draft.revision != revision:
        raise DraftConflict(draft)
    told = content_as_dict(content)
    if (draft.content, draft.note, draft.base_id) != (told, note[:2000], None if base is None else base.pk):
        draft.content, draft.note, draft.base = told, note[:2000], base
        draft.revision, draft.updated_at, draft.origin = draft.revision + 1, now, origin
        draft.save()
    return draft


@transaction.atomic
def discard_draft(*, draft: Draft, revision: int | None = None) -> None:
    """Throw the draft away. With a revision, raises DraftConflict when another one is stored by now."""
    stored = Draft.objects.select_for_update().filter(pk=draft.pk).first()
    if stored is None:
        return
    if revision is not None and stored.revision != revision:
        raise DraftConflict(stored)
    stored.delete()
