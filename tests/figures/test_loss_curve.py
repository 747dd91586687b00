"""The picture of a fit shows the numbers of the fit."""

import numpy as np
import pytest

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.fits import Curve, fit

T = np.arange(1000, 50_001, 500)
RNG = np.random.default_rng(0)
GOOD = Curve(T, 3 + 28 / np.sqrt(T + 60) + 0.002 * RNG.standard_normal(len(T)))


def axes_of(picture):
    return {axes.get_title(loc="left"): axes for axes in picture.axes}


def line(axes, start):
    return next(one for one in axes.lines if str(one.get_label()).startswith(start))


@pytest.mark.parametrize("law", ["sqrt", "power", "hyperbolic"])
@pytest.mark.parametrize("dark", [False, True])
def test_law_and_band_are_those_of_the_fit(law, dark):
    found = fit(GOOD, law)
    picture = sft.figures.fit(found, until=80_000, dark=dark)
    curve = picture.axes[0]
    t, y = line(curve, law).get_data()
    assert t[-1] == 80_000
    np.testing.assert_allclose(y, found.at(t).value, rtol=1e-12)
    (band,) = curve.collections
    ends = band.get_paths()[0].vertices[:, 1]
    assert found.at(80_000.0).low == pytest.approx(ends[np.isin(ends, found.at(t).low)].min())
    np.testing.assert_array_equal(line(curve, "losses").get_ydata(), GOOD.loss)


def test_bars_are_the_autocorrelations_of_the_residuals():
    found = fit(GOOD, "sqrt")
    e = found.solution.residual
    expected = [np.sum(e[k:] * e[: len(e) - k]) / np.sum(e**2) for k in range(1, 21)]
    bars = axes_of(sft.figures.fit(found))["Residuals"].patches
    heights = [bar.get_height() for bar in bars if bar.get_width() < 1]
    np.testing.assert_allclose(heights, expected, rtol=1e-12)


def test_the_backtest_shows_every_row():
    found = fit(GOOD, "sqrt")
    axes = axes_of(sft.figures.fit(found))["Backtest"]
    (points,) = axes.containers
    np.testing.assert_allclose(
        points[0].get_ydata(orig=False), [row.error for row in found.backtest]
    )


@pytest.mark.parametrize("law", ["sqrt", "power"])
def test_a_short_curve_and_an_exact_one_are_drawn(law):
    t = T[:8]
    for loss in (3 + 28 / np.sqrt(t), 3 + 28 / np.sqrt(t) + 0.01 * np.cos(t)):
        assert sft.figures.fit(fit(Curve(t, loss), law)).axes


def test_without_parameters_only_the_losses_are_drawn():
    rising = Curve(T, 3 + 0.1 * np.sin(T / 900) + T / 1e4)
    found = fit(rising)
    assert found.parameters is None
    (axes,) = sft.figures.fit(found).axes
    assert len(axes.lines) == 1 and "no parameters" in axes.get_title(loc="left")


@pytest.mark.parametrize("until", [10, np.nan, "end"])
def test_the_band_ends_no_earlier_than_the_curve(until):
    with pytest.raises(InputError, match="until must be a number >= 50000"):
        sft.figures.fit(fit(GOOD), until=until)


def test_no_figure_stays_open():
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    sft.figures.fit(fit(GOOD))
    assert plt.get_fignums() == before
