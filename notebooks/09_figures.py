# %% [markdown]
# # 09 · Reproducing a figure, and adding your own
#
# Every figure of this project carries *claims*: sentences from its source, each with the number
# that was expected and the number that came out. A figure is data, a drawing of them, and claims
# about them, kept apart. This notebook takes one to pieces, checks it by hand, and builds a new
# one.

# %%
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from sftheory import bounds, schedules
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure, reproduce

# %% [markdown]
# ## One figure
#
# F01 draws the bound of Schaipp and others along a run, for five schedules. `data` computes, `draw`
# only draws.

# %%
figure = FIGURES["F01"].make()
data = figure.data()
print(figure.title(), "\n" + figure.caption())
figure.draw(data)
plt.show()

# %% [markdown]
# What is drawn is a table, and nothing else is: the same rows are written to a CSV file.

# %%
table = data.table()
print(table.head(3))
assert {"bound", "schedule"} == set(table["panel"])

# %% [markdown]
# ## Its claims
#
# Each is one number against another, with a tolerance and a source.


# %%
def show(claims):
    for claim in claims:
        mark = "✓" if claim.holds else "✗"
        print(f"{mark} {claim.statement}: {claim.computed:.5g} {claim.relation} {claim.expected}")
        if claim.known_failure:
            print("    known:", claim.known_failure)


claims = figure.claims(data)
show(claims)
assert all(claim.holds for claim in claims)

# %% [markdown]
# ## By hand
#
# Would you believe the first number? Here is the bound as the paper writes it, with plain loops and
# without the package. For T points and steps η_1, ..., η_T it is
#
#     D²/(2 Σ η_t) + ½ Σ η_t² / Σ η_t
#       + ½ Σ_{k<T} η_k / Σ_{t>k} η_t · (1 / Σ_{t>=k} η_t) · Σ_{t>=k} η_t²


# %%
def omega_by_hand(eta):
    T = len(eta)
    total = 1 / (2 * sum(eta)) + sum(e * e for e in eta) / (2 * sum(eta))
    for k in range(T - 1):
        tail, after = sum(eta[k:]), sum(eta[k + 1 :])
        total += eta[k] / after * sum(e * e for e in eta[k:]) / tail / 2
    return total


T = 400
shape = list(schedules.Linear()(T))
scales = np.geomspace(0.01, 0.2, 200)
by_hand = [omega_by_hand([s * e for e in shape]) for s in scales]
plt.semilogx(scales, np.array(by_hand) * np.sqrt(T))
plt.axhline(claims[0].computed, color="k", ls=":", label="the claim of F01")
plt.gca().set(xlabel="peak", ylabel="bound × √T")
plt.legend()
assert abs(min(by_hand) * np.sqrt(T) - claims[0].computed) < 1e-3

# %% [markdown]
# ## Claims that fail
#
# Some statements of the papers do not hold here. They stay in the figure, with the reason, and are
# shown as failed. F05 has one.

# %%
drop = FIGURES["F05"].make()
drop_claims = drop.claims(drop.data())
show(drop_claims)
failed = [claim for claim in drop_claims if not claim.holds]
assert len(failed) == 1 and failed[0].known_failure
assert all(claim.as_recorded for claim in drop_claims)  # no surprise, in either direction

# %% [markdown]
# ## Your own
#
# A question that many recipes raise: cosine often stops at 10% of its peak. What does that floor
# cost? Write it as a figure: the docstring is the title and the caption.


# %%
@FIGURES.register("X02", ref="schaipp2025")
class CosineFloor(Figure):
    """What a cosine pays for not going to zero.

    Exact worst case of a cosine that ends at a fraction of its peak, at its best peak, over the
    minimax value, against that fraction.
    """

    STEPS = (100, 1000, 10_000)

    def data(self, quick=False):
        floors = np.linspace(0, 0.5, 26)
        curves = []
        for N in self.STEPS:
            tuned = [
                bounds.last_iterate_tuned(schedules.Cosine(final)(N), D=1, G=1)[1]
                for final in floors
            ]
            curves.append(Curve("price", f"N = {N:,}", floors, np.array(tuned) * np.sqrt(N + 1)))
        return Data(curves)

    def draw(self, data):
        from sftheory.figures.style import label, lines, panels

        figure, (axes,) = panels(1, width=5)
        lines(axes, data.panel("price").values())
        axes.legend()
        label(axes, "end / peak", "worst case / minimax")
        return figure

    def claims(self, data):
        price = {name: np.asarray(curve.y) for name, curve in data.panel("price").items()}
        long = price["N = 10,000"]
        return [
            Claim(
                "X02-zero",
                "To zero a cosine is within 4% of minimax at every N: largest price",
                max(y[0] for y in price.values()),
                "<=",
                1.04,
                source="this notebook",
            ),
            Claim(
                "X02-tenth",
                "A floor of 10% costs less than a tenth at N = 10,000: price over that of none",
                long[5] / long[0],
                "<=",
                1.1,
                source="a guess",
            ),
            Claim(
                "X02-longer",
                "The longer the run, the dearer the same floor: smallest growth at 10%",
                np.diff([y[5] for y in price.values()]).min(),
                ">=",
                0,
                source="this notebook",
            ),
        ]


own = CosineFloor()
own_data = own.data()
own.draw(own_data)
plt.show()
show(own.claims(own_data))

# %% [markdown]
# The guess was wrong: a floor of 10% costs more. A claim that fails makes the command fail, until
# somebody mends the code or writes down why. That is the point of `known_failure`: nobody can
# quietly lose a claim, or quietly regain one.

# %%
guess = own.claims(own_data)[1]
assert not guess.holds and not guess.as_recorded
noted = Claim(
    **{**guess.__dict__, "known_failure": "A guess; at N = 10,000 a floor of 10% costs 11%."}
)
assert not noted.holds and noted.as_recorded
show([noted])

# %% [markdown]
# ## Written out
#
# `reproduce` makes PDF, PNG for light and dark pages, the CSV of what is drawn and a JSON with
# claims, versions and commit. On the command line that is `sftheory reproduce F01`, and `make
# reproduce` for all.

# %%
folder = Path(tempfile.mkdtemp())
reproduce(["F01"], out=folder)
print(sorted(file.name for file in folder.iterdir()))
manifest = json.loads((folder / "F01.json").read_text())
assert manifest["as_recorded"] and len(manifest["claims"]) == len(claims)

# %% [markdown]
# To keep yours, put the class into a file in `paper_figures/`: it then appears in `sftheory list`,
# on the page that `make reproduce` writes and in the tests, which ask that every claim comes out as
# recorded. The guide on adding things has a template for each kind, and the tests run the
# templates.
