"""`soc.settings` for pytest, so that a bare `pytest` works as well as `./quell test`.

pytest-django reads the settings before any conftest, hence a module of its own. It only fills in
environment variables that are not set, and gives the test database a file where the engine is
SQLite: real workers and servers are other processes and could not see one in memory.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "QUELL_DATA" not in os.environ:
    scratch = tempfile.mkdtemp(prefix="quell-pytest-")
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(scratch, ignore_errors=True) if os.getpid() == owner else None)
    os.environ["QUELL_DATA"] = scratch
os.environ.setdefault("QUELL_TESTING", "1")
os.environ.setdefault("QUELL_LOG", "text")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")  # refuses at once; tests that need one ask for it

from soc.settings import *  # noqa: F403
from soc.settings import DATABASES, STATIC_ROOT

STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # else whitenoise warns, and warnings are errors

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": str(Path(os.environ["QUELL_DATA"]) / "test.sqlite3")}
