"""Prompts in git: the history of the project's own repository, a repository elsewhere, and what is known of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Project
from apps.prompts.models.prompts import Prompt, Version


class HistoryStep(models.Model):
    """One commit of the project's own repository: the numbered event of the audit trail that it tells of.

    The row holds all that the commit is made of, so that every machine makes the same commits from the same rows.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    number = models.BigIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, related_name="+")
    # The version that was published at this step; none for a prompt that was renamed, archived or restored.
    version = models.ForeignKey(Version, on_delete=models.CASCADE, null=True, related_name="+")
    # Where the file is from now on, empty when it is gone; and where it was before, when it moved or went.
    path = models.CharField(max_length=260, blank=True)
    former_path = models.CharField(max_length=260, blank=True)
    text = models.TextField(blank=True)
    author_name = models.CharField(max_length=254)
    author_address = models.CharField(max_length=300)
    at = models.DateTimeField()
    message = models.TextField()
    tags = models.JSONField(default=list)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["project", "number"], name="prompts_historystep_once")]

    def __str__(self) -> str:
        return self.message.partition("\n")[0]


class GitRemote(models.Model):
    """The repository elsewhere that a project works with, and how its synchronisation goes.

    The credential belongs to the address: changing that clears it. Whoever works on it holds `lease`; every write of
    the work asks whether it still does.
    """

    class Credential(models.TextChoices):
        """What opens the repository."""

        NONE = "none"
        TOKEN = "token"  # noqa: S105 - a word, not a token
        SSH_KEY = "ssh_key"

    class Edits(models.TextChoices):
        """What a change of a file on the branch becomes here."""

        DRAFTS = "drafts"
        VERSIONS = "versions"

    class Publishing(models.TextChoices):
        """Where a version that is published here goes."""

        BRANCHES = "branches"
        DIRECT = "direct"

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="git_remote")
    url = models.CharField(max_length=1000)
    branch = models.CharField(max_length=200, default="main")
    prefix = models.CharField(max_length=200, blank=True)
    credential = models.CharField(max_length=16, choices=Credential.choices, default=Credential.NONE)
    user = models.CharField(max_length=64, blank=True)
    sealed_secret = models.TextField(blank=True)
    # The server's ssh keys, one `kind key` a line.
    host_keys = models.TextField(blank=True)
    edits = models.CharField(max_length=16, choices=Edits.choices, default=Edits.DRAFTS)
    publishing = models.CharField(max_length=16, choices=Publishing.choices, default=Publishing.BRANCHES)
    created_at = models.DateTimeField(default=clock.now)
    changed_at = models.DateTimeField(default=clock.now)
    # The newest commit of the branch that was looked at.
    seen_commit = models.CharField(max_length=64, blank=True)
    # When the branch was last found without a commit that it had before, and which that was.
    rewritten_at = models.DateTimeField(null=True)
    rewritten_from = models.CharField(max_length=64, blank=True)
    fetched_at = models.DateTimeField(null=True)
    pushed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=600, blank=True)
    failures = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(default=clock.now)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(credential__in=["none", "token", "ssh_key"]), name="prompts_gitremote_credential_known"
            ),
            models.CheckConstraint(condition=Q(edits__in=["drafts", "versions"]), name="prompts_gitremote_edits_known"),
            models.CheckConstraint(
                condition=Q(publishing__in=["branches", "direct"]), name="prompts_gitremote_publishing_known"
            ),
            models.CheckConstraint(
                condition=~Q(credential="none") | Q(sealed_secret=""), name="prompts_gitremote_secret_has_a_kind"
            ),
        ]

    def __str__(self) -> str:
        return self.url

    @property
    def place(self) -> str:
        """What the sealed credential is bound to: a copy of it in another row does not open."""
        return f"prompts_gitremote:{self.uuid}:secret"


class GitFile(models.Model):
    """A prompt file of the remote branch, as it was when it was last looked at."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    remote = models.ForeignKey(GitRemote, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=1000)
    blob = models.CharField(max_length=64)
    commit = models.CharField(max_length=64, blank=True)
    author = models.CharField(max_length=254, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    text = models.TextField(blank=True)
    # What the file says; empty when it cannot be read, and `problem` says why.
    name = models.CharField(max_length=200, blank=True)
    number = models.CharField(max_length=24, blank=True)
    content_hash = models.CharField(max_length=64, blank=True)
    problem = models.CharField(max_length=600, blank=True)
    # The prompt it is of, and the newest of its versions that the branch was seen to agree with.
    prompt = models.ForeignKey(Prompt, on_delete=models.SET_NULL, null=True, related_name="+")
    agreed = models.ForeignKey(Version, on_delete=models.SET_NULL, null=True, related_name="+")
    # The content that was last taken from it, so that nothing is taken twice; and why it was not taken.
    taken_hash = models.CharField(max_length=64, blank=True)
    refusal = models.CharField(max_length=600, blank=True)
    changed_at = models.DateTimeField(default=clock.now)
    gone_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["path"]
        constraints = [models.UniqueConstraint(fields=["remote", "path"], name="prompts_gitfile_path_once")]

    def __str__(self) -> str:
        return self.path


class GitPush(models.Model):
    """A version on its way to the remote: waiting, on a branch of its own, or part of the main branch."""

    class State(models.TextChoices):
        """How far it got. `superseded`: a newer version went instead."""

        WAITING = "waiting"
        PUSHED = "pushed"
        MERGED = "merged"
        SUPERSEDED = "superseded"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    remote = models.ForeignKey(GitRemote, on_delete=models.CASCADE, related_name="pushes")
    version = models.ForeignKey(Version, on_delete=models.CASCADE, related_name="+")
    branch = models.CharField(max_length=300)
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    # True when a person asked for it although both sides changed.
    is_asked = models.BooleanField(default=False)
    commit = models.CharField(max_length=64, blank=True)
    merged_commit = models.CharField(max_length=64, blank=True)
    title = models.CharField(max_length=300, blank=True)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(default=clock.now)
    pushed_at = models.DateTimeField(null=True)
    merged_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["remote", "version"], name="prompts_gitpush_version_once"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "pushed", "merged", "superseded"]), name="prompts_gitpush_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.branch


class GitNote(models.Model):
    """A line of what the synchronisation did and met."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    remote = models.ForeignKey(GitRemote, on_delete=models.CASCADE, related_name="notes")
    at = models.DateTimeField()
    is_trouble = models.BooleanField(default=False)
    text = models.CharField(max_length=800)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["remote", "-id"], name="prompts_gitnote_newest")]

    def __str__(self) -> str:
        return self.text
