"""A small network on scikit-learn's digits, trained with many seeds at once.

Parameters have a leading axis of seeds, and the loss is a sum over it: gradients, elementwise
optimizers and Hessians then act on each seed alone, at the price of one run. One thread of torch is
enough, and leaves the other cores to other figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

WIDTHS = (64, 32, 32, 10)
TRAIN = 1297  # of 1797 images; the others are held out


@contextmanager
def one_thread() -> Iterator[Any]:
    """Torch with one thread inside; yields torch, which is imported when a figure is made."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield torch
    finally:
        torch.set_num_threads(before)


class Digits:
    """The images, and S networks with a start and batches of their own.

    Args:
        seeds: their numbers; results of a seed do not depend on which others there are.
        batch: images of a step; None takes the first `full` of the training set each time.
        normalised: whether every layer's output is divided by its RMS, logits too, so that the
            loss ignores the scale of every weight matrix.
        full: how many images a full batch has.
        squared: ½ |prediction - one-hot|² in place of the cross entropy, with the mean image taken
            away: it would be the sharpest direction from the start.
        noise: the share of labels that are drawn afresh in each batch, so that gradients never
            vanish.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        batch: int | None = 64,
        normalised: bool = False,
        full: int = TRAIN,
        squared: bool = False,
        noise: float = 0.0,
    ) -> None:
        import torch
        from sklearn.datasets import load_digits

        found: Any = load_digits()
        order = np.random.default_rng(0).permutation(len(found.target))
        self._images = torch.tensor(found.data[order] / 8 - 1, dtype=torch.float32)
        if squared:
            self._images -= self._images[:TRAIN].mean(0)
        self._labels = torch.tensor(found.target[order])
        self.seeds, self._batch, self._full = tuple(seeds), batch, full
        self._normalised, self._squared, self._noise = normalised, squared, noise
        self._draw = [np.random.default_rng([seed, 1]) for seed in seeds]

    def start(self) -> list[Any]:
        """Fresh parameters, (S, inputs, outputs) for each layer; the same at every call."""
        import torch

        layers = []
        for k, (i, o) in enumerate(pairwise(WIDTHS)):
            drawn = [
                np.random.default_rng([seed, 0, k]).standard_normal((i, o)) / np.sqrt(i)
                for seed in self.seeds
            ]
            layers.append(torch.nn.Parameter(torch.tensor(np.array(drawn), dtype=torch.float32)))
        return layers

    def batch(self) -> tuple[Any, Any]:
        """The next batch of every seed: images (S, B, 64) and labels (S, B)."""
        import torch

        if self._batch is None:
            return self.first()
        drawn = [self._drawn(draw) for draw in self._draw]
        rows, labels = (torch.tensor(np.array(part)) for part in zip(*drawn, strict=True))
        return self._images[rows], torch.where(labels < 0, self._labels[rows], labels)

    def _drawn(self, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a batch, and wrong labels or -1."""
        rows = draw.integers(TRAIN, size=self._batch)
        labels = draw.integers(WIDTHS[-1], size=self._batch)
        return rows, np.where(draw.random(self._batch) < self._noise, labels, -1)

    def first(self) -> tuple[Any, Any]:
        """The first `full` training images, for every seed."""
        S = len(self.seeds)
        return self._images[: self._full].expand(S, -1, -1), self._labels[: self._full].expand(
            S, -1
        )

    def part(self, held_out: bool) -> tuple[Any, Any]:
        """All training images, or those that were held out, for every seed."""
        S, rows = len(self.seeds), slice(TRAIN, None) if held_out else slice(0, TRAIN)
        return self._images[rows].expand(S, -1, -1), self._labels[rows].expand(S, -1)

    def losses(self, layers: Sequence[Any], batch: tuple[Any, Any]) -> Any:
        """Mean loss of each seed, (S,)."""
        import torch

        h, labels = batch
        for k, layer in enumerate(layers):
            h = torch.bmm(h, layer)
            if self._normalised:
                h = h * (h.square().mean(-1, keepdim=True) + 1e-12).rsqrt()
            if k < len(layers) - 1:
                h = torch.tanh(h)
        if self._squared:
            wanted = torch.nn.functional.one_hot(labels, WIDTHS[-1])
            return (h - wanted).square().sum(-1).mean(-1) / 2
        if self._normalised:
            h = 2 * h  # logits of size 2: no image is learned by heart
        return (h.logsumexp(-1) - h.gather(-1, labels[..., None])[..., 0]).mean(-1)

    def sharpness(self, layers: Sequence[Any], batch: tuple[Any, Any], products: int = 12) -> Any:
        """The largest eigenvalue of each seed's Hessian by Lanczos' method, (S,) in numpy."""
        return largest_eigenvalues(
            lambda points: self.losses(points, batch).sum(), layers, products
        )


def seed_norms(tensors: Sequence[Any]) -> Any:
    """The norm of each seed's entries, (S,)."""
    import torch

    return torch.cat([t.detach().flatten(1) for t in tensors], 1).norm(dim=1)


def largest_eigenvalues(
    loss: Callable[[Sequence[Any]], Any], layers: Sequence[Any], products: int
) -> np.ndarray:
    """Of the blocks of a Hessian that belong to the seeds: each product serves them all."""
    import torch

    points = [layer.detach().clone().requires_grad_() for layer in layers]
    gradient = torch.autograd.grad(loss(points), points, create_graph=True)
    flat = torch.cat([p.detach().flatten(1) for p in points], 1)
    generator = torch.Generator().manual_seed(0)
    basis = [torch.randn(flat.shape, generator=generator)]
    basis[0] /= basis[0].norm(dim=1, keepdim=True)
    diagonal, beside = [], []
    for k in range(products):
        split = basis[-1].split([p[0].numel() for p in points], 1)
        vector = [part.view_as(p) for part, p in zip(split, points, strict=True)]
        found = torch.autograd.grad(gradient, points, vector, retain_graph=k < products - 1)
        w = torch.cat([h.flatten(1) for h in found], 1)
        diagonal.append((w * basis[-1]).sum(1))
        for v in basis:  # in full, so that float32 keeps the basis orthogonal
            w = w - (w * v).sum(1, keepdim=True) * v
        beside.append(w.norm(dim=1))
        basis.append(w / beside[-1][:, None].clamp(min=1e-30))
    tri = torch.diag_embed(torch.stack(diagonal, 1).double())
    off = torch.diag_embed(torch.stack(beside[:-1], 1).double(), 1)
    return torch.linalg.eigvalsh(tri + off + off.mT)[:, -1].numpy()
