"""Which parameters a probe reads, and which modules each of them belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import torch
from torch.nn import DataParallel, Module, Parameter
from torch.nn.parallel import DistributedDataParallel

from sftheory.core.errors import InputError, nearest

# what compile, activation checkpointing and FSDP put between the names of a model
_WRAPPERS = {"_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module"}


@dataclass(frozen=True)
class Layout:
    """The parameters that an optimizer holds, as a table of modules.

    A module's name is the beginning of its parameters' names, so a parameter is a module too.

    Attributes:
        parameters: those that the optimizer holds, in its order; n of them.
        groups: the index of each one's group.
        modules: the names of the m modules.
        pairs: two lists of equal length: pairs[0][i] is a module that holds parameter pairs[1][i].
    """

    parameters: tuple[Parameter, ...]
    groups: tuple[int, ...]
    modules: tuple[str, ...]
    pairs: tuple[tuple[int, ...], tuple[int, ...]]

    def is_of(self, optimizer: torch.optim.Optimizer) -> bool:
        """Whether the optimizer still holds these parameters, and no others."""
        held = [p for group in optimizer.param_groups for p in group["params"]]
        return len(held) == len(self.parameters) and all(map(is_, held, self.parameters))


def read_layout(
    optimizer: torch.optim.Optimizer, model: Module, modules: Sequence[str] | None
) -> Layout:
    """The layout of an optimizer's parameters in a model.

    Args:
        optimizer: any torch optimizer.
        model: the model, also when it is wrapped by DDP, FSDP or torch.compile.
        modules: the names wanted; None is '' and every module that has parameters of its own.

    Raises:
        InputError: a parameter of the optimizer is not the model's.
        UnknownNameError: no parameter that the optimizer holds is in a module of that name.
    """
    held = [(i, p) for i, group in enumerate(optimizer.param_groups) for p in group["params"]]
    names: dict[int, list[str]] = {}
    for name, p in unwrapped(model).named_parameters(remove_duplicate=False):
        names.setdefault(id(p), []).append(clean(name))
    strangers = [p for _, p in held if id(p) not in names]
    if strangers:
        raise InputError(
            f"{len(strangers)} of the optimizer's {len(held)} parameters are not the model's, the "
            f"first one of shape {tuple(strangers[0].shape)}; pass the model that it optimizes."
        )
    known = {start: None for _, p in held for name in names[id(p)] for start in _starts(name)}
    if modules is None:
        owners = [name.rpartition(".")[0] for _, p in held for name in names[id(p)]]
        modules = list(dict.fromkeys(["", *owners]))
    for module in modules:
        if module not in known:
            if module in {clean(name) for name, _ in unwrapped(model).named_modules()}:
                raise InputError(
                    f"Module {module!r} has no parameter that the optimizer holds; leave it out."
                )
            raise nearest("module", str(module), known)
    row = {module: i for i, module in enumerate(dict.fromkeys(modules))}
    pairs = sorted(
        {
            (row[start], column)
            for column, (_, p) in enumerate(held)
            for name in names[id(p)]
            for start in _starts(name)
            if start in row
        }
    )
    first, second = zip(*pairs, strict=True) if pairs else ((), ())
    return Layout(tuple(p for _, p in held), tuple(i for i, _ in held), tuple(row), (first, second))


def unwrapped(model: Module) -> Any:
    """The model inside DDP, DataParallel and torch.compile."""
    while True:
        if isinstance(model, (DistributedDataParallel, DataParallel)):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), Module):
            model = model._orig_mod  # pyright: ignore[reportAssignmentType]
        else:
            return model


def clean(name: str) -> str:
    """A parameter's name without what wrappers put into it.

    Example:
        >>> clean("blocks.0._orig_mod.linear.weight")
        'blocks.0.linear.weight'
    """
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _starts(name: str) -> Iterable[str]:
    parts = name.split(".")
    return (".".join(parts[:i]) for i in range(len(parts) + 1))
