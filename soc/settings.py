"""Django's settings. Every value that differs between installations comes from the environment."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from lib import outbound
from soc import env

BASE_DIR = Path(__file__).resolve().parent.parent

# --- declared settings -----------------------------------------------------------------------------

_data = env.declare(
    "QUELL_DATA", "directory for everything Quell keeps on disk", default=str(BASE_DIR / ".quell/data")
)
_database = env.declare(
    "DATABASE_URL", "sqlite:////path or postgresql://user:password@host/name", secret=True
)
_owner = env.declare(
    "DATABASE_OWNER_URL",
    "the same PostgreSQL database as the role that owns its tables; for migrate alone",
    secret=True,
)
_redis = env.declare(
    "REDIS_URL", "redis://:password@host:port/0, the doorbell between processes", secret=True
)
_secret = env.declare("QUELL_SECRET_KEY", "signs sessions; at least 32 characters", secret=True)
_audit = env.declare(
    "QUELL_AUDIT_KEY", "signs the audit trail; at least 32 characters, kept out of the database", secret=True
)
_audit_before = env.declare(
    "QUELL_AUDIT_KEYS_BEFORE", "keys that signed the audit trail earlier, by comma", secret=True
)
_base_url = env.declare("QUELL_BASE_URL", "how browsers reach Quell", default="http://127.0.0.1:8000")
_hosts = env.declare(
    "QUELL_ALLOWED_HOSTS", "host names that are answered, by comma", default="127.0.0.1,localhost"
)
_process = env.declare(
    "QUELL_PROCESS",
    "which of the processes this is: web, worker-general, worker-collect, worker-containment, beat",
)
_rate = env.declare(
    "QUELL_CLOCK_RATE", "how fast the product's clock runs; above 1 only in tests", default="1"
)
_testing = env.declare("QUELL_TESTING", "1 in the test suite; allows a fast clock", default="0")
_expiry = env.declare(
    "QUELL_PLAN_HOURS", "hours after which a plan that nobody approved expires", default="24"
)
_ingest = env.declare(
    "QUELL_INGEST_PER_MINUTE",
    "alerts a minute that a key, hook or person may send, unless it has a budget of its own",
    default="600000",
)
_web = env.declare(
    "QUELL_WEB_PROCESSES",
    "how many web processes there are; each has its share of the budgets",
    default="2",
)
_review = env.declare(
    "QUELL_REVIEW_DAYS", "days after which a containment in force is due for review", default="7"
)
_evidence = env.declare(
    "QUELL_EVIDENCE_DIR",
    "directory of collected evidence, shared by the processes that collect and those that show it",
)
_evidence_most = env.declare(
    "QUELL_EVIDENCE_MOST_MB", "megabytes that one artefact or upload may have", default="4096"
)
_write_back = env.declare(
    "QUELL_WRITE_BACK",
    "1 lets actions archive findings and set their status where they came from",
    default="0",
)
_stale = env.declare(
    "QUELL_AUTOMATION_STALE_MINUTES", "minutes after which automation leaves an alert to people", default="60"
)
_aws_endpoint = env.declare("AWS_ENDPOINT_URL", "another AWS than the real one, for demo and tests")
_queues = env.declare("QUELL_SQS_QUEUES", "addresses of the SQS queues that worker-collect polls, by comma")
_queues_team = env.declare(
    "QUELL_SQS_TEAM", "slug of the team that gets what comes from a queue and belongs to no known account"
)
_proxies = env.declare(
    "QUELL_TRUSTED_PROXIES", "addresses or networks whose X-Forwarded-For is believed, by comma"
)
_call = env.declare(
    "QUELL_APPROVAL_MINUTES", "minutes after which a plan that waits rings the next approver", default="5"
)
_own_networks = env.declare(
    "QUELL_OWN_NETWORKS",
    "networks from which Quell and its people reach AWS, by comma; never blocked",
)
_heartbeat = env.declare(
    "QUELL_EXPECT_HEARTBEAT", "1 expects the intake stack's heartbeat before any was ever heard", default="0"
)
_mmdb = env.declare("QUELL_MMDB", "MMDB files that say where addresses are and whose, by comma")
_aws_ranges = env.declare("QUELL_AWS_RANGES", "AWS's ip-ranges.json, which tells AWS's own addresses")
_known = env.declare("QUELL_KNOWN_ADDRESSES", "lists of addresses, by comma; lines of network,name,verdict")
_sigma = env.declare("QUELL_SIGMA_RULES", "directory of Sigma rules for CloudTrail, used beside Quell's own")
_tag_owner = env.declare(
    "QUELL_TAG_OWNER",
    "AWS tag keys that name an owner, by comma, the first that is there counts",
    default="Owner,team,contact,owner-email",
)
_tag_environment = env.declare(
    "QUELL_TAG_ENVIRONMENT",
    "AWS tag keys that name an environment, by comma",
    default="Environment,env,stage",
)
_tag_criticality = env.declare(
    "QUELL_TAG_CRITICALITY",
    "AWS tag keys that say how critical something is, by comma",
    default="Criticality,tier,importance",
)
_tag_data = env.declare(
    "QUELL_TAG_DATA_CLASS",
    "AWS tag keys that say what data something holds, by comma",
    default="DataClass,data-class,data_class,DataClassification,data-classification,classification",
)
_outbound = env.declare(
    "QUELL_OUTBOUND_ALLOW",
    "networks and host:port that may be asked over HTTP although they are not public, by comma",
)
_sns_v1 = env.declare(
    "QUELL_SNS_SIGNATURE_V1",
    "1 takes SNS messages signed by SHA-1, which is what topics do unless told",
    default="1",
)
_oidc_issuer = env.declare(
    "QUELL_OIDC_ISSUER", "issuer of the OpenID Connect provider for single sign-on, as its tokens name it"
)
_oidc_client = env.declare("QUELL_OIDC_CLIENT_ID", "what the provider knows Quell as")
_oidc_secret = env.declare("QUELL_OIDC_CLIENT_SECRET", "the secret that goes with it", secret=True)
_oidc_create = env.declare(
    "QUELL_OIDC_CREATE", "1 makes a person without roles of whoever the provider signs in", default="0"
)
_oidc_groups = env.declare(
    "QUELL_OIDC_GROUPS", "groups of the provider and what they are here, as group=team:role, by comma"
)
_second_factor = env.declare(
    "QUELL_SECOND_FACTOR",
    "who must set up a second factor before anything else: optional, privileged (approvers, leads,"
    " administrators) or everyone",
    default="optional",
)
_log = env.declare("QUELL_LOG", "json or text", default="json")
_failpoint = env.declare("QUELL_FAILPOINT", "test suite only: where a worker kills itself, as point@step")

QUELL_DATA = Path(env.text(_data))
QUELL_EVIDENCE_DIR = Path(env.text(_evidence) or QUELL_DATA / "evidence")
QUELL_EVIDENCE_MOST_BYTES = int(env.number(_evidence_most) * 2**20)
QUELL_PROCESS = env.text(_process)
QUELL_TESTING = env.flag(_testing)
QUELL_BASE_URL = env.text(_base_url).rstrip("/")
QUELL_CLOCK_RATE = env.number(_rate)
QUELL_APPROVAL_MINUTES = env.number(_call)
QUELL_OWN_NETWORKS = env.words(_own_networks)
try:
    for _network in QUELL_OWN_NETWORKS:
        ip_network(_network, strict=False)
except ValueError as failure:
    raise ImproperlyConfigured(f"QUELL_OWN_NETWORKS: {failure}") from failure
QUELL_PLAN_EXPIRES = timedelta(hours=env.number(_expiry))
QUELL_REVIEW_AFTER = timedelta(days=env.number(_review))
QUELL_WRITE_BACK = env.flag(_write_back)
QUELL_AUTOMATION_STALE = timedelta(minutes=env.number(_stale))
QUELL_EXPECT_HEARTBEAT = env.flag(_heartbeat)
QUELL_INGEST_PER_MINUTE = int(env.number(_ingest))
QUELL_WEB_PROCESSES = max(1, int(env.number(_web)))
QUELL_SQS_QUEUES = env.words(_queues)
QUELL_SQS_TEAM = env.text(_queues_team)
QUELL_FAILPOINT = env.text(_failpoint)
QUELL_TRUSTED_PROXIES = env.words(_proxies)
QUELL_MMDB = env.words(_mmdb)
QUELL_AWS_RANGES = env.text(_aws_ranges)
QUELL_SIGMA_RULES = env.text(_sigma)
QUELL_TAG_OWNER = env.words(_tag_owner)
QUELL_TAG_ENVIRONMENT = env.words(_tag_environment)
QUELL_TAG_CRITICALITY = env.words(_tag_criticality)
QUELL_TAG_DATA_CLASS = env.words(_tag_data)
QUELL_KNOWN_ADDRESSES = env.words(_known)
QUELL_SNS_SIGNATURE_V1 = env.flag(_sns_v1)
try:
    QUELL_OUTBOUND_ALLOW = outbound.exceptions(env.words(_outbound))
except ValueError as failure:
    raise ImproperlyConfigured(f"QUELL_OUTBOUND_ALLOW: {failure}") from failure
QUELL_FRESH_SIGN_IN = timedelta(minutes=15)
QUELL_OIDC_ISSUER = env.text(_oidc_issuer)
QUELL_OIDC_CLIENT_ID = env.text(_oidc_client)
QUELL_OIDC_CLIENT_SECRET = env.text(_oidc_secret)
QUELL_OIDC_CREATE = env.flag(_oidc_create)
QUELL_OIDC_GROUPS = env.roles_of_groups(_oidc_groups)
if bool(QUELL_OIDC_ISSUER) != bool(QUELL_OIDC_CLIENT_ID and QUELL_OIDC_CLIENT_SECRET):
    raise ImproperlyConfigured(
        "QUELL_OIDC_ISSUER, QUELL_OIDC_CLIENT_ID and QUELL_OIDC_CLIENT_SECRET are set together or not at all"
    )
if QUELL_OIDC_ISSUER and not QUELL_OIDC_ISSUER.startswith(
    ("https://", "http://127.0.0.1:", "http://localhost:")
):
    raise ImproperlyConfigured("QUELL_OIDC_ISSUER begins with https://")
QUELL_SECOND_FACTOR = env.text(_second_factor)
if QUELL_SECOND_FACTOR not in ("optional", "privileged", "everyone"):
    raise ImproperlyConfigured("QUELL_SECOND_FACTOR is optional, privileged or everyone")

SECRET_KEY = env.text(_secret)
if not SECRET_KEY and QUELL_TESTING:
    SECRET_KEY = "only-for-the-test-suite-" + "0" * 32
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured(
        "QUELL_SECRET_KEY must be set and at least 32 characters long;"
        " ./quell makes one for its data directory"
    )

QUELL_AUDIT_KEY = env.text(_audit)
if not QUELL_AUDIT_KEY and QUELL_TESTING:
    QUELL_AUDIT_KEY = "only-for-the-test-suite-" + "1" * 32
if len(QUELL_AUDIT_KEY) < 32:
    raise ImproperlyConfigured(
        "QUELL_AUDIT_KEY must be set and at least 32 characters long;"
        " ./quell makes one for its data directory"
    )
QUELL_AUDIT_KEYS_BEFORE = env.words(_audit_before)

# --- Django ----------------------------------------------------------------------------------------

DEBUG = False
ALLOWED_HOSTS = env.words(_hosts)
ROOT_URLCONF = "soc.urls"
WSGI_APPLICATION = "soc.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_filters",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "audit",
    "identity",
    "estate",
    "notify",
    "cases",
    "containment",
    "metrics",
    "readiness",
    "soc",
]

MIDDLEWARE = [
    "soc.middleware.RequestId",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "soc.middleware.Admitted",
    "soc.middleware.Browser",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "django.template.loaders.cached.Loader",
                    [
                        "django.template.loaders.filesystem.Loader",
                        "django.template.loaders.app_directories.Loader",
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "soc.shell.context",
            ],
            "builtins": ["soc.templatetags.quell"],
        },
    }
]

if not env.text(_database):
    _database = env.declare(
        "DATABASE_URL", _database.meaning, default=f"sqlite:///{QUELL_DATA / 'quell.sqlite3'}", secret=True
    )
DATABASES = {"default": env.database(_database)}
QUELL_DATABASE_OWNER = env.database(_owner) if env.text(_owner) else None

AUTH_USER_MODEL = "identity.User"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["identity.hashing.BoundedArgon2"]
if QUELL_TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *PASSWORD_HASHERS]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# allauth keeps second factors and links to single sign-on; its pages, URLs and sign-in are not used (ADR 34).
ACCOUNT_EMAIL_VERIFICATION = "none"
MFA_ADAPTER = "identity.engine.Factors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn"]
LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "alerts"
LOGOUT_REDIRECT_URL = "signin"

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "soc.errors.csrf_failure"
CSRF_TRUSTED_ORIGINS = [QUELL_BASE_URL]
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if QUELL_BASE_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 365 * 24 * 3600

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "manifest-src": [SELF],
    }
}

STATIC_URL = "/static/"
STATIC_ROOT = QUELL_DATA / "static"
STATICFILES_DIRS = [BASE_DIR / "soc" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True

DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
FILE_UPLOAD_HANDLERS = [
    "soc.uploads.Capped",
    "django.core.files.uploadhandler.MemoryFileUploadHandler",
    "soc.uploads.Incoming",
]

# --- REST ------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "soc.api.authentication.KeyAuthentication",
        "soc.api.authentication.BrowserAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["soc.api.permissions.Declared"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["soc.api.parsers.StrictJSONParser"],
    "EXCEPTION_HANDLER": "soc.api.problems.handle",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Quell",
    "DESCRIPTION": "Incident desk for security teams on AWS.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "ENUM_NAME_OVERRIDES": {
        "AlertStatus": "soc.api.openapi.ALERT_STATUS",
        "IncidentStatus": "soc.api.openapi.INCIDENT_STATUS",
        "SourceState": "soc.api.openapi.SOURCE_STATE",
        "PlaceState": "soc.api.openapi.PLACE_STATE",
        "QuarantineState": "soc.api.openapi.QUARANTINE_STATE",
    },
}

# --- Celery: a pool of processes and a doorbell; the database is the queue of record ------------------

CELERY_BROKER_URL = env.text(_redis) or "redis://127.0.0.1:6379/0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "general"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_SEND_TASK_EVENTS = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # kombu looks for unacknowledged messages only every interval × throttle; the defaults make a
    # killed worker's message wait 100 s longer than the time-out says.
    "visibility_timeout": 120,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 15,
    "global_keyprefix": "quell:",
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "bells": {"task": "quell.ring_all", "schedule": 10.0, "options": {"queue": "general", "expires": 10}}
}

# --- logs ------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "soc.logs.Json",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s",
            "defaults": {"process_name": QUELL_PROCESS},
        },
        "text": {
            "()": "soc.logs.Plain",
            "format": "%(asctime)s %(levelname)-7s %(name)s %(message)s %(request_id)s",
        },
    },
    "filters": {"request_id": {"()": "soc.logs.WithRequestId"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": env.text(_log), "filters": ["request_id"]}
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        # Two lines for every bell, which carries no work.
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
    },
}

AWS_ENDPOINT_URL = env.text(_aws_endpoint)
