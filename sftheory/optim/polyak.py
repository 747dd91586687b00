r"""Steps from the loss: what Polyak's rule needs of a step, as numbers that stay on the device.

    numerator   f(y) - f_star + <g, z - y>      (<g, z - y> = beta <g, z - x>, so x is not needed)

with the inner product over all parameters, on all ranks where they are sharded; the loss is
averaged over the ranks of a process group, so that replicas take equal steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sftheory.core.errors import InputError, real
from sftheory.methods.polyak_schedule_free import polyak_step
from sftheory.optim import counters, device_pass, one_step, pieces
from sftheory.optim.family import Family, loss_of
from sftheory.optim.gradients import Gradients


class PolyakFamily(Family):
    """A member of the family whose step() wants the loss at y.

    Attributes:
        clipped: how often the numerator was negative, so that the step was 0; then f_star is too
            large, or the loss is noisy.
        stalled: how often the denominator was 0, so that the step was 0.
    """

    facts = ("holds", "skipped", "clipped", "stalled")
    clipped: Any = 0
    stalled: Any = 0
    f_star: float = 0.0
    _size: Any = 0.0  # the Polyak step of this update, before lr

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, closure: Callable[[], Any] | None = None, *, loss: Any = None
    ) -> Any:
        """One step from the gradients at y and the loss there, from a closure or as `loss`.

        Raises:
            InputError: there is no loss, or it is not one number.
            FloatingPointError: the loss or a gradient is not finite, with nonfinite="raise".
            RuntimeError: the parameters hold x; leave `averaged()` or call train(), then step.
        """
        self._expect_y("step()")
        if closure is not None:
            loss = loss_of(closure)
        if loss is None and not any(float(group["lr"]) for group in self.param_groups):
            loss = (
                self.f_star
            )  # nothing will move: so torch's checkpoints make a state to load into
        if loss is None:
            raise InputError(
                f"{type(self).__name__} makes its steps from the loss; call step(loss=loss) or "
                f"step(closure)."
            )
        gradients = Gradients.of(self.param_groups)
        if gradients:
            value = _scalar(loss, gradients.params[0].device)
            if self._accepts(gradients) and self._accepts_loss(value):
                self._place(value.device)
                self._size = self._polyak(value - self.f_star, gradients)
                for group, params in gradients.groups:
                    self._update(group, params)
        return loss

    def _accepts_loss(self, value: torch.Tensor) -> bool:
        if self.nonfinite == "propagate" or bool(value.isfinite()):
            return True
        if self.nonfinite == "raise":
            raise FloatingPointError(
                f"The loss is {float(value)}; lower lr, or pass nonfinite='skip' to leave such "
                f"steps out."
            )
        self.skipped += 1
        return False

    def _place(self, device: torch.device) -> None:
        """Moves the counters of the whole optimizer to the device, if it is capturable."""
        for name in self.facts[2:] if self.capturable else ():
            setattr(self, name, counters.tensor(getattr(self, name), device))

    def _polyak(self, gap: torch.Tensor, gradients: Gradients) -> torch.Tensor:
        """The step before lr; counts what it clips."""
        numerator = gap + self._slope(gradients)
        denominator = self._denominator(gradients)
        self.clipped += numerator < 0
        self.stalled += denominator == 0
        return polyak_step(numerator, denominator)

    def _denominator(self, gradients: Gradients) -> torch.Tensor:
        raise NotImplementedError

    def _gamma(self, group: dict[str, Any]) -> Any:
        return self._rate(group) * self._size

    def _slope(self, gradients: Gradients) -> torch.Tensor:
        """<g, z - y> over all parameters; 0 before the first update."""
        rows = self._rows(gradients)
        if "z" in rows[0] and one_step.on_device(rows, self.compile):
            return device_pass.total(rows, 0, self._scratch)
        parts = []
        for row in rows:
            cut = pieces.flat(row) or pieces.whole(row)
            part = cut["y"].new_zeros((), dtype=torch.float64)
            for batch in pieces.batches([cut], pieces.CHUNK) if "z" in cut else ():
                y, z, g = (batch[0][k] for k in ("y", "z", "g"))
                ((back,),) = self._scratch.like([z], 1, z.dtype)
                torch.sub(z, y, out=back)
                part = part + torch.sum(back.mul_(g)).to(torch.float64)
            parts.append(part)
        return pieces.total(gradients.params, parts)

    def _rows(self, gradients: Gradients) -> list[pieces.Row]:
        rows: list[pieces.Row] = []
        for p in gradients.params:
            assert p.grad is not None
            state = self.state.get(p, {})
            rows.append({"y": p, "g": p.grad} | {k: state[k] for k in ("z",) if k in state})
        return rows

    def _norm(self, gradients: Gradients, order: int) -> torch.Tensor:
        """Σ |g_i|^order over all parameters, in float64, for order 1 or 2."""
        rows = self._rows(gradients)
        if one_step.on_device(rows, self.compile):
            return device_pass.total(rows, order, self._scratch)
        parts = []
        for p in gradients.params:
            g = pieces.local(p.grad)  # pyright: ignore[reportArgumentType]
            g = torch.view_as_real(g) if g.is_complex() else g
            wide = torch.promote_types(g.dtype, torch.float32)
            norm = torch.linalg.vector_norm(g, order, dtype=wide)
            parts.append(norm.to(torch.float64) ** order)
        return pieces.total(gradients.params, parts)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "f_star": self.f_star}


def _scalar(loss: Any, device: torch.device) -> torch.Tensor:
    """The loss as a float64 scalar on the device, averaged over a process group."""
    if isinstance(loss, torch.Tensor):
        if loss.numel() != 1:
            raise InputError(
                f"The loss must be one number, but has shape {tuple(loss.shape)}; pass its mean."
            )
        value = loss.detach().reshape(()).to(device, torch.float64)
    else:
        if isinstance(loss, bool) or not isinstance(loss, (int, float)):
            raise InputError(f"The loss must be a number or a tensor, but got {loss!r}.")
        value = torch.full((), float(loss), dtype=torch.float64, device=device)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.clone()
        torch.distributed.all_reduce(value)
        value /= torch.distributed.get_world_size()
    return value


def check_f_star(f_star: Any) -> float:
    """A lower bound of the loss.

    Raises:
        InputError: it is not a finite number.
    """
    return real("f_star", f_star, -np.inf)
