"""Start-up: how long the commands take that should answer at once, against a bare interpreter.

Every command is a fresh process, timed in turn with `python -c pass`, so that both meet the same
machine. NumPy alone is shown as the floor of whatever computes.
"""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import numpy": ["-c", "import numpy"],
    "import sftheory": ["-c", "import sftheory"],
    "sftheory list": ["-m", "sftheory", "list"],
    "sftheory bound": ["-m", "sftheory", "bound", "--schedule", "wsd", "--cooldown", "0.2"],
}
LIMITS = {"import sftheory": 0.5, "sftheory list": 1.0, "sftheory bound": 1.5}
REPEATS = 7


def seconds(words: list[str]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print the median of each, its ratio to the bare interpreter, and its limit."""
    for words in COMMANDS.values():
        seconds(words)  # compiles what is not compiled yet
    rounds = [{name: seconds(words) for name, words in COMMANDS.items()} for _ in range(REPEATS)]
    medians = {name: float(np.median([r[name] for r in rounds])) for name in COMMANDS}
    bare = medians["python -c pass"]
    for name, median in medians.items():
        limit = f"limit {LIMITS[name]:.1f} s" if name in LIMITS else ""
        print(f"{name:16} {median:6.3f} s   {median / bare:5.1f} x bare   {limit}")


if __name__ == "__main__":
    main()
