"""One settings file for development, test and production, driven by the environment (docs/configuration.md)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from apps.core.egress_rules import allowed_from
from apps.core.stack import places
from llmops_site.env import Env, with_password

env = Env()
BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(env.text("PRODWORTHY_VAR", str(BASE_DIR / "var"))).resolve()
SECRETS_DIR = VAR_DIR / "secrets"

# --- Safety -------------------------------------------------------------------------------------------------------

DEBUG = False
if env.flag("DEBUG"):
    raise ImproperlyConfigured("DEBUG is not supported: its error pages print secrets. Unset it and read the logs.")

SECRET_KEY = env.secret("SECRET_KEY", file=SECRETS_DIR / "secret_key")
KEY_PEPPER = env.secret("PRODWORTHY_KEY_PEPPER", file=SECRETS_DIR / "key_pepper")
ENCRYPTION_KEY = env.secret("PRODWORTHY_ENCRYPTION_KEY", file=SECRETS_DIR / "encryption_key")
ENCRYPTION_KEY_OLD = env.text("PRODWORTHY_ENCRYPTION_KEY_OLD") or env.file_content("PRODWORTHY_ENCRYPTION_KEY_OLD_FILE")

# --- Address ------------------------------------------------------------------------------------------------------

HTTP_HOST = env.text("PRODWORTHY_HOST", "127.0.0.1")
HTTP_PORT = env.integer("PRODWORTHY_PORT", 8000, low=1, high=65535)
PUBLIC_URL = env.text("PRODWORTHY_URL", f"http://localhost:{HTTP_PORT}").rstrip("/")
_public = urlsplit(PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured(f"PRODWORTHY_URL must look like https://prodworthy.example.com; it is {PUBLIC_URL!r}.")
IS_HTTPS = _public.scheme == "https"

ALLOWED_HOSTS = [_public.hostname, "localhost", "127.0.0.1", "[::1]", *env.words("PRODWORTHY_ALLOWED_HOSTS")]
if "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "PRODWORTHY_ALLOWED_HOSTS must name hosts; a wildcard lets anybody forge links in mails."
    )
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
TRUSTED_PROXY_COUNT = env.integer("PRODWORTHY_TRUSTED_PROXIES", 0, low=0, high=10)

# --- Apps ---------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "apps.core",
    "apps.accounts",
    "apps.projects",
    "apps.alerts",
    "apps.providers",
    "apps.telemetry",
    "apps.prompts",
    "apps.playground",
    "apps.evals",
    "apps.budgets",
    "apps.promotions",
    "apps.dashboards",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]

MIDDLEWARE = [
    "apps.core.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "apps.accounts.middleware.SessionLimitsMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "apps.projects.middleware.ShellMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "apps.core.middleware.NoStoreMiddleware",
]

ROOT_URLCONF = "llmops_site.urls"
WSGI_APPLICATION = "llmops_site.wsgi.application"
ASGI_APPLICATION = "llmops_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": [
                "apps.core.templatetags.ui",
                "django.templatetags.i18n",
                "django.templatetags.static",
            ],
        },
    }
]

# --- PostgreSQL, the only truth -----------------------------------------------------------------------------------

DATABASE_URL = env.text("DATABASE_URL")
REDIS_URL = env.text("REDIS_URL")
USES_EMBEDDED_POSTGRES = not DATABASE_URL
USES_EMBEDDED_VALKEY = not REDIS_URL
POSTGRES_BIN = env.text("PRODWORTHY_POSTGRES_BIN")
VALKEY_BIN = env.text("PRODWORTHY_VALKEY_BIN")
_places = places.choose(VAR_DIR)
POSTGRES_DIR = _places.home / "postgres"
VALKEY_DIR = _places.home / "valkey"
SOCKET_DIR = Path(env.text("PRODWORTHY_SOCKETS", str(_places.sockets)))


def _database(url: str) -> dict[str, Any]:
    """Django's database entry for a PostgreSQL URL (or key=value string)."""
    try:
        parts = conninfo_to_dict(url)
    except Exception as error:
        raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host:5432/name.") from error
    options = {
        name: value for name, value in parts.items() if name not in {"host", "port", "user", "password", "dbname"}
    }
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname") or "prodworthy",
        "USER": parts.get("user") or "",
        "PASSWORD": parts.get("password") or env.file_content("DATABASE_PASSWORD_FILE"),
        "HOST": parts.get("host") or "",
        "PORT": str(parts.get("port") or ""),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": 2,
            "application_name": "prodworthy",
            # A page may not hold the database for longer than this; imports and rebuilds raise it for themselves.
            "options": "-c statement_timeout=15000 -c synchronous_commit=on -c jit=off",
            # A server whose machine vanished is noticed in seconds, not hours; sockets of this machine need none of it.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 25_000,
            **options,
        },
    }


_EMBEDDED_DATABASE = make_conninfo(host=str(SOCKET_DIR), port=5432, user="prodworthy", dbname="prodworthy")
DATABASES = {"default": _database(DATABASE_URL or _EMBEDDED_DATABASE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Sign-in limits must hold when Redis is down, so the cache lives in PostgreSQL.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "core_cache"}}

# --- Celery: a message is a wake-up call, never the only copy of work ------------------------------------------------

CELERY_BROKER_URL = with_password(REDIS_URL, env.file_content("REDIS_PASSWORD_FILE")) or (
    f"redis+socket://{SOCKET_DIR}/valkey.sock"
)
CELERY_RESULT_BACKEND: str | None = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_TIME_LIMIT = 300
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5.0
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than the longest task, or it would run twice; the other two make a lost worker's tasks come back within
    # seconds instead of minutes.
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = {
    "telemetry.*": {"queue": "telemetry"},
    # What takes minutes; the other jobs of evals are short.
    "evals.work": {"queue": "evals"},
    "evals.calibrate": {"queue": "evals"},
    "evals.score_online": {"queue": "evals"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "run" / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "evaluate-budgets": {"task": "budgets.evaluate", "schedule": timedelta(seconds=20)},
    "watch-latency-targets": {"task": "budgets.watch_latency", "schedule": timedelta(seconds=60)},
    "roll-up-dirty-hours": {"task": "telemetry.roll_up", "schedule": timedelta(seconds=10)},
    "digest-fresh-spans": {"task": "telemetry.digest", "schedule": timedelta(seconds=5)},
    "summarise-facts": {"task": "telemetry.summarise_facts", "schedule": timedelta(seconds=20)},
    "settle-open-traces": {"task": "telemetry.settle", "schedule": timedelta(seconds=15)},
    "place-scores": {"task": "telemetry.place_scores", "schedule": timedelta(minutes=5)},
    "make-partitions-ahead": {"task": "telemetry.keep_partitions", "schedule": timedelta(hours=1)},
    "add-up-the-intake-by-hours": {"task": "telemetry.close_intake_hours", "schedule": timedelta(minutes=5)},
    "tell-of-projections-that-drifted": {"task": "budgets.tell_projection_drift", "schedule": timedelta(minutes=30)},
    "queue-low-scores-for-review": {"task": "telemetry.queue_reviews", "schedule": timedelta(seconds=30)},
    "resume-samples": {"task": "telemetry.resume_samples", "schedule": timedelta(seconds=30)},
    "forget-old-uploads": {"task": "prompts.forget_imports", "schedule": timedelta(hours=1)},
    "give-samples-their-prompts": {"task": "prompts.fill_samples", "schedule": timedelta(seconds=30)},
    "give-samples-their-evals": {"task": "evals.fill_samples", "schedule": timedelta(seconds=15)},
    "delete-what-is-too-old": {"task": "telemetry.retain", "schedule": timedelta(hours=1)},
    "resume-erasures": {"task": "telemetry.resume_erasures", "schedule": timedelta(minutes=5)},
    "go-on-with-reprices": {"task": "telemetry.resume_reprices", "schedule": timedelta(seconds=15)},
    "forget-orphans": {"task": "telemetry.forget_orphans", "schedule": timedelta(hours=1)},
    "close-lost-answers": {"task": "playground.close_lost", "schedule": timedelta(minutes=1)},
    "delete-old-playground-runs": {"task": "playground.purge", "schedule": timedelta(hours=1)},
    "sync-prompts-with-git": {"task": "prompts.sync_git", "schedule": timedelta(minutes=1)},
    "take-up-healths-of-sets": {"task": "evals.resume_health", "schedule": timedelta(minutes=1)},
    "take-up-broken-off-imports": {"task": "evals.resume_imports", "schedule": timedelta(minutes=1)},
    "forget-old-imports-of-examples": {"task": "evals.forget_imports", "schedule": timedelta(hours=1)},
    "wake-workers-of-runs": {"task": "evals.wake_up", "schedule": timedelta(seconds=5)},
    "judge-runs-that-ended": {"task": "evals.judge_gates", "schedule": timedelta(minutes=1)},
    "forget-answers-of-runs": {"task": "evals.forget_answers", "schedule": timedelta(hours=1)},
    "score-production-calls": {"task": "evals.score_online", "schedule": timedelta(seconds=15)},
    "resume-calibrations": {"task": "evals.resume_calibrations", "schedule": timedelta(minutes=1)},
    "settle-checks-of-promotions": {"task": "promotions.settle_checks", "schedule": timedelta(seconds=3)},
    "ask-for-merged-versions": {"task": "promotions.ask_for_merges", "schedule": timedelta(seconds=10)},
    "measure-rollbacks": {"task": "promotions.measure_rollbacks", "schedule": timedelta(seconds=5)},
    "go-on-with-drills": {"task": "promotions.look_at_drills", "schedule": timedelta(seconds=5)},
    "forget-what-was-served": {"task": "promotions.forget_acknowledgements", "schedule": timedelta(hours=1)},
    "watch-what-went-live": {"task": "promotions.watch", "schedule": timedelta(seconds=15)},
    "mail-notices": {"task": "alerts.mail_notices", "schedule": timedelta(seconds=30)},
    "remind-of-promotions": {"task": "promotions.remind", "schedule": timedelta(minutes=15)},
    "measure-experiments": {"task": "promotions.measure_experiments", "schedule": timedelta(seconds=30)},
    "end-unserved-experiments": {"task": "promotions.end_unserved_experiments", "schedule": timedelta(seconds=10)},
    "verify-audit-chain": {"task": "projects.verify_audit", "schedule": timedelta(days=1)},
    "forget-expired-sessions": {"task": "accounts.forget_expired", "schedule": timedelta(days=1)},
}

# --- People -------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "apps.accounts.passwords.SimplePatternValidator"},
    {"NAME": "apps.accounts.passwords.ContextWordsValidator"},
    {"NAME": "apps.projects.passwords.ProjectNamesValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_ADAPTER = "apps.accounts.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "apps.projects.adapters.SocialAccountAdapter"
MFA_ADAPTER = "apps.accounts.adapters.MfaAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD: str | None = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # people come by invitation or set-up link, both of which name their address
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 900
ACCOUNT_RATE_LIMITS = {
    "login_failed": "5/5m/key,5/5m/ip",
    "login": "30/m/ip",
    "reset_password": "20/m/ip,5/m/key",
}
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT
PASSWORD_RESET_TIMEOUT = 1800
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Prodworthy"
MFA_TOTP_TOLERANCE = 1  # a code of the half minute before or after, since clocks differ
SOCIALACCOUNT_ONLY = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
OIDC_ISSUER = env.text("PRODWORTHY_OIDC_ISSUER").rstrip("/")
if OIDC_ISSUER:
    if not OIDC_ISSUER.startswith("https://") or not env.text("PRODWORTHY_OIDC_CLIENT_ID"):
        raise ImproperlyConfigured(
            "PRODWORTHY_OIDC_ISSUER must be an https address, and PRODWORTHY_OIDC_CLIENT_ID must be set with it."
        )
    OIDC_ISSUER_ORIGIN = "https://" + urlsplit(OIDC_ISSUER).netloc
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {
        "APPS": [
            {
                # An identity is issuer and subject together: who is known from one issuer is nobody at another.
                "provider_id": f"sso-{hashlib.sha256(OIDC_ISSUER.encode()).hexdigest()[:8]}",
                "name": env.text("PRODWORTHY_OIDC_NAME", "single sign-on"),
                "client_id": env.text("PRODWORTHY_OIDC_CLIENT_ID"),
                "secret": env.text("PRODWORTHY_OIDC_CLIENT_SECRET"),
                "settings": {"server_url": OIDC_ISSUER, "oauth_pkce_enabled": True},
            }
        ],
    }

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_ABSOLUTE_AGE_SECONDS = 7 * 24 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_NAME = "__Host-sid" if IS_HTTPS else "sid"
CSRF_USE_SESSIONS = True
CSRF_FAILURE_VIEW = "apps.core.pages.csrf_failure"

# --- Browser ------------------------------------------------------------------------------------------------------

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if IS_HTTPS:
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    # To be on the browsers' preload list is the decision of whoever owns the domain.
    SILENCED_SYSTEM_CHECKS = ["security.W021"]
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^api/", r"^v1/", r"^healthz$", r"^readyz$", r"^metrics$"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        # The sign-on form leads to the issuer, and browsers hold the redirect to this list, too.
        "form-action": [SELF, *([OIDC_ISSUER_ORIGIN] if OIDC_ISSUER else [])],
        "frame-ancestors": [NONE],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = Path(env.text("PRODWORTHY_STATIC", str(VAR_DIR / "static")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "apps.core.finders.PlotlyFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "apps.core.staticfiles.ManifestStorage"},
}

# --- API ----------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["apps.core.rest.DenyAll"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.core.rest.DeepJSONParser"],
    "EXCEPTION_HANDLER": "apps.core.rest.render_error",
    "DEFAULT_SCHEMA_CLASS": "llmops_site.openapi.Schema",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Prodworthy",
    "DESCRIPTION": "Is this LLM feature production-ready, and is it still? Answered with evidence.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "ENUM_NAME_OVERRIDES": {
        "WorkStateEnum": ["waiting", "running", "finished"],
        "BumpEnum": ["patch", "minor", "major"],
        "ExampleStateEnum": ["draft", "approved", "rejected"],
        "OriginEnum": ["editor", "api", "git", "import", "playground", "sample"],
        "ExampleOriginEnum": ["person", "api", "import", "trace", "review", "playground", "sample"],
    },
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "llmops_site.openapi.complete"],
}

# --- Intake -------------------------------------------------------------------------------------------------------

INTAKE_MAX_BYTES = env.integer("PRODWORTHY_INTAKE_MAX_BYTES", 10 * 1024 * 1024, low=1024, high=100 * 1024 * 1024)
INTAKE_MAX_ITEMS = 5_000
INTAKE_WRITERS = env.integer("PRODWORTHY_INTAKE_WRITERS", 3, low=1, high=32)
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
# A prompt may have 200 messages of three fields and 200 variables of six.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000

# --- Ways out -----------------------------------------------------------------------------------------------------

EGRESS_ALLOW = env.words("PRODWORTHY_EGRESS_ALLOW")
try:
    allowed_from(EGRESS_ALLOW)
except ValueError as error:
    raise ImproperlyConfigured(f"PRODWORTHY_EGRESS_ALLOW: {error}.") from error

# --- Mail, language, logs -----------------------------------------------------------------------------------------

EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if env.text("PRODWORTHY_SMTP_HOST")
    else "django.core.mail.backends.filebased.EmailBackend"
)
SENDS_MAIL = bool(env.text("PRODWORTHY_SMTP_HOST"))
EMAIL_FILE_PATH = VAR_DIR / "mail"
EMAIL_HOST = env.text("PRODWORTHY_SMTP_HOST", "localhost")
EMAIL_PORT = env.integer("PRODWORTHY_SMTP_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("PRODWORTHY_SMTP_USER")
EMAIL_HOST_PASSWORD = env.text("PRODWORTHY_SMTP_PASSWORD")
EMAIL_USE_TLS = env.flag("PRODWORTHY_SMTP_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("PRODWORTHY_MAIL_FROM", f"prodworthy@{_public.hostname}")

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

METRICS_TOKEN = env.text("PRODWORTHY_METRICS_TOKEN")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "apps.core.logs.RequestIdFilter"},
        "secrets": {"()": "apps.core.logs.SecretsFilter"},
    },
    "formatters": {"json": {"()": "apps.core.logs.JsonFormatter"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json",
            "filters": ["request_id", "secrets"],
        }
    },
    "root": {"handlers": ["console"], "level": env.text("PRODWORTHY_LOG_LEVEL", "INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "celery": {"level": "INFO"}, "httpx": {"level": "WARNING"}},
}
