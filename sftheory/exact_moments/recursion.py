r"""The linear recursion that the moments of a tableau on a noisy quadratic follow.

For a mode of eigenvalue λ, deviations from x_*, inner momentum m_t = μ m_{t-1} + (1 - μ) g_t:

    y_t = (1 - β_t) z_t + β_t x_t,   g_t = λ y_t + ξ_t,   z_{t+1} = z_t - γ_t m_t,
    x_{t+1} = (1 - c_t) x_t + c_t z_{t+1},

with E ξ_t = 0 and E ξ_t² = s² + κ λ² E y_t² + (λ / B) Σ_j λ_j E y_{j,t}². The state of second
moments is E z², E z x, E x², and with momentum E m z, E m x, E m². Means and covariances are
carried apart, and without momentum a factor of the covariance: z = a u and x = b u + e v with u and
v of variance 1. There nothing is subtracted, so that a loss far below the run's largest one keeps
its digits.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"}, error_model="numpy")
def compiled(
    lam: Array,
    noise: Array,
    start: Array,
    weight: Array,
    gamma: Array,
    beta: Array,
    c: Array,
    kappa: float,
    mixing: float,
    mu: float,
    keep: Any,
    losses: Array,
    means: Array,
    seconds: Array,
) -> None:
    """Run one tableau; fills losses (N + 1, 6), means (2, K, d) and seconds (3, K, d).

    losses: E f at x, y, z, then f at the means of x, y, z. weight: (d,), what the loss of a mode
    counts, λ / 2 times its multiplicity. keep: (K,), the steps at which per-mode moments are kept.
    """
    d, N = len(lam), len(gamma)
    zm, xm, mm = start.copy(), start.copy(), np.zeros(d)
    a, b, e = np.zeros(d), np.zeros(d), np.zeros(d)  # without momentum z = a u, x = b u + e v
    A, B, C = np.zeros(d), np.zeros(d), np.zeros(d)  # with it covariances of z, (z, x), x
    P, Q, R = np.zeros(d), np.zeros(d), np.zeros(d)  # and of (m, z), (m, x), m
    kept = 0
    for t in range(N + 1):
        bt = beta[min(t, N - 1)]
        a0, a1, a2 = (1 - bt) * (1 - bt), 2 * bt * (1 - bt), bt * bt
        fx = fy = fz = mx = my = mz = 0.0
        for i in range(d):
            w = weight[i]
            if mu == 0.0:
                A[i], B[i], C[i] = a[i] * a[i], a[i] * b[i], b[i] * b[i] + e[i] * e[i]
            y = (1 - bt) * zm[i] + bt * xm[i]
            fx += w * C[i]
            fz += w * A[i]
            fy += w * (a0 * A[i] + a1 * B[i] + a2 * C[i])
            mx += w * xm[i] * xm[i]
            mz += w * zm[i] * zm[i]
            my += w * y * y
        losses[t, 0], losses[t, 1], losses[t, 2] = fx + mx, fy + my, fz + mz
        losses[t, 3], losses[t, 4], losses[t, 5] = mx, my, mz
        if kept < len(keep) and keep[kept] == t:
            means[0, kept], means[1, kept] = zm, xm
            for i in range(d):
                seconds[0, kept, i] = A[i] + zm[i] * zm[i]
                seconds[1, kept, i] = B[i] + zm[i] * xm[i]
                seconds[2, kept, i] = C[i] + xm[i] * xm[i]
            kept += 1
        if t == N:
            break
        g, ct = gamma[t], c[t]
        rest = 1 - ct
        mixed = mixing * 2 * (fy + my) if mixing > 0 else 0.0
        for i in range(d):
            lami = lam[i]
            ym = (1 - bt) * zm[i] + bt * xm[i]
            y2 = ym * ym + a0 * A[i] + a1 * B[i] + a2 * C[i] if kappa > 0 else 0.0
            spread = noise[i] + kappa * lami * lami * y2 + lami * mixed
            if mu == 0.0:
                p, r = 1 - g * lami * (1 - bt), -g * lami * bt
                q2 = g * g * spread
                u, v = p * a[i] + r * b[i], r * e[i]
                n = np.sqrt(u * u + v * v + q2)
                if n > 0:
                    bent = np.sqrt(q2 * (b[i] * b[i] + e[i] * e[i]) + (p * a[i] * e[i]) ** 2)
                    b[i], e[i] = rest * (b[i] * u + e[i] * v) / n + ct * n, rest * bent / n
                else:
                    b[i], e[i] = 0.0, rest * np.sqrt(b[i] * b[i] + e[i] * e[i])
                a[i] = n
                zi = zm[i] - g * lami * ym
            else:
                # m' = mu m + u z + w x + (1 - mu) ξ
                u, w = (1 - mu) * lami * (1 - bt), (1 - mu) * lami * bt
                mz_ = mu * P[i] + u * A[i] + w * B[i]
                mx_ = mu * Q[i] + u * B[i] + w * C[i]
                m2 = mu * (mu * R[i] + 2 * u * P[i] + 2 * w * Q[i])
                m2 += u * u * A[i] + 2 * u * w * B[i] + w * w * C[i] + (1 - mu) * (1 - mu) * spread
                after = A[i] - 2 * g * mz_ + g * g * m2
                cross = B[i] - g * mx_
                mz_ -= g * m2
                mx_ = rest * mx_ + ct * mz_
                C[i] = rest * rest * C[i] + 2 * ct * rest * cross + ct * ct * after
                B[i] = rest * cross + ct * after
                A[i], P[i], Q[i], R[i] = after, mz_, mx_, m2
                mm[i] = mu * mm[i] + (1 - mu) * lami * ym
                zi = zm[i] - g * mm[i]
            xm[i] = rest * xm[i] + ct * zi
            zm[i] = zi


def by_arrays(
    lam: Any,
    noise: Any,
    start: Any,
    weight: Any,
    gamma: Any,
    beta: Any,
    c: Any,
    kappa: float,
    mixing: float,
    mu: float,
    keep: Any,
) -> tuple[Any, list[Any], list[Any]]:
    """The same on NumPy arrays or torch tensors, in transition matrices instead of formulas.

    State [z, x, m]: means (3, d), second moments (3, 3, d).
    """
    N, zero = len(gamma), 0 * lam
    stack = sys.modules[type(lam).__module__.partition(".")[0]].stack  # NumPy's or torch's
    mean = stack([start, start, zero])
    second = mean[:, None] * mean[None]
    losses, means, seconds = [], [], []
    for t in range(N + 1):
        b = float(beta[min(t, N - 1)])
        y = (1 - b) * mean[0] + b * mean[1]
        y2 = (1 - b) ** 2 * second[0, 0] + 2 * b * (1 - b) * second[0, 1] + b * b * second[1, 1]
        points = (second[1, 1], y2, second[0, 0], mean[1] ** 2, y**2, mean[0] ** 2)
        losses.append(stack([(weight * point).sum() for point in points]))
        if t in keep:
            means.append(mean[:2])
            seconds.append(stack([second[0, 0], second[0, 1], second[1, 1]]))
        if t == N:
            break
        g, ct = float(gamma[t]), float(c[t])
        spread = noise + kappa * lam**2 * y2 + lam * mixing * 2 * losses[-1][1]
        m = [(1 - mu) * lam * (1 - b), (1 - mu) * lam * b, mu + zero]
        z = [1 - g * m[0], -g * m[1], -g * m[2]]
        x = [ct * z[0], (1 - ct) + ct * z[1], ct * z[2]]
        step = stack([stack(z), stack(x), stack(m)])
        push = stack([-g + zero, -g * ct + zero, 1 + zero]) * (1 - mu)
        mean = (step * mean[None]).sum(1)
        half = (step[:, :, None] * second[None]).sum(1)
        second = (half[:, None] * step[None]).sum(2) + push[:, None] * push[None] * spread
    return stack(losses), means, seconds
