"""Shape of the input of the git pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.prompts.models import GitRemote


class RemoteForm(forms.Form):
    """How a repository elsewhere is reached, and what changes there and here become."""

    CREDENTIALS = (
        (GitRemote.Credential.TOKEN, _("An access token")),
        (GitRemote.Credential.SSH_KEY, _("An ssh key")),
        (GitRemote.Credential.NONE, _("Nothing: anybody may read and write it")),
    )
    EDITS = (
        (GitRemote.Edits.DRAFTS, _("Drafts, which a person publishes")),
        (GitRemote.Edits.VERSIONS, _("Versions, with the commit's id; nothing is made live by that")),
    )
    PUBLISHING = (
        (GitRemote.Publishing.BRANCHES, _("To a branch of its own, with the text of a pull request")),
        (GitRemote.Publishing.DIRECT, _("Straight to the main branch")),
    )

    url = forms.CharField(
        label=_("Repository"),
        max_length=1000,
        help_text=_("https://host/owner/name.git or git@host:owner/name.git"),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    branch = forms.CharField(label=_("Main branch"), max_length=200, initial="main")
    folder = forms.CharField(
        label=_("Folder"), max_length=200, required=False, help_text=_("Where in the repository the prompts are.")
    )
    credential = forms.ChoiceField(
        label=_("What opens it"),
        choices=CREDENTIALS,
        initial=GitRemote.Credential.TOKEN,
        widget=forms.RadioSelect,
    )
    user = forms.CharField(
        label=_("User name for the token"), max_length=64, required=False, help_text=_("Most hosts take any name.")
    )
    secret = forms.CharField(
        label=_("Token or private ssh key"),
        max_length=20_000,
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )
    known_hosts = forms.CharField(
        label=_("The server's ssh keys"),
        max_length=10_000,
        required=False,
        help_text=_("For ssh: what ssh-keyscan prints for the host, compared with what the host publishes."),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
    )
    edits = forms.ChoiceField(
        label=_("What is changed in git becomes here"),
        choices=EDITS,
        initial=GitRemote.Edits.DRAFTS,
        widget=forms.RadioSelect,
    )
    publishing = forms.ChoiceField(
        label=_("What is published here goes"),
        choices=PUBLISHING,
        initial=GitRemote.Publishing.BRANCHES,
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, remote: GitRemote | None = None, **kwargs: Any) -> None:
        if remote is not None:
            kwargs["initial"] = {
                "url": remote.url,
                "branch": remote.branch,
                "folder": remote.prefix,
                "credential": remote.credential,
                "user": remote.user,
                "known_hosts": remote.host_keys,
                "edits": remote.edits,
                "publishing": remote.publishing,
            }
        super().__init__(*args, **kwargs)
        keeps = remote is not None and remote.sealed_secret
        self.fields["secret"].help_text = (
            _("Leave it empty to keep the one that is stored. Another address clears it.")
            if keeps
            else _("It is stored encrypted and never shown again. It needs to read, and to push branches.")
        )


class ChoiceForm(forms.Form):
    """What a person decides where both sides differ."""

    DRAFT, PUSH = "draft", "push"

    name = forms.CharField(max_length=1000)
    choice = forms.ChoiceField(choices=((DRAFT, DRAFT), (PUSH, PUSH)))
