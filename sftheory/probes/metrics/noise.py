"""How much of the gradient is noise."""

from __future__ import annotations

from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(tex=r"\bar S / \bar G")
def noise_scale(s: Reading) -> Tensor:
    r"""Trace of the gradient's covariance over ‖E g‖², counted in the batches of one backward.

    From the gradient g_1 of a step's first backward, and the mean g_K of the K times larger batch:

        G = (K ‖g_K‖² - ‖g_1‖²) / (K - 1)    S = (‖g_1‖² - ‖g_K‖²) / (1 - 1/K)

    Both are averaged over the logged steps before they are divided. Times the batch of one
    backward it is a number of samples. Null where a step has a single backward.
    """
    K = s.batches
    one, mean = s.dot("first", "first"), s.dot("g", "g") / s.backwards**2
    signal = s.average("signal", s.ratio(K * mean - one, K - 1))
    noise = s.average("noise", s.ratio(one - mean, 1 - 1 / K))
    return s.ratio(noise, signal)
