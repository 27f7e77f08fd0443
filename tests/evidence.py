"""Figures of the exhaustive tier, kept in docs/evidence/<issue>.json with commit and seed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


def write(issue: str, name: str, figures: Any) -> None:
    """Add figures under a name and the present engine; a later run replaces them."""
    path = ROOT / "docs" / "evidence" / f"{issue}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept.setdefault(connection.vendor, {})[name] = {"commit": _commit(), "figures": figures}
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _commit() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
