import numpy as np
import pytest
from noisy_curves import STEPS, noisy, visible

from sftheory.core.errors import InputError
from sftheory.fits import Curve, compare, fit, watch

EXPECTED = {
    "124M 30k average": "law rejected",
    "OpenWebText2 average": "law rejected",
    "SF WMT train": "p not identified",
    "SF speech train": "p not identified",
    "SF WMT tuned": "p not identified",
}
BY_KIND = {
    "lm": "fits",
    "sf": "fits",
    "train": "p not identified",
    "diverging": "diverging",
    "decaying": "phases",
}


def test_verdicts_on_the_visible_curves_are_those_of_the_table():
    for name, (kind, curve) in visible().items():
        found = fit(curve, law="sqrt")
        assert found.verdict == EXPECTED.get(name, BY_KIND[kind]), name
        assert (found.c is None) == (kind in ("diverging", "decaying"))
        if found.c is None:
            with pytest.raises(InputError, match=str(found.verdict)):
                found.at(2 * curve.step[-1])


def test_the_interval_at_a_step_contains_the_value_and_widens_with_the_level():
    found = fit(Curve(STEPS, noisy(1, 0.5)), law="sqrt")
    steps = np.array([2e3, 5e4, 1e5, 4e5])
    value, low, high = found.at(steps)
    assert (low < value).all() and (value < high).all()
    wide = found.at(steps, level=0.99)
    assert (wide.low < low).all() and (wide.high > high).all()
    assert found.at(1e5).value == pytest.approx(value[2], rel=1e-14)


def test_steps_to_inverts_the_law_and_its_band():
    found = fit(Curve(STEPS, noisy(1, 0.5)), law="sqrt")
    value, low, high = found.steps_to(3.05)
    assert value == pytest.approx((found.a / (3.05 - found.c)) ** 2 - found.b, rel=1e-9)
    assert found.at(low).low == pytest.approx(3.05, abs=1e-9)
    assert found.at(high).high == pytest.approx(3.05, abs=1e-9)
    assert found.steps_to(found.c - 0.1)[2] == np.inf
    with pytest.raises(InputError, match="lower loss"):
        found.steps_to(100.0)


def test_standard_errors_are_those_of_the_information_matrix():
    curve = Curve(STEPS, noisy(3))
    s = fit(curve, law="sqrt").solution
    u = STEPS + s["b"]
    jacobian = np.stack([u**-0.5, -0.5 * s["a"] * u**-1.5, np.ones_like(u)], axis=1)
    sigma = np.sqrt(s.sse / (len(u) - 3)) * s.noise.inflation
    covariance = sigma**2 * np.linalg.inv(jacobian.T @ jacobian)
    ours = [s.errors[name] for name in "abc"]
    np.testing.assert_allclose(ours, np.sqrt(np.diag(covariance)), rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_intervals_hold_the_truth_about_as_often_as_they_say(rho):
    draws, hits = 60, np.zeros(2)
    for seed in range(draws):
        found = fit(Curve(STEPS, noisy(seed, rho)), law="sqrt")
        low, high = found.interval("c")
        _, under, over = found.at(1e5)
        hits += [low <= 2.9766 <= high, under <= 28.2 / np.sqrt(1e5 + 60) + 2.9766 <= over]
    # 60 draws at 95%: fewer than 52 have probability 0.4%
    assert (hits >= 52).all()


def test_the_backtest_forecasts_the_end_of_a_curve_on_which_the_law_holds():
    found = fit(Curve(STEPS, noisy(8)), law="sqrt")
    assert [row.fraction for row in found.backtest] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert max(abs(row.error) / row.deviation for row in found.backtest) < 4


def test_a_cooldown_in_the_rate_is_found_cut_and_said():
    rate = np.where(STEPS > 40_000, 1e-3 * (50_200 - STEPS) / 10_200, 1e-3)
    loss = noisy(2) - 0.1 * (1 - rate / 1e-3)
    curve = Curve(STEPS, loss, rate)
    whole = fit(curve)
    assert whole.verdict == "phases" and whole.a is None and whole.p is None
    with pytest.raises(InputError, match="cut=True"):
        whole.at(1e5)
    part = fit(curve, cut=True)
    assert part.verdict == "fits" and "falls after" in part.notes[0]
    assert part.curve.step[-1] <= 40_000
    blind = fit(Curve(STEPS, loss))
    assert blind.verdict == "phases" and "falls faster after" in blind.verdict.reason


def test_a_last_row_of_rate_zero_is_no_cooldown():
    rate = np.full_like(STEPS, 1e-3)
    rate[-1] = 0
    assert fit(Curve(STEPS, noisy(2), rate), law="sqrt").verdict == "fits"


def test_a_warm_up_row_at_step_one_is_found_without_a_rate():
    after_warm_up = noisy(3) - 28.2 / np.sqrt(STEPS + 60) + 28.2 / np.sqrt(STEPS - 600)
    curve = Curve([1, *STEPS], [10.8, *after_warm_up])
    assert fit(curve).verdict == "phases"
    assert fit(curve, cut=True).c == pytest.approx(2.9766, abs=0.01)


@pytest.mark.parametrize(
    "loss",
    [
        3 + 1e-5 * (STEPS - 20_000) ** 2 / 1e3 + noisy(0) * 1e-3,
        np.where(STEPS < 20_000, noisy(1), noisy(1) + 2),
    ],
)
def test_curves_that_turn_up_diverge(loss):
    assert fit(Curve(STEPS, loss)).verdict == "diverging"


def test_repeats_share_c_and_a_clear_winner_wins():
    runs = [fit(Curve(STEPS, noisy(seed)), law="sqrt") for seed in range(4)]
    together = compare(runs)
    _, low, high = together.shared("c")
    assert low < 2.9766 < high
    assert together.shared("p").low < 0.5 < together.shared("p").high
    assert together.winner(1e5) is None or together.difference(1e5).high > -0.002
    worse = fit(Curve(STEPS, noisy(9) + 0.05), law="sqrt")
    assert compare([worse, runs[0]]).winner(1e5) == 1
    with pytest.raises(InputError, match="at least 2"):
        compare(runs[:1])


def test_watch_follows_a_growing_log(tmp_path):
    log = tmp_path / "run.log"
    lines = [f"s:{t:.0f} tel:{y:.6f}" for t, y in zip(STEPS, noisy(1), strict=True)]
    log.write_text("\n".join(lines[:2]) + "\n")
    looks = watch(log, until=5e4, every=0)
    assert next(looks).fit is None
    log.write_text("\n".join(lines[:150]) + "\n")
    seen = next(looks)
    assert seen.end is not None and seen.end.low < 3.1025 < seen.end.high
    log.write_text("\n".join(lines) + "\n")
    assert next(looks).fit is not None
    with pytest.raises(StopIteration):
        next(looks)
