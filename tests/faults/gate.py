"""`python -m tests.faults.gate --port N --to URL`: a proxy before the simulated AWS that can hold a request.

A worker can then be frozen while its call is known to be under way: before the call reached AWS, or
after it was carried out and only the answer is missing.

    POST /_gate/hold {"match": "Action=UpdateAccessKey", "when": "before" | "after"}   the next one
    GET  /_gate/held         {"held": true} while a request is being held
    POST /_gate/release      let it go
"""

from __future__ import annotations

import argparse
import http.client
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

LONGEST = 60.0
NOT_PASSED_ON = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


class Gate(BaseHTTPRequestHandler):
    """Passes everything on; `order` says which request to hold."""

    protocol_version = "HTTP/1.1"
    to: ClassVar[str]
    order: ClassVar[dict[str, str] | None] = None
    held: ClassVar[threading.Event] = threading.Event()
    released: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_gate/"):
            self._control(body)
            return
        when = self._taken(body)
        if when == "before":
            self._hold()
        status, headers, answer = self._pass_on(body)
        if when == "after":
            self._hold()
        self._say(status, headers, answer)

    def _taken(self, body: bytes) -> str:
        order = Gate.order
        if order is None or order["match"].encode() not in body:
            return ""
        Gate.order = None
        return order["when"]

    def _hold(self) -> None:
        Gate.held.set()
        Gate.released.wait(LONGEST)
        Gate.held.clear()

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(Gate.to, timeout=60)
        connection.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        kept = [(k, v) for k, v in answer.getheaders() if k.lower() not in NOT_PASSED_ON]
        return answer.status, kept, read

    def _control(self, body: bytes) -> None:
        what = self.path.removeprefix("/_gate/")
        if what == "hold":
            Gate.released.clear()
            Gate.order = json.loads(body)
        elif what == "release":
            Gate.released.set()
        self._say(200, [], json.dumps({"held": Gate.held.is_set()}).encode())

    def _say(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # whoever asked is gone


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.gate")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True)
    arguments = parser.parse_args()
    Gate.to = urlsplit(arguments.to).netloc
    ThreadingHTTPServer(("127.0.0.1", arguments.port), Gate).serve_forever()


if __name__ == "__main__":
    main()
