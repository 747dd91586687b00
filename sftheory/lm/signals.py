"""SIGTERM, SIGUSR1 and SIGUSR2 as a question that is asked once each step."""

from __future__ import annotations

import signal
import threading
from typing import Any, Self

_HEARD = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Signals:
    """A context in which these signals are noted instead of obeyed.

    Attributes:
        arrived: the number of the first one; 0 while there was none.
    """

    def __init__(self) -> None:
        self.arrived = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            self._before = {s: signal.signal(s, self._note) for s in _HEARD}
        return self

    def __exit__(self, *_: object) -> None:
        for which, handler in self._before.items():
            signal.signal(which, handler)

    def _note(self, number: int, _: Any) -> None:
        self.arrived = self.arrived or number
