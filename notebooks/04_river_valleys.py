# %% [markdown]
# # 04 · River valleys
#
# Why does a training loss fall when the learning rate does, and why was all that progress invisible
# before? A picture that explains much of it: the loss is a *valley*. Across it the walls are steep
# and gradients are noisy: the *hill*. Along it a *river* descends slowly and quietly.
#
# The valley of this notebook is f(h, r) = 10 h² + 1/(1 + r), with noise on h only.

# %%
import matplotlib.pyplot as plt
import numpy as np

import sftheory as sft
from sftheory import methods, problems, schedules
from sftheory.exact_moments import hill_and_river

valley = problems.HillAndRiver(sigma=2)  # a = 20, noise of standard deviation 2, c0 = 1
sgd = methods.LastIterate()

# %% [markdown]
# ## Two learning rates
#
# A large rate bounces between the walls and travels far down the river. A small one stays on the
# floor and does not get far.

# %%
N = 400
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.6), sharey=True, sharex=True)
reached = {}
for axis, rate in zip(axes, (0.05, 0.005), strict=True):
    run = sft.run(valley, sgd.tableau(np.full(N, rate)), record="all")
    h, r = run.x[0].T
    axis.plot(r, h, lw=0.8)
    axis.axhline(0, color="k", ls=":", lw=1)
    axis.set(title=f"rate {rate}", xlabel="along the river, r")
    reached[rate] = r[-1]
axes[0].set_ylabel("across, h")
assert reached[0.05] > 2.5 * reached[0.005]

# %% [markdown]
# ## Two losses
#
# The loss is the sum of two parts, and for this valley both can be computed exactly, as averages
# over all noise: `hill_and_river`. A constant rate γ has a hill that never goes away, of height γ
# σ²/(2(2 - aγ)), and a river that it descends at a speed proportional to γ.

# %%
N = 4000
for i, rate in enumerate((0.05, 0.02, 0.005)):
    hill, river = hill_and_river(valley, sgd.tableau(np.full(N, rate)))
    plt.loglog(hill, color=f"C{i}", ls="--")
    plt.loglog(
        river, color=f"C{i}", label=f"rate {rate}: hill {hill[-1]:.4f}, river {river[-1]:.4f}"
    )
    assert abs(hill[-1] / (rate * 4 / (2 * (2 - valley.a * rate))) - 1) < 1e-9
plt.gca().set(xlabel="step", ylabel="hill (dashed), river (solid)", ylim=(1e-3, 1.2))
plt.legend()
plt.show()

# %% [markdown]
# ## The cooldown removes the hill
#
# So hold the rate high to travel, and lower it at the end to sink to the floor. That is WSD. Watch
# the total: it looks stuck on the plateau and falls in the cooldown. The river below it says
# otherwise: progress was made all the time, and during the cooldown hardly any.

# %%
peak = 0.05
hill, river = hill_and_river(valley, sgd.tableau(peak * schedules.WSD(0.2)(N)))
plt.plot(hill + river, label="total, what you see")
plt.plot(river, label="river")
plt.axvline(0.8 * N, color="k", ls=":", lw=1)
plt.gca().set(xlabel="step", ylabel="loss", ylim=(0.08, 0.3))
plt.legend()
start, end = int(0.8 * N), N
fall = (hill + river)[start] - (hill + river)[end]
share = (hill[start] - hill[end]) / fall
print(f"of the fall in the cooldown, {100 * share:.0f}% is the hill's")
assert share > 0.6

# %% [markdown]
# ## What does it cost to stop early?
#
# You planned 4000 steps and must read the model at step t, or may train on. All runs below have the
# peak 0.05, so that they travel at the same speed:
#
# - the **plateau** of a WSD run, read as it is;
# - the plateau with a **cooldown branched off** for the last 10% of t. This *is* the WSD run that
#   would have been planned for t: the plateaus are the same. So it is the yardstick;
# - a **cosine planned for N**, read at t;
# - **schedule-free**, read at t: nothing was planned.

# %%
times = N * np.array([1, 2, 3, 5, 7, 8, 10, 14, 20]) // 10


def total(tableau):
    return sum(hill_and_river(valley, tableau))


cosine = schedules.Cosine()(N)
held = np.concatenate([cosine, np.full(N, cosine[-1])])  # the last step again and again
constant = np.full(2 * N, peak)
branched = np.array([total(sgd.tableau(peak * schedules.WSD(0.1)(t)))[-1] for t in times])
read = {
    "WSD plateau": total(sgd.tableau(constant))[times],
    "cosine planned for N": total(sgd.tableau(peak * held))[times],
    "schedule-free": total(methods.ScheduleFree(beta=0.9).tableau(constant))[times],
}
print(f"{'loss over WSD for t':20}   N/10   N/2     N    2N")
for name, losses in read.items():
    plt.plot(times / N, losses / branched, "o-", ms=3, label=name)
    more = dict(zip(times, 100 * (losses / branched - 1), strict=True))
    print(f"{name:20}", *(f"{more[t]:+5.0f}%" for t in (N // 10, N // 2, N, 2 * N)))
plt.axhline(1, color="k", ls=":", label="WSD with a cooldown for t")
plt.gca().set(xlabel="stopped at t / N", ylabel="loss / loss of WSD for t")
plt.legend()
free = read["schedule-free"] / branched
assert (read["WSD plateau"] > 1.5 * branched)[times >= N // 2].all()
assert np.ptp(free) < 0.05 * free.mean()  # schedule-free: the same price whenever you stop

# %% [markdown]
# Here is the answer for this valley. Read on the plateau, the loss is far above what the run has
# earned, and the more so the later. A short cooldown repairs that whenever you like, at the price
# of its own steps. The cosine is on the hill when it is read early, and slower on the river all the
# time. Schedule-free pays the same small price at every t, and needs no decision.
#
# ## How long must the cooldown be?
#
# The hill forgets quickly: a cooldown of K steps needs to be long against 1/(curvature × rate), not
# against the run. And its shape matters a little: one that drops at once, 1 - √v, leaves less.

# %%
lengths = np.unique(np.logspace(0.7, 2.7, 15).astype(int))
plateau = peak * valley.sigma**2 / (2 * (2 - valley.a * peak))
left = {}
for shape in ("linear", "1-sqrt"):
    ends = []
    for K in lengths:
        n = 2000 + K
        tableau = sgd.tableau(peak * schedules.WSD((K + 1) / (n + 1), shape)(n))
        ends.append(hill_and_river(valley, tableau)[0][-1] / plateau)
    left[shape] = np.array(ends)
    plt.loglog(lengths, ends, "o-", ms=3, label=shape)
plt.gca().set(xlabel="cooldown steps", ylabel="hill left / hill before")
plt.legend()
assert (left["1-sqrt"] < left["linear"]).all() and left["linear"][-1] < 0.05

# %% [markdown]
# ## Averaging removes the hill as well
#
# Points that bounce from wall to wall have their average near the floor. So an average of a
# constant-rate run sees the river without any cooldown. The price: an average is also *behind* on
# the river. A long memory is smooth and late, a short one prompt and rough.

# %%
tableaus = {
    "no average": sgd.tableau(np.full(N, peak)),
    "mean of all": methods.PolyakAverage().tableau(np.full(N, peak)),
    "EMA 0.9": methods.EMA(0.9).tableau(np.full(N, peak)),
    "EMA 0.99": methods.EMA(0.99).tableau(np.full(N, peak)),
    "EMA 0.999": methods.EMA(0.999).tableau(np.full(N, peak)),
    "schedule-free 0.9": methods.ScheduleFree(0.9).tableau(np.full(N, peak)),
    "WSD 20%": sgd.tableau(peak * schedules.WSD(0.2)(N)),
}
parts = {name: [part[-1] for part in hill_and_river(valley, t)] for name, t in tableaus.items()}
plt.barh(list(parts), [river for _, river in parts.values()], label="river")
plt.barh(
    list(parts), [hill for hill, _ in parts.values()], left=[r for _, r in parts.values()],
    label="hill",
)  # fmt: skip
plt.gca().set(xlabel="loss at the end")
plt.legend(loc="lower right")
assert parts["mean of all"][1] > parts["EMA 0.99"][1] > parts["EMA 0.9"][1]  # later on the river
assert parts["mean of all"][0] < parts["EMA 0.99"][0] < parts["EMA 0.9"][0]  # and smoother

# %% [markdown]
# ## Does schedule-free follow the river?
#
# On a curved valley, with Adam's step: w1 w2 = 1 is the river. With β = 0.9 the gradient is taken
# near the average, and the path hugs the floor. With β = 0.1 it is taken at the bouncing point: the
# points oscillate across, and their average cuts the corner.

# %%
river_toy = problems.SongRiver()
floor = np.linspace(0.9, 6, 100)
fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.7), sharey=True)
off = {}
for axis, beta in zip(axes, (0.1, 0.9), strict=True):
    tableau = methods.ScheduleFree(beta, start_counts=False).tableau(np.full(1000, 0.3))
    run = sft.run(river_toy, tableau, record="all", preconditioner=sft.Adam(beta2=0.99))
    axis.plot(floor, 1 / floor, "k:", lw=1)
    axis.plot(*run.y[0].T, lw=0.6, alpha=0.7, label="y")
    axis.plot(*run.x[0].T, label="x, reported")
    axis.set(title=f"beta = {beta}", xlabel="w1")
    off[beta] = float(river_toy.distance_to_river(run.x[0, 500:]).mean())
axes[0].set_ylabel("w2")
axes[1].legend()
print({f"beta {b}": round(v, 3) for b, v in off.items()}, "mean distance |w1 w2 - 1|, second half")
assert off[0.9] < off[0.1] / 3

# %% [markdown]
# ## Is language like this?
#
# In a bigram language some tokens have a certain successor and some have none. What is uncertain is
# noisy, and noise is hill. So a cooldown should gain on uncertain tokens and not on certain ones,
# and this can be measured token by token.

# %%
language = problems.BigramValley()  # 16 tokens, from certain to random successors
N = 2000
start = int(0.8 * N)
traj = sft.run(
    language, sgd.tableau(2 * schedules.WSD(0.2)(N)), seeds=8, record=[start, N], losses="x"
)
gain = -np.diff(language.rows(traj.x), axis=1)[:, 0]  # seed, token
plt.errorbar(
    language.entropy, gain.mean(0), gain.std(0, ddof=1) / np.sqrt(len(gain)), fmt="o", ms=4
)
plt.gca().set(xlabel="entropy of the successor, nats", ylabel="gained in the cooldown")
correlation = np.corrcoef(gain.mean(0), language.entropy)[0, 1]
print(f"correlation {correlation:.2f}")
assert correlation > 0.7 and abs(gain.mean(0)[0]) < 0.1 * gain.mean(0).max()

# %% [markdown]
# ## What you can now say
#
# - The loss that falls in a cooldown is noise across the valley; the progress was made before.
# - **Stopping early** costs much on a plateau, unless you branch off a short cooldown. A cosine
#   that was planned for another horizon costs before it and after it.
# - Averages do without a cooldown and are late on the river. Schedule-free takes gradients near the
#   average, which keeps the path itself near the floor.
#
# A valley is a toy: two numbers, noise on one. Figures F12 to F16 check it against its sources,
# with the claims that fail.
