"""The door of the simulated AWS: every request passes here before moto, and `/_sim/` beside it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from lib import clock as product_clock
from simulator import access, calls, engine
from simulator.access import Identity
from simulator.additions import lambda_code, lookup_events
from simulator.calls import CallLog
from simulator.faults import Fault, Faults
from simulator.patches import queues
from simulator.wire import Answer, Call, Refusal, refuse
from simulator.world import World

StartResponse = Callable[..., Any]

LOOK_SECONDS = 0.02
"""How often a long poll looks whether a message has come."""


class ConnectionDropped(ConnectionError):  # ordered, not an error
    """Raised to the HTTP server, which then closes the connection without an answer."""


class Gateway:
    """A WSGI application: authenticate, authorise, fault, apply, log.

    Control: `GET /_sim/calls?since=N`, `GET|POST /_sim/faults`, `POST /_sim/reset`, `GET /_sim/estate`;
    beside it the packages of functions, which AWS keeps behind addresses of their own.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.world = World(directory)
        self.faults = Faults()
        self.log = CallLog(directory / "calls.jsonl" if directory is not None else None)
        lookup_events.read_from(self.log)
        self._late: set[threading.Thread] = set()
        self._closing = threading.Event()
        self._resets = 0

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        lambda_code.reached_at(f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}")
        if environ["PATH_INFO"].startswith("/_sim/"):
            answer = self._control(environ)
        else:
            answer = self._answer(Call.read(environ))
        start_response(f"{answer.status} {'OK' if answer.status < 400 else 'Error'}", list(answer.headers))
        return [answer.body]

    def _answer(self, call: Call) -> Answer:
        try:
            return self.handle(call)
        except ConnectionDropped:
            raise
        except Exception as error:  # noqa: BLE001  # the outermost door: the trace is printed
            return engine.crashed(call, error)

    def handle(self, call: Call) -> Answer:
        """Answer one AWS call. Raises ConnectionDropped when a fault rule says there is no answer."""
        caller = self._caller(call)
        fault = self.faults.take(call.name, caller.account if caller else "")
        if fault is None:
            if caller is not None and call.name == "sqs:ReceiveMessage":
                self._wait_for_messages(call, caller.account)
            return self._process(call, None)
        product_clock.sleep(fault.delay)
        if fault.late is not None:
            self._apply_late(call, fault, fault.late)
            raise ConnectionDropped
        if fault.when == "before":
            return self._fail(call, caller, fault)
        self._process(call, fault)
        return self._answer_fault(call, fault)

    def _wait_for_messages(self, call: Call, account: str) -> None:
        """A long poll, outside the lock: until there is something to receive, or time is up."""
        asked = call.parameters()
        with self.world.lock:
            seconds = queues.patience(asked, account=account, region=call.region)
        deadline = time.monotonic() + seconds / product_clock.rate()
        while time.monotonic() < deadline:
            with self.world.lock:
                if queues.is_worth_a_look(asked, account=account, region=call.region):
                    return
            if self._closing.wait(LOOK_SECONDS):
                return

    def _caller(self, call: Call) -> Identity | None:
        """Whose credential it is, whether or not it may be used."""
        with self.world.lock:
            credential = access.find_credential(call.access_key, self.world.root_keys)
        return credential.identity if credential else None

    def _fail(self, call: Call, identity: Identity | None, fault: Fault) -> Answer:
        """The call does not reach AWS, or AWS turns it away."""
        answer = None if fault.drops else refuse(call, Refusal(fault.status, fault.code, fault.message))
        self.log.append(calls.record(call, identity, answer, decided_by="fault", fault=fault))
        return self._answer_fault(call, fault)

    def _answer_fault(self, call: Call, fault: Fault) -> Answer:
        if fault.drops:
            raise ConnectionDropped
        return refuse(call, Refusal(fault.status, fault.code, fault.message))

    def _apply_late(self, call: Call, fault: Fault, seconds: float) -> None:
        resets = self._resets

        def later() -> None:
            self._closing.wait(seconds / product_clock.rate())
            if not self._closing.is_set() and resets == self._resets:
                self._process(call, fault)
            self._late.discard(thread)

        thread = threading.Thread(target=later, name=f"late {call.name}", daemon=True)
        self._late.add(thread)
        thread.start()

    def _process(self, call: Call, fault: Fault | None) -> Answer:
        """Decide, apply and log as one step: nobody changes a policy in between."""
        with self.world.lock:
            identity = self._caller(call)
            decided_by, dry_run = "", False
            try:
                identity = access.authenticate(call, self.world.root_keys)
                access.authorise(call, identity)
                dry_run = call.dry_run
                answer = (
                    self._would_have_succeeded(call) if dry_run else self.world.apply(call, identity.account)
                )
            except Refusal as refusal:
                decided_by = refusal.decided_by
                answer = refuse(call, refusal)
            self.log.append(
                calls.record(call, identity, answer, decided_by=decided_by, dry_run=dry_run, fault=fault)
            )
            return answer

    def _would_have_succeeded(self, call: Call) -> Answer:
        """EC2's answer to DryRun. moto executes some dry runs, so none reaches it.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonParameters.html
        """
        if call.operation_model is None:
            return engine.not_supported(call)
        return refuse(
            call, Refusal(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
        )

    def reset(self) -> None:
        """Back to the estate as first built; no faults, an empty log, late calls forgotten."""
        self._resets += 1
        self.faults.replace([])
        self.world.reset()
        self.log.clear()

    def close(self) -> None:
        """Stop late calls, write the last checkpoint, close files."""
        self._closing.set()
        self.world.close()
        self.log.close()

    def _control(self, environ: Mapping[str, Any]) -> Answer:
        request = (environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix("/_sim/"))
        if request == ("GET", "calls"):
            return self._show_calls(environ)
        if request == ("GET", "faults"):
            return _json(200, self.faults.left())
        if request == ("POST", "faults"):
            return self._order_faults(Call.read(environ).body)
        if request == ("POST", "reset"):
            self.reset()
            return _json(200, {"reset": True})
        if request == ("GET", "estate"):
            return _json(200, self.world.estate)
        if request[0] == "GET" and request[1].startswith(lambda_code.PATH):
            return self._give_code(request[1])
        return _json(404, {"error": "calls, faults, reset and estate are here"})

    def _give_code(self, path: str) -> Answer:
        """The package of a function, as behind the address that GetFunction answers."""
        with self.world.lock:
            code = lambda_code.code_at(path)
        return _json(404, {"error": "no function has this code"}) if code is None else _answer(200, code)

    def _show_calls(self, environ: Mapping[str, Any]) -> Answer:
        since = parse_qs(environ.get("QUERY_STRING", "")).get("since", ["0"])[0]
        if not since.isdigit():
            return _json(400, {"error": "since is a sequence number"})
        lines, following = self.log.since(int(since))
        return _answer(200, f'{{"calls": [{", ".join(lines)}], "next": {following}}}'.encode())

    def _order_faults(self, body: bytes) -> Answer:
        try:
            rules = json.loads(body or b"[]")
            if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
                raise ValueError("faults are a JSON list of objects")
            self.faults.replace(rules)
        except (ValueError, TypeError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, self.faults.left())


def _json(status: int, document: object) -> Answer:
    return _answer(status, json.dumps(document).encode())


def _answer(status: int, body: bytes) -> Answer:
    return Answer(status, (("Content-Type", "application/json"), ("Content-Length", str(len(body)))), body)
