"""All parts of a run in memory, the step that moves them, and their state as one tree."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sftheory.core.errors import InputError
from sftheory.lm import optimizers
from sftheory.lm.adapters import adapt, lend
from sftheory.lm.arranging import arranged
from sftheory.lm.averages import AverageBank
from sftheory.lm.batches import Batches
from sftheory.lm.config import Config
from sftheory.lm.devices import compiler, settled
from sftheory.lm.evaluation import Evaluator
from sftheory.lm.learning_rates import steps_of
from sftheory.lm.parallel import World
from sftheory.lm.tokens import Tokens
from sftheory.lm.transformer import Transformer, flops_per_token


class Session:
    """Model, optimizer, averages and data of a run, or the part of them that a process has.

    Attributes:
        flat: the parameters of this process as a vector.
        step: t, over the whole history of a branch.  samples: sequences seen.
        losses, norms: of the steps since the last row, on the device.
        lr: of the last step.
    """

    def __init__(self, config: Config, tokens: Tokens, world: World | None = None) -> None:
        self.config, self.tokens, self.world = config, tokens, world or World()
        run = config.run
        device, dtype, compiled = settled(run)
        self.device = self.world.device(device)
        self.model = Transformer(config.model, tokens.vocabulary, dtype)
        self.model.initialise(run.seed)
        self.flops_per_token = flops_per_token(self.model)
        adapt(self.model, config)
        self.model.to(self.device)
        self._wrap = compiler(compiled)
        self.flat, self._loss = arranged(self.model, self.world, self._wrap)
        self.optimizer = optimizers.build(config.optimizer, self.model)
        self._wants_loss = optimizers.wants_loss(self.optimizer)
        self.has_average = optimizers.has_average(self.optimizer)
        self._lrs = steps_of(config)
        self.step = self.first = config.start.step
        self.last = self.first + run.steps
        self.bank = AverageBank(
            config.averages.names,
            self.flat.theta,
            run.steps,
            start=self.first,
            every=config.averages.every,
        )
        seed = run.seed if config.data.seed < 0 else config.data.seed
        self.batches = Batches(tokens.train, config.model.context, seed, self.device)
        self.samples, self.lr, self.skipped = 0, 0.0, 0
        self.losses: list[Tensor] = []
        self.norms: list[Tensor] = []
        self._share = run.batch // self.world.size
        self._micro = math.gcd(run.micro, self._share) if run.micro else self._share
        self.evaluator: Evaluator | None = None

    def lr_of(self, step: int) -> float:
        """Gamma of the step that leads to `step`."""
        return float(self._lrs[step - self.first - 1])

    def gradient(self) -> tuple[Tensor, Tensor]:
        """The mean gradient of the coming batch, in place; its cross-entropy and its norm."""
        self.flat.with_grad()
        parts = self._share // self._micro
        first = self.samples + self.world.rank * self._share
        total: Tensor | None = None
        for i, tokens in enumerate(self.batches(first, self._share).split(self._micro)):
            objective, loss = self._loss(tokens, last=i == parts - 1)
            (objective / parts if parts > 1 else objective).backward()
            loss = loss.detach() / parts if parts > 1 else loss.detach()
            total = loss if total is None else total + loss
        assert total is not None
        return self.world.mean(total), self.flat.norm()

    def move(self, loss: Tensor, norm: Tensor, *, skip: bool = False) -> None:
        """Clip, step, average and count; with `skip` only count."""
        self.begin_step()
        if skip:
            self.skipped += 1
            self.end_step()
            return
        self.flat.clip(norm, self.config.optimizer.clip)
        if self._wants_loss:
            self.optimizer.step(loss=loss)  # pyright: ignore[reportCallIssue]
        else:
            self.optimizer.step()
        self.end_step(loss, norm)

    def begin_step(self) -> None:
        """Set the learning rate of the coming step."""
        self.lr = self.lr_of(self.step + 1)
        optimizers.set_lr(self.optimizer, self.lr)

    def end_step(self, loss: Tensor | None = None, norm: Tensor | None = None) -> None:
        """Count and average; with the loss and the gradient norm, if it was taken."""
        if loss is not None and norm is not None:
            self.losses.append(loss)
            self.norms.append(norm)
        self.step += 1
        self.samples += self.config.run.batch
        self.bank.update(self.step, self.flat.theta, self.lr)

    def last_lr(self) -> float:
        """Gamma of the last step as the optimizer took it, with its own warm-up or Polyak rule."""
        taken = self.optimizer.param_groups[0].get("scheduled_lr")
        return self.lr if taken is None or self.step == self.first else float(taken)

    def points(self) -> list[str]:
        """What can be evaluated now: "last", "x" of the optimizer, and the averages."""
        return ["last", *(["x"] if self.has_average else []), *self.bank.ready()]

    @torch.no_grad()
    def evaluate(self, point: str) -> float:
        """The validation loss at a point, in nats per token; all processes must ask."""
        if self.evaluator is None:
            scratch = Transformer(self.model.shape, self.tokens.vocabulary, self.model.dtype)
            run, data = self.config.run, self.config.data
            batch = run.micro or run.batch
            adapt(scratch, self.config)
            scratch.to(self.device)
            if self.config.lora is not None:
                lend(self.model, scratch)
            self.evaluator = Evaluator(
                scratch,
                self.tokens,
                data.eval_tokens,
                batch,
                self._wrap,
                micro=self._micro,
                world=self.world,
            )
        return self.evaluator(self.weights(point))

    @torch.no_grad()
    def weights(self, point: str) -> Tensor:
        """(n of this process,): the weights at a point; of "last" these are the run's own."""
        if point == "last":
            return self.flat.theta
        if point == "x" and self.has_average:
            own: Any = self.optimizer
            return self.flat.joined(own.averaged_state_dict(self.model))
        return self.bank.value(point)

    def state(self) -> dict[str, Any]:
        """Everything that continuing bit for bit needs; of shards, those of this process."""
        averages = {
            name: {**entry, "value": self.flat.packed(entry["value"])}
            for name, entry in self.bank.state().items()
        }
        return {
            "step": self.step,
            "samples": self.samples,
            "lr": self.lr,
            "skipped": self.skipped,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "averages": averages,
            "losses": torch.stack(self.losses) if self.losses else None,
            "norms": torch.stack(self.norms) if self.norms else None,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state, whole or of shards.

        Raises:
            InputError: it is of a model of another shape.
        """
        self.load_weights(state["model"])
        saved = self.flat.shared_state(state["optimizer"], self.optimizer)
        self.optimizer.load_state_dict(saved)
        self.bank.load(
            {
                name: {**entry, "value": self.flat.unpacked(entry["value"])}
                for name, entry in state["averages"].items()
            }
        )
        self.step, self.samples = state["step"], state["samples"]
        self.lr, self.skipped = state["lr"], state["skipped"]
        for name in ("losses", "norms"):
            saved = state[name]
            setattr(self, name, [] if saved is None else list(saved.to(self.device).unbind()))

    @torch.no_grad()
    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Put weights into the parameters, and into what is frozen."""
        own = dict(self.model.state_dict())
        if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in weights.items()}:
            raise InputError(
                "The checkpoint is of a model of another shape; keep [model] and the tokenizer as "
                "they were."
            )
        self.flat.put(self.flat.joined(weights))
        for name in own.keys() - dict(self.model.named_parameters()).keys():
            own[name].copy_(weights[name])
