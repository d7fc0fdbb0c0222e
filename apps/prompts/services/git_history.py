"""The steps of a project's own repository, one for each event of its prompts that the audit trail tells of.

A step holds everything that its commit is made of, so that the commits follow from the rows alone: any machine makes
the same ones, and a repository that is lost is made again. The numbers of the audit trail give the order, which no
clock can disturb and in which nothing is put in later.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Exists, OuterRef

from apps.projects.models import AuditEntry, Project
from apps.prompts.files import own
from apps.prompts.files.own import PromptFile
from apps.prompts.git.importing import tag_of
from apps.prompts.models import HistoryStep, Prompt, Version

PORTION = 500
PUBLISHED, RENAMED, CHANGED = "prompts.published", "prompts.renamed", "prompts.changed"
ARCHIVED, RESTORED = "prompts.archived", "prompts.restored"
ACTIONS = (PUBLISHED, RENAMED, CHANGED, ARCHIVED, RESTORED)


def file_of(version: Version, name: str) -> PromptFile:
    """The version as its file tells it, with what stands around it now."""
    prompt = version.prompt
    return PromptFile(
        name=name,
        content=version.body,
        version=str(version.number),
        description=prompt.description,
        tags=tuple(prompt.tags),
        owner=prompt.owner.email if prompt.owner is not None else "",
    )


def message_of(version: Version, name: str) -> str:
    """What the commit of a version says: the note, the step and its reasons."""
    first, _, rest = version.note.strip().partition("\n")
    title = f"{name} {version.number}" + (f": {first.strip()}" if first.strip() else "")
    reasons = "\n".join(f"- {reason}" for reason in version.bump_reasons)
    parts = [title, rest.strip(), f"{version.bump.capitalize()} step:\n{reasons}" if reasons else ""]
    trailers = f"Prompt: {name}\nPrompt-Version: {version.number}\nPrompt-Hash: {version.content_hash}"
    return "\n\n".join(part for part in [*parts, trailers] if part) + "\n"


def address_of(kind: str, name: str) -> tuple[str, str]:
    """Name and mail address of whoever acted, as commits want both."""
    if kind == "user" and "@" in name:
        return name.partition("@")[0], name
    return f"{name} ({kind})", f"{kind}@prodworthy.invalid"


def author_of(version: Version) -> tuple[str, str]:
    """Name and mail address of who published the version."""
    if version.publisher_kind == "user" and version.author is not None:
        return version.author.name or version.author.email.partition("@")[0], version.author.email
    return address_of(version.publisher_kind, version.publisher_name)


def record_behind(*, most: int = 50) -> None:
    """Write down the steps of versions that have none yet, so that whoever clones does not wait for it."""
    has_step = HistoryStep.objects.filter(version=OuterRef("pk"))
    behind = Version.objects.filter(~Exists(has_step)).order_by().values_list("project_id", flat=True).distinct()
    for project in Project.objects.filter(pk__in=list(behind[:most])):
        record(project)


def record(project: Project) -> None:
    """Write down the steps that are missing. Doing it twice, or at the same time, adds nothing."""
    looked_at: int | None = 0
    while looked_at is not None:
        looked_at = _record_portion(project, looked_at)


@transaction.atomic
def _record_portion(project: Project, after: int) -> int | None:
    """Some of the missing steps, after this event; the event to go on after, None at the end.

    The project's row is locked, as it is while a prompt is renamed: a name that is read here fits the events.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    last = HistoryStep.objects.filter(project=project).order_by("-number").values_list("number", flat=True).first()
    events = AuditEntry.objects.filter(project_id=project.pk, number__gt=max(after, last or 0), action__in=ACTIONS)
    entries = list(events.order_by("number")[:PORTION])
    writer = _Writer.beginning(project, entries)
    for entry in entries:
        writer.write(entry)
    HistoryStep.objects.bulk_create(writer.steps)
    return entries[-1].number if len(entries) == PORTION else None


@dataclass(slots=True)
class _Writer:
    """Turns events into steps, and knows meanwhile what every prompt is called and what its file says."""

    project: Project
    versions: dict[str, Version]
    prompts: dict[str, Prompt]
    names: dict[int, str]
    files: dict[int, tuple[str, str]]
    tags: dict[int, list[str]]
    newest: dict[int, Version]
    steps: list[HistoryStep] = field(default_factory=list)

    @classmethod
    def beginning(cls, project: Project, entries: list[AuditEntry]) -> _Writer:
        published = [entry.target_id for entry in entries if entry.action == PUBLISHED]
        rows = Version.objects.select_related("prompt", "prompt__owner", "author").filter(uuid__in=published)
        versions = {str(version.uuid): version for version in rows}
        others = [entry.target_id for entry in entries if entry.action != PUBLISHED]
        prompts = {str(one.uuid): one for one in Prompt.objects.select_related("owner").filter(uuid__in=others)}
        every = {version.prompt_id: version.prompt for version in versions.values()}
        every |= {prompt.pk: prompt for prompt in prompts.values()}
        names = {pk: prompt.name for pk, prompt in every.items()}
        for entry in reversed(entries):
            if entry.action == RENAMED and entry.target_id in prompts:
                names[prompts[entry.target_id].pk] = str(entry.details["from"])
        writer = cls(project, versions, prompts, names, {}, {}, {})
        writer._look_back(list(every))
        return writer

    def _look_back(self, prompts: list[int]) -> None:
        """What the steps before left behind."""
        before = HistoryStep.objects.filter(project=self.project, prompt_id__in=prompts)
        for step in before.order_by("prompt_id", "-number").distinct("prompt_id"):
            self.files[step.prompt_id] = (step.path, step.text)
        published = before.exclude(version=None).select_related("version", "version__prompt", "version__author")
        for step in published.order_by("prompt_id", "-number").distinct("prompt_id").defer("text"):
            assert step.version is not None
            self.newest[step.prompt_id] = step.version
        renamed = [one.pk for one in self.prompts.values()]
        rows = before.filter(prompt_id__in=renamed).exclude(version=None).order_by("number")
        for prompt, tags in rows.values_list("prompt_id", "tags"):
            self.tags.setdefault(prompt, []).append(tags[0][0])

    def _note(self, step: HistoryStep) -> None:
        self.files[step.prompt_id] = (step.path, step.text)
        if step.version is not None:
            self.newest[step.prompt_id] = step.version
            self.tags.setdefault(step.prompt_id, []).append(step.tags[0][0])

    def write(self, entry: AuditEntry) -> None:
        """Add the step of the event, if it has one."""
        version = self.versions.get(entry.target_id)
        prompt = version.prompt if version is not None else self.prompts.get(entry.target_id)
        if prompt is None:
            return
        step = self._published(entry, version) if version is not None else self._changed(entry, prompt)
        if step is not None:
            self.steps.append(step)
            self._note(step)

    def _step(self, entry: AuditEntry, prompt: Prompt, path: str, text: str, message: str) -> HistoryStep:
        former = self.files.get(prompt.pk, ("", ""))[0]
        name, address = address_of(entry.actor_kind, entry.actor_name)
        return HistoryStep(
            project=self.project,
            number=entry.number,
            prompt=prompt,
            path=path,
            former_path=former if former != path else "",
            text=text,
            author_name=name,
            author_address=address,
            at=entry.at,
            message=message,
        )

    def _published(self, entry: AuditEntry, version: Version) -> HistoryStep:
        name = self.names[version.prompt_id]
        base = version.source_text or self.files.get(version.prompt_id, ("", ""))[1]
        text = own.write(file_of(version, name), base or None)
        step = self._step(entry, version.prompt, own.path_of(name), text, message_of(version, name))
        step.version = version
        step.author_name, step.author_address = author_of(version)
        step.tags = [[tag_of(name, str(version.number)), ""]]
        return step

    def _changed(self, entry: AuditEntry, prompt: Prompt) -> HistoryStep | None:
        """A prompt got another name, other words around it, or went and came back; None where no file changes."""
        if entry.action == RENAMED:
            self.names[prompt.pk] = str(entry.details["to"])
        name, newest = self.names[prompt.pk], self.newest.get(prompt.pk)
        path, text = self.files.get(prompt.pk, ("", ""))
        if newest is None or (not path and entry.action != RESTORED):
            return None
        if entry.action == ARCHIVED:
            return self._step(entry, prompt, "", text, f"Archive {name}\n")
        newest.prompt = prompt
        written = own.write(file_of(newest, name), text or None)
        verb = {RENAMED: "Rename {} to", RESTORED: "Restore", CHANGED: "Describe"}[entry.action]
        former = str(entry.details["from"]) if entry.action == RENAMED else ""
        if (own.path_of(name), written) == (path, text):
            return None
        step = self._step(entry, prompt, own.path_of(name), written, f"{verb.format(former)} {name}\n")
        if entry.action == RENAMED:
            step.tags = [[tag_of(name, tag.rpartition("@")[2]), tag] for tag in self.tags.get(prompt.pk, [])]
        return step
