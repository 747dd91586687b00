"""Convex problems on real data, the field's four methods side by side.

After defazio2024, Fig. 8, on the data sets that scikit-learn bundles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory import methods, problems, run, schedules
from sftheory.core.claim import Claim
from sftheory.core.tableau import Tableau
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
METHODS = {
    "last iterate, linear decay": (methods.LastIterate(), schedules.Linear()),
    "Polyak average": (methods.PolyakAverage(), schedules.Constant()),
    "primal average": (methods.PrimalAverage(), schedules.Constant()),
    "schedule-free": (methods.ScheduleFree(0.9), schedules.Constant()),
}


@FIGURES.register("R01", ref="defazio2024", seed="0..9", seconds=20)
class LogisticRegressions(Figure):
    """Linear decay, Polyak averaging, primal averaging and schedule-free on real data.

    Logistic regression on scikit-learn's data sets, standardised, minibatches of 16, N = 2000 steps
    (digits and diabetes without regularisation, breast cancer and wine with reg = 1/n), β = 0.9,
    peaks 2^-7 to 2^5, mean and standard error over 10 seeds that all methods share. Top: the gap
    along the run at each method's best peak for the end. Bottom: the gap after the last step
    against the peak. In the spirit of Fig. 8 of defazio2024, on other data.
    """

    N, BATCH = 2000, 16
    PEAKS = 2.0 ** np.arange(-7, 6)
    DATA = ("cancer", "digits", "wine", "diabetes")

    def data(self, quick: bool = False) -> Data:
        quarter = self.N // 4
        record = np.unique(np.r_[0, quarter, np.geomspace(1, self.N, 50).astype(int)])
        tableau = Tableau.stack(
            [m.tableau(np.outer(self.PEAKS, shape(self.N))) for m, shape in METHODS.values()]
        )
        at_quarter = int(np.flatnonzero(record == quarter)[0])
        curves, values = [], {}
        for name in self.DATA:
            problem = _problem(name, self.BATCH)
            seeds = 4 if quick else 10
            gap = run(problem, tableau, seeds=seeds, record=record, losses="x").gap_x
            mean, error = gap.mean(axis=2), gap.std(axis=2, ddof=1) / np.sqrt(gap.shape[2])
            for i, method in enumerate(METHODS):
                best = int(np.argmin(mean[i, :, -1]))
                along = _band(mean[i, best, 1:], error[i, best, 1:])
                end = _band(mean[i, :, -1], error[i, :, -1])
                curves.append(Curve(f"{name}, along", method, record[1:], *along))
                curves.append(Curve(f"{name}, end", method, self.PEAKS, *end))
                values |= {
                    f"{name}, {method}, end": mean[i, best, -1],
                    f"{name}, {method}, error": error[i, best, -1],
                    f"{name}, {method}, quarter": mean[i, best, at_quarter],
                    f"{name}, {method}, best peak": self.PEAKS[best],
                    f"{name}, {method}, peaks": (mean[i, :, -1] <= 4 * mean[i, best, -1]).sum(),
                }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        from sftheory.figures.style import lines

        figure = plt.figure(figsize=(7.2, 4.3))
        axes = figure.subplots(2, 4)
        for column, name in enumerate(self.DATA):
            top, bottom = axes[:, column]
            lines(top, data.panel(f"{name}, along").values(), linewidth=1.2)
            lines(bottom, data.panel(f"{name}, end").values(), linewidth=1.2)
            for panel, x in ((top, "step"), (bottom, "peak γ")):
                panel.set_xscale("log")
                panel.set_yscale("log")
                panel.set_xlabel(x)
            bottom.set_xscale("log", base=2)
            bottom.set_xticks([2.0**k for k in (-6, -2, 2)])
            top.set_title(name, loc="left")
        axes[0, 0].set_ylabel("$f(x_t) - f_\\star$, best peak")
        axes[1, 0].set_ylabel("$f(x_{N+1}) - f_\\star$")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        def ratios(other: str, when: str = "end") -> Array:
            ours, theirs = (
                np.array([data.values[f"{name}, {method}, {when}"] for name in self.DATA])
                for method in ("schedule-free", other)
            )
            return ours / theirs

        def wins(method: str) -> Array:
            return np.array([data.values[f"{name}, {method}, peaks"] for name in self.DATA])

        source = "defazio2024, Fig. 8, on other data"
        return [
            Claim(
                "R01-primal",
                "Schedule-free ends below primal averaging on every data set, both at their best "
                "peak: largest ratio of the gaps",
                ratios("primal average").max(),
                "<=",
                1,
                source=source,
            ),
            Claim(
                "R01-linear",
                "Schedule-free ends no higher than linear decay on every data set, both at their "
                "best peak: largest ratio of the gaps",
                ratios("last iterate, linear decay").max(),
                "<=",
                1,
                source=source,
                known_failure=LINEAR_FAILS,
            ),
            Claim(
                "R01-polyak",
                "Schedule-free ends no higher than Polyak averaging on every data set, both at "
                "their best peak: largest ratio of the gaps",
                ratios("Polyak average").max(),
                "<=",
                1,
                source=source,
                known_failure=POLYAK_FAILS,
            ),
            Claim(
                "R01-anytime",
                "Stopped at a quarter of the horizon, at the peaks that are best for the end, the "
                "schedule-free run is ahead of the linear-decay run on every data set: largest "
                "ratio of the gaps",
                ratios("last iterate, linear decay", "quarter").max(),
                "<=",
                1,
                source="defazio2024, any stopping time",
                known_failure=ANYTIME_FAILS,
            ),
            Claim(
                "R01-peaks",
                "Schedule-free stays within 4 times its best for at least as many peaks as Polyak "
                "averaging on every data set: smallest surplus",
                (wins("schedule-free") - wins("Polyak average")).min(),
                ">=",
                0,
                source="this project",
            ),
        ]


LINEAR_FAILS = (
    "With minibatch noise and β = 0.9 the average still carries early points after 2000 steps: "
    "schedule-free wins on diabetes only, and linear decay, told the horizon, ends 1.2 to 2 times "
    "lower on the other three."
)
ANYTIME_FAILS = (
    "The run is ahead by a factor 1.8 on cancer, 2.5 on digits and 7 on diabetes; on wine, where "
    "both have all but converged, it is behind by 1.4 standard errors, (4.8 ± 0.3) 1e-4 against "
    "(4.2 ± 0.3) 1e-4."
)
POLYAK_FAILS = (
    "At its own best peak plain averaging ends lower on digits and wine, where noise and not "
    "curvature limits the end; it is worse on cancer and diabetes, and from 4 times its best peak "
    "on it is worse on all four."
)


def _problem(name: str, batch: int) -> problems.LogisticRegression:
    if name in ("digits", "diabetes"):
        return problems.LogisticRegression(name, batch=batch)
    n = len(problems.LogisticRegression(name, reg=1.0).rows)
    return problems.LogisticRegression(name, reg=1 / n, batch=batch)


def _band(mean: Array, error: Array) -> tuple[Array, Array, Array]:
    return mean, np.maximum(mean - error, 1e-12), mean + error
