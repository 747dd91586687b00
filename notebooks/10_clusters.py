# %% [markdown]
# # 10 · Sweeps, clusters and GPUs
#
# A question about training is a *plan*: a TOML file with lists. The same command runs it on a
# laptop, on a cluster and on GPUs, and repeated does what is left. Results are recorded in small
# files. This notebook trains nothing: it reads plans and records.

# %%
import json
import tomllib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
from scipy.stats import t as student

from sftheory import lm

PLANS, RECORDED = Path("../experiments"), Path("../paper_figures/recorded")

# %% [markdown]
# ## What has been recorded, and on what
#
# Each record knows its question, its budget, the machine, and the hash of the text.

# %%
facts = {file.name.split(".")[0]: json.loads(file.read_text()) for file in RECORDED.glob("g*.json")}
for name, fact in sorted(facts.items()):
    machine = fact["gpu"] or f"no GPU, {fact['machine']}"
    print(f"{name:16} {fact['runs']:4} runs {fact['tokens'] / 1e6:6.1f}M tokens, {machine}")
    print(f"{'':16} {fact['experiment']['question']}")
    assert fact["runs"] == fact["experiment"]["runs"]  # the plan was carried out in full

# %% [markdown]
# ## A plan
#
# Lists in a block are multiplied out; a block `from` another one branches off its checkpoints. The
# head of the file says how many runs and tokens that makes, and the command refuses a file whose
# blocks ask for something else. So the price is known before anything runs.

# %%
path = PLANS / "g1_pareto.toml"
cases = lm.read_sweep(path)
plan = tomllib.loads(path.read_text())["experiment"]
tokens = {}
for case in cases:
    config = case.config
    spent = config.run.steps * config.run.batch * config.model.context
    name = "cooldowns" if config.start.run else f"{config.optimizer.name}, {config.schedule.name}"
    tokens[name] = tokens.get(name, 0) + spent
print(f"{len(cases)} runs, {sum(tokens.values()):,} tokens; the plan says {plan['tokens']:,}")
plt.barh(list(tokens), np.array(list(tokens.values())) / 1e6)
plt.gca().set(xlabel="million tokens")
assert len(cases) == plan["runs"] and sum(tokens.values()) == plan["tokens"]

# %% [markdown]
# Cooldowns off one plateau are cheap: three horizons of WSD cost little more than the plateau.
#
# ## What came out
#
# One schedule-free run, read at three horizons, against schedules that were tuned for each. Every
# method has four peaks and three seeds; the best peak by the mean.

# %%
rows = pl.read_csv(RECORDED / "g1_pareto.csv", infer_schema_length=None)
horizons = (150, 300, 600)


def seeds_at_best(block, average, step, made_for_it):
    found = rows.filter(pl.col("block") == block, average=average, step=step)
    if made_for_it:
        found = found.filter(pl.col("run.steps") == step)
    found = found.unique("run")
    means = found.group_by("optimizer.lr").agg(pl.col("loss").mean()).sort("loss")
    best = found.filter(pl.col("optimizer.lr") == means["optimizer.lr"][0]).sort("run.seed")
    return best["loss"].to_numpy()


methods = {
    "cosine": ("cosine", "last", True),
    "linear": ("linear", "last", True),
    "WSD": ("wsd", "last", False),
    "schedule-free": ("schedule-free", "x", False),
}
losses = {
    name: np.array([seeds_at_best(block, average, step, made) for step in horizons])
    for name, (block, average, made) in methods.items()
}
for name, found in losses.items():
    mean, low, high = found.mean(axis=1), found.min(axis=1), found.max(axis=1)
    plt.errorbar(horizons, mean, [mean - low, high - mean], fmt="o-", ms=3, capsize=2, label=name)
plt.gca().set(xlabel="steps", ylabel="validation loss, nats per byte", xscale="log")
plt.xticks(horizons, horizons)
plt.minorticks_off()
plt.legend()
assert all(found.shape == (3, 3) for found in losses.values())  # horizon, seed

# %% [markdown]
# ## Are differences larger than chance?
#
# Seeds share their initial weights and the order of the text between methods, so compare seed by
# seed. The spread of a *difference* is then smaller than that of the losses, and three seeds say
# more.

# %%
reference = losses["cosine"]
margin = student.ppf(0.975, 2) / np.sqrt(3)
for i, name in enumerate(("linear", "WSD", "schedule-free")):
    gap = losses[name] - reference
    half = margin * gap.std(axis=1, ddof=1)
    plt.errorbar(
        np.array(horizons) * 1.04 ** (i - 1), gap.mean(axis=1), half, fmt="o", capsize=3, label=name
    )
    said = ", ".join(f"{g:+.3f} ± {h:.3f}" for g, h in zip(gap.mean(axis=1), half, strict=True))
    assert (gap.mean(axis=1) + half < 0).all()
    print(f"{name:14} less cosine at 150, 300, 600 steps: {said}")
plt.axhline(0, color="k", lw=1)
plt.gca().set(xlabel="steps", ylabel="nats above the cosine for it", xscale="log")
plt.xticks(horizons, horizons)
plt.minorticks_off()
plt.legend()
spread = {name: found.std(axis=1, ddof=1).mean() for name, found in losses.items()}
assert (losses["linear"] - reference).std(axis=1, ddof=1).mean() < spread["linear"]

# %% [markdown]
# The intervals lie below zero: at this scale each of the three ends below the cosine that was made
# for the same horizon. Peaks were picked by the same seeds, which flatters all of them a little.
# And the scale is 0.3 million weights and one token a weight. Figures G1 to G12 have the claims,
# with those that fail.
#
# ## Running a plan
#
# On this machine, two runs at once:
#
#     sftheory sweep experiments/g1_pareto.toml --out runs --cluster local --jobs 2
#
# On Slurm, an array of jobs; a job that is preempted or hits its time limit writes a checkpoint and
# is queued again, and ends in the same bits:
#
#     sftheory sweep plan.toml --cluster slurm --jobs 8 --sbatch gres=gpu:1 --sbatch time=60
#
# `--cluster script` writes the `sbatch` script and starts nothing. One run on several GPUs sets
# `run.parallel = "ddp"` or `"fsdp"` and is started by `torchrun`, or with `--processes`. On CUDA
# the computation is bfloat16 with float32 weights; `--set run.device=cpu` keeps it off.
#
# Which size? The table of sizes goes from 0.3M to 350M weights, and every key can be set from
# outside. So try the plan at the smallest size here, and send the same file.

# %%
tried = lm.read_sweep(path, ["model.size=10M", "run.dtype=bfloat16"])
assert len(tried) == len(cases)
assert {case.config.model.width for case in tried} != {case.config.model.width for case in cases}
shape = tried[0].config.model
print(f"the same plan: {shape.layers} layers of width {shape.width} for each of {len(tried)} runs")

# %% [markdown]
# When all runs are done, `lm.record(path, out, to)` writes the two small files that this notebook
# read. They are what figures draw, so that nobody needs a cluster to check a claim.
