"""The true gradient: read when a backward pass has ended, before anything else touches it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Variable
from torch.nn import Parameter


class BackwardWatch:
    """Calls back once after each backward pass that gave a gradient to one of the parameters.

    By then DDP and FSDP have reduced the gradients: their own callbacks were queued during the
    pass, and this one queues itself behind them. `wanted` decides, as cheaply as it can, whether
    the pass matters.
    """

    def __init__(self, wanted: Callable[[], bool], ended: Callable[[], None]) -> None:
        self._wanted, self._ended = wanted, ended
        self._hooks: dict[int, Any] = {}
        self._followed: tuple[Any, Any] = (), []
        self._queued = False

    def follow(self, parameters: tuple[Parameter, ...]) -> None:
        """Watch these parameters, and no others; those without gradients join when they get one."""
        learn = [p.requires_grad and p.is_leaf for p in parameters]
        if parameters is self._followed[0] and learn == self._followed[1]:
            return
        self._followed = parameters, learn
        held = {id(p): p for p, ok in zip(parameters, learn, strict=True) if ok}
        for gone in self._hooks.keys() - held.keys():
            self._hooks.pop(gone).remove()
        me = weakref.ref(self)  # a tensor's hooks are hidden from the collector of cycles

        def accumulated(_: Tensor) -> None:
            watch = me()
            if watch is not None:
                watch._accumulated()

        hook = untraced(accumulated)
        for key in held.keys() - self._hooks.keys():
            self._hooks[key] = held[key].register_post_accumulate_grad_hook(hook)

    def forget(self) -> None:
        """A step was taken; a pass that broke off before its end is forgotten too."""
        self._queued = False

    def close(self) -> None:
        """Remove the hooks."""
        self.follow(())

    def _accumulated(self) -> None:
        if not self._queued and self._wanted():
            self._queued = True
            _after_backward(lambda: _after_backward(self._finish))

    def _finish(self) -> None:
        if self._queued:
            self._queued = False
            with torch.no_grad():
                self._ended()


def untraced(function: Callable[..., Any]) -> Any:
    """The function as one that torch.compile calls and does not look into."""
    return torch.compiler.disable(function)


def _after_backward(callback: Callable[[], None]) -> None:
    engine: Any = Variable._execution_engine  # pyright: ignore[reportAttributeAccessIssue]
    engine.queue_callback(callback)


def loss_scale() -> Tensor | None:
    """The factor of a GradScaler whose step() is running, on the device; None without one.

    The scaler is found among the callers, because it never tells an optimizer that it has divided
    the gradients already.
    """
    frame = sys._getframe(1)
    while frame is not None:
        caller = frame.f_locals.get("self") if frame.f_code.co_name == "step" else None
        if isinstance(caller, torch.amp.grad_scaler.GradScaler):
            return caller._scale if caller.is_enabled() else None
        frame = frame.f_back
    return None
