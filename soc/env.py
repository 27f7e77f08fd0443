"""Settings from the environment, each declared once; any may also come as `NAME_FILE`.

A value that makes no sense stops the start with a hint instead of being guessed at.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: its name in the environment, what it means, and its default as written."""

    name: str
    meaning: str
    default: str = ""
    secret: bool = False


DECLARED: dict[str, Setting] = {}


def declare(name: str, meaning: str, *, default: str = "", secret: bool = False) -> Setting:
    """Declare a setting, so that documentation and `.env.example` can be compared with the code."""
    DECLARED[name] = Setting(name=name, meaning=meaning, default=default, secret=secret)
    return DECLARED[name]


def text(setting: Setting) -> str:
    """The value: `NAME`, else the stripped content of the file that `NAME_FILE` names, else the default."""
    if setting.name in os.environ:
        return os.environ[setting.name]
    path = os.environ.get(f"{setting.name}_FILE")
    if not path:
        return setting.default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as failure:
        raise ImproperlyConfigured(f"{setting.name}_FILE cannot be read: {failure}") from failure


def flag(setting: Setting) -> bool:
    """A yes or no."""
    value = text(setting).strip().lower()
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("", "0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{setting.name} is {value!r}; write 1 or 0")


def words(setting: Setting) -> list[str]:
    """A list, separated by commas."""
    return [word.strip() for word in text(setting).split(",") if word.strip()]


def number(setting: Setting) -> float:
    """A number above zero."""
    try:
        value = float(text(setting))
    except ValueError as failure:
        raise ImproperlyConfigured(f"{setting.name} is not a number") from failure
    if value <= 0:
        raise ImproperlyConfigured(f"{setting.name} must be above zero")
    return value


def roles_of_groups(setting: Setting) -> dict[str, tuple[str, str]]:
    """What groups of a provider are here: `leads=blue:lead` gives `{"leads": ("blue", "lead")}`."""
    found = {}
    for word in words(setting):
        group, _, place = word.rpartition("=")
        team, _, role = place.partition(":")
        if not group or not team or role not in ROLES:
            raise ImproperlyConfigured(f"{setting.name}: {word!r} is not group=team:role")
        found[group] = (team, role)
    return found


ROLES = frozenset({"viewer", "analyst", "responder", "approver", "lead", "admin", "auditor"})
"""Written out: settings are read before any model can be."""

SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;"
    "PRAGMA cache_size=-20000;PRAGMA mmap_size=134217728;PRAGMA foreign_keys=ON;"
    # Without it REPLACE removes the row in its way past the triggers that forbid removing rows.
    "PRAGMA recursive_triggers=ON"
)


def database(setting: Setting) -> dict[str, Any]:
    """A Django database from `sqlite:////path` or `postgresql://user:password@host:port/name?option=…`."""
    url = text(setting)
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        # IMMEDIATE takes the write lock at BEGIN: deferred transactions that read and then write
        # fail at once under contention, whatever the busy time-out says.
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path)[1:] or ":memory:",
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": SQLITE_PRAGMAS},
        }
    if parts.scheme in ("postgres", "postgresql"):
        query = dict(parse_qsl(parts.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path)[1:],
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", unquote(parts.hostname or "")),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"connect_timeout": 5, **query},
        }
    raise ImproperlyConfigured(f"{setting.name} is neither sqlite:////path nor postgresql://…")
