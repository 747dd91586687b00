# %% [markdown]
# # 01 · A tour
#
# You train networks with PyTorch. You choose an optimizer, a peak learning rate and a *schedule*:
# how the rate changes over the run. This package computes what that choice does.
#
# This notebook asks one question in several ways: **which schedule should a run of 10,000 steps
# have?** No theory is needed; every answer is a number that a cell computes.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits

import sftheory as sft
from sftheory import bounds, methods, problems, schedules

# %% [markdown]
# ## A schedule is N numbers
#
# Call a schedule with the number of steps and it gives that many numbers, the largest of them 1.
# Times a peak learning rate they are the steps. *WSD* (warm-up, stable, decay) stays at its peak
# and decays only at the end; here the decay, the *cooldown*, is the last fifth.

# %%
N = 400
shapes = {
    "constant": schedules.Constant(),
    "cosine": schedules.Cosine(),
    "WSD": schedules.WSD(cooldown=0.2),
    "linear": schedules.Linear(),
}
for name, shape in shapes.items():
    plt.plot(np.arange(1, N + 1), shape(N), label=name)
    assert shape(N).shape == (N,) and shape(N).max() == 1
plt.gca().set(xlabel="step", ylabel="learning rate / peak")
plt.legend()
plt.show()

# %% [markdown]
# ## What a schedule does: run it
#
# A *problem* is a function with a start. This one is convex, with corners in all directions, and
# its loss curves look like those of training: noisy while the rate is high, and a fall when the
# rate falls. Each schedule gets the peak that theory says is best for it (more below).

# %%
problem = problems.MaxLinear()  # 50 dimensions
D, G = 1, 1  # distance from the start to the best point, largest gradient
ends = {}
for name, shape in shapes.items():
    peak, promised = bounds.last_iterate_tuned(shape(N), D=D, G=G)
    trajectory = sft.run(problem, methods.LastIterate().tableau(peak * shape(N)))
    ends[name] = trajectory.gap_x[0, -1], promised  # axes: seed, step
    plt.semilogy(trajectory.step, trajectory.gap_x[0], label=name)
plt.gca().set(xlabel="step", ylabel="loss above the least")
plt.legend(ncols=2)
assert ends["linear"][0] < ends["constant"][0] / 2

# %% [markdown]
# ## What theory promises: a number for every function at once
#
# One problem proves little. A *bound* speaks about all convex functions whose gradients are at most
# `G` and whose best point is at most `D` away. `last_iterate_tuned` gave two numbers above: the
# best peak for a schedule, and what it promises. No run may end above its promise.

# %%
for name, (reached, promised) in ends.items():
    print(f"{name:9} reached {reached:.4f}, promised {promised:.4f}")
    assert reached <= promised

# %% [markdown]
# These promises cannot be improved: each is the *exact worst case*, attained by some function. The
# package finds that function, and the real `torch.optim.SGD` ends there to nine digits.

# %%
peak, promised = bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=1)
gamma = peak * schedules.Linear()(N)
worst = sft.worst_case(gamma, D=1, G=1, certify="rational")  # both ends proved
attained = sft.replay(worst.function, lambda p: torch.optim.SGD(p, lr=1.0), N, gamma=gamma)
print(f"promised {promised:.12f}\nattained {attained:.12f}  by torch.optim.SGD")
assert worst.lower <= promised * (1 + 1e-12) and abs(attained - worst.value) < 1e-9

# %% [markdown]
# ## Which schedule for 10,000 steps?
#
# The least that any method with N gradients can promise is D G / √(N + 1). So divide by it: 1 is
# perfect, 1.08 is 8% worse than perfect. Every schedule has its own best peak here.

# %%
N = 10_000
candidates = {
    "constant": schedules.Constant(),
    "1/√t": schedules.InverseSqrt(),
    "step decay": schedules.StepDecay(),
    "WSD, last 10%": schedules.WSD(0.1),
    "WSD, last 20%": schedules.WSD(0.2),
    "cosine to 10%": schedules.Cosine(final=0.1),
    "cosine": schedules.Cosine(),
    "warm-up 2%, linear": schedules.Warmup(schedules.Linear(), fraction=0.02),
    "linear": schedules.Linear(),
}
price = {
    name: bounds.last_iterate_tuned(shape(N), D=1, G=1)[1] * np.sqrt(N + 1)
    for name, shape in candidates.items()
}
plt.barh(list(price), list(price.values()))
for i, value in enumerate(price.values()):
    plt.text(value + 0.005, i, f"{value:.3f}", va="center", fontsize=8)
plt.gca().set(xlim=(0.95, 1.9), xlabel="worst case / best possible, N = 10,000")
assert min(price, key=price.get) == "linear" and abs(price["linear"] - 1) < 1e-9

# %% [markdown]
# A first answer: **decay linearly to zero**. Nothing is better in the worst case. A cosine costs
# 3%, WSD some 8%, and not decaying at all 78%. A cosine that stops at a tenth of its peak costs
# more than one that goes to zero. A short warm-up is nearly free.
#
# The peak matters too. How much does it cost to be wrong by a factor of two? There is a formula, (ρ
# + 1/ρ)/2 for a peak that is ρ times the best one.

# %%
best, least = bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=1)
factors = 2.0 ** np.linspace(-2, 2, 17)
cost = bounds.last_iterate(np.outer(factors * best, schedules.Linear()(N)), D=1, G=1) / least
plt.semilogx(factors, cost, "o", base=2)
plt.semilogx(factors, (factors + 1 / factors) / 2, base=2)
plt.gca().set(xlabel="peak / best peak", ylabel="worst case / least")
assert np.allclose(cost, (factors + 1 / factors) / 2, rtol=1e-9)

# %% [markdown]
# ## No schedule at all
#
# *Schedule-free* keeps the rate constant and averages instead. A method in this package is three
# sequences of numbers, and schedule-free is one more choice of them (notebook 02). With a rate for
# N steps it promises at N exactly what linear decay does. Stopped at half that, or run to twice
# that, it is 6% above the best possible; a linear decay is 67% and 40% above (notebook 05).

# %%
N = 400
free = methods.ScheduleFree(beta=0.9).tableau(np.full(N, 1 / np.sqrt(N)))
linear = methods.LastIterate().tableau(
    bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=1)[0] * schedules.Linear()(N)
)
print(f"{'step':>14} {'gamma':>8} {'beta':>6} {'c':>8}")
for name, tableau in (("schedule-free", free), ("linear decay", linear)):
    for t in (0, 199, 399):
        row = tableau.gamma[t], tableau.beta[t], tableau.c[t]
        print(
            f"{name if t == 0 else '':>14} {row[0]:8.4f} {row[1]:6.1f} {row[2]:8.4f}   t = {t + 1}"
        )
both = sft.run(problems.MaxLinear(), sft.Tableau.stack([free, linear]))
for i, name in enumerate(("schedule-free", "linear decay")):
    plt.loglog(both.step[1:], both.gap_x[i, 0, 1:], label=name)
plt.loglog(both.step[1:], 1 / np.sqrt(both.step[1:] + 1), "k:", label="best possible promise")
plt.gca().set(xlabel="step", ylabel="loss above the least")
plt.legend()
assert both.gap_x[:, 0, -1].max() <= bounds.schedule_free(free, D=1, G=1)

# %% [markdown]
# ## On a network
#
# The same methods are torch optimizers. Two things differ from AdamW: there is no scheduler, and
# the model that you evaluate is the average, inside `optimizer.averaged()`.

# %%
pixels, digits = load_digits(return_X_y=True)
inputs = torch.tensor(pixels / 16, dtype=torch.float32)
wanted = torch.tensor(digits)
train, test = slice(0, 1400), slice(1400, None)
loss_of = torch.nn.functional.cross_entropy


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))


model = network()
optimizer = sft.optim.ScheduleFreeAdamW(model.parameters(), lr=0.03, warmup_steps=20)
log = sft.probe(optimizer, model, metrics=["grad_norm", "effective_lr_y"])
order = torch.Generator().manual_seed(0)
at_average, at_parameters = [], []
for step in range(600):
    batch = torch.randint(1400, (8,), generator=order)
    optimizer.zero_grad()
    loss_of(model(inputs[train][batch]), wanted[train][batch]).backward()
    optimizer.step()
    if step % 10 == 9:
        with torch.no_grad():
            at_parameters.append(loss_of(model(inputs[test]), wanted[test]).item())
            with optimizer.averaged():  # here the parameters are the average
                at_average.append(loss_of(model(inputs[test]), wanted[test]).item())
plt.plot(np.arange(10, 601, 10), at_parameters, label="the parameters while training")
plt.plot(np.arange(10, 601, 10), at_average, label="the average")
plt.gca().set(xlabel="step", ylabel="test loss", ylim=(0.2, 1))
plt.legend()
jumps = [np.abs(np.diff(losses[20:])).mean() for losses in (at_parameters, at_average)]
assert jumps[1] < jumps[0] / 2  # the average is calmer

# %% [markdown]
# The probe logged what happened inside, without changing a bit of the run. `log.frame()` is a tidy
# table; here is what the rate was that the parameters felt.

# %%
frame = log.frame().filter(module="")
felt = frame.filter(metric="effective_lr_y")
plt.semilogy(felt["step"], felt["value"])
plt.gca().set(xlabel="step", ylabel="rate that y feels")
plt.axhline(0.003, color="k", ls=":")
assert abs(felt["value"][-1] / 0.003 - 1) < 0.02

# %% [markdown]
# The learning rate was constant at 0.03. The point at which gradients are taken moved with a rate
# that rose with the warm-up and then fell to a tenth of 0.03, 1 - β: averaging is a schedule in
# disguise. Notebook 02 makes this exact.
#
# ## Wrong input is a sentence
#
# Nothing returns a number for input that makes no sense. The error names the value, the rule and
# the remedy.

# %%
try:
    bounds.last_iterate(free, D=1, G=1)  # a bound for SGD, asked about schedule-free
except sft.InputError as error:
    print(error)
    assert "schedule_free" in str(error)

# %% [markdown]
# ## Where next
#
# | question | notebook |
# |---|---|
# | what is the family of methods? | [02](02_one_family.ipynb) |
# | how can a number hold for all functions? | [03](03_worst_cases.ipynb) |
# | why does the loss fall when the rate does? | [04](04_river_valleys.ipynb) |
# | what does stopping early cost, what does schedule-free change? | [05](05_averaging.ipynb) |
# | what happens inside a transformer? | [06](06_transformer.ipynb) |
# | where will my loss curve end? | [07](07_fitting.ipynb) |
# | which schedule for my limits? | [08](08_design.ipynb) |
# | can I trust this, and add to it? | [09](09_figures.ipynb) |
# | what did larger runs say? | [10](10_clusters.ipynb) |
#
# On the command line `sftheory list` says what there is, and `sftheory show schedule wsd` what one
# thing is.
