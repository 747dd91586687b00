# %% [markdown]
# # 03 · Bounds and exact worst cases
#
# A training curve says what happened once. A worst case says what can happen at all: the largest
# final loss over **every** convex function with gradients of norm at most `G` and a best point at
# distance at most `D`. How can a computer know that? By two things that you can check yourself: a
# proof that no function is worse, and a function that is as bad.

# %%
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import torch

import sftheory as sft
from sftheory import bounds, methods, problems, schedules

# %% [markdown]
# ## One step
#
# Take one gradient step, `x2 = x1 - gamma g1`. If `gamma` is tiny, nothing was gained; if it is
# huge, the step overshoots. The worst case knows both.

# %%
gamma = np.linspace(0.02, 1.2, 60)
exact = bounds.last_iterate(gamma[:, None], D=1, G=1)  # 60 runs of one step
best = gamma[exact.argmin()]
plt.plot(gamma, exact)
plt.plot(2**-1.5, 2**-0.5, "o")
plt.gca().set(xlabel="the one step", ylabel="worst case of f(x2) - f*")
print(f"best step on the grid {best:.2f}, worst case {exact.min():.4f}; 1/√2 = {2**-0.5:.4f}")
assert abs(exact.min() - 2**-0.5) < 1e-3

# %% [markdown]
# ## The function that is as bad
#
# For each method the package writes down a function on which it does no better than its worst case.
# For one step it lives in the plane, so we can look at it. Two slopes meet at the start. The step
# goes down one of them and lands on the other, exactly as high as before.

# %%
worst = sft.worst_case([2**-1.5], D=1, G=1)
f = worst.function
side = np.linspace(-0.7, 1.1, 200)
plane = np.stack(np.meshgrid(side, side), axis=-1)
run = sft.run(f, methods.LastIterate().tableau([2**-1.5]), record="all")
plt.figure(figsize=(4.2, 3.4))
plt.contourf(side, side, f.value(plane), levels=np.linspace(0, 1.3, 14), cmap="Blues")
plt.colorbar(label="f")
plt.plot(*run.x[0].T, "o-", color="C1", label="start, and after one step")
plt.plot(*f.x_star, "k*", markersize=10, label="minimiser")
plt.legend(loc="lower left")
plt.axis("equal")
assert abs(f.value(run.x[0, -1]) - 2**-0.5) < 1e-12
assert abs(f.value(run.x[0, -1]) - f.value(run.x[0, 0])) < 1e-12  # nothing was gained

# %% [markdown]
# ## The proof that nothing is worse, by hand
#
# Three steps of linear decay, 3/8, 2/8, 1/8, have worst case exactly 1/2. Here is the whole proof.
# Convexity gives inequalities between the points that the run meets, where `g` is a gradient at its
# point:
#
# - f(x_t) - f* ≤ ⟨g_t, x_t - x*⟩
# - f(x_t) - f(x_k) ≤ ⟨g_t, x_t - x_k⟩
#
# Multiply each by a nonnegative number and add them up. Chosen well, all function values cancel but
# f(x_4) - f*, and what stays on the right is at most 1/2. The numbers are in the next cell; the
# arithmetic is exact.

# %%
h = [Fraction(3, 8), Fraction(2, 8), Fraction(1, 8)]
to_best = [Fraction(1, 4)] * 4  # of f(x_t) - f* <= ..., t = 1, ..., 4
to_point = {1: Fraction(1, 12), 2: Fraction(1, 6), 3: Fraction(1, 2)}  # of k = 1, 2, 3, all t > k

values = {"f*": Fraction(0)} | {t: Fraction(0) for t in (1, 2, 3, 4)}  # the left sides, added up
for t in (1, 2, 3, 4):
    values[t] += to_best[t - 1]
    values["f*"] -= to_best[t - 1]
    for k in range(1, t):
        values[t] += to_point[k]
        values[k] -= to_point[k]
print("what is left of the function values:", {str(k): str(v) for k, v in values.items()})
assert values == {"f*": -1, 1: 0, 2: 0, 3: 0, 4: 1}

# %% [markdown]
# So f(x_4) - f* is at most the sum of the inner products. Every point is a combination of x_1 - x*
# and the gradients, so that sum is a quadratic form in these five vectors. Subtract it from ¼ |x_1
# - x*|² + (1/16)(|g_1|² + ... + |g_4|²), which is at most 1/4 + 4/16 = **1/2**. If the difference
# is never negative, the proof is done. It is a perfect square.

# %%
point = {1: [Fraction(1), *[Fraction(0)] * 4]}  # x_t - x* in terms of (x_1 - x*, g_1, ..., g_4)
for t in (1, 2, 3):
    point[t + 1] = [p - (h[t - 1] if i == t else 0) for i, p in enumerate(point[t])]

Q = [[Fraction(0)] * 5 for _ in range(5)]
Q[0][0] += Fraction(1, 4)
for t in (1, 2, 3, 4):
    Q[t][t] += Fraction(1, 16)
    products = [(to_best[t - 1], point[t])]
    for k in range(1, t):
        products.append((to_point[k], [a - b for a, b in zip(point[t], point[k], strict=True)]))
    for weight, vector in products:  # minus weight <g_t, vector>, shared by both triangles
        for i in range(5):
            Q[t][i] -= weight * vector[i] / 2
            Q[i][t] -= weight * vector[i] / 2

v = [entry / Q[0][0] for entry in Q[0]]
print("difference = 1/4 |", " + ".join(f"{c} {n}" for c, n in zip(v, ["(x1 - x*)", "g1", "g2",
      "g3", "g4"], strict=True)), "|²")  # fmt: skip
assert all(Q[i][j] == Q[0][0] * v[i] * v[j] for i in range(5) for j in range(5))

# %% [markdown]
# That was a proof about infinitely many functions, in twenty lines of arithmetic. The package does
# the same for a hundred thousand steps, in exact or outward-rounded arithmetic. And the function
# that is as bad is replayed through the optimizer that you train with.

# %%
N = 1000
peak, promised = bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=1)
gamma = peak * schedules.Linear()(N)
worst = sft.worst_case(gamma, D=1, G=1, certify="rational")
attained = sft.replay(worst.function, lambda p: torch.optim.SGD(p, lr=1.0), N, gamma=gamma)
print(worst)
print(f"torch.optim.SGD ends at {attained:.15f}")
assert worst.certified == "rational" and worst.lower <= worst.upper
assert abs(attained - worst.value) < 1e-12
assert abs(worst.value - 1 / np.sqrt(N + 1)) < 1e-12  # no N gradients can promise less

# %% [markdown]
# ## Schedule-free has the same worst case for every beta
#
# Averaging methods are covered too. With averaging weights that match the steps, it does not matter
# where between `z` and `x` the gradient is taken: the worst case is one number, that of the
# effective schedule of notebook 02. And `ScheduleFreeSGD` attains it.

# %%
N = 40
rate = 1 / np.sqrt(N)
betas = np.array([0, 0.5, 0.9, 0.98, 1])
found = [sft.worst_case(methods.ScheduleFree(b).tableau(np.full(N, rate)), D=1, G=1) for b in betas]
torch_ends = []
for b in (0.5, 0.9, 0.98):
    tableau = methods.ScheduleFree(b, start_counts=False).tableau(np.full(N, rate))
    case = sft.worst_case(tableau, D=1, G=1)
    make = lambda p, b=b: sft.optim.ScheduleFreeSGD(p, lr=rate, momentum=b)
    torch_ends.append((b, case.value, sft.replay(case.function, make, N)))
plt.plot(betas, [one.value for one in found], "o", label="worst case, the start counts")
plt.plot(*np.array(torch_ends)[:, :2].T, "s", label="worst case, the start does not (torch)")
plt.plot(*np.array(torch_ends)[:, ::2].T, "k+", markersize=9, label="ScheduleFreeSGD, replayed")
plt.gca().set(xlabel="beta", ylabel="worst case", ylim=(0.15, 0.165))
plt.legend()
assert np.ptp([one.value for one in found]) < 1e-12
assert all(abs(value - end) < 1e-9 for _, value, end in torch_ends)

# %% [markdown]
# ## A random function is far from the worst
#
# Worst cases are pessimists. Here are 300 random functions of the class, and where the same 100
# steps end on them.

# %%
N = 100
gamma = bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=1)[0] * schedules.Linear()(N)
sgd = methods.LastIterate().tableau(gamma)
gaps = [
    sft.run(problems.MaxLinear(d=d, rows=d, seed=seed), sgd, losses="x").gap_x[0, -1]
    for d in (10, 50, 100)
    for seed in range(100)
]
plt.hist(gaps, bins=40)
plt.axvline(1 / np.sqrt(N + 1), color="k", ls=":", label="worst case")
plt.gca().set(xlabel="loss above the least after 100 steps", ylabel="random functions")
plt.legend()
assert max(gaps) < 1 / np.sqrt(N + 1)
print(f"the median is {np.median(gaps) * np.sqrt(N + 1):.2f} of the worst case")

# %% [markdown]
# Why trust such a number at all? Because its *order* of schedules is the one that people find when
# they train: decay to zero beats a floor, linear beats cosine slightly, a cooldown pays. The
# published bound Ω that made this connection is larger than the exact value by a factor near two,
# and orders the schedules in nearly the same way.

# %%
N = 1000
named = {
    "constant": schedules.Constant(),
    "1/√t": schedules.InverseSqrt(),
    "SGDR": schedules.SGDR(),
    "WSD 10%": schedules.WSD(0.1),
    "WSD 20%": schedules.WSD(0.2),
    "cosine": schedules.Cosine(),
    "linear": schedules.Linear(),
}
omega = [bounds.omega_tuned(s(N), D=1, G=1)[1] * np.sqrt(N) for s in named.values()]
exact = [bounds.last_iterate_tuned(s(N), D=1, G=1)[1] * np.sqrt(N) for s in named.values()]
rank = np.arange(len(named))
plt.barh(rank + 0.2, omega, 0.4, label="bound Ω")
plt.barh(rank - 0.2, exact, 0.4, label="exact worst case")
plt.yticks(rank, list(named))
plt.gca().set(xlabel="tuned value × √N, N = 1000")
plt.legend()
assert (np.array(exact) <= omega).all()
assert [list(named)[i] for i in np.argsort(exact)[:2]] == ["linear", "cosine"]

# %% [markdown]
# ## Smooth functions
#
# Other classes take a solver: `L=` asks for functions with curvature at most `L`. Its answer is
# repaired to a proved upper bound, and its function is run for a lower one. For gradient descent
# with step 1/L the literature has L D²/(4N + 2).

# %%
for N in (1, 2, 5):
    smooth = sft.worst_case(np.ones(N), D=1, L=1)
    print(N, smooth, f"1/(4N + 2) = {1 / (4 * N + 2):.8f}")
    assert smooth.path == "sdp" and abs(smooth.value * (4 * N + 2) - 1) < 1e-6

# %% [markdown]
# ## What you can now say
#
# - A worst case is a number with two witnesses: a sum of inequalities and a function.
# - Linear decay at its best peak has D G/√(N + 1), and no method can promise less.
# - Schedule-free promises the same for every beta; beta decides what happens on functions that are
#   *not* the worst. Notebooks 04 and 05 are about those.
#
# Where does a tableau leave the theorems? `worst_case` says in `path` how it knew, and in
# `certified` whether both ends are proved. The proofs are in the documentation's theory pages.
