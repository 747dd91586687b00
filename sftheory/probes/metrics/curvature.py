"""Curvature of the loss: sampled, because one value costs as much as many gradients."""

from __future__ import annotations

from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(tex=r"\lambda_{\max}(H_t)", sampled=True)
def sharpness(s: Reading) -> Tensor:
    """Largest eigenvalue of the Hessian at the parameters, or of a module's block of it."""
    return s.curvature(preconditioned=False)


@METRICS.register(tex=r"\lambda_{\max}(P_t^{1/2} H_t P_t^{1/2})", sampled=True)
def preconditioned_sharpness(s: Reading) -> Tensor:
    """Largest eigenvalue of P^½ H P^½ with P = 1 / (√v + ε), as Adam sees it; null without a v."""
    return s.curvature(preconditioned=True)
