"""The main job: all figures on the machine's cores, in full and in quick mode, against one core."""

from __future__ import annotations

import os
import tempfile
import time

from sftheory.figures.output import reproduce


def seconds(**kwargs: object) -> float:
    """Wall time of making all figures in a fresh folder."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        reproduce(out=out, **kwargs)  # pyright: ignore[reportArgumentType]
        return time.perf_counter() - start


def main() -> None:
    """Print the three times and the gain from the cores."""
    jobs = os.cpu_count() or 1
    one, all_cores, quick = (
        seconds(jobs=1),
        seconds(jobs=jobs),
        seconds(jobs=jobs, quick=True),
    )
    print(f"all figures, 1 job        {one:6.1f} s")
    print(f"all figures, {jobs} jobs       {all_cores:6.1f} s   limit 300 s on 2 cores")
    print(f"quick, {jobs} jobs             {quick:6.1f} s   limit 60 s on 2 cores")
    print(f"ratio                     {one / all_cores:6.2f}     1 job / {jobs} jobs")


if __name__ == "__main__":
    main()
