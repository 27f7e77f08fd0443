"""Being told to stop: Ctrl-C, SIGTERM and SIGHUP set a flag that every wait looks at."""

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Raised by `Stop.check` after a signal."""


class Stop:
    """Remembers that a signal came. A flag and not an exception, so no clean-up is cut in half."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Take over the three signals for the rest of the process's life."""
        for number in SIGNALS:
            signal.signal(number, self._remember)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True

    def check(self) -> None:
        """Raise `StopRequested` if a signal came."""
        if self.requested:
            raise StopRequested
