"""Least squares with minibatches against every sequence of rows, and against the diagonal model."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from sftheory import methods
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate
from sftheory.exact_moments import least_squares, moments
from sftheory.methods import METHODS

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
every_method = pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
sgd = methods.LastIterate().tableau


def draw(seed, n=3, d=2):
    """Rows, targets that no w fits, and a start."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n), rng.standard_normal(d)


def excess(A, b, best, w):
    """F(w) - F(best) at every w of the last axis."""
    return ((w @ A.T - b) ** 2).mean(axis=-1) / 2 - ((A @ best - b) ** 2).mean() / 2


def every_sequence(A, b, start, tableau, batch):
    """The paths of w at x, y, z for each sequence of rows, all equally likely: the exact law."""
    n, paths = len(A), []
    for rows in product(product(range(n), repeat=batch), repeat=tableau.steps):
        left = iter([np.array(step) for step in rows])

        def gradient(w, left=left):
            a, r = A[(at := next(left))], b[at]
            return ((a @ w - r)[:, None] * a).mean(axis=0)

        steps = list(iterate(tableau, start, gradient))
        x = [start, *(step[0] for step in steps)]
        z = [start, *(step[2] for step in steps)]
        y = [step[1] for step in steps]
        beta = tableau.beta[-1]
        paths.append([x, [*y, (1 - beta) * z[-1] + beta * x[-1]], z])
    return np.moveaxis(np.array(paths), 1, 0)


@pytest.mark.parametrize(("n", "d", "N", "batch"), [(3, 2, 5, 1), (4, 3, 4, 1), (3, 2, 3, 2)])
@every_method
def test_moments_are_the_average_over_every_sequence_of_rows(entry, n, d, N, batch):
    A, b, start = draw(1, n, d)
    tableau = entry.make(N).tableau(np.linspace(0.5, 0.2, N))
    found = least_squares(A, b, tableau, batch=batch, x1=start)
    best = np.linalg.solve(A.T @ A, A.T @ b)
    paths = every_sequence(A, b, start, tableau, batch)
    for name, w in zip(("loss_x", "loss_y", "loss_z"), paths, strict=True):
        expected = excess(A, b, best, w).mean(axis=0)
        np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-12, atol=1e-14)
    last = paths[0][:, -1] - best
    np.testing.assert_allclose(found.mean_x, last.mean(axis=0), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.second_x, last.T @ last / len(last), rtol=1e-12, atol=1e-14)


def test_rows_that_do_not_span_the_space_have_the_same_law():
    A, b, start = draw(2, 2, 3)
    tableau = methods.ScheduleFree(0.5).tableau(np.full(5, 0.4))
    found = least_squares(A, b, tableau, x1=start)
    best = np.linalg.lstsq(A, b)[0]
    x, *_ = every_sequence(A, b, start, tableau, 1)
    np.testing.assert_allclose(
        found.loss_x, excess(A, b, best, x).mean(axis=0), rtol=1e-12, atol=1e-14
    )


@every_method
def test_a_very_large_batch_is_gradient_descent(entry):
    A, b, start = draw(3, 6, 3)
    tableau = entry.make(20).tableau(np.full(20, 0.4))
    found = least_squares(A, b, tableau, batch=10**14, x1=start)
    lam, modes = np.linalg.eigh(A.T @ A / 6)
    best = np.linalg.lstsq(A, b)[0]
    turned = SimpleNamespace(eigenvalues=lam, noise=0.0, x1=modes.T @ (start - best), x_star=0.0)
    np.testing.assert_allclose(found.loss_x, moments(turned, tableau).loss_x, rtol=1e-9)


def test_the_start_is_zero_unless_given():
    A, b, _ = draw(4)
    tableau = sgd(np.full(4, 0.1))
    np.testing.assert_array_equal(
        least_squares(A, b, tableau).loss_x, least_squares(A, b, tableau, x1=[0.0, 0.0]).loss_x
    )
    assert least_squares(A, b, tableau).loss_x.shape == (5,)


def rows_with_the_moments_of_a_normal_one(lam, sigma):
    """Rows in the plane and residuals ±sigma whose moments up to order four are a normal row's.

    Half of the rows are 0, half lie on a circle of radius 2: E r² = 2 and E r⁴ = 8 as for a normal
    row; a regular hexagon has a circle's moments up to order five.
    """
    angle = np.pi / 3 * np.arange(6)
    circle = 2 * np.column_stack([np.cos(angle), np.sin(angle)])
    rows = np.concatenate([circle, np.zeros((6, 2))]) * np.sqrt(lam)
    return np.concatenate([rows, rows]), sigma * np.repeat([1.0, -1.0], 12)


@pytest.mark.parametrize("batch", [1, 5])
@every_method
def test_the_diagonal_model_is_exact_for_rows_with_normal_fourth_moments(entry, batch):
    lam, sigma, start = np.array([1.0, 0.2]), 0.3, np.array([1.5, -2.0])
    A, b = rows_with_the_moments_of_a_normal_one(lam, sigma)
    tableau = entry.make(60).tableau(np.full(60, 0.2))
    full = least_squares(A, b, tableau, batch=batch, x1=start)
    model = SimpleNamespace(
        eigenvalues=lam,
        noise=sigma * np.sqrt(lam / batch),
        x1=start,
        x_star=0.0,
        multiplicative=1 / batch,
        mixing=1 / batch,
    )
    found = moments(model, tableau)
    for name in ("loss_x", "loss_y", "loss_z"):
        np.testing.assert_allclose(getattr(full, name), getattr(found, name), rtol=1e-11)
    np.testing.assert_allclose(np.diag(full.second_x), found.second_x[-1], rtol=1e-11)
    np.testing.assert_allclose(full.mean_x, found.mean_x[-1], rtol=1e-11)


def test_many_normal_rows_follow_the_diagonal_model_approximately():
    n, lam, sigma = 40_000, np.array([1.0, 0.3, 0.1]), 0.5
    rng = np.random.default_rng(5)
    A = np.sqrt(lam) * rng.standard_normal((n, 3))
    start = np.ones(3)
    full = least_squares(
        A, sigma * rng.standard_normal(n), methods.EMA(0.8).tableau(np.full(40, 0.2)), x1=start
    )
    model = SimpleNamespace(
        **{"eigenvalues": lam, "noise": sigma * np.sqrt(lam), "x1": start, "x_star": 0.0},
        **{"multiplicative": 1.0, "mixing": 1.0},
    )
    found = moments(model, methods.EMA(0.8).tableau(np.full(40, 0.2)))
    # sample moments of order four are known to about sqrt(100 / n) = 5%
    np.testing.assert_allclose(full.loss_x, found.loss_x, rtol=0.05)


@pytest.mark.slow
def test_sampled_minibatches_average_to_the_exact_moments():
    samples, N, times, batch = 200_000, 20, [1, 7, 20], 2
    A, b, start = draw(6, 8, 3)
    best = np.linalg.lstsq(A, b)[0]
    for seed, entry in enumerate(METHOD_ENTRIES):
        rng = np.random.default_rng(seed)
        tableau = entry.make(N).tableau(0.15 * (1 - np.arange(N) / (2 * N)))
        found = least_squares(A, b, tableau, batch=batch, x1=start)
        x = z = np.tile(start, (samples, 1))
        for t in range(N):
            y = (1 - tableau.beta[t]) * z + tableau.beta[t] * x
            g = 0.0
            for _ in range(batch):
                at = rng.integers(len(A), size=samples)
                g = g + ((A[at] * y).sum(axis=-1) - b[at])[:, None] * A[at] / batch
            z = z - tableau.gamma[t] * g
            x = (1 - tableau.c[t]) * x + tableau.c[t] * z
            if t + 1 in times:
                for name, w in (("loss_x", x), ("loss_z", z)):
                    f = excess(A, b, best, w)
                    standard = f.std(ddof=1) / np.sqrt(samples)
                    assert abs(f.mean() - getattr(found, name)[t + 1]) <= 4 * standard


@pytest.mark.parametrize(
    ("rows", "targets", "options", "reason"),
    [
        (np.ones(3), np.ones(3), {}, "rows"),
        (np.ones((3, 2)), np.ones(2), {}, "n targets"),
        ([[1.0, np.nan]], [1.0], {}, "rows"),
        (np.ones((3, 2)), np.ones(3), {"batch": 0}, "batch must be a whole number >= 1"),
        (np.ones((3, 2)), np.ones(3), {"batch": 1.5}, "batch must be a whole number >= 1"),
    ],
)
def test_rows_targets_and_batches_that_do_not_fit_are_refused(rows, targets, options, reason):
    with pytest.raises(InputError, match=reason) as caught:
        least_squares(rows, targets, sgd([0.1]), **options)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_batch_of_tableaus_is_refused():
    with pytest.raises(InputError, match="takes one tableau"):
        least_squares(np.ones((3, 2)), np.ones(3), Tableau(np.full((2, 4), 0.1), 0.0, 1.0))


# known faults


def test_unstable_steps_end_at_infinity_without_a_warning():
    A, b, start = draw(7)
    found = least_squares(A, b, sgd(np.full(3000, 5.0)), x1=start)
    assert found.loss_x[-1] == np.inf


@pytest.mark.parametrize(
    ("rows", "targets", "options"),
    [
        (np.eye(2), [1.0, np.nan], {}),
        (np.eye(2), [1.0, 1.0], {"x1": [1.0, 2.0, 3.0]}),
        (np.eye(2), [1.0, 1.0], {"x1": [np.nan, 0.0]}),
        (np.zeros((0, 2)), [], {}),
        ([["a", "b"]], [1.0], {}),
    ],
)
def test_bad_input_never_yields_a_number(rows, targets, options):
    refused = False
    try:
        least_squares(rows, targets, sgd([0.1]), **options)
    except InputError:
        refused = True
    assert refused
