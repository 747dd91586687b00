r"""Which piece of the corpus is sample i: a pure function of (seed, i), in O(1) memory.

    epoch e = i // W,   place = π_{seed, e}(i mod W),   start = offset_{seed, e} + T place

W windows of T + 1 tokens fit into the corpus wherever the grid is shifted by an offset in [0, T).
π is a keyed permutation: a Feistel network, walked along its cycle until it is back in [0, W).
Nothing is remembered, so the order does not depend on how many processes or micro-batches share a
step, or on when a run was stopped and resumed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError

Whole = NDArray[np.uint64]
_ROUNDS = 4
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(values: Whole) -> Whole:
    """Splitmix64's finaliser: every bit of the answer depends on every bit of the input."""
    with np.errstate(over="ignore"):
        v = values + _GOLDEN
        v = (v ^ (v >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        v = (v ^ (v >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return v ^ (v >> np.uint64(31))


def permuted(index: ArrayLike, size: ArrayLike, key: ArrayLike) -> Whole:
    """The places of `index` under the permutation of 0, ..., size - 1 that `key` names.

    Example:
        >>> sorted(permuted(range(5), 5, key=7).tolist())
        [0, 1, 2, 3, 4]
    """
    index, key = np.broadcast_arrays(
        np.asarray(index, dtype=np.uint64), np.asarray(key, dtype=np.uint64)
    )
    n = int(np.asarray(size))
    half = max(1, -(-max(1, (n - 1).bit_length()) // 2))
    low, shift = np.uint64(2**half - 1), np.uint64(half)
    at = index.copy()
    walking = np.ones(at.shape, dtype=bool)
    while walking.any():
        left, right = at[walking] >> shift, at[walking] & low
        keys = key[walking]
        for r in range(_ROUNDS):
            salted = mixed(keys ^ mixed(right + np.uint64(r << 40)))
            left, right = right, left ^ (salted & low)
        at[walking] = (left << shift) | right
        walking = at >= n
    return at


class Order:
    """Where the samples of a run start in a corpus.

    Args:
        tokens: the length of the corpus.
        context: T; a sample is T + 1 tokens, inputs and targets one further.
        seed: names the order.

    Raises:
        InputError: the corpus is shorter than two contexts.

    Example:
        >>> order = Order(tokens=1000, context=10, seed=0)
        >>> order.windows, len(set(order.starts(0, order.windows).tolist()))
        (99, 99)
    """

    def __init__(self, tokens: int, context: int, seed: int) -> None:
        self.context, self._key = context, mixed(np.array([seed], dtype=np.uint64))[0]
        self.windows = (tokens - context) // context
        if self.windows < 1:
            raise InputError(
                f"The corpus has {tokens} tokens, but windows of model.context={context} need at "
                f"least {2 * context}; give a longer corpus or a smaller model.context."
            )

    def starts(self, first: int, count: int) -> NDArray[np.int64]:
        """(count,): the first tokens of the samples first, ..., first + count - 1."""
        epoch, within = np.divmod(
            np.arange(first, first + count, dtype=np.uint64), np.uint64(self.windows)
        )
        key = mixed(epoch ^ self._key)
        offset = mixed(key) % np.uint64(self.context)
        place = permuted(within, self.windows, key)
        return (offset + place * np.uint64(self.context)).astype(np.int64)
