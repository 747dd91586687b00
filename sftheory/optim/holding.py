"""Which point the parameters hold: x in place of y and back, guards, checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch

from sftheory.core.errors import nearest
from sftheory.optim import counters, pieces, points


class Holding(torch.optim.Optimizer):
    """A torch optimizer whose parameters hold y, or x inside `averaged()`.

    Attributes:
        holds: "y" or "x", one fact for all groups.
        skipped: how many steps were skipped because of gradients that are not finite.
        averages: whether x differs from z at all.
        facts: the names of what a checkpoint says of the whole optimizer.
    """

    facts: tuple[str, ...] = ("holds", "skipped")
    holds: str = "y"
    skipped: int = 0
    nonfinite: str = "propagate"
    compile: bool | None = None
    capturable: bool = False
    averages: bool = True
    _unverified: list[int] | None = None  # fingerprints of a loaded state, until it is first used

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._scratch = pieces.Scratch()
        self._guards: list[Any] = []
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        """Raises InputError if an option of a group cannot be used."""

    def eval(self) -> Self:
        """Puts x into the parameters until train(), which restores y bit for bit; idempotent."""
        self._verify()
        if self.holds == "y":
            points.put_average(self)
            self.holds = "x"
            self._guard()
        return self

    def train(self, mode: bool = True) -> Self:
        """Puts y back into the parameters; idempotent; with mode=False this is eval()."""
        if not mode:
            return self.eval()
        self._verify()
        if self.holds == "x":
            points.put_back(self)
            self.holds = "y"
            self._unguard()
        return self

    @contextmanager
    def averaged(self) -> Iterator[Self]:
        """`with optimizer.averaged():` has x in the parameters, and y again after it, bit for bit.

        It needs a copy of the parameters, 4 bytes each in float32. step() and backward() raise a
        RuntimeError inside.
        """
        before = self.holds
        self.eval()
        try:
            yield self
        finally:
            if before == "y":
                self.train()

    def averaged_state_dict(self, model: torch.nn.Module) -> dict[str, Any]:
        """`model.state_dict()` at x; the model is not touched. Buffers are copied as they are.

        Raises:
            InputError: a parameter of this optimizer is not one of the model's.
        """
        self._verify()
        return points.averaged_state_dict(self, model)

    def declare(self, holds: str) -> Self:
        """Says that the parameters hold "x" or "y", where a loaded state says otherwise."""
        if holds not in ("x", "y"):
            raise nearest("point", str(holds), ("x", "y"))
        points.declare(self, holds)
        self._unverified = None
        if holds != self.holds:
            self.holds = holds
            self._guard() if holds == "x" else self._unguard()
        return self

    def _expect_y(self, what: str) -> None:
        self._verify()
        if self.holds != "y":
            raise RuntimeError(
                f"{what} came while the parameters hold the average x; leave `averaged()` or call "
                f"train() first, so that gradients are taken at y."
            )

    def _guard(self) -> None:
        """While x is held, a backward that reaches a parameter raises; in training it costs 0."""

        def refuse(_: torch.Tensor) -> None:
            self._expect_y("backward()")

        for group in self.param_groups:
            for p in group["params"]:
                if p.requires_grad:
                    self._guards.append(p.register_post_accumulate_grad_hook(refuse))

    def _unguard(self) -> None:
        for handle in self._guards:
            handle.remove()
        self._guards = []

    # Groups and checkpoints.

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """As in torch; the new group joins at the point that the others hold."""
        self._check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        if self.holds == "x":
            self._unguard()
            self._guard()

    def state_dict(self) -> dict[str, Any]:
        """As in torch; every group also says which point the parameters hold."""
        self._verify()
        return points.state_dict(self, counters.on_host(super().state_dict()))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch. The first use checks that the parameters are the point that was saved.

        Raises:
            InputError: another kind of optimizer saved this.
        """
        points.check_loadable(self, state_dict)
        state_dict = counters.on_host(state_dict)
        stripped, facts, marks = points.split(state_dict, self.facts)
        self._unguard()
        super().load_state_dict(stripped)
        points.restore_dtypes(self, state_dict)
        for name, value in facts.items():
            setattr(self, name, value)
        self._unverified = marks
        if self.holds == "x":
            self._guard()

    def _verify(self) -> None:
        if self._unverified is not None:
            points.verify(self, self._unverified)
            self._unverified = None

    def __getstate__(self) -> dict[str, Any]:
        own = (*self.facts, "nonfinite", "compile", "capturable", "_unverified")
        return {**super().__getstate__(), **{k: getattr(self, k) for k in own}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "holds" in state:  # unpickled or copied; load_state_dict comes here too
            self._scratch, self._guards = pieces.Scratch(), []
            if self.holds == "x":
                self._guard()
