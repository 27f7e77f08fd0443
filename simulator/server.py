"""The simulated AWS as an HTTP server on 127.0.0.1."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from simulator.gateway import Gateway

HOST = "127.0.0.1"
_running = threading.Lock()


class _QuietHandler(MotoRequestHandler):
    """Without a line on the terminal for each request: the call log has them."""

    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""

    def connection_dropped(self, error: BaseException, environ: Any = None) -> None:  # noqa: ARG002
        """Close without an answer; the next request on this connection would be answered else."""
        self.close_connection = True


class Simulator:
    """A simulated AWS in this process: `Simulator().start()`, then point boto3 at `.url`.

    One at a time per process, since moto's state is the process's. `data` keeps state between
    starts; without it everything is gone at `stop`.
    """

    def __init__(self, data: Path | None = None) -> None:
        self._data = data

    def start(self, port: int = 0) -> Self:
        """Serve on a port, or on a free one. Raises RuntimeError if another one runs in this process."""
        if not _running.acquire(blocking=False):
            raise RuntimeError("one simulated AWS per process: moto keeps its state in the process")
        try:
            self._gateway = Gateway(self._data)
            self._server = make_server(
                HOST, port, self._gateway, threaded=True, request_handler=_QuietHandler
            )
        except BaseException:
            _running.release()
            raise
        self._server.daemon_threads = True  # type: ignore[attr-defined]  # socketserver's, on a threaded server
        self._thread = threading.Thread(target=self._server.serve_forever, name="simulated AWS", daemon=True)
        self._thread.start()
        return self

    @property
    def url(self) -> str:
        """The endpoint for boto3's `endpoint_url` and for `AWS_ENDPOINT_URL`."""
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def estate(self) -> Mapping[str, Any]:
        """What `GET /_sim/estate` shows."""
        return self._gateway.world.estate

    def stop(self) -> None:
        """Stop serving and keep the state, if there is a directory for it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._gateway.close()
        _running.release()

    def reset(self) -> None:
        """Back to the estate as first built; clears faults and log."""
        self._gateway.reset()

    def calls(self, since: int = 0) -> list[dict[str, Any]]:
        """Records of the call log after a number, in order."""
        return [json.loads(line) for line in self._gateway.log.since(since)[0]]

    def faults(self, rules: list[Mapping[str, Any]]) -> None:
        """Order faults; an empty list clears them. Raises ValueError for a rule that cannot be read."""
        self._gateway.faults.replace(rules)
