"""Shapes of git in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.core.rest import StrictSerializer
from apps.prompts.git.standing import State
from apps.prompts.models import GitPush, GitRemote
from apps.prompts.selectors.git import PromptInGit


class GitRemoteOutput(serializers.ModelSerializer[GitRemote]):
    """The repository that the project works with. Its credential is never part of an answer."""

    class Meta:
        model = GitRemote
        fields = (
            "url",
            "branch",
            "prefix",
            "edits",
            "publishing",
            "seen_commit",
            "rewritten_at",
            "rewritten_from",
            "fetched_at",
            "pushed_at",
            "failed_at",
            "last_error",
            "due_at",
        )
        read_only_fields = fields


class GitPushOutput(serializers.ModelSerializer[GitPush]):
    """The newest version on its way to git."""

    class Meta:
        model = GitPush
        fields = ("branch", "state", "commit", "merged_commit", "title", "pushed_at", "merged_at")
        read_only_fields = fields


class PromptInGitOutput(serializers.Serializer[Any]):
    """How a prompt stands."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[state.value for state in State])
    sentence = serializers.CharField(source="standing.sentence")
    version = serializers.SerializerMethodField()
    path = serializers.SerializerMethodField()
    commit = serializers.SerializerMethodField()
    problem = serializers.CharField(source="refusal")
    push = GitPushOutput(allow_null=True)

    def get_version(self, line: PromptInGit) -> str | None:
        """The newest version here."""
        return str(line.latest.number) if line.latest is not None else None

    def get_path(self, line: PromptInGit) -> str | None:
        """Where its file is in git."""
        return line.file.path if line.file is not None else None

    def get_commit(self, line: PromptInGit) -> str | None:
        """The commit that changed the file last."""
        return (line.file.commit or None) if line.file is not None else None


class GitOutput(serializers.Serializer[Any]):
    """The state of git. `remote` is null where no repository is connected."""

    clone_url = serializers.CharField(help_text="the project's own repository, to be cloned with a key")
    has_git = serializers.BooleanField(help_text="false: the git program is not installed on the server")
    remote = GitRemoteOutput(allow_null=True)
    prompts = PromptInGitOutput(many=True)


class GitSyncInput(StrictSerializer):
    """Nothing is needed."""


class GitSyncOutput(serializers.Serializer[Any]):
    """That the repository is looked at soon."""

    due_at = serializers.DateTimeField()
