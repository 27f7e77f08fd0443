"""What each process finds in its environment: settings for all, AWS for two, secrets for few."""

import os
from collections.abc import Mapping

from launcher.datadir import DataDirectory

_SECRET = ("QUELL_SECRET_KEY", "QUELL_AUDIT_KEY", "DATABASE_", "REDIS_")

AWS_PROCESSES = ("worker-collect", "worker-containment")
"""The only two processes that ever speak to AWS."""

NOWHERE = "redis://127.0.0.1:1/0"
"""A broker address that refuses at once, for when there is none: better than a stranger's on 6379."""

MISLEADING = ("PYTHON", "PIP_", "CELERY_", "GUNICORN_", "DJANGO_", "VIRTUAL_ENV", "WEB_CONCURRENCY", "BOTO_")
"""Beginnings of variables that would redirect Python, Django, gunicorn or Celery behind our back."""

# For the launcher, migrations or single commands; running processes have no use for them.
_NOT_FOR_ALL = (
    "QUELL_VALKEY_PASSWORD",
    "QUELL_DEMO_PASSWORD",
    "DATABASE_OWNER_URL",
    "DATABASE_OWNER_URL_FILE",
    "QUELL_PROCESS",
    "QUELL_PYTHON",
)


def is_aws(name: str) -> bool:
    """Whether a variable configures an AWS SDK."""
    return name.startswith("AWS_")


def setting(data: DataDirectory, name: str) -> str | None:
    """A setting from the environment, else from the data directory's `.env`."""
    return os.environ.get(name) or data.settings().get(name)


def common(data: DataDirectory, **own: str) -> dict[str, str]:
    """The environment every process shares: the caller's and `.env`'s settings, and no AWS at all.

    The environment wins over `.env`, also with `NAME_FILE`; `own` wins over both. The home directory
    is an empty one, so that no SDK finds the caller's credentials in files either.
    """
    inherited = {name: value for name, value in os.environ.items() if _may_pass(name)}
    kept = {
        name: value
        for name, value in data.settings().items()
        if _may_pass(name) and f"{name}_FILE" not in inherited
    }
    return {
        **kept,
        **inherited,
        "DJANGO_SETTINGS_MODULE": "soc.settings",
        "HOME": str(data.home),
        # glibc gives each thread an arena of its own, and what was freed there stays: twice the memory
        # after large bodies, and nothing gained where threads take turns anyway.
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "QUELL_DATA": str(data.path),
        **own,
    }


def callers_aws(data: DataDirectory) -> dict[str, str]:
    """The caller's own AWS settings, for `up`: variables, those in `.env`, and the way to `~/.aws`."""
    named = {**data.settings(), **os.environ}
    found = {name: value for name, value in named.items() if is_aws(name)}
    return {**found, "HOME": os.environ["HOME"]} if "HOME" in os.environ else found


def of_process(name: str, *, common: Mapping[str, str], aws: Mapping[str, str]) -> dict[str, str]:
    """The environment of one of Quell's processes: AWS settings only where they belong."""
    mine = {**common, "QUELL_PROCESS": name}
    return {**mine, **aws} if name in AWS_PROCESSES else mine


def plain() -> dict[str, str]:
    """The caller's environment for tools and tests: no AWS, nothing that misleads Python."""
    return {
        name: value
        for name, value in os.environ.items()
        if not is_aws(name) and not name.startswith(MISLEADING)
    }


def of_simulator(common: Mapping[str, str]) -> dict[str, str]:
    """The environment of the simulated AWS: it stands for somebody else's machine and gets no secret."""
    return {name: value for name, value in common.items() if not name.startswith(_SECRET)}


def _may_pass(name: str) -> bool:
    return not (is_aws(name) or name in _NOT_FOR_ALL or name.startswith(MISLEADING))
