"""Runs of small transformers that were recorded: tables, tuned peaks, and paired differences.

`experiments/*.toml` are the plans, with budgets and with what their scale can show; `sftheory
sweep` makes the runs and `lm.record` these files, which takes hours where everything else takes
seconds. Unless a figure says otherwise models have 0.3M parameters and see bytes of Python's
standard library, at most 600 steps of 512 tokens (1 token a parameter); seeds share initial weights
and order of data between methods.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sftheory.figures.base import Curve

FOLDER = Path(__file__).parent / "recorded"
TOKENS = 512  # a step
SCALE = "0.3M parameters, 600 steps"


@dataclass(frozen=True)
class Tuned:
    """The best of some peaks: mean losses (peaks,), and the losses of the seeds at the best."""

    peaks: np.ndarray
    means: np.ndarray
    seeds: np.ndarray

    @property
    def best(self) -> int:
        """Its place among the peaks."""
        return int(self.means.argmin())

    @property
    def peak(self) -> float:
        """The best peak."""
        return float(self.peaks[self.best])

    @property
    def interior(self) -> bool:
        """Whether smaller and larger peaks were tried."""
        return 0 < self.best < len(self.peaks) - 1

    def off_by_two(self) -> float:
        """The mean loss that half or twice the best peak adds, of the two the larger."""
        near = [k for k in (self.best - 1, self.best + 1) if 0 <= k < len(self.means)]
        return float(max(self.means[k] for k in near) - self.means[self.best])


class Recorded:
    """The rows of one plan.

    Attributes:
        rows: run, trunk, block, from, optimizer.lr, run.seed, ..., step, tokens, average, loss.
    """

    def __init__(self, plan: str) -> None:
        self.plan = plan
        self.rows = pl.read_csv(FOLDER / f"{plan}.csv", infer_schema_length=None)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The plan, the budget, versions."""
        return json.loads((FOLDER / f"{self.plan}.json").read_text("utf-8"))

    def probe(self) -> pl.DataFrame:
        """The probe's rows with the settings of their run."""
        settings = self.rows.select("run", "optimizer.name", "run.seed").unique()
        told = pl.read_csv(FOLDER / f"{self.plan}.probe.csv", infer_schema_length=None)
        return told.join(settings, on="run")

    def where(self, average: str = "last", **settings: Any) -> pl.DataFrame:
        """Rows of a point with these settings; "_" stands for the dot in a name."""
        found = self.rows.filter(pl.col("average") == average)
        for name, value in settings.items():
            column = name.replace("__", ".")
            if column == "from_":
                column = "from"
            found = found.filter(pl.col(column) == value)
        return found

    def seeds(self, step: int, average: str = "last", **settings: Any) -> np.ndarray:
        """(seeds,): losses after a step, in the order of the seeds."""
        found = self.where(average, step=step, **settings).unique("run").sort("run.seed")
        return found["loss"].to_numpy()

    def tuned(self, step: int, average: str = "last", **settings: Any) -> Tuned:
        """The peaks of a block after a step."""
        found = self.where(average, step=step, **settings).unique("run")
        by_peak = found.group_by("optimizer.lr").agg(pl.col("loss").mean()).sort("optimizer.lr")
        peaks, means = by_peak["optimizer.lr"].to_numpy(), by_peak["loss"].to_numpy()
        best = found.filter(pl.col("optimizer.lr") == peaks[means.argmin()]).sort("run.seed")
        return Tuned(peaks, means, best["loss"].to_numpy())


def paired(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Mean of a - b over seeds, and the half-width of its 95% interval (Student's t)."""
    from scipy.stats import t

    d = np.asarray(a) - np.asarray(b)
    return float(d.mean()), float(t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d)))


def spread(step: int, losses: np.ndarray, panel: str, series: str) -> Curve:
    """One point: the mean over seeds, from the least to the largest."""
    x = [step * TOKENS]
    return Curve(panel, series, x, [losses.mean()], [losses.min()], [losses.max()])


def along(panel: str, series: str, rows: pl.DataFrame) -> Curve:
    """The mean over seeds along the steps, and the range."""
    each = (
        rows.filter(pl.col("step") >= 75)
        .group_by("step")
        .agg(
            pl.col("loss").mean().alias("y"),
            pl.col("loss").min().alias("low"),
            pl.col("loss").max().alias("high"),
        )
    )
    found = each.sort("step")
    y, low, high = (found[name].to_numpy() for name in ("y", "low", "high"))
    return Curve(panel, series, found["step"].to_numpy() * TOKENS, y, low, high)
