"""Where things lie in a checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout: the directory that holds `quell`, `manage.py` and the locks."""

RUNTIME_LOCK = ROOT / "requirements.txt"
DEV_LOCK = ROOT / "requirements-dev.txt"
ENFORCING_LOCK = ROOT / "requirements-enforcing.txt"

VENV = ROOT / ".venv"
ENFORCING_VENV = ROOT / ".venv-enforcing"

DEMO_DATA = ROOT / ".quell" / "demo"
UP_DATA = ROOT / ".quell" / "data"


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment, whether or not it exists yet."""
    return venv / "bin" / "python"


def packages() -> list[str]:
    """Top-level Python packages of the checkout, by name: every directory with an `__init__.py`."""
    return sorted(path.parent.name for path in ROOT.glob("[a-z]*/__init__.py"))
