"""The optimal schedule under a warm-up cap, against a general optimizer on the same exact value.

Both minimise the exact worst case of the last iterate over 0 <= gamma <= cap. Here: one cone
program, then the worst case and the lower bound of the optimum. There: SciPy's L-BFGS-B on
`bounds.last_iterate` with its exact gradient, from min(cap, linear decay) and from a constant.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from sftheory.bounds import last_iterate, last_iterate_gradient
from sftheory.design import continuation, optimal

SIZES = [100, 1000]
BUDGET = 2000  # iterations of the general optimizer


def general(cap: NDArray[np.float64], start: NDArray[np.float64]) -> tuple[float, int]:
    """Value and iterations of L-BFGS-B, D = G = 1, in units of 1 / sqrt(N + 1)."""
    N = len(cap)
    unit = 1 / np.sqrt(N + 1)
    found = minimize(
        lambda x: last_iterate(unit * x, D=1, G=1) / unit,
        start / unit,
        jac=lambda x: last_iterate_gradient(unit * x, D=1, G=1),
        bounds=[(0, min(c / unit, 10)) for c in cap],
        method="L-BFGS-B",
        options={"maxiter": BUDGET, "maxfun": 2 * BUDGET, "ftol": 1e-15, "gtol": 1e-12},
    )
    return found.fun * unit, found.nit


def main(sizes: list[int]) -> None:
    """Print times, the ratio, and both values beside the proved lower bound."""
    optimal(5, D=1, G=1, cap=0.1)  # imports and compiles
    for N in sizes:
        k = np.arange(1, N + 1)
        peak = 1 / np.sqrt(N + 1)
        cap = np.where(k <= N // 5, peak * k / (N // 5 + 1), np.inf)
        plan, times = optimal(N, D=1, G=1, cap=cap), []
        for _ in range(3):
            start = time.perf_counter()
            optimal(N, D=1, G=1, cap=cap)
            times.append(time.perf_counter() - start)
        ours = float(np.median(times))
        print(
            f"N = {N}: optimal {ours:.3f} s, value {plan.value:.12g}, proved within {plan.gap:.1e}"
        )
        decay = peak * (N + 1 - k) / (N + 1)
        for name, h in (("decay", np.minimum(cap, decay)), ("constant", np.minimum(cap, peak))):
            start = time.perf_counter()
            value, iterations = general(cap, h)
            theirs = time.perf_counter() - start
            print(
                f"  L-BFGS-B from {name:9} {theirs:8.3f} s, ratio {theirs / ours:6.1f}, "
                f"value {value:.12g}, {iterations} iterations, off by {value / plan.value - 1:.1e}"
            )
        start = time.perf_counter()
        tail = continuation(np.full(N // 2, 0.7 * peak), N - N // 2, D=1, G=1)
        seconds = time.perf_counter() - start
        print(f"  continuation of a plateau {seconds:.4f} s, price {tail.price:.5f}")


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or SIZES)
