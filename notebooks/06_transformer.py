# %% [markdown]
# # 06 · Inside a small transformer
#
# The same ideas on a language model, small enough for a laptop: 0.3 million weights, trained on the
# source code of Python's standard library, byte by byte, for 120 steps. That ranks no optimizer. It
# shows what can be *seen*: many averages of one run, a cooldown branched off it, and norms, angles
# and effective rates inside.

# %%
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np

import sftheory as sft
from sftheory import lm

folder = tempfile.mkdtemp()

# %% [markdown]
# ## A config
#
# A run is its config. Keys that are left out have defaults, a key that does not exist is an error
# that names the nearest, and the hash of all is the name of the run.

# %%
base = lm.Config().replaced(
    {
        "model.size": "0.3M",
        "model.context": 64,
        "data.source": "stdlib",
        "data.limit": 2_000_000,
        "data.eval_tokens": 4096,
        "run.steps": 120,
        "run.batch": 8,
        "run.eval_every": 10,
        "run.eval_grid": 0,
        "run.threads": 1,
        "run.probe_every": 5,
        "optimizer.betas": [0.9, 0.95],
        "optimizer.weight_decay": 0.0,
        "schedule.name": "constant",
        "schedule.warmup": 10,
    }
)
try:
    base.replaced({"run.step": 100})
except sft.InputError as error:
    print(error)

# %% [markdown]
# ## One run, many averages
#
# AdamW at a constant rate. Beside the parameters the trainer keeps averages of them and evaluates
# all on the same validation bytes. None of them changes the training.

# %%
trunk = lm.train(
    base.replaced(
        {
            "optimizer.name": "adamw",
            "optimizer.lr": 1e-2,
            "averages.names": ["uniform", "ema:0.95", "tail:0.25"],
            "run.checkpoints": [80],
            "run.probe": ["weight_norm", "update_norm", "grad_norm"],
        }
    ),
    out=folder,
)
rows = trunk.frame().filter(split="val")
for name in ("last", "uniform", "ema:0.95", "tail:0.25"):
    one = rows.filter(average=name).drop_nulls("loss")
    plt.plot(one["step"], one["loss"], label=name)
plt.gca().set(xlabel="step", ylabel="validation loss, nats per byte", ylim=(2.4, 4))
plt.legend()
print({name: round(trunk.loss(name), 3) for name in ("last", "uniform", "ema:0.95", "tail:0.25")})
assert trunk.loss("ema:0.95") < trunk.loss("last") < trunk.loss("uniform")

# %% [markdown]
# A short average is below the last point: it has less of the hill. The uniform mean carries the
# first steps and is far behind on the river.
#
# ## A cooldown, branched off
#
# From step 80, 40 steps of linear decay. Optimizer, averages and the order of the text go on; only
# the rate is another. How much of what the cooldown gains had the average already?

# %%
cooled = lm.branch(trunk, at=80, steps=40, schedule="linear")
for run, name in ((trunk, "constant"), (cooled, "cooldown from step 80")):
    one = run.frame().filter(split="val", average="last").drop_nulls("loss")
    plt.plot(one["step"], one["loss"], label=name)
one = rows.filter(average="ema:0.95").drop_nulls("loss")
plt.plot(one["step"], one["loss"], ":", label="constant, EMA 0.95")
plt.gca().set(xlabel="step", ylabel="validation loss", xlim=(40, 122), ylim=(2.6, 3.05))
plt.legend()
gain = trunk.loss("last") - cooled.loss("last")
share = (trunk.loss("last") - trunk.loss("ema:0.95")) / gain
print(f"the cooldown gains {gain:.3f} nats, the average has {share:.0%} of that")
assert gain > 0

# %% [markdown]
# ## Schedule-free: three points, one set of weights
#
# The parameters hold y, where gradients are taken. The optimizer's x is evaluated, and the probe
# logs norms of x, y and z.

# %%
free = lm.train(
    base.replaced(
        {
            "optimizer.name": "schedule_free_adamw",
            "optimizer.lr": 1e-2,
            "run.probe": [
                "weight_norm.x",
                "weight_norm.y",
                "weight_norm.z",
                "grad_norm",
                "effective_lr_y",
            ],
        }
    ),
    out=folder,
)
inside = free.frame("probe").filter(module="")
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.7))
for point in "xyz":
    one = inside.filter(metric=f"weight_norm.{point}")
    left.plot(one["step"], one["value"], label=point)
left.set(xlabel="step", ylabel="norm")
left.legend()
one = inside.filter(metric="effective_lr_y")
right.semilogy(one["step"], one["value"])
right.set(xlabel="step", ylabel="rate that y feels")
ends = {
    point: inside.filter(metric=f"weight_norm.{point}")["value"].to_list()[-1] for point in "xyz"
}
print({point: round(norm, 1) for point, norm in ends.items()})
assert ends["x"] < ends["z"]  # an average lies inside the ball that its points lie on
assert abs(one["value"].to_list()[-1] / 1e-3 - 1) < 0.1  # (1 - beta) of the rate

# %% [markdown]
# ## The dashboard
#
# Every log of a probe is one page. `dashboard(...).save("run.html")` writes it as a file that needs
# no network; here it is a picture.

# %%
sft.figures.dashboard(free.directory / "probe.jsonl")

# %% [markdown]
# ## Nothing is lost
#
# The same call again finds the finished run. A run that was cut goes on from its last checkpoint
# and ends in the same bits.

# %%
began = time.perf_counter()
again = lm.train(trunk.config, out=folder)
assert again.state_hash == trunk.state_hash and time.perf_counter() - began < 10
model = trunk.model("ema:0.95")  # the weights of an average, as a module
print(f"{sum(p.numel() for p in model.parameters()):,} weights, run {trunk.id}, {trunk.status}")
losses = {
    "constant": trunk.loss("last"),
    "constant, EMA": trunk.loss("ema:0.95"),
    "cooldown": cooled.loss("last"),
    "schedule-free, x": free.loss("x"),
}
plt.figure(figsize=(6.4, 1.8))
plt.barh(list(losses), list(losses.values()))
plt.gca().set(xlabel="validation loss after 120 steps, one learning rate each, one seed")
plt.xlim(2.2, None)
assert np.isfinite(list(losses.values())).all()

# %% [markdown]
# Do not read the last picture as a race: 120 steps, one seed, one rate each. Sweeps with seeds and
# tuned rates are a TOML file and one command, `sftheory sweep`; the page on training says how, and
# the recorded experiments what came out.
