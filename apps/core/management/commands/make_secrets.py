"""`manage.py make_secrets`: the passwords of a database and a broker that run beside us. Safe to repeat."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apps.core.secret_files import made_once

# What a queue needs, and nothing that reads the configuration, drops a database or evaluates text from outside.
# The two commands on scripts are how the client lets go of the lock it takes to return lost jobs to their queue.
BROKER_RIGHTS = "~* &* +@all -@admin -@dangerous -@scripting +info +evalsha +script|load"


class Command(BaseCommand):
    """Makes each secret that does not exist yet; an existing one is never changed."""

    help = "Make the secrets that PostgreSQL and Valkey in containers are started with. Keeps those that exist."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Settings made their own secrets while loading; this adds those of the servers."""
        secrets = Path(settings.SECRETS_DIR)
        made_once(secrets / "database_password")
        password = made_once(secrets / "redis_password")
        rules = Path(settings.VAR_DIR) / "broker" / "users.acl"
        rules.parent.mkdir(exist_ok=True)
        # The broker reads this as a user of its own; it holds a hash and not the password.
        digest = hashlib.sha256(password.encode()).hexdigest()
        rules.write_text(f"user default off\nuser prodworthy on #{digest} {BROKER_RIGHTS}\n")
        rules.chmod(0o644)
        self.stdout.write(f"secrets are in {secrets}")
