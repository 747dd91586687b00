r"""One step of K optimizers at once: elementwise on (K, n), with a number for each member.

    θ_k <- θ_k - gamma_k (m_k / (sqrt(v_k) + eps) + lambda_k θ_k),   k = 1..K

The state of each member's own optimizer becomes rows of these matrices, and its counters are
counted by its own code, so that checkpoints and averages of a member are those of a run alone.
Worth it where launches cost more than memory: on accelerators, and for the smallest models.
"""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sftheory.lm.session import Session
from sftheory.optim import ScheduleFreeAdamW, arithmetic
from sftheory.optim.family import SMALL_BETA

Column = Callable[[Sequence[float]], Tensor]
SMALL = 2**17  # parameters up to which one pass for all is faster on a processor too


class AdamWSteps:
    """`torch.optim.AdamW` of every member."""

    def __init__(self, sessions: list[Session], theta: Tensor, grad: Tensor) -> None:
        self._sessions, self._theta, self._grad = sessions, theta, grad
        self._decay = _decay_matrix(sessions, theta)
        for session in sessions:
            for p in session.model.parameters():
                state = session.optimizer.state[p]
                if not state:
                    state["step"] = torch.zeros((), device=p.device)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        self._m, self._v = (_rows(sessions, theta, key) for key in ("exp_avg", "exp_avg_sq"))
        states = [[s.optimizer.state[p] for p in s.model.parameters()] for s in sessions]
        self._counts = torch.stack([torch.stack([a["step"] for a in own]) for own in states])
        for own, counts in zip(states, self._counts, strict=True):
            for state, n in zip(own, counts, strict=True):
                state["step"] = n
        self._n = int(self._counts[0, 0])
        self.alike = bool((self._counts == self._n).all())

    def __call__(self, column: Column) -> None:
        group = self._sessions[0].optimizer.param_groups[0]
        (beta, beta2), eps = group["betas"], group["eps"]
        self._n += 1
        self._counts += 1
        gamma = column([s.lr for s in self._sessions])
        self._theta -= self._theta * (gamma * self._decay)
        self._m.lerp_(self._grad, 1 - beta)
        self._v.mul_(beta2).addcmul_(self._grad, self._grad, value=1 - beta2)
        below = self._v.sqrt().div_(math.sqrt(1 - beta2**self._n)).add_(eps)
        u = torch.div(self._m, below, out=below)
        self._theta.addcmul_(u, gamma, value=-1 / (1 - beta**self._n))


class ScheduleFreeSteps:
    """`ScheduleFreeAdamW` of every member, by its own arithmetic with tensors as numbers."""

    def __init__(self, sessions: list[Session], theta: Tensor, grad: Tensor) -> None:
        self._own: list[Any] = [s.optimizer for s in sessions]
        self._mask = _decay_matrix(sessions, theta) > 0
        for own in self._own:
            own._expect_y("step()")
            for group in own.param_groups:
                for p in group["params"]:
                    if "updates" not in own.state[p]:
                        own._start(p, group)
        self._states = [
            [o.state[p] for g in o.param_groups for p in g["params"]] for o in self._own
        ]
        keys = self._states[0][0].keys() - {"updates"}
        self._points = {key: [_rows(sessions, theta, key)] for key in keys}
        self._points |= {"y": [theta], "g": [grad]}
        self._scratch = [torch.empty_like(theta)]
        counts = {state["updates"] for own in self._states for state in own}
        made = {g["built_with"] for own in self._own for g in own.param_groups}
        self.alike = len(counts) == 1 and len(made) == 1

    def __call__(self, column: Column) -> None:
        first = self._own[0].param_groups[0]
        beta, built_with = self._own[0]._beta(first), first["built_with"]
        numbers = [self._counted(own, beta) for own in self._own]
        gammas, cs, decays = zip(*numbers, strict=True)
        for state in itertools.chain(*self._states):
            state["updates"] += 1
        decay = column(decays) * self._mask if any(decays) else 0.0
        how = self._own[0]._direction(first, self._states[0][0]["updates"], decay)
        before = beta if built_with is None else built_with
        move = arithmetic.Move.between(column(gammas), column(cs), beta, before, how.scale)
        arithmetic.step(self._points, how, move, [self._scratch])

    def _counted(self, own: Any, beta: float) -> tuple[float, float, float]:
        """Step, averaging coefficient and weight decay of a member at the coming step."""
        gamma = c = 0.0
        for group in own.param_groups:  # both count alike
            gamma = own._gamma(group)
            c = own._coefficient(group, gamma)
            group["built_with"] = beta
        return gamma, c, own._decay(own.param_groups[0], gamma)


def steps_of(sessions: list[Session], theta: Tensor, grad: Tensor) -> Any:
    """The step of all members at once, or None where their own optimizers have to be asked."""
    section, made = sessions[0].config.optimizer, None
    if section.name == "adamw" and section.options.keys() <= {"betas", "eps"}:
        made = AdamWSteps(sessions, theta, grad)
    elif section.name == "schedule_free_adamw":
        own: Any = sessions[0].optimizer
        assert isinstance(own, ScheduleFreeAdamW)
        if own.nonfinite == "propagate" and own._beta(own.param_groups[0]) >= SMALL_BETA:
            made = ScheduleFreeSteps(sessions, theta, grad)
    return made if made is not None and made.alike else None


def _decay_matrix(sessions: list[Session], like: Tensor) -> Tensor:
    """(K, n): the weight decay of every entry."""
    decay = torch.zeros_like(like)
    for session, row in zip(sessions, decay, strict=True):
        of = {p: g["weight_decay"] for g in session.optimizer.param_groups for p in g["params"]}
        parts = session.flat.cut(row)
        for p, part in zip(session.model.parameters(), parts, strict=True):
            part.fill_(of[p])
    return decay


def _rows(sessions: list[Session], like: Tensor, key: str) -> Tensor:
    """(K, n): a state tensor of all parameters, which becomes a view of its row."""
    rows = torch.empty_like(like)
    for session, row in zip(sessions, rows, strict=True):
        parts = session.flat.cut(row)
        for p, part in zip(session.model.parameters(), parts, strict=True):
            state = session.optimizer.state[p]
            part.copy_(state[key])
            state[key] = part
    return rows
