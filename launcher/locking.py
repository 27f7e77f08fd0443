"""`./quell lock`: compile the requirement files again. Only maintainers need it, and only here uv."""

import os
import shutil
import sys
from collections.abc import Sequence

from launcher import environment, layout, processes
from launcher.console import Console, LauncherError
from launcher.stopping import Stop

_UV_VENV = layout.ROOT / ".venv-lock"


def lock(rest: Sequence[str], *, console: Console, stop: Stop) -> int:
    """Compile each `.in` file to a hashed, universal lock; further arguments go to `uv pip compile`."""
    uv = _uv(console=console, stop=stop)
    # Development pins are constrained by the runtime lock, so the order matters.
    for target in (layout.RUNTIME_LOCK, layout.DEV_LOCK, layout.ENFORCING_LOCK):
        source = target.with_suffix(".in")
        console.stage(f"compiling {source.name}")
        code = processes.run(
            [
                uv, "pip", "compile", "--universal", "--generate-hashes", "--python-version", "3.11",
                "--quiet", *rest, source.name, "-o", target.name,
            ],
            environment={
                **os.environ,
                "UV_PYTHON_DOWNLOADS": "never",
                "UV_CUSTOM_COMPILE_COMMAND": "./quell lock",
            },
            log=sys.stdout.fileno(),
            stop=stop,
        )  # fmt: skip
        if code != 0:
            raise LauncherError(f"uv could not compile {source.name} (exit status {code})")
    return 0


def _uv(*, console: Console, stop: Stop) -> str:
    if found := shutil.which("uv"):
        return found
    own = _UV_VENV / "bin" / "uv"
    if not own.exists():
        console.stage(f"installing uv into {_UV_VENV.name}")
        environment.install_loose(_UV_VENV, ["uv"], console=console, stop=stop)
    return str(own)
