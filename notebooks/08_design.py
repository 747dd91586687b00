# %% [markdown]
# # 08 · Designing a schedule for your horizon
#
# A real run has limits: a rate above which it diverges, a warm-up that must be there, a checkpoint
# from which it goes on. Which schedule is best under *your* limits? The exact worst case is convex
# in the steps, so this question has one answer, and a proof of how good it is.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import sftheory as sft
from sftheory import bounds, design, schedules

# %% [markdown]
# ## Without limits
#
# `optimal` returns a plan: the steps, their exact worst case, and a number below which no allowed
# schedule can be. Without limits the plan is linear decay. `D` is the distance to a minimiser, `G`
# a bound on gradient norms; they set the height of the steps, D/G, and never their shape.

# %%
N = 200
free = design.optimal(N, D=1, G=1)
plt.plot(free.gamma)
plt.gca().set(xlabel="step", ylabel="rate, in units of D/G")
print(free)
assert np.allclose(free.gamma / free.gamma[0], schedules.Linear()(N), rtol=1e-12)
assert abs(free.value * np.sqrt(N + 1) - 1) < 1e-12

# %% [markdown]
# ## I do not know D and G
#
# Nobody does. But you have a rate that worked at some horizon, and that says D/G.
# `horizon_transfer` takes it to another one: for a fixed shape the best peak falls like 1/√N.

# %%
plan = design.horizon_transfer(0.01 * schedules.WSD(0.2), 1000, 10_000)
peaks = [
    design.horizon_transfer(0.01 * schedules.WSD(0.2), 1000, n).gamma[0]
    for n in (250, 1000, 4000, 16_000)
]
plt.loglog((250, 1000, 4000, 16_000), peaks, "o-")
plt.loglog((250, 16_000), 0.01 * np.sqrt(1000 / np.array([250, 16_000])), "k:", label="1/√N")
plt.gca().set(xlabel="steps", ylabel="peak")
plt.legend()
print(f"WSD, peak 0.01 at 1000 steps: take {plan.gamma[0]:.4f} at 10,000; {plan}")
assert abs(plan.gamma[0] / 0.01 * np.sqrt(10) - 1) < 0.01

# %% [markdown]
# ## The rate must stay below a cap
#
# Beyond some rate training diverges. If the best peak is above it, what then? Not a scaled-down
# linear decay: hold the cap as long as needed, and then decay. That is WSD, derived.

# %%
top = free.gamma[0]
capped = {share: design.optimal(N, D=1, G=1, cap=share * top) for share in (0.8, 0.5, 0.35)}
plt.plot(free.gamma, "k:", label="no cap")
for share, plan in capped.items():
    plt.plot(plan.gamma, label=f"cap {share} of the best peak: price {plan.price:.3f}")
    scaled = bounds.last_iterate(share * free.gamma, D=1, G=1)
    assert plan.value < scaled and plan.gap < 1e-6  # better than scaling, and provably the best
    assert (plan.gamma <= share * top).all()
plt.gca().set(xlabel="step", ylabel="rate, in units of D/G")
plt.legend()
plt.show()

# %% [markdown]
# A cap at half of the best peak costs little: the plateau makes up for it. What would the usual
# schedules cost under the same cap?

# %%
cap = 0.5 * top
shapes = {
    "linear": schedules.Linear(),
    "cosine": schedules.Cosine(),
    "WSD 50%": schedules.WSD(0.5),
    "WSD 20%": schedules.WSD(0.2),
    "constant": schedules.Constant(),
}
prices = {"designed": capped[0.5].price}
for name, shape in shapes.items():
    peak = min(cap, bounds.last_iterate_tuned(shape(N), D=1, G=1)[0])
    prices[name] = bounds.last_iterate(peak * shape(N), D=1, G=1) * np.sqrt(N + 1)
plt.barh(list(prices), list(prices.values()))
plt.gca().set(xlabel="worst case / best possible without a cap", xlim=(0.95, 1.6))
print({name: round(float(price), 3) for name, price in prices.items()})
assert min(prices, key=prices.get) == "designed"

# %% [markdown]
# ## A warm-up must be there
#
# Give the first steps as a `prefix`, and the rest is designed around them. Worst cases see no use
# in a warm-up (it is about curvature and Adam's second moments), but they price it: little. The
# usual `Warmup(Linear())`, its ramp as high as it likes, is as good.

# %%
ramp = top * np.arange(1, 21) / 20
warm = design.optimal(N, D=1, G=1, prefix=ramp)
usual = schedules.Warmup(schedules.Linear(), steps=20)(N)
usual_price = bounds.last_iterate_tuned(usual, D=1, G=1)[1] * np.sqrt(N + 1)
plt.plot(free.gamma, "k:", label="no warm-up")
plt.plot(warm.gamma, label=f"designed: price {warm.price:.4f}")
plt.plot(
    bounds.last_iterate_tuned(usual, D=1, G=1)[0] * usual, "--",
    label=f"Warmup(Linear()): price {usual_price:.4f}",
)  # fmt: skip
plt.gca().set(xlabel="step", ylabel="rate, in units of D/G")
plt.legend()
assert 1 < warm.price < 1.03 and np.array_equal(warm.gamma[:20], ramp)

# %% [markdown]
# ## Going on from a checkpoint
#
# 160 steps at a constant rate are done, 40 are left. The best end is not a ramp from where you are:
# it drops at once and then decays linearly. The longer the plateau was too high, the more it drops.

# %%
plateau = np.full(160, 0.7 * top)
end = design.continuation(plateau, 40, D=1, G=1)
ramped = np.concatenate([plateau, 0.7 * top * (1 - np.arange(1, 41) / 41)])
ramped_value = bounds.last_iterate(ramped, D=1, G=1)
plt.plot(end.gamma, label=f"best end: worst case {end.value:.4f}")
plt.plot(ramped, "--", label=f"ramp from the plateau: {ramped_value:.4f}")
plt.gca().set(xlabel="step", ylabel="rate, in units of D/G")
plt.legend(loc="lower left")
print(f"the first step of the end is {end.gamma[160] / plateau[-1]:.2f} of the plateau")
assert end.value < ramped_value and end.gap < 1e-9

# %% [markdown]
# ## My own limits
#
# Anything convex can be asked for. Say the rate may take five levels only, as with step decay,
# where should they be?

# %%
levels = design.optimal(
    N, D=1, G=1, constraints=lambda g: [g[i + 1] == g[i] for i in range(N - 1) if (i + 1) % 40]
)
plt.step(np.arange(N), levels.gamma, where="mid", label=f"five levels: price {levels.price:.3f}")
plt.plot(free.gamma, "k:", label="linear")
plt.gca().set(xlabel="step", ylabel="rate, in units of D/G")
plt.legend()
decay = bounds.last_iterate_tuned(schedules.StepDecay()(N), D=1, G=1)[1] * np.sqrt(N + 1)
print(f"price: five levels {levels.price:.3f}, StepDecay() {decay:.3f}")
assert levels.price < 1.07 < decay

# %% [markdown]
# ## From the gradient norms of a run
#
# If the gradients of your network grow or shrink along the run, the best schedule for *those* norms
# is not linear. Train once with a probe, read the norms, and refine. The network learns a teacher
# from fresh samples.

# %%
N = 400


def network(width, seed):
    torch.manual_seed(seed)
    layers = torch.nn.Linear(16, width), torch.nn.Tanh(), torch.nn.Linear(width, 1)
    return torch.nn.Sequential(*layers)


teacher = network(24, seed=100)
held_out = torch.randn(4096, 16, generator=torch.Generator().manual_seed(7))


def train(schedule, peak, seed=0):
    model, samples = network(64, seed), torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=peak)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.as_lambda(N))
    log = sft.probe(optimizer, model, metrics=["grad_norm"])
    for _ in range(N):
        inputs = torch.randn(32, 16, generator=samples)
        noisy = teacher(inputs).detach() + 0.3 * torch.randn(32, 1, generator=samples)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), noisy).backward()
        optimizer.step()
        scheduler.step()
    with torch.no_grad():
        loss = torch.nn.functional.mse_loss(model(held_out), teacher(held_out)).item()
    return loss, log.frame().filter(module="")["value"].to_numpy()


linear_loss, norms = train(schedules.Linear(), 0.2)
refined = design.refine(np.append(norms, norms[-1]), D=1, smooth=0.1)
shape = schedules.FromValues(refined.gamma / refined.gamma.max())
fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.6))
left.plot(norms, lw=0.7)
left.set(xlabel="step", ylabel="gradient norm")
right.plot(schedules.Linear()(N), "k:", label="linear")
right.plot(shape(N), label="refined")
right.set(xlabel="step", ylabel="rate / peak")
right.legend()
assert refined.value <= bounds.last_iterate_tuned(schedules.Linear()(N), D=1, G=norms.max())[1]

# %% [markdown]
# Whether that helps a network is another question than what is promised. So try it, at several
# peaks and seeds, and look.

# %%
peaks = (0.1, 0.2, 0.4)
table = {
    name: np.array([[train(s, peak, seed)[0] for seed in (0, 1)] for peak in peaks]).mean(axis=1)
    for name, s in (("linear", schedules.Linear()), ("refined", shape))
}
for name, losses in table.items():
    plt.semilogx(peaks, losses, "o-", label=name)
plt.gca().set(xlabel="peak", ylabel="held-out loss above the noise")
plt.legend()
print({name: round(float(losses.min()), 4) for name, losses in table.items()})
ratio = table["refined"].min() / table["linear"].min()
assert 0.8 < ratio < 1.25

# %% [markdown]
# Here it does not help. The norms fall somewhat along the run, so later gradients count for more
# and the refined shape holds its rate longer; the network ends a little above linear decay. Figure
# F21 shows norms for which the shape changes much.
#
# ## Taking it along
#
# A plan is a schedule like any other. `plan.schedule()` plays it, `as_lambda(N)` hands it to torch,
# and a CSV file keeps it. On the command line:
#
#     sftheory design --steps 200 --cap 0.05 --monotone --out steps.csv

# %%
played = capped[0.5].schedule()
factor = played.as_lambda(200)
assert [factor(k) for k in range(200)] == capped[0.5].gamma.tolist()
try:
    played(100)
except sft.InputError as error:
    print(error)

# %% [markdown]
# ## What you can now say
#
# - Take the peak from a horizon at which you know it, times the root of the ratio of horizons.
# - Under a cap on the rate: hold the cap, then decay. A cap at half of the best peak costs 5%.
# - From a checkpoint: drop, then decay linearly to zero.
# - Each plan comes with the proof that no allowed schedule has a lower worst case.
