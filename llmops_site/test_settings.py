"""What tests change: servers of their own, a quick password hash, mail in memory, jobs run at once."""

import os
import tempfile
from pathlib import Path

# Never the checkout's data directory, whatever the shell has exported. Workers of pytest-xdist inherit it.
if "PRODWORTHY_TEST_VAR" not in os.environ:
    os.environ["PRODWORTHY_TEST_VAR"] = tempfile.mkdtemp(prefix="prodworthy-test-")
    Path(os.environ["PRODWORTHY_TEST_VAR"]).chmod(0o755)  # as root, the servers run as somebody else
os.environ["PRODWORTHY_VAR"] = os.environ["PRODWORTHY_TEST_VAR"]

from llmops_site.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Pages served by tests take static files from where they lie.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True
# A busy machine may need long to drop a database; what a page may take is tested where it matters.
DATABASES["default"]["OPTIONS"]["options"] = "-c statement_timeout=120000 -c synchronous_commit=on -c jit=off"  # noqa: F405
