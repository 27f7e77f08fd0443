"""Programs that the tests start: a supervisor in a process of its own, so that it can be killed.

`python -m tests.launcher.driver DIRECTORY SCENARIO` supervises fake children until a signal.
"""

import sys
import time
from pathlib import Path

from launcher.console import Console
from launcher.layout import ROOT
from launcher.stopping import Stop
from launcher.supervisor import Program, Supervisor

# Appends a line to its diary when it starts, and one when it is told to stop; takes a while over it.
CHILD = """
import os, signal, sys, time
diary, name, mood = sys.argv[1:4]
def write(word):
    with open(diary, "a") as file:
        file.write(f"{name} {word} {os.getpid()}\\n")
def stop(*_):
    write("told")
    if mood == "stubborn":
        return
    time.sleep(0.1)
    write("stopped")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
if mood == "parent" and os.fork() == 0:
    name += "-grandchild"
write("started")
if mood == "crash":
    print("boom", flush=True)
    sys.exit(3)
while True:
    time.sleep(0.05)
"""

SCENARIOS = {
    "crash": [("steady", "calm", 1), ("fragile", "crash", 1)],
    "ordered": [("first", "calm", 1), ("second", "calm", 2), ("third", "calm", 3)],
    "stubborn": [("stubborn", "stubborn", 1), ("calm", "calm", 2)],
    "family": [("parent", "parent", 1)],
}


def main(directory: Path, scenario: str) -> None:
    """Supervise one scenario's children until told to stop."""
    stop = Stop()
    stop.install()
    supervisor = Supervisor(run=directory, logs=directory, console=Console())
    for name, mood, stage in SCENARIOS[scenario]:
        command = (sys.executable, "-c", CHILD, str(directory / "diary"), name, mood)
        program = Program(name=name, command=command, environment={}, stage=stage, patience=1, directory=ROOT)
        supervisor.start(program)
    while not stop.requested:
        supervisor.look()
        time.sleep(0.02)
    supervisor.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
