"""`refine`: the best steps for the gradient norms of a run that was logged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.bounds import refined
from sftheory.core.errors import InputError, constant, numbers, real
from sftheory.design.plan import Plan, plan_of, positive

Array = NDArray[np.float64]


def refine(grad_norms: ArrayLike, *, D: float, smooth: float | None = None) -> Plan:
    r"""The steps of least worst case if the gradient norms come back as they were logged.

    Update: gamma_t = D W^{-3/2} w_t Σ_{i>t} w_i with w_t = G_t^-2, W = Σ w.
    Guarantee: worst case D / sqrt(W), the least of all steps. With `smooth` the steps are those of
        filtered norms, while `value` and `unconstrained` keep to the norms as logged: the price is
        then what smoothing costs should exactly these norms return.
    Shapes and units:
        grad_norms: (N + 1,), > 0, the last at the report; they make N steps.  D: > 0.

    Args:
        grad_norms: the norms of one run.
        D: the distance from x_1 to a minimiser; it only scales the steps.
        smooth: in (0, 1]: a median filter over this fraction of the run, 2 ⌊smooth (N+1)/2⌋ + 1
            norms wide, which repeats the first norm before the start and mirrors the end, as the
            authors' code does; they use 0.1.

    Raises:
        InputError: a norm is not positive, there is only one, or `smooth` is out of range.

    References: defazio2023, Alg. 1 [number recalled] and its code.

    Example:
        >>> plan = refine([2.0] * 4, D=1)
        >>> plan.gamma.tolist(), round(plan.value, 12)
        ([0.1875, 0.125, 0.0625], 1.0)
    """
    logged = numbers("grad_norms", grad_norms)
    constant("design.refine", "grad_norms", logged)
    if logged.ndim != 1 or len(logged) < 2:
        raise InputError(
            f"design.refine makes N steps from N+1 norms of one run, but got shape {logged.shape}; "
            f"pass at least two."
        )
    D = positive("refine", "D", D)
    used = logged
    if smooth is not None:
        if real("smooth", smooth, 0, 1) == 0:
            raise InputError("smooth must be above 0; leave it out for no filter.")
        used = _median(logged, smooth)
    return plan_of(refined(used, D=D).gamma, D, logged)


def _median(norms: Array, fraction: float) -> Array:
    """The running median, of the same length."""
    half = int(fraction * len(norms) / 2 + 1e-9)
    before = np.pad(norms, (half, 0), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(before, (0, half), mode="reflect"), 2 * half + 1
    )
    return np.median(windows, axis=-1)
