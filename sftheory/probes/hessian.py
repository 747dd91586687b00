"""The largest eigenvalue of a Hessian from products with vectors, never waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.attention import SDPBackend, sdpa_kernel

from sftheory.core.errors import InputError
from sftheory.probes.layout import Layout
from sftheory.probes.sequences import preconditioner

ITERATIONS = 20


@contextmanager
def undisturbed(model: Module) -> Iterator[None]:
    """Gradients of gradients inside; random numbers and buffers of the model are restored.

    Compiled code and fused attention have no second derivative, so both are set aside.
    """
    buffers = list(model.buffers())
    kept = [b.detach().clone() for b in buffers]
    devices = {t.device for t in [*model.parameters(), *buffers] if t.is_cuda}
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(list(devices)))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(buffers, kept, strict=True):
                    buffer.copy_(value)


def gradient_of(loss: Callable[[], Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of loss() with a graph of its own; zeros where it does not depend on one."""
    value = loss()
    one = isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad
    if not one:
        what = f"{value!r:.60}" if not isinstance(value, Tensor) else f"shape {tuple(value.shape)}"
        raise InputError(
            f"The loss of a probe must return one number with its graph, but gave {what}; return "
            f"the mean loss of a fixed batch, without item() or detach()."
        )
    found = torch.autograd.grad(value, parameters, create_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]


def largest_eigenvalue(
    gradient: Sequence[Tensor],
    parameters: Sequence[Tensor],
    roots: Sequence[Tensor] | None = None,
    iterations: int = ITERATIONS,
) -> Tensor:
    r"""λ_max of R H R by Lanczos' method, which is power iteration that forgets nothing.

    A start vector and k products give a k by k tridiagonal matrix whose largest eigenvalue is at
    least that of k steps of power iteration, and never above λ_max but for rounding. It is found
    by squaring the shifted small matrix, so that no value is looked at.

    Args:
        gradient: of the loss, with its graph, for each of the parameters.
        parameters: the block of H.
        roots: the diagonal of R = P^½; None is the identity.
        iterations: k.

    Returns:
        a float64 scalar on the device.
    """
    generator = torch.Generator(parameters[0].device).manual_seed(0)
    random = [
        torch.randn(p.shape, generator=generator, device=p.device, dtype=p.dtype)
        for p in parameters
    ]
    v = _scaled(random, _dot(random, random).rsqrt())
    before, beta = [torch.zeros_like(part) for part in v], torch.zeros_like(_dot(v, v))
    alphas, betas = [], []
    curved = [i for i, g in enumerate(gradient) if g.requires_grad]
    k = min(iterations, sum(p.numel() for p in parameters))
    for _ in range(k):
        vector = v if roots is None else _times(v, roots)
        products = torch.autograd.grad(
            [gradient[i] for i in curved],
            parameters,
            [vector[i] for i in curved],
            retain_graph=True,
            allow_unused=True,
        )
        w = [torch.zeros_like(p) if h is None else h for h, p in zip(products, v, strict=True)]
        if roots is not None:
            w = _times(w, roots)
        alpha = _dot(w, v)
        w = [a - alpha.to(a) * b - beta.to(a) * c for a, b, c in zip(w, v, before, strict=True)]
        size = _dot(w, w).sqrt()
        # in an invariant subspace what is left is rounding: the chain ends, and its diagonal
        # repeats a value that is no eigenvalue's upper bound
        scale = torch.stack([*(a.abs() for a in alphas), alpha.abs()]).amax() + beta
        alive = size > 8 * torch.finfo(v[0].dtype).eps * scale
        if alphas:
            ended = beta == 0
            alpha = torch.where(ended, alphas[0], alpha)
            alive = alive & ~ended
        alphas.append(alpha)
        beta = torch.where(alive, size, 0)
        betas.append(beta)
        before, v = v, _scaled(w, torch.where(alive, 1 / size, 0))
    return _top(torch.stack(alphas), torch.stack(betas)[:-1])


def _top(diagonal: Tensor, off: Tensor) -> Tensor:
    small = torch.diag(diagonal) + torch.diag(off, 1) + torch.diag(off, -1)
    tiny = torch.finfo(small.dtype).tiny
    shift = small.abs().sum(1).amax().clamp(min=tiny)
    power = small + shift * torch.eye(len(small), dtype=small.dtype, device=small.device)
    for _ in range(40):
        power = power / power.abs().amax()
        power = power @ power
    column = power.index_select(1, power.diagonal().argmax().view(1))
    return (column.T @ small @ column / (column.T @ column)).squeeze()


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Tensor:
    return torch.stack([(p.double() * q.double()).sum() for p, q in zip(a, b, strict=True)]).sum()


def _scaled(a: Sequence[Tensor], number: Tensor) -> list[Tensor]:
    return [part * number.to(part) for part in a]


def _times(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    return [p * q for p, q in zip(a, b, strict=True)]


def curvatures(
    loss: Callable[[], Tensor],
    model: Module,
    layout: Layout,
    optimizer: torch.optim.Optimizer,
    kinds: Iterable[bool],
    *,
    every_module: bool,
) -> dict[bool, Tensor]:
    """The largest eigenvalue of each module's block of the Hessian.

    Args:
        loss: the loss on a fixed batch as a function of nothing.
        model: whose random numbers and buffers are left as they were.
        layout: the modules.
        optimizer: whose second moments make P.
        kinds: whether it is preconditioned; one or both.
        every_module: False gives '' alone, and NaN elsewhere.

    Returns:
        for each kind (modules,), NaN where a parameter of the block has no P.
    """
    values = {kind: [] for kind in kinds}
    held = [i for i, p in enumerate(layout.parameters) if p.requires_grad]
    with undisturbed(model):
        found = gradient_of(loss, [layout.parameters[i] for i in held])
        gradient = dict(zip(held, found, strict=True))
        for row, name in enumerate(layout.modules):
            block = [c for r, c in zip(*layout.pairs, strict=True) if r == row and c in gradient]
            parameters = [layout.parameters[i] for i in block]
            for kind, answers in values.items():
                roots = None
                if kind:
                    P = [
                        preconditioner(optimizer, optimizer.param_groups[layout.groups[i]], p)
                        for i, p in zip(block, parameters, strict=True)
                    ]
                    roots = [part.detach().sqrt() for part in P if part is not None]
                known = roots is None or len(roots) == len(block)
                if not block or not known or not (every_module or name == ""):
                    device = layout.parameters[0].device
                    answers.append(torch.full((), torch.nan, dtype=torch.float64, device=device))
                    continue
                some = [gradient[i] for i in block]
                answers.append(largest_eigenvalue(some, parameters, roots))
    return {kind: torch.stack(answers).detach() for kind, answers in values.items()}
