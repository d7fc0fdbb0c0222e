"""Versions that a merge in git brought ask for their promotion by themselves, where the release rule says so.

None goes live by this: it waits for people, as any other does.
"""

from __future__ import annotations

import logging
from datetime import datetime

from apps.core.errors import DomainError
from apps.projects.types import SYSTEM
from apps.promotions.selectors.due_checks import list_merged
from apps.promotions.services import asking
from apps.promotions.types import PromotionOrigin

log = logging.getLogger(__name__)


def ask_for_merges(*, now: datetime) -> int:
    """Ask for each version that came from git and nobody asked for; how many those were.

    The promotion is the mark: asked for once, whatever becomes of it, also when several workers look at once.
    """
    asked = 0
    for version, environment in list_merged(now=now):
        why = version.note or f"Merged{f' with commit {version.commit_id[:12]}' if version.commit_id else ''}."
        try:
            asking.ask(
                prompt=version.prompt,
                version=version,
                environment=environment,
                actor=SYSTEM,
                person=version.author,
                now=now,
                why=why[: asking.LONGEST_WHY],
                origin=PromotionOrigin.GIT,
            )
        except DomainError as error:
            log.warning("%s was not asked for in %s: %s", version, environment.slug, error.text)
        except Exception:
            # One that cannot be asked for must not hold up the others; it is tried again with the next look.
            log.exception("%s could not be asked for in %s", version, environment.slug)
        else:
            asked += 1
    return asked
