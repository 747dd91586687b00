"""A probe: hooks around an optimizer's step that log what happened, and change nothing."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from sftheory.core.errors import InputError, count, real
from sftheory.core.tableau import Tableau
from sftheory.probes.coefficients import Coefficients, last_step
from sftheory.probes.gradients import BackwardWatch, loss_scale, untraced
from sftheory.probes.plan import Plan, Question
from sftheory.probes.sequences import sequences_of
from sftheory.probes.sinks import Memory, make_sink

_open: weakref.WeakSet[Probe] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for one in list(_open):
        one.close()


def probe(
    optimizer: torch.optim.Optimizer,
    model: Module,
    every: int = 1,
    metrics: Sequence[str] | None = None,
    modules: Sequence[str] | None = None,
    sink: Any = None,
    *,
    loss: Callable[[], Tensor] | None = None,
    f_star: float = 0.0,
) -> Probe:
    """Log norms, angles, distances and effective learning rates of any torch optimizer.

    The parameters move as they would without it, bit for bit. Values stay on the device until they
    are asked for. Every process of a distributed run must make the same probe.

    Args:
        optimizer: any torch optimizer; x, y and z are known for schedule-free ones.
        model: the module whose parameters it optimizes, wrapped or not.
        every: k logs the steps 0, k, 2k, ...; step t is the one after t steps.
        metrics: names of `sftheory.probes.METRICS`, with .x, .y or .z for one of the sequences;
            None is all but the sampled ones.
        modules: names of modules or parameters, '' is the whole model; None is '' and every module
            with parameters of its own. Metrics are over those parameters that the optimizer holds.
        sink: None keeps the rows in memory; a path ending in .parquet or .jsonl, or a sink. Only
            the first process of a distributed run writes to it.
        loss: for sharpness: the loss on a fixed batch as a function of nothing.
        f_star: what the Polyak numerator subtracts from the observed loss.

    Raises:
        InputError: every < 1; a sampled metric without `loss`; an optimizer whose parameters are
            not the model's.
        UnknownNameError: an unknown metric or module; the sentence suggests the nearest.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with probe(optimizer, model, metrics=["update_norm", "angle"]) as seen:
        ...     model(torch.ones(3)).square().sum().backward()
        ...     optimizer.step()
        >>> seen.frame().columns, len(seen.frame())
        (['step', 'module', 'metric', 'value'], 2)
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(
            f"A probe needs a torch.optim.Optimizer, but got {type(optimizer).__name__}; pass the "
            f"optimizer whose step() moves the parameters."
        )
    if not isinstance(model, Module):
        raise InputError(
            f"A probe needs the model whose parameters move, a torch.nn.Module, but got "
            f"{type(model).__name__}; pass the model itself."
        )
    if loss is not None and not callable(loss):
        raise InputError(
            f"The loss of a probe must be a function without arguments, but got "
            f"{type(loss).__name__}; pass lambda: loss_on_a_fixed_batch(model)."
        )
    return Probe(optimizer, model, count("every", every), metrics, modules, sink, loss, f_star)


class Probe:
    """What `probe` returns; a context manager that detaches itself."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        model: Module,
        every: int,
        metrics: Sequence[str] | None,
        modules: Sequence[str] | None,
        sink: Any,
        loss: Callable[[], Tensor] | None,
        f_star: float,
    ) -> None:
        self._optimizer, self._model, self._every, self._loss = optimizer, model, every, loss
        self._f_star = real("f_star", f_star, -np.inf)
        self._sequences = sequences_of(optimizer)
        self._question = Question.of(metrics, modules, self._sequences.exist)
        if self._question.curvatures and loss is None:
            raise InputError(
                "Sharpness is sampled from a loss; pass loss=..., a function without arguments "
                "that returns the loss on a fixed batch."
            )
        self._plan = self._arranged({})
        first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
        self._sink = make_sink(sink) if first else Memory()
        self._coefficients: list[Coefficients] = []
        self._observed: Any = None
        self._backwards, self._first_batch, self._inside = 0, 1, False
        self._held: tuple[Any, Any] = None, None  # a parameter and the gradient that passes add to
        self._watch = BackwardWatch(self._looks_at_gradients, self._backward_ended)
        self.step = 0
        self._hooks: list[Any] = [
            optimizer.register_step_pre_hook(untraced(self._before)),
            optimizer.register_step_post_hook(untraced(self._after)),
        ]
        _open.add(self)

    @property
    def step(self) -> int:
        """How many steps were seen; set it after a resume."""
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        self._step = count("step", step, 0)
        # a hook on every parameter costs half a percent of a training step
        self._watch.follow(self._plan.layout.parameters if self._logs() else ())

    def frame(self) -> Any:
        """All rows so far as polars: step, module, metric, value; null where it does not exist.

        This waits for the device.
        """
        self._drain()
        return self._sink.frame()

    def observe(self, loss: Tensor | float) -> None:
        """The loss at the parameters of the coming step, for the Polyak numerator.

        A tensor stays on its device. `step(loss=...)` is observed by itself.
        """
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise InputError(
                f"The loss must be one number, but has shape {tuple(loss.shape)}; pass its mean."
            )
        if isinstance(loss, Tensor):
            self._observed = loss.detach().reshape(())
        elif isinstance(loss, (int, float, np.number)):
            self._observed = float(loss)
        else:
            raise InputError(f"The loss must be a number or a tensor, but got {loss!r}.")

    def tableau(self, group: int = 0) -> Tableau:
        """The gamma, beta and c of all steps of a parameter group, as a method.

        Raises:
            InputError: there was no step yet, or there is no such group.
        """
        if not self._coefficients:
            raise InputError("No step was seen yet; ask for the tableau after optimizer.step().")
        if not 0 <= group < len(self._coefficients):
            raise InputError(
                f"There is no group {group!r}; pass 0 <= group < {len(self._coefficients)}."
            )
        return self._coefficients[group].tableau()

    def implied_schedule(self, group: int = 0) -> Any:
        """(steps,): the weight of each step's base update in where x is now.

        x = x_1 - Σ_s h_s u_s; for an optimizer without averaging h is its learning rates.
        """
        return self.tableau(group).effective_schedule()

    def close(self) -> None:
        """Remove the hooks and write what is left; the frame stays readable.

        A probe that nobody closes is closed when it is collected, or when the interpreter ends.
        """
        if self._hooks:
            for hook in self._hooks:
                hook.remove()
            self._hooks = []
            self._watch.close()
            self._plan.products.clear()
            self._drain()
            self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_hooks", None):  # not, where the constructor raised
            self.close()

    def _arranged(self, start: dict[int, Tensor]) -> Plan:
        return Plan(self._question, self._optimizer, self._model, self._sequences, start)

    def _refresh(self) -> None:
        """Look again which parameters there are."""
        if not self._plan.layout.is_of(self._optimizer):
            self._drain()
            self._plan.products.clear()
            self._plan = self._arranged(self._plan.vectors.start)
            self._backwards, self._held = 0, (None, None)
        self._watch.follow(self._plan.layout.parameters)

    def _drain(self) -> None:
        self._write(self._plan.rows.drain())

    def _write(self, arrived: list[tuple[list[int], Tensor]]) -> None:
        for steps, rows in arrived:
            self._sink.write(steps, self._plan.keys, rows.double().numpy())

    def _logs(self) -> bool:
        return self.step % self._every == 0

    def _looks_at_gradients(self) -> bool:
        # of a closure that is evaluated several times, the first gradient is the one at w_t
        return self._logs() and not (self._inside and self._backwards)

    def _backward_ended(self) -> None:
        if self._inside:
            self._plan.products.keep_gradients()
        else:
            self._refresh()
            held, gradient = self._held
            if held is not None and held.grad is not gradient:
                self._backwards = 0  # what the passes before gave was thrown away
            given = (p for p in self._plan.layout.parameters if p.grad is not None)
            held = next(given, None)
            self._held = held, None if held is None else held.grad
        if self._backwards == 0:
            shared = getattr(self._model, "require_backward_grad_sync", True)
            self._first_batch = 1 if shared else torch.distributed.get_world_size()
        self._plan.products.backward_ended(first=self._backwards == 0, inside=self._inside)
        self._backwards += 1

    @torch.no_grad()
    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self._updates = [self._sequences.updates(group) for group in optimizer.param_groups]
        if not self._logs():
            return
        self._refresh()
        self._scale: Any = loss_scale()
        closure = any(callable(given) for given in [*args, *kwargs.values()])
        if self._backwards == 0 and not closure:
            # nobody called backward(): the gradients were put there, and are all that is known
            self._plan.products.backward_ended(first=True)
            self._scale, self._backwards = getattr(optimizer, "grad_scale", None), 1
        if kwargs.get("loss") is not None:
            self.observe(kwargs["loss"])
        self._plan.sample(self._loss)
        self._plan.products.before(scaled=self._scale is not None)
        self._inside = True

    @torch.no_grad()
    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        coefficients = [
            last_step(self._sequences, group, updates)
            for group, updates in zip(optimizer.param_groups, self._updates, strict=True)
        ]
        self._remember(coefficients)
        plan = self._plan
        if self._inside:
            plan.products.after()
            gap = (torch.nan if self._observed is None else self._observed) - self._f_star
            backwards, batches = self._backwards, self._backwards * self._first_batch
            took = self.step, coefficients, self._scale, gap, backwards, batches
            self._write(plan.take(*took))
        plan.products.clear()
        self._watch.forget()
        self._backwards, self._inside, self._observed = 0, False, None
        self._held = None, None
        self.step += 1

    def _remember(self, coefficients: list[tuple[Any, Any, Any]]) -> None:
        values = self._plan.modules
        while len(self._coefficients) < len(coefficients):
            self._coefficients.append(Coefficients(values.device, values.dtype))
        for log, row in zip(self._coefficients, coefficients, strict=True):
            log.append(row)
