"""Laws that know the rate: fitted to three schedules, asked for six others.

Runs of a 100M language model under SFTHEORY_DATA: cosine, constant and one drop, of 24,000, 24,000
and 16,000 steps, are fitted; the others have other decays, other drops, or three times the length.
The rates are those of the logs, with the warm-up of 2,160 steps that the logs leave out.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from sftheory.fits import Curve, fit_schedules, read

TRAIN = ("cosine_24000", "constant_24000", "wsdcon_9")
TESTS = (
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_3",
    "wsdcon_18",
    "constant_72000",
    "cosine_72000",
)
LAWS, WARMUP = ("tissue", "multi_power", "convex_bound"), 2160


def curve(root: Path, name: str) -> Curve:
    """One run; its authors leave out what lies beyond the planned end."""
    (path,) = root.glob(f"multipowerlaw/csv_100/{name}.csv")
    end = 16_000 if name.startswith("wsdcon") else int(name.split("_")[-1])
    return read(path, y="loss").cut(stop=end - 1)


def table(root: Path) -> str:
    """Mean absolute error in nats of each forecast, and the share of its rows in the interval."""
    lines = [
        f"Laws that know the rate, fitted to {', '.join(TRAIN)}: mean absolute error in nats on "
        "schedules that were not fitted, and the percentage of rows within the 95% interval. Left "
        "out in turn: root mean square error for each of the three by a fit to the others.",
        "",
        f"| law | {' | '.join(TESTS)} | mean | worst | left out in turn | not determined | s |",
        "|---" * (len(TESTS) + 6) + "|",
    ]
    train = [curve(root, name) for name in TRAIN]
    tests = [curve(root, name) for name in TESTS]
    for law in LAWS:
        start = time.perf_counter()
        found = fit_schedules(train, law, warmup=WARMUP)
        took = time.perf_counter() - start
        told = [found.score(one) for one in tests]
        cells = [f"{one.mean:.4f} ({100 * (one.covered or 0):.0f}%)" for one in told]
        cells += [
            f"{np.mean([one.mean for one in told]):.4f}",
            f"{max(one.worst for one in told):.3f}",
            ", ".join(f"{one.rms:.4f}" for one in found.held_out),
            ", ".join(found.identifiability.open) or "-",
            f"{took:.1f}",
        ]
        lines.append(f"| {law} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(Path(os.environ["SFTHEORY_DATA"]) / "curves"))
