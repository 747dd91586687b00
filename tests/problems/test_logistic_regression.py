import numpy as np
import pytest
from scipy.optimize import minimize

from sftheory.core.errors import InputError
from sftheory.problems import LogisticRegression
from sftheory.problems.datasets import load_labelled

ROWS = {"cancer": 569, "digits": 1797, "wine": 178, "diabetes": 442}
SOLVABLE = [("diabetes", 0.0), ("digits", 0.0), ("cancer", 1 / 569), ("wine", 1 / 178)]
every_solvable = pytest.mark.parametrize(("name", "reg"), SOLVABLE)


def test_digits_keeps_54_pixels_and_the_intercept():
    rows = LogisticRegression("digits").rows
    assert rows.shape == (1797, 55)
    b = rows[:, -1]
    assert set(b) == {-1.0, 1.0}
    features = rows[:, :-1] * b[:, None]
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(features.std(axis=0), 1, rtol=1e-12)


@pytest.mark.parametrize("name", ["cancer", "wine"])
def test_separable_data_are_refused_with_the_remedy_and_solved_with_it(name):
    with pytest.raises(InputError, match=f"classes of {name}, so at reg=0 .* pass reg>0"):
        LogisticRegression(name)
    assert 0 < LogisticRegression(name, reg=1 / ROWS[name]).f_star < np.log(2)


@every_solvable
def test_the_gradient_vanishes_at_the_minimiser(name, reg):
    problem = LogisticRegression(name, reg)
    gradient = np.linalg.norm(problem.subgradient(problem.x_star))
    curvature = np.linalg.eigvalsh(problem.hessian(problem.x_star))[0]
    assert gradient**2 <= 2e-10 * curvature  # what the docstring says of f - f_star


@every_solvable
def test_an_independent_solver_comes_as_low_as_f_star_and_no_lower(name, reg):
    problem = LogisticRegression(name, reg)
    A, n = problem.rows, len(problem.rows)

    def f(w):
        margin = A @ w
        pull = np.exp(-np.logaddexp(0, margin))
        return np.logaddexp(0, -margin).mean() + reg / 2 * w @ w, reg * w - pull @ A / n

    options = {"gtol": 1e-9, "ftol": 1e-16, "maxiter": 5000, "maxfun": 10_000}
    found = minimize(f, np.zeros(A.shape[1]), jac=True, method="L-BFGS-B", options=options).fun
    assert -1e-14 <= found - problem.f_star <= 1e-8


@pytest.mark.parametrize("reg", [0.0, 0.3])
def test_the_hessian_is_the_slope_of_the_gradient(reg):
    problem, h = LogisticRegression("diabetes", reg), 1e-6
    w = np.random.default_rng(0).standard_normal(len(problem.x1))
    columns = [problem.subgradient(w + e) - problem.subgradient(w - e) for e in h * np.eye(len(w))]
    np.testing.assert_allclose(problem.hessian(w), np.array(columns) / (2 * h), atol=1e-8)


def test_G_is_the_mean_row_norm_the_largest_for_minibatches_and_unknown_with_reg():
    norms = np.linalg.norm(LogisticRegression("diabetes").rows, axis=1)
    assert LogisticRegression("diabetes").G == pytest.approx(norms.mean(), rel=1e-12)
    assert LogisticRegression("diabetes", batch=8).G == pytest.approx(norms.max(), rel=1e-12)
    assert LogisticRegression("diabetes", reg=0.1).G is None


def test_minibatches_are_rows_drawn_with_replacement():
    drawn = LogisticRegression("diabetes", batch=8).draw(np.random.default_rng(0), 2000)
    assert drawn.shape == (2000, 8) and drawn.min() == 0 and drawn.max() == 441
    assert any(len(set(rows)) < 8 for rows in drawn.tolist())


def test_columns_that_are_rarely_non_zero_or_constant_are_dropped(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for i in range(100):
        rare = f"3:{1 + rng.random():.3f}" if i < 9 else ""
        lines.append(f"{i % 2} 1:{rng.standard_normal():.3f} 2:7 {rare}")
    path = tmp_path / "rare.svm"
    path.write_text("\n".join(lines))
    assert load_labelled(path).A.shape == (100, 3)
    problem = LogisticRegression(path)
    assert problem.rows.shape == (100, 2) and problem.name == "LogisticRegression(rare.svm)"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name_or_path": "diabetis"}, "no data set 'diabetis'; did you mean 'diabetes'"),
        ({"name_or_path": "./none.svm"}, "no file ./none.svm"),
        ({"name_or_path": "diabetes", "reg": -1}, "reg must be a number >= 0"),
        ({"name_or_path": "diabetes", "reg": np.nan}, "reg must be a number >= 0"),
        ({"name_or_path": "diabetes", "batch": 0}, "batch must be a whole number"),
    ],
)
def test_arguments_out_of_range_are_refused_with_the_rule(arguments, reason):
    with pytest.raises(InputError, match=reason):
        LogisticRegression(**arguments)
