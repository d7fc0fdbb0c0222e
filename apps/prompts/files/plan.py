"""What importing some prompts would do to a project: pure, so that a preview and the import itself cannot differ.

Nothing is overwritten. A prompt that is here already gets a next version, or is skipped where a version says exactly
the same; two files that claim one name are both left out until one of them is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from apps.prompts import bumping, names, semver
from apps.prompts.content import Content, Variable, content_hash
from apps.prompts.files import templates
from apps.prompts.files.found import Found, Reading, Refused
from apps.prompts.semver import Number
from apps.prompts.types import Bump, Kind

OWN = "Prompt file"
"""The format whose version number is meant for us."""


class Action(StrEnum):
    """What becomes of something that was found."""

    NEW = "new"
    NEW_VERSION = "new_version"
    SAME = "same"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Known:
    """A prompt that the project has. `hashes` maps the hash of each version's content to its number."""

    name: str
    latest: Number | None = None
    content: Content | None = None
    hashes: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one prompt, or one version of it, and why.

    `name` is the prompt's name here. `problems` are sentences on why it can be kept as a draft only.
    """

    found: Found
    name: str
    action: Action
    sentence: str
    number: Number | None = None
    bump: Bump | None = None
    reasons: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    code: str = ""

    @property
    def makes_something(self) -> bool:
        """True when a prompt or a version would be made."""
        return self.action in (Action.NEW, Action.NEW_VERSION)


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they must be done, snippets before those that include them."""

    steps: tuple[Step, ...]
    refused: tuple[Refused, ...]

    def count(self, action: Action) -> int:
        """How many steps are of this kind."""
        return sum(step.action is action for step in self.steps)


Check = Callable[[Content], Sequence[str]]
"""Says what keeps a content from being published, in sentences."""


def plan(
    reading: Reading, known: Mapping[str, Known], *, check: Check, bases: Mapping[str, Number] | None = None
) -> Plan:
    """The steps that would import what was read into a project that has these prompts, by their names.

    `bases` says for a file's path on which version it was built; when a newer one is here, that is a conflict.
    """
    conflicts = _conflicts(reading.found)
    here = dict(known)
    steps = []
    for found in _in_order(reading.found):
        clash = conflicts.get(id(found))
        if clash is not None:
            steps.append(Step(found, found.name, Action.CONFLICT, clash, code="same_name"))
            continue
        base = next((bases[path] for path in found.paths if path in bases), None) if bases else None
        step = _step(found, here, check, base)
        steps.append(step)
        if step.makes_something and step.number is not None and not step.problems:
            old = here.get(found.name, Known(step.name))
            here[found.name] = Known(
                old.name,
                step.number,
                step.found.content,
                {**old.hashes, content_hash(step.found.content): step.number},
            )
    return Plan(tuple(steps), reading.refused)


def _conflicts(found: Iterable[Found]) -> dict[int, str]:
    """Sentences for those that claim one name, unless they are one prompt's history from one file."""
    by_name: dict[str, list[Found]] = {}
    for one in found:
        by_name.setdefault(one.name.lower(), []).append(one)
    clashes = {}
    for group in by_name.values():
        is_history = len({one.paths for one in group}) == 1 and len({one.order for one in group}) == len(group)
        if len(group) > 1 and not (is_history and len({one.name for one in group}) == 1):
            for one in group:
                others = ", ".join(sorted({other.paths[0] for other in group if other is not one}) or one.paths)
                clashes[id(one)] = f"{others} defines the name {one.name}, too. Rename one, or leave one out."
    return clashes


def _in_order(found: Sequence[Found]) -> list[Found]:
    """Snippets before those that include them; otherwise by name and age. A circle stays as it comes."""
    waiting = sorted(found, key=lambda one: (one.name, one.order))
    names_left = [one.name for one in waiting]
    ordered: list[Found] = []
    while waiting:
        ready = next((one for one in waiting if not (_includes(one) & {*names_left} - {one.name})), waiting[0])
        waiting.remove(ready)
        names_left.remove(ready.name)
        ordered.append(ready)
    return ordered


def _includes(found: Found) -> set[str]:
    texts = [message.content for message in found.content.messages]
    return {name for text in texts for name in templates.unpinned_names(text)}


def _step(found: Found, here: Mapping[str, Known], check: Check, base: Number | None) -> Step:
    fault = names.fault_of(found.name)
    if fault is not None:
        return Step(found, found.name, Action.CONFLICT, fault, code="invalid_name")
    found, missing = _pinned(found, here)
    problems = tuple(missing) or tuple(check(found.content))
    old = here.get(found.name)
    if old is None:
        number = semver.parse(found.version) or semver.FIRST
        sentence = f"A new prompt, {found.name}."
        return Step(found, found.name, Action.NEW, sentence, number, Bump.MAJOR, (), problems)
    same = old.hashes.get(content_hash(found.content))
    if same is not None and not missing:
        return Step(found, old.name, Action.SAME, f"Version {same} says exactly this already.", same)
    if old.latest is None or old.content is None:
        number = semver.parse(found.version) or semver.FIRST
        sentence = f"The first version of {old.name}, which is here without one."
        return Step(found, old.name, Action.NEW_VERSION, sentence, number, Bump.MAJOR, (), problems)
    if base is not None and base != old.latest:
        sentence = f"Version {old.latest} was published since {base}, on which this was built. Pull it, then try again."
        return Step(found, old.name, Action.CONFLICT, sentence, code="moved_on")
    return _next_version(found, old, old.latest, old.content, problems)


def _next_version(found: Found, old: Known, latest: Number, content: Content, problems: tuple[str, ...]) -> Step:
    suggestion = bumping.suggest(content, found.content)
    reasons = tuple(reason.sentence for reason in suggestion.reasons)
    suggested = latest.after(suggestion.bump)
    wanted = semver.parse(found.version)
    renamed = f" ({found.name} was renamed to it)" if old.name != found.name else ""

    def conflict(sentence: str, code: str) -> Step:
        return Step(found, old.name, Action.CONFLICT, sentence, reasons=reasons, code=code)

    if found.format == OWN and wanted is not None and wanted != latest:
        step = wanted.step_from(latest)
        if step is None:
            text = f"The file says version {wanted}, and {latest} is here. Write {suggested}, or leave the line out."
            return conflict(text, "version_taken")
        if suggestion.bump is Bump.MAJOR and step is not Bump.MAJOR:
            text = f"The file says version {wanted}, but the change needs {suggested}: {' '.join(reasons)}"
            return conflict(text, "breaking_lowered")
        suggested, bump = wanted, step
    else:
        bump = suggestion.bump
    sentence = f"Version {suggested} of {old.name}{renamed}, after {latest}."
    return Step(found, old.name, Action.NEW_VERSION, sentence, suggested, bump, reasons, problems)


def _pinned(found: Found, here: Mapping[str, Known]) -> tuple[Found, list[str]]:
    """The prompt with its includes naming a version, and sentences for those that are not here."""
    content, missing = found.content, []
    for name in sorted(_includes(found)):
        one = here.get(name)
        latest = None if one is None else one.latest
        if latest is None:
            missing.append(f"It includes {name}, which is not here. Import it as well, or take the include out.")
        if one is not None and one.content is not None:
            if (one.content.kind, one.content.syntax) != (Kind.TEXT, content.syntax):
                missing.append(f"It includes {name}, which is no text prompt in {content.syntax.value}.")
            content = replace(content, variables=_with(content.variables, one.content.variables))
        version = "" if latest is None else str(latest)
        messages = tuple(
            replace(message, content=templates.pinned(message.content, name, version, content.syntax))
            for message in content.messages
        )
        content = replace(content, messages=messages)
    return replace(found, content=content), missing


def _with(own: tuple[Variable, ...], others: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """The variables, and those of a snippet that they lack."""
    declared = {one.name for one in own}
    return own + tuple(other for other in others if other.name not in declared)
