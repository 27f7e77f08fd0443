"""A simulated AWS that enforces IAM, for tests that ask "is the attacker really blocked?".

It is ministack with authorisation on, in a process and a virtual environment of its own: it pins
packages that conflict with moto's. It evaluates identity, session, trust and resource policies with
conditions, and permissions boundaries; its EC2 is too thin for containment, so `simulator.server`
is for everything else.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO, Self

HOST = "127.0.0.1"
ACCOUNT = "123456789012"
ROOT_KEY = {"access_key_id": "test", "secret_access_key": "test"}
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class NotInstalledError(RuntimeError):
    """The enforcing simulator's environment is not there; the message says how to make it."""


class CannotStartError(RuntimeError):
    """The enforcing simulator was started and did not answer; the message has its last output."""


def find_python() -> Path:
    """The interpreter that has ministack: `QUELL_ENFORCING_PYTHON`, else `.venv-enforcing` of this checkout.

    Raises NotInstalledError.
    """
    given = os.environ.get("QUELL_ENFORCING_PYTHON")
    python = Path(given) if given else Path(__file__).parents[1] / ".venv-enforcing" / "bin" / "python"
    if not python.exists():
        raise NotInstalledError(
            f"{python} is not there: python3 -m venv .venv-enforcing && "
            ".venv-enforcing/bin/pip install --require-hashes -r requirements-enforcing.txt"
        )
    return python


class EnforcingSimulator:
    """ministack on a free port of 127.0.0.1, authorisation on.

    `ROOT_KEY` is the root of account `ACCOUNT`; a key id of twelve digits is the root of that account.
    """

    def start(self) -> Self:
        """Start it and wait until it answers. Raises NotInstalledError or CannotStartError."""
        self._port = _free_port()
        self._home = tempfile.TemporaryDirectory(prefix="quell-enforcing-")
        self._output: IO[bytes] = (Path(self._home.name) / "output").open("w+b")
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter, fixed arguments
            [find_python(), "-m", "ministack"],
            cwd=self._home.name,
            env=_environment(self._port, self._home.name),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            self._wait()
        except CannotStartError:
            self.stop()
            raise
        return self

    @property
    def url(self) -> str:
        """The endpoint for boto3."""
        return f"http://{HOST}:{self._port}"

    def reset(self) -> None:
        """Empty it."""
        _request(self._port, "POST", "/_ministack/reset")

    def stop(self) -> None:
        """Stop it and remove what it wrote."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
        self._home.cleanup()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise CannotStartError(
                    f"ministack ended with {self._process.returncode}: {self._last_output()}"
                )
            try:
                _request(self._port, "GET", "/_ministack/health")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise CannotStartError(
            f"ministack did not answer within {START_SECONDS:.0f} s: {self._last_output()}"
        )

    def _last_output(self) -> str:
        self._output.seek(0)
        return self._output.read()[-2000:].decode("utf-8", "replace")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _environment(port: int, home: str) -> dict[str, str]:
    # Without BIND_HOST it listens on every address, and without the last two on ports of their own.
    return {
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "HOME": home,
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "PATH": os.defpath,
        "S3_DATA_DIR": f"{home}/s3",
        "SFTP_ENABLED": "0",
        "TMPDIR": home,
    }


def _request(port: int, method: str, path: str) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise ConnectionError(f"{path} answered {answer.status}")
