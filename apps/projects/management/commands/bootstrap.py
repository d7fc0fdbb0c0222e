"""The first account, a project and a key, without a browser."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email

from apps.core import clock
from apps.core.errors import DomainError
from apps.projects import services


class Command(BaseCommand):
    """`manage.py bootstrap --email E --password-file F --project NAME`"""

    help = (
        "Make the first account, a project and a key with all scopes, and print {project, key} as one JSON line. "
        "Where an account exists, its own password must be in the file."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The password comes from a file, because command lines can be read by others."""
        parser.add_argument("--email", required=True)
        parser.add_argument("--password-file", required=True, type=Path)
        parser.add_argument("--project", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print one line; fail with a sentence."""
        try:
            password = options["password_file"].read_text().rstrip("\r\n")
            validate_email(options["email"])
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The password file cannot be read: {error}") from error
        except ValidationError as error:
            raise CommandError(f"{options['email']} is not an e-mail address.") from error
        name = options["project"].strip()
        if not 1 <= len(name) <= 120:
            raise CommandError("The project's name must have 1 to 120 characters.")
        try:
            made = services.bootstrap(email=options["email"], password=password, project_name=name, now=clock.now())
        except DomainError as error:
            raise CommandError(" ".join([error.text, *_sentences(error)])) from error
        self.stdout.write(json.dumps({"project": made.project.slug, "key": made.raw_key}))


def _sentences(error: DomainError) -> list[str]:
    return [text for value in error.details.values() if isinstance(value, list) for text in value]
