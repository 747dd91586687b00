"""The bigram language against its tabled numbers and against sums written out."""

import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.methods import LastIterate
from sftheory.problems import BigramValley
from sftheory.simulation import run

TOY = BigramValley()


def test_entropies_and_traces_are_the_tabled_ones():
    tabled = {0: 0.0, 1: 0.403, 2: 0.715, 3: 0.990, 14: 2.746, 15: 2.773}
    for i, entropy in tabled.items():
        assert TOY.entropy[i] == pytest.approx(entropy, abs=5e-4)  # the digits written down
    assert TOY.entropy[-1] == pytest.approx(np.log(16), rel=1e-14)
    assert TOY.trace[0] == 0 and TOY.trace[-1] == pytest.approx(15 / 16, rel=1e-14)
    assert (np.diff(TOY.entropy) > 0).all() and (np.diff(TOY.trace) > 0).all()
    np.testing.assert_allclose(TOY.p.sum(axis=1), 1, rtol=1e-14)


def test_the_largest_curvature_peaks_halfway_and_the_trace_does_not():
    top = [np.linalg.eigvalsh(np.diag(p) - np.outer(p, p))[-1] for p in TOY.p]
    assert np.argmax(top) / 15 == pytest.approx(0.53, abs=0.01)
    assert max(top) == pytest.approx(0.267, abs=5e-4)
    assert top[-1] == pytest.approx(1 / 16, rel=1e-12)
    assert max(top) <= 0.5 and TOY.L == 1 / 32


def test_the_rows_are_divergences_of_the_language_from_the_model():
    x = np.random.default_rng(0).standard_normal(256)
    W = x.reshape(16, 16)
    for i, found in enumerate(TOY.rows(x)):
        q = np.exp(W[i]) / np.exp(W[i]).sum()
        p = TOY.p[i]
        terms = [p[j] * np.log(p[j] / q[j]) for j in range(16) if p[j] > 0]
        assert found == pytest.approx(sum(terms), rel=1e-12)
    assert TOY.value(x) == pytest.approx(TOY.rows(x).mean(), rel=1e-14)


def test_a_step_sees_the_pairs_that_it_draws():
    x = np.random.default_rng(1).standard_normal(256)
    noise = TOY.draw(np.random.default_rng(2), 1)[0]
    q = np.exp(x.reshape(16, 16))
    q /= q.sum(axis=1, keepdims=True)
    expected = np.zeros((16, 16))
    for u, v in noise:
        i = int(16 * u)
        certain = 1 - i / 15
        j = (i + 1) % 16 if v < certain else int(16 * (v - certain) / (1 - certain))
        expected[i] += (q[i] - np.eye(16)[j]) / 16
    np.testing.assert_allclose(TOY.subgradient(x, noise), expected.ravel(), atol=1e-15)


def test_pairs_are_drawn_as_often_as_the_language_has_them():
    noise = TOY.draw(np.random.default_rng(0), 5000)
    counts = TOY._counts(noise).sum(axis=0)
    drawn = counts.sum(axis=1, keepdims=True)
    error = np.sqrt(TOY.p * (1 - TOY.p) / drawn)
    assert (np.abs(counts / drawn - TOY.p) <= 4 * error).all()  # four standard errors


def test_sgd_learns_the_certain_successors_first():
    traj = run(TOY, LastIterate().tableau(np.full(300, 2.0)), record=[300])
    assert traj.x is not None
    start, after = TOY.rows(TOY.x1), TOY.rows(traj.x[0, 0])
    assert (after[:8] < 0.1 * start[:8]).all()
    assert after[15] > start[15] == 0  # the uniform row began at its optimum, noise drives it off


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"V": 1}, "V must be a whole number >= 2"), ({"batch": 0}, "batch must be a whole number")],
)
def test_arguments_out_of_range_are_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        BigramValley(**options)
