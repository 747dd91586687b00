"""K sessions whose parameters are the rows of one matrix, so that one pass serves all of them."""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sftheory.lm.evaluation import Evaluator
from sftheory.lm.session import Session
from sftheory.lm.stacked_decoders import Decoders
from sftheory.lm.stacked_steps import SMALL, steps_of
from sftheory.lm.transformer import Transformer


class Stack:
    """Gradients, steps and evaluations of K sessions that are at the same step.

    A session stays whole: its model, its optimizer's state and its averages are views of its row,
    so that its checkpoints and averages are made as if it were alone.

    Args:
        sessions: of models of one shape and of one [run], each at its own start.
        wrap: compiles the loss of all, or leaves it.
        at_once: one elementwise step for all optimizers, or each its own; None decides.
    """

    def __init__(
        self,
        sessions: list[Session],
        wrap: Callable[[Any], Any],
        at_once: bool | None = None,
    ) -> None:
        self.sessions, self._at_once = sessions, at_once
        first = sessions[0]
        self._run, self.device = first.config.run, first.device
        self.theta = torch.stack([s.flat.theta for s in sessions])
        self.grad = torch.zeros_like(self.theta)
        for session, theta, grad in zip(sessions, self.theta, self.grad, strict=True):
            flat = session.flat
            parts = zip(session.model.parameters(), flat.cut(theta), flat.cut(grad), strict=True)
            for p, value, slope in parts:
                p.data, p.grad = value, slope
            flat.theta, flat.grad = theta, grad
        self._leaf = self.theta.detach().requires_grad_()  # the same memory
        self._losses: Any = wrap(Decoders(first.model).losses)
        self._steps: Any = None
        self._begun = False  # the optimizers' state is gathered at the first step
        self._windows: _Windows | None = None
        limits = [s.config.optimizer.clip or math.inf for s in sessions]
        self._limits = torch.tensor(limits, device=self.device)

    def gradient(self) -> tuple[Tensor, Tensor]:
        """The gradients of the coming batches, in place; their losses and norms, each (K,)."""
        tokens, size = self._batches(), self._run.micro or self._run.batch
        parts = tokens.split(size, dim=1)
        total = torch.zeros(len(self.sessions), device=self.device)
        for i, part in enumerate(parts):
            objectives, losses = self._losses(self._leaf, part)
            (slope,) = torch.autograd.grad(objectives.sum() / len(parts), self._leaf)
            self.grad.add_(slope) if i else self.grad.copy_(slope)
            total += losses.detach() / len(parts)
        return total, torch.linalg.vector_norm(self.grad, dim=1)

    @torch.no_grad()
    def move(self, losses: Tensor, norms: Tensor) -> None:
        """Clip, step, average and count, as each session would."""
        if not self._begun:
            size = self.theta.shape[1]
            if self._at_once is None:
                self._at_once = self.device.type != "cpu" or size <= SMALL
            made = steps_of(self.sessions, self.theta, self.grad) if self._at_once else None
            self._steps, self._begun = made, True
        shares = list(zip(self.sessions, losses.unbind(), norms.unbind(), strict=True))
        if self._steps is None:
            for session, loss, norm in shares:
                session.move(loss, norm)
            return
        for session in self.sessions:
            session.begin_step()
        self.grad.mul_((self._limits / (norms + 1e-6)).clamp(max=1.0)[:, None])
        self._steps(self._column)
        for session, loss, norm in shares:
            session.end_step(loss, norm)

    @torch.no_grad()
    def evaluate(self, point: str) -> list[float]:
        """The validation loss of every session at a point, in nats per token."""
        self._windows = self._windows or _windows(self.sessions[0])
        theta = torch.stack([session.weights(point) for session in self.sessions])
        return self._windows.means(theta, self._losses)

    def _batches(self) -> Tensor:
        """(K, B, T + 1); sessions of one seed share what is drawn."""
        drawn: dict[Any, Tensor] = {}
        keys = []
        for session in self.sessions:
            config = session.config
            seed = config.run.seed if config.data.seed < 0 else config.data.seed
            keys.append((seed, session.samples))
            if keys[-1] not in drawn:
                drawn[keys[-1]] = session.batches(session.samples, self._run.batch)
        return torch.stack([drawn[key] for key in keys])

    def _column(self, numbers: Sequence[float]) -> Tensor:
        """(K, 1), without waiting for the device."""
        column = torch.tensor(numbers, dtype=self.theta.dtype)[:, None]
        if self.device.type == "cpu":
            return column
        return column.pin_memory().to(self.device, non_blocking=True)


class _Windows(Evaluator):
    """The windows that a run alone is evaluated on."""

    def means(self, theta: Tensor, losses: Any) -> list[float]:
        """Of every row of theta (K, n)."""
        totals = torch.zeros(len(theta), dtype=torch.float64, device=theta.device)
        for part, _ in self._mine:
            totals += losses(theta, part.expand(len(theta), *part.shape))[1]
        return (totals / self._count).tolist()


def _windows(session: Session) -> _Windows:
    run, model = session.config.run, session.model
    scratch = Transformer(model.shape, session.tokens.vocabulary, model.dtype).to(session.device)
    size = run.micro or run.batch
    count = session.config.data.eval_tokens
    return _Windows(scratch, session.tokens, count, size, lambda loss: loss, micro=size)
