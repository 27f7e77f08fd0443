"""`./quell demo` and `./quell up`."""

import json
import os
import secrets
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from launcher import environment, layout, ports, surroundings
from launcher.console import Console, LauncherError
from launcher.datadir import DataDirectory
from launcher.stack import Stack, answer
from launcher.stopping import Stop, StopRequested
from launcher.supervisor import Program

PREFERRED_PORT = 8000
SIGN_INS = {
    "analyst": "triages alerts, runs incidents, proposes containment",
    "responder": "confirms and reverts reversible actions",
    "approver": "approves disruptive actions, never their own",
    "lead": "all of these, and sets rules and milestones",
    "outsider": "of another team: sees none of it",
    "admin": "people, keys and accounts; approves nothing",
}


def demo(
    *, port: int | None, data: Path | None, fresh: bool, story: bool, console: Console, stop: Stop
) -> int:
    """Everything with a simulated AWS, until a signal; returns the exit status."""

    def begin(stack: Stack) -> None:
        simulator = start_simulator(stack)
        common = prepare(stack)
        password = _demo_password(stack.data)
        wait_for_simulator(stack, simulator)
        with_password = {**common, "QUELL_DEMO_PASSWORD": password}
        console.stage("loading people, accounts and 90 days of history")
        stack.manage(
            "load_demo",
            "--simulator",
            simulator,
            environment=with_password,
            output=stack.data.run / "load_demo.json",
        )
        stack.start_processes(common=common, aws=simulated_aws(simulator))
        console.stage("starting web, workers and beat")
        stack.note_running(simulator=simulator)
        stack.wait_until_ready()
        if story and not stack.data.told_story.exists():
            _play_story(stack, simulator, with_password)
            stack.wait_until_ready()
        _introduce(stack, simulator, password)

    directory = DataDirectory(data or layout.DEMO_DATA)
    return _run(directory, kind="demo", fresh=fresh, port=port, console=console, stop=stop, begin=begin)


def up(*, port: int | None, data: Path | None, console: Console, stop: Stop) -> int:
    """The same processes on the caller's own settings, nothing simulated; returns the exit status."""

    def begin(stack: Stack) -> None:
        common = prepare(stack)
        stack.start_processes(common=common, aws=surroundings.callers_aws(stack.data))
        console.stage("starting web, workers and beat")
        stack.note_running()
        stack.wait_until_ready()
        console.line(f"Data directory: {stack.data.path}   (logs in logs/, settings in .env)")
        console.line("The first person: ./quell manage create_person --login X --name X --roles admin,lead")
        console.line(f"Quell is ready: {stack.url}")

    directory = DataDirectory(data or layout.UP_DATA)
    return _run(directory, kind="up", fresh=False, port=port, console=console, stop=stop, begin=begin)


def _run(
    data: DataDirectory,
    *,
    kind: str,
    fresh: bool,
    port: int | None,
    console: Console,
    stop: Stop,
    begin: Callable[[Stack], None],
) -> int:
    stop.install()
    try:
        environment.ensure(environment.RUNTIME, console=console, stop=stop)
        data.prepare(kind, fresh=fresh)
        data.keep_secrets()
        chosen, remark = ports.choose(port, preferred=PREFERRED_PORT)
        if remark:
            console.stage(remark)
        stack = Stack(data=data, port=chosen, console=console, stop=stop)
        try:
            begin(stack)
            stack.watch()
        finally:
            console.stage("stopping")
            stack.close()
    except StopRequested:
        console.stage("stopped before it was ready")
        return 0
    finally:
        data.lock.release()
    console.stage("stopped")
    return 0


def prepare(stack: Stack) -> dict[str, str]:
    """Broker and database; returns what all processes share."""
    stack.start_broker()
    given = surroundings.setting(stack.data, "QUELL_BASE_URL") if stack.data.kind() == "up" else None
    common = stack.environment(QUELL_BASE_URL=given or stack.url)
    stack.console.stage("bringing the database up to date")
    owner = {
        name: value
        for name in ("DATABASE_OWNER_URL", "DATABASE_OWNER_URL_FILE")
        if (value := surroundings.setting(stack.data, name))
    }
    stack.manage("migrate", "--no-input", environment={**common, **owner})
    return common


# --- the simulated AWS ----------------------------------------------------------------------------


def start_simulator(stack: Stack) -> str:
    """Begin to start it, on the port of last time if that is free; its address."""
    port = ports.remembered_or_free(stack.remembered.get("simulator_port"))
    stack.remembered["simulator_port"] = port
    stack.console.stage(f"starting the simulated AWS on port {port}")
    directory = stack.data.path / "simulator"
    directory.mkdir(mode=0o700, exist_ok=True)
    stack.supervisor.start(
        Program(
            name="simulator",
            command=(str(stack.python), "-m", "simulator", "--port", str(port), "--data", str(directory)),
            environment=surroundings.of_simulator(surroundings.common(stack.data)),
            stage=3,
        )
    )
    return f"http://{ports.LOOPBACK}:{port}"


def wait_for_simulator(stack: Stack, simulator: str) -> None:
    """Wait until it answers; `LauncherError` when it does not."""
    stack.wait(
        "the simulated AWS", lambda: answer(f"{simulator}/_sim/estate") == 200, of="simulator", seconds=90
    )
    stack.console.stage("the simulated AWS answers")


def simulated_aws(simulator: str) -> dict[str, str]:
    """AWS settings of the two workers: the simulator's address and its hub account's key."""
    hub = _read_json(f"{simulator}/_sim/estate").get("hub", {})
    try:
        key, secret = str(hub["access_key_id"]), str(hub["secret_access_key"])
    except KeyError as error:
        raise LauncherError(
            f"{simulator}/_sim/estate names no hub credentials ({error} is missing)"
        ) from error
    return {
        "AWS_ENDPOINT_URL": simulator,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": str(hub.get("region", "us-east-1")),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _read_json(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as response:
        value = json.load(response)
    if not isinstance(value, dict):
        raise LauncherError(f"{url} is not a JSON object")
    return value


# --- story and introduction -------------------------------------------------------------------------


def _play_story(stack: Stack, simulator: str, common: Mapping[str, str]) -> None:
    stack.console.stage("playing the story over HTTP")
    draft = stack.data.run / "story.json"
    stack.manage(
        "play_story", "--simulator", simulator, "--base-url", stack.url, environment=common, output=draft
    )
    draft.replace(stack.data.told_story)


def _demo_password(data: DataDirectory) -> str:
    """`QUELL_DEMO_PASSWORD`, else the one kept in the data directory, made at the first start."""
    if given := os.environ.get("QUELL_DEMO_PASSWORD"):
        data.keep({"QUELL_DEMO_PASSWORD": given}, replace=True)
        return given
    data.keep({"QUELL_DEMO_PASSWORD": secrets.token_urlsafe(12)})
    return data.settings()["QUELL_DEMO_PASSWORD"]


def _introduce(stack: Stack, simulator: str, password: str) -> None:
    say = stack.console.line
    say("")
    say(f"Sign in with the password  {password}  as")
    for name, does in SIGN_INS.items():
        say(f"    {name:<10} {does}")
    say(f"Data directory: {stack.data.path}   (logs in logs/)")
    say(f"Simulated AWS: {simulator}")
    say(f"Valkey: {stack.broker}")
    say(f"Quell is ready: {stack.url}")
