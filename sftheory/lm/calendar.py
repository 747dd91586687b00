"""At which steps something happens, counted over the whole history of a branch."""

from __future__ import annotations

import math

from sftheory.lm.sections import Run


class Calendar:
    """When a run of `run.steps` steps after `first` logs, evaluates and saves.

    Example:
        >>> calendar = Calendar(Run(steps=10, log_every=5, checkpoint_every=4), first=100)
        >>> [step for step in range(100, 111) if calendar.evaluates(step)]
        [100, 101, 102, 104, 108, 110]
        >>> [step for step in range(100, 111) if calendar.saves(step)], sorted(calendar.kept)
        ([100, 104, 108, 110], [104, 108, 110])
    """

    def __init__(self, run: Run, first: int) -> None:
        self._run, self._first, self._last = run, first, first + run.steps
        grid = {first, self._last}
        if run.eval_grid:
            powers = int(math.log(max(run.steps, 1)) / math.log(run.eval_grid)) + 1
            grid |= {first + math.ceil(run.eval_grid**j - 1e-9) for j in range(powers + 1)}
        self._grid = grid
        every = run.checkpoint_every
        doublings = range((run.steps // every).bit_length()) if every else ()
        self.kept = {first + every * 2**j for j in doublings} | {self._last, *run.checkpoints}

    def logs(self, step: int) -> bool:
        """A row of the training loss."""
        return (step - self._first) % self._run.log_every == 0 or step == self._last

    def evaluates(self, step: int) -> bool:
        """A row of the validation loss for every point."""
        every = self._run.eval_every
        return step in self._grid or bool(every and (step - self._first) % every == 0)

    def saves(self, step: int) -> bool:
        """A checkpoint."""
        every = self._run.checkpoint_every
        return step in self.kept or bool(every and (step - self._first) % every == 0)

    def stores(self, step: int, every: int) -> bool:
        """A point of the thin trajectory."""
        return bool(every) and step % every == 0
