"""Making scorers, giving them new versions, archiving them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from apps.core import ids, sealing
from apps.core.errors import Conflict, Invalid
from apps.evals.models import Scorer, ScorerSecret, ScorerVersion
from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.types import Json
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,98}[a-z0-9])?")
RESERVED = frozenset({"new"})
MOST_SCORERS = 500
MOST_VERSIONS = 1000
MOST_CONFIG_BYTES = 256 * 1024
LONGEST_SECRET = 8192
SECRET = "secret"  # noqa: S105 - a name, no key
"""The setting that names the row of an outside scorer's key. Only this module writes it."""
WITH_SECRET = frozenset({"http"})


class ScorerExists(Conflict):
    """The project has a scorer with this slug."""

    code, message = "scorer_exists", "There already is a scorer called {slug}. Choose another short name."


class TooManyScorers(Conflict):
    """The project has as many scorers as it may have, or the scorer as many versions."""

    code, message = "too_many_scorers", "There may be at most {most} {what}. Begin another project, or another scorer."


def hash_of(kind: str, config: Config) -> str:
    """SHA-256 over the kind and its settings as canonical JSON: what decides a score."""
    text = json.dumps({"kind": kind, "config": config}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@transaction.atomic
def create_scorer(
    *,
    project: Project,
    name: str,
    kind: str,
    config: Mapping[str, Json],
    actor: Actor,
    now: datetime,
    slug: str = "",
    description: str = "",
    pass_mark: float = 0.5,
    note: str = "",
    secret: str = "",
    is_sample: bool = False,
) -> Scorer:
    """A scorer with its first version. An empty slug is made from the name.

    Raises Invalid for a bad name, slug, kind or pass mark, BadConfig for settings, ScorerExists, TooManyScorers.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    found = _kind(kind)
    slug = _good_slug(slug or ids.slugify(name, limit=100))
    if Scorer.objects.filter(project=project, slug=slug).exists():
        raise ScorerExists(slug=slug)
    if Scorer.objects.filter(project=project).count() >= MOST_SCORERS:
        raise TooManyScorers(most=MOST_SCORERS, what="scorers in a project")
    scorer = Scorer.objects.create(
        project=project,
        slug=slug,
        name=_good_name(name),
        description=_good_text("description", description),
        kind=found.name,
        head=1,
        is_sample=is_sample,
        created_at=now,
        created_by=actor.name,
    )
    read = _read(found, config, scorer=scorer, before=None, secret=secret, now=now)
    _add(scorer, 1, read, pass_mark, note, actor, now)
    details = {"kind": found.name}
    audit.record(actor=actor, action="evals.scorer_created", project=project, target=scorer, at=now, details=details)
    return scorer


@transaction.atomic
def add_scorer_version(
    *,
    scorer: Scorer,
    config: Mapping[str, Json],
    actor: Actor,
    now: datetime,
    pass_mark: float | None = None,
    note: str = "",
    secret: str | None = None,
) -> ScorerVersion:
    """The scorer's next version; the newest one when nothing differs from it. `pass_mark` None keeps the newest's.

    `secret` None keeps an outside scorer's key as long as its address stays the same; empty removes it. Raises Invalid,
    BadConfig, TooManyScorers.
    """
    scorer = locked(scorer)
    newest = ScorerVersion.objects.get(scorer=scorer, number=scorer.head)
    kind = _kind(scorer.kind)
    mark = newest.pass_mark if pass_mark is None else pass_mark
    read = _read(kind, config, scorer=scorer, before=newest.config, secret=secret, now=now)
    if hash_of(kind.name, read) == newest.config_hash and mark == newest.pass_mark:
        return newest
    if scorer.head >= MOST_VERSIONS:
        raise TooManyScorers(most=MOST_VERSIONS, what="versions of a scorer")
    version = _add(scorer, scorer.head + 1, read, mark, note, actor, now)
    scorer.head = version.number
    scorer.save(update_fields=["head"])
    audit.record(
        actor=actor,
        action="evals.scorer_version_added",
        project=scorer.project,
        target=scorer,
        at=now,
        details={"version": version.number},
    )
    return version


@transaction.atomic
def change_scorer(
    *, scorer: Scorer, actor: Actor, now: datetime, name: str | None = None, description: str | None = None
) -> Scorer:
    """Set what stands around the versions; None leaves it as it is. Raises Invalid."""
    scorer = locked(scorer)
    before = (scorer.name, scorer.description)
    if name is not None:
        scorer.name = _good_name(name)
    if description is not None:
        scorer.description = _good_text("description", description)
    if before != (scorer.name, scorer.description):
        scorer.save(update_fields=["name", "description"])
        audit.record(actor=actor, action="evals.scorer_changed", project=scorer.project, target=scorer, at=now)
    return scorer


@transaction.atomic
def archive_scorer(*, scorer: Scorer, actor: Actor, now: datetime) -> Scorer:
    """Take the scorer off the lists, so that no new run can choose it. Runs and reports that used it stay."""
    scorer = locked(scorer)
    if scorer.archived_at is None:
        scorer.archived_at = now
        scorer.save(update_fields=["archived_at"])
        audit.record(actor=actor, action="evals.scorer_archived", project=scorer.project, target=scorer, at=now)
    return scorer


@transaction.atomic
def restore_scorer(*, scorer: Scorer, actor: Actor, now: datetime) -> Scorer:
    """Put an archived scorer back on the lists."""
    scorer = locked(scorer)
    if scorer.archived_at is not None:
        scorer.archived_at = None
        scorer.save(update_fields=["archived_at"])
        audit.record(actor=actor, action="evals.scorer_restored", project=scorer.project, target=scorer, at=now)
    return scorer


@transaction.atomic
def amend_scorer(
    *,
    scorer: Scorer,
    actor: Actor,
    now: datetime,
    name: str | None = None,
    description: str | None = None,
    is_archived: bool | None = None,
) -> Scorer:
    """Make all the changes, or none of them; None leaves it as it is. Raises Invalid."""
    scorer = change_scorer(scorer=scorer, actor=actor, now=now, name=name, description=description)
    if is_archived is not None:
        act = archive_scorer if is_archived else restore_scorer
        scorer = act(scorer=scorer, actor=actor, now=now)
    return scorer


def locked(scorer: Scorer) -> Scorer:
    """The scorer as it is now, its row locked until the transaction ends."""
    return Scorer.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=scorer.pk)


def _add(
    scorer: Scorer, number: int, config: Config, pass_mark: float, note: str, actor: Actor, now: datetime
) -> ScorerVersion:
    if not 0.0 <= pass_mark <= 1.0:
        raise Invalid(pass_mark=["A pass mark lies between 0 and 1."])
    return ScorerVersion.objects.create(
        project_id=scorer.project_id,
        scorer=scorer,
        number=number,
        config=dict(config),
        config_hash=hash_of(scorer.kind, config),
        pass_mark=pass_mark,
        note=_good_text("note", note),
        made_at=now,
        actor_kind=actor.kind,
        actor_name=actor.name[:254],
    )


def _read(
    kind: ScorerKind, config: Config, *, scorer: Scorer, before: Config | None, secret: str | None, now: datetime
) -> Config:
    """The settings, complete. An outside scorer's key becomes a row; what the caller wrote in its place is ignored."""
    if len(json.dumps(config, default=str)) > MOST_CONFIG_BYTES:
        raise Invalid(config=[f"Settings have at most {MOST_CONFIG_BYTES:,} bytes."])
    if kind.name not in WITH_SECRET:
        return kind.read(config)
    read = dict(kind.read({**config, SECRET: ""}))
    url = str(read["url"])
    if secret:
        read[SECRET] = _seal(scorer, url, secret, now)
    elif secret is None and before is not None and before["url"] == url:
        read[SECRET] = before[SECRET]
    return read


def _seal(scorer: Scorer, url: str, secret: str, now: datetime) -> str:
    """The name of the row that holds the key."""
    secret = secret.strip()
    if len(secret) > LONGEST_SECRET or not (secret.isascii() and secret.isprintable()):
        raise Invalid(secret=["A key has only letters, digits and signs, and no line breaks."])
    row = ScorerSecret(project_id=scorer.project_id, scorer=scorer, url=url, made_at=now)
    row.sealed_secret = sealing.seal(secret, place=row.place)
    row.save(force_insert=True)
    return str(row.uuid)


def _kind(name: str) -> ScorerKind:
    kind = KINDS.get(name)
    if kind is None:
        raise Invalid(kind=[f"There is no kind of scorer called {name[:60]}. There are: {', '.join(sorted(KINDS))}."])
    return kind


def _good_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug) or slug in RESERVED:
        raise Invalid(slug=["Up to 100 lower-case letters, digits and hyphens, and not new."])
    return slug


def _good_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200 or not name.isprintable():
        raise Invalid(name=["A name has 1 to 200 characters."])
    return name


def _good_text(field: str, text: str) -> str:
    if len(text) > 10_000 or "\x00" in text:
        raise Invalid(None, **{field: ["At most 10,000 characters."]})
    return text.strip()
