"""What the pages show of what is live: places with a way back, and what making another version live would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.core import formats
from apps.projects.models import Environment
from apps.prompts.models import Deployment, Version
from apps.prompts.semver import Number
from apps.prompts.splitting import WHOLE
from apps.prompts.types import Bump


@dataclass(frozen=True, slots=True)
class SplitSaid:
    """A split that is open: the experiment, whom it takes in, and what they get, with shares as people read them."""

    experiment: str
    unit: str
    share: str
    arms: tuple[tuple[str, str, str], ...]
    """Name, version (with its model where that is not the version's own), and share."""


def split_said(arms: Sequence[Mapping[str, Any]]) -> SplitSaid | None:
    """The split that these arms are of, as `list_deployments` reads them; None for no arms."""
    if not arms:
        return None
    told = (
        (
            arm["name"],
            str(Number(arm["major"], arm["minor"], arm["patch"])) + (f" on {arm['model']}" if arm["model"] else ""),
            _share(arm["weight"]),
        )
        for arm in arms
    )
    return SplitSaid(arms[0]["experiment"], arms[0]["unit"], _share(arms[0]["share"]), tuple(told))


def _share(parts: int) -> str:
    """So many of 10,000 as a percentage, without a decimal where there is none."""
    return formats.percent(parts / WHOLE, 0 if parts % 100 == 0 else None)


@dataclass(frozen=True, slots=True)
class LivePlace:
    """An environment, what is live there, and the version that was live there before."""

    environment: Environment
    live: Deployment | None
    before: Version | None
    split: SplitSaid | None = None

    @property
    def is_protected(self) -> bool:
        """True where a version only gets by a promotion."""
        return self.environment.is_protected or self.environment.slug == "production"

    @property
    def version(self) -> Version | None:
        """What is live there."""
        return None if self.live is None else self.live.version


def places_of(environments: Sequence[Environment], history: Sequence[Deployment]) -> list[LivePlace]:
    """The environments in their order, from a history that begins with the newest."""
    return [_place(one, [entry for entry in history if entry.environment_id == one.pk]) for one in environments]


def _place(environment: Environment, history: Sequence[Deployment]) -> LivePlace:
    live = next((entry for entry in history if entry.ended_at is None), None)
    past = [entry for entry in history if live is None or entry.version_id != live.version_id]
    split = split_said(getattr(live, "open_arms", ()))
    return LivePlace(environment, live, past[0].version if past else None, split)


@dataclass(frozen=True, slots=True)
class Change:
    """What making a version live in a place changes."""

    place: LivePlace
    version: Version
    is_back: bool
    step: Bump | None
    """How far the step is, in either direction; None when nothing is live there, or this version."""

    @property
    def is_same(self) -> bool:
        """True when this version is live there already."""
        return self.place.version is not None and self.place.version.pk == self.version.pk

    @property
    def breaks(self) -> bool:
        """True when callers may have to be changed with it."""
        return self.step is Bump.MAJOR


def change_of(place: LivePlace, version: Version) -> Change:
    """What changes in the place with this version."""
    now = place.version
    if now is None:
        return Change(place, version, is_back=False, step=None)
    older, newer = sorted((now.number, version.number))
    return Change(place, version, is_back=version.number < now.number, step=newer.step_from(older))
