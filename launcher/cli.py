"""The commands of `./quell` and their arguments."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from launcher import checks, demo, environment, layout, locking, processes, surroundings, testing
from launcher.console import Console, LauncherError
from launcher.datadir import DataDirectory
from launcher.stopping import Stop, StopRequested

USAGE = """\
Quell: incident desk for security teams on AWS

    ./quell demo [--port N] [--data DIR] [--fresh] [--no-story]
                              everything on this machine, with a simulated AWS and one incident played
    ./quell up [--port N] [--data DIR]
                              the same processes on your own settings (environment or DIR/.env)
    ./quell manage COMMAND... [--data DIR]
                              a management command on that data directory; `manage help` lists them
    ./quell test [pytest arguments]
                              the whole suite, on SQLite and then on PostgreSQL
    ./quell check             lint, types, import contracts, templates, migrations, compose file
    ./quell bench [name]      measured ratios
    ./quell lock [--upgrade]  compile the requirement locks again (maintainers)
    ./quell help              this text

--port: 8000 if it is free, else another; 0 for any free port.
--data: .quell/demo for demo, .quell/data for up. --fresh empties the demo's directory first.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise LauncherError(f"{self.prog}: {message}. See ./quell help.", code=64)


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status. 64 means the command line made no sense."""
    console = Console()
    try:
        return _dispatch(list(arguments), console)
    except LauncherError as error:
        Console(sys.stderr).line(f"quell: {error}")
        return error.code
    except StopRequested:
        return 130


def _dispatch(arguments: list[str], console: Console) -> int:
    name, rest = (arguments[0], arguments[1:]) if arguments else ("help", [])
    command = COMMANDS.get(name)
    if command is None:
        raise LauncherError(f"there is no command {name!r}. See ./quell help.", code=64)
    return command(rest, console)


def _stoppable() -> Stop:
    stop = Stop()
    stop.install()
    return stop


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _directory(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("--data needs a directory")
    return Path(text)


def _parser(command: str) -> _Parser:
    parser = _Parser(prog=f"./quell {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("--port", type=_port, default=None)
    parser.add_argument("--data", type=_directory, default=_data_from_environment())
    return parser


def _data_from_environment() -> Path | None:
    named = os.environ.get("QUELL_DATA")
    return Path(named) if named else None


def _demo(rest: Sequence[str], console: Console) -> int:
    parser = _parser("demo")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--no-story", action="store_true")
    told = parser.parse_args(rest)
    return demo.demo(
        port=told.port,
        data=told.data,
        fresh=told.fresh,
        story=not told.no_story,
        console=console,
        stop=Stop(),
    )


def _up(rest: Sequence[str], console: Console) -> int:
    told = _parser("up").parse_args(rest)
    return demo.up(port=told.port, data=told.data, console=console, stop=Stop())


def manage(rest: Sequence[str], _console: Console) -> int:
    """Become `manage.py` in the environment of a data directory. Does not return when that works.

    Standard input, output and the exit status are the command's own; progress goes to standard error.
    """
    data_path, command = split_data(rest)
    environment.ensure(environment.RUNTIME, console=Console(sys.stderr), stop=_stoppable())
    data = DataDirectory(data_path or _data_from_environment() or _usual_data())
    data.open_for_command()
    python = layout.python_of(layout.VENV)
    os.execve(python, [str(python), str(layout.ROOT / "manage.py"), *command], command_environment(data))


def split_data(rest: Sequence[str]) -> tuple[Path | None, list[str]]:
    """Take `--data DIR` out of a management command's arguments; what follows `--` is left alone."""
    command: list[str] = []
    data: str | None = None
    left = list(rest)
    while left:
        word = left.pop(0)
        if word == "--":
            command += [word, *left]
            break
        if word == "--data":
            data = left.pop(0) if left else ""
        elif word.startswith("--data="):
            data = word.removeprefix("--data=")
        else:
            command.append(word)
    if data == "":
        raise LauncherError("--data needs a directory", code=64)
    return Path(data) if data else None, command


def _usual_data() -> Path:
    return layout.DEMO_DATA if DataDirectory(layout.DEMO_DATA).kind() else layout.UP_DATA


def command_environment(data: DataDirectory) -> dict[str, str]:
    """What a management command finds: the running stack's addresses where there is one.

    On a real data directory the operator's own AWS settings pass as well; on a demo's they do not.
    """
    running = data.remembered("running")
    own = {}
    if not surroundings.setting(data, "DATABASE_URL") and "DATABASE_URL_FILE" not in os.environ:
        own["DATABASE_URL"] = data.database_url()
    if not surroundings.setting(data, "REDIS_URL") and "REDIS_URL_FILE" not in os.environ:
        own["REDIS_URL"] = str(running.get("broker", surroundings.NOWHERE))
    if "url" in running and not surroundings.setting(data, "QUELL_BASE_URL"):
        own["QUELL_BASE_URL"] = str(running["url"])
    kept_back = {
        name: value
        for name in ("QUELL_DEMO_PASSWORD", "DATABASE_OWNER_URL")
        if (value := surroundings.setting(data, name))
    }
    aws = surroundings.callers_aws(data) if data.kind() == "up" else {}
    return {**surroundings.common(data, **own), **kept_back, **aws}


def _test(rest: Sequence[str], console: Console) -> int:
    return testing.test(rest, console=console, stop=_stoppable())


def _check(rest: Sequence[str], console: Console) -> int:
    if rest:
        raise LauncherError("./quell check takes no arguments", code=64)
    return checks.check(console=console, stop=_stoppable())


def _lock(rest: Sequence[str], console: Console) -> int:
    return locking.lock(rest, console=console, stop=_stoppable())


def _help(_rest: Sequence[str], console: Console) -> int:
    console.line(USAGE.rstrip())
    return 0


def _bench(rest: Sequence[str], console: Console) -> int:
    if not (layout.ROOT / "bench" / "__main__.py").exists():
        raise LauncherError("this checkout has no benchmarks (bench/ is missing)", code=69)
    stop = _stoppable()
    environment.ensure(environment.DEVELOPMENT, console=console, stop=stop)
    return processes.run(
        [layout.python_of(layout.VENV), "-m", "bench", *rest],
        environment=surroundings.plain(),
        log=sys.stdout.fileno(),
        stop=stop,
    )


COMMANDS: dict[str, Callable[[Sequence[str], Console], int]] = {
    "demo": _demo,
    "up": _up,
    "manage": manage,
    "test": _test,
    "check": _check,
    "bench": _bench,
    "lock": _lock,
    "help": _help,
    "-h": _help,
    "--help": _help,
}
