"""What goes wrong with git, in words for the page. No sentence holds a credential or an address's password."""

from __future__ import annotations

import re

from apps.core.errors import DomainError

LONGEST = 400
NOT_SHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NOISE = re.compile(r"^(?:fatal|error|warning|remote|hint): ?", re.IGNORECASE)

KNOWN = (
    (r"could not read (?:Username|Password)|Authentication failed|HTTP Basic: Access denied|error: 401",
     "The server did not accept the credential, or wants one."),
    (r"error: 403|Permission to .* denied|not allowed to push|protected branch|pre-receive hook declined",
     "The server does not allow this to the credential."),
    (r"Permission denied \(", "The server did not accept the ssh key."),
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION|No .* host key is known",
     "The server's ssh key is not the one that was entered for it."),
    (r"error: 3\d\d|unable to update url base from redirection", "The server redirects. Enter the final address."),
    (r"error: 404|not found|does not appear to be a git repository|Repository not found",
     "There is no repository at this address, or the credential may not see it."),
    (r"Could not resolve host|Failed to connect|Connection refused|Connection timed out|Operation timed out"
     r"|Could not connect|Operation too slow|Connection reset|Network is unreachable|No route to host",
     "The server cannot be reached."),
    (r"SSL|certificate|gnutls", "The server's certificate is not trusted here."),
    (r"invalid index-pack output|index-pack (?:died|failed)|File size limit exceeded|file too large|SIGXFSZ"
     r"|unpack.* signal", "The repository is larger than may be read here, or its data is damaged."),
    (r"transport '.*' not allowed", "Only https and ssh are used."),
    (r"error: 5\d\d", "The server failed. It is tried again."),
)  # fmt: skip


class GitMissing(DomainError):
    """The program is not installed where this process runs, or is too old."""

    code, http_status = "git_missing", 503
    message = (
        "This server has no git program, or one that is too old. Install git 2.37 or newer; all else works without it."
    )


class GitFailed(DomainError):
    """Git gave up. The text is a sentence for people."""

    code, http_status = "git_failed", 502
    message = "Git could not do this."


class GitTooSlow(GitFailed):
    """It took longer than it may."""

    code = "git_too_slow"
    message = "Git was stopped after {seconds:.0f} s. The repository is too large, or the server too slow."


class GitTooLarge(GitFailed):
    """It said or wrote more than it may."""

    code = "git_too_large"
    message = "The repository is larger than may be read here."


def in_words(output: bytes, *, secrets: tuple[str, ...] = ()) -> str:
    """A sentence for what git wrote to its error output; the secrets are cut out of it wherever they stand."""
    text = output.decode("utf-8", "replace")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "•••")
    for pattern, sentence in KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return sentence
    lines = [NOISE.sub("", NOT_SHOWN.sub(" ", line)).strip() for line in text.splitlines()]
    said = " ".join(line for line in lines if line)
    return f"Git says: {said[:LONGEST]}" if said else "Git gave up without a word."
