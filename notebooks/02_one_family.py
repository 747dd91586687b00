# %% [markdown]
# # 02 · One family of methods
#
# SGD with a schedule, momentum, weight averaging, EMA and schedule-free look like different things.
# They are three sequences of numbers in the same three lines. Once you see them side by side, most
# comparisons become arithmetic.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import sftheory as sft
from sftheory import Tableau, bounds, methods, problems, schedules

# %% [markdown]
# ## Three lines
#
#     y = (1 - beta_t) z + beta_t x         the point where the gradient is taken
#     z = z - gamma_t * gradient(y)         the base step
#     x = (1 - c_t) x + c_t z               the average that is reported
#
# `z` is the fast sequence, `x` its average, and `y` lies between them. A method is what it puts
# into `gamma`, `beta` and `c`: a `Tableau`. Here are the lines in full, against the package.

# %%
problem = problems.MaxLinear(d=20, rows=40)
N = 200
gamma = np.full(N, 0.05)
tableau = Tableau(gamma, beta=0.9, c=1 / np.arange(2, N + 2))  # schedule-free

x = z = problem.x1
for t in range(N):
    y = (1 - tableau.beta[t]) * z + tableau.beta[t] * x
    z = z - tableau.gamma[t] * problem.subgradient(y)
    x = (1 - tableau.c[t]) * x + tableau.c[t] * z

trajectory = sft.run(problem, tableau, record="all")
assert np.allclose(x, trajectory.x[0, -1], rtol=0, atol=1e-14)
assert np.array_equal(methods.ScheduleFree(0.9).tableau(gamma).beta, tableau.beta)
for name, points in (("z", trajectory.z), ("y", trajectory.y), ("x", trajectory.x)):
    plt.semilogy(problem.value(points[0]), label=name)
plt.gca().set(xlabel="step", ylabel="loss")
plt.legend()
plt.show()

# %% [markdown]
# `z` bounces, `x` glides, and `y`, where gradients are taken, is close to `x`.
#
# ## The members
#
# Each method of the registry turns steps into a tableau. Look at the numbers, and the differences
# are plain: SGD reports its last point (`c = 1`), averages forget slowly (`c = 1/(t + 1)`), an EMA
# forgets at a fixed rate, and `beta` says how near the average the gradient is taken.

# %%
family = {
    "SGD, linear decay": methods.LastIterate().tableau(0.05 * schedules.Linear()(N)),
    "Polyak average": methods.PolyakAverage().tableau(gamma),
    "EMA 0.95": methods.EMA(0.95).tableau(gamma),
    "last 30% averaged": methods.SuffixAverage(0.3).tableau(gamma),
    "heavy ball 0.9": methods.HeavyBall(0.9).tableau(gamma / 10),
    "primal average": methods.PrimalAverage().tableau(gamma),
    "schedule-free": methods.ScheduleFree(0.9).tableau(gamma),
}
print(f"{'t = 1, 100, 200':20} {'gamma':^22} {'beta':^14} {'c':^22}")
for name, one in family.items():
    columns = [[f"{v:6.4f}" for v in part[[0, 99, 199]]] for part in (one.gamma, one.beta, one.c)]
    print(f"{name:20} {' '.join(columns[0]):22} {one.beta[0]:^14} {' '.join(columns[2]):22}")
    assert ((one.c >= 0) & (one.c <= 1)).all()

# %% [markdown]
# ## Averaging is a schedule
#
# The report is the start minus a weighted sum of all gradients. The weights, `effective_schedule`,
# say how much of each gradient has arrived in `x` at the end. For the average of constant steps
# they fall linearly to zero: **averaging and linear decay put the same weights on their
# gradients**.

# %%
for name, one in family.items():
    plt.plot(np.arange(1, N + 1), one.effective_schedule(), label=name)
plt.gca().set(xlabel="gradient taken at step", ylabel="weight in the report", ylim=(0, 0.056))
plt.legend(loc="center left", bbox_to_anchor=(1, 0.5))
linear = 0.05 * (1 - np.arange(1, N + 1) / (N + 1))
for name in ("Polyak average", "primal average", "schedule-free"):
    assert np.allclose(family[name].effective_schedule(), linear, rtol=1e-12)

# %% [markdown]
# Polyak, primal averaging and schedule-free lie on one line. They differ in *where* the gradients
# are taken: at `z`, at `x`, or between. That changes the gradients, and it changes what happens
# before the end. The next picture shows for each step what share of the gradient is in the point
# `y` straight after it.

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.5, 2.5), sharey=True)
chosen = ("Polyak average", "schedule-free", "primal average")
for axis, name in zip(axes, chosen, strict=True):
    Y, _ = family[name].step_matrices()  # y_t = x_1 - sum over s < t of Y[t, s] g_s
    for t in (50, 100, 199):
        axis.plot(np.arange(1, t + 1), Y[t, :t] / 0.05, label=f"y at step {t + 1}")
    axis.set(title=name, xlabel="gradient")
axes[0].set_ylabel("share that has arrived in y")
axes[1].legend()
newest = {name: family[name].step_matrices()[0][199, 198] / 0.05 for name in chosen}
assert newest["Polyak average"] == 1 and newest["primal average"] < 0.01
assert abs(newest["schedule-free"] - 0.1) < 0.01  # 1 - beta

# %% [markdown]
# Polyak's `y` takes the newest gradient in full, primal averaging hardly at all. Schedule-free
# takes a tenth of it at once, as momentum 0.9 does, and the rest over the remainder of the run.
#
# ## Momentum is in the family too
#
# `torch.optim.SGD(momentum=0.9)` is primal averaging: gradients are taken at an average of a
# sequence with ten times longer steps. This is an identity, for any schedule, so torch and the
# tableau must agree to rounding.

# %%
rates = 0.005 * schedules.Cosine()(N)
start = torch.tensor(problem.x1, requires_grad=True)
optimizer = torch.optim.SGD([start], lr=1.0, momentum=0.9)
for rate in rates:
    optimizer.param_groups[0]["lr"] = rate
    start.grad = torch.tensor(problem.subgradient(start.detach().numpy()))
    optimizer.step()
heavy = sft.run(problem, methods.HeavyBall(0.9).tableau(rates), record="all")
plt.plot(start.detach().numpy(), "o", label="torch.optim.SGD, momentum 0.9")
plt.plot(heavy.x[0, -1], "k+", label="HeavyBall(0.9).tableau")
plt.gca().set(xlabel="coordinate", ylabel="value at the end")
plt.legend()
assert np.allclose(start.detach().numpy(), heavy.x[0, -1], rtol=0, atol=1e-13)

# %% [markdown]
# ## The torch optimizers are the same numbers
#
# `sft.optim.ScheduleFreeSGD` trains networks. Run it on the problem and on its tableau: the torch
# classes, like the published package, give the start no weight (`start_counts=False`).

# %%
w = torch.nn.Parameter(torch.tensor(problem.x1))
optimizer = sft.optim.ScheduleFreeSGD([w], lr=0.05, momentum=0.9)
for _ in range(N):
    w.grad = torch.tensor(problem.subgradient(w.detach().numpy()))
    optimizer.step()
published = methods.ScheduleFree(0.9, start_counts=False).tableau(gamma)
same = sft.run(problem, published, record="all")
with optimizer.averaged():
    print("largest difference", np.abs(w.detach().numpy() - same.x[0, -1]).max())
    assert np.allclose(w.detach().numpy(), same.x[0, -1], rtol=0, atol=1e-12)

# %% [markdown]
# ## Your own method is three arrays
#
# Nothing has to be registered to be run, bounded or given its exact worst case. Say you take your
# gradients at the average for the first half and at the fast point in the second half:

# %%
own = Tableau(gamma, beta=np.where(np.arange(N) < N // 2, 1.0, 0.0), c=1 / np.arange(2, N + 2))
runs = sft.run(problems.MaxLinear(), Tableau.stack([own, family["schedule-free"]]))
for i, name in enumerate(("own", "schedule-free")):
    plt.semilogy(runs.gap_x[i, 0], label=name)
proved = bounds.certificate(runs, horizons="all")  # what a run itself proves, for any method
plt.semilogy(proved[0, 0], "k:", label="certificate of own")
plt.gca().set(xlabel="step", ylabel="loss above the least")
plt.legend()
assert (runs.gap_x <= proved * (1 + 1e-12)).all()

# %% [markdown]
# ## A batch costs little
#
# Leading axes of a tableau are a batch. Here are 60 peaks times 3 methods in one call, and the
# question that everybody asks first: **how sensitive is each to its learning rate?**

# %%
N, peaks = 400, np.logspace(-3, 0.5, 60)
shapes = {
    "SGD, linear decay": methods.LastIterate().tableau(np.outer(peaks, schedules.Linear()(N))),
    "SGD, constant": methods.LastIterate().tableau(np.outer(peaks, np.ones(N))),
    "schedule-free": methods.ScheduleFree(0.9).tableau(np.outer(peaks, np.ones(N))),
}
grid = sft.run(problems.MaxLinear(), Tableau.stack(list(shapes.values())))
least = {}
for name, gaps in zip(shapes, grid.gap_x[..., 0, -1], strict=True):
    plt.loglog(peaks, gaps, label=name)
    least[name] = gaps.min()
plt.gca().set(xlabel="peak", ylabel="loss at the end")
plt.legend()
print({name: round(float(value), 4) for name, value in least.items()})
assert max(least["SGD, linear decay"], least["schedule-free"]) < least["SGD, constant"]

# %% [markdown]
# ## What you can now say
#
# - A schedule and an average are the same kind of thing: weights on gradients.
# - Constant steps with uniform averaging weigh as linear decay does, and need no horizon.
# - Schedule-free is that, with gradients taken near the average: a tenth of each arrives at once.
#
# Whether that is as good as linear decay is a question about the worst case: notebook 03.
