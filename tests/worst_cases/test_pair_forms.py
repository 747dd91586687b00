"""The forms of pairs, which are never stored, against forms that are."""

import numpy as np
import pytest

from sftheory.worst_cases.pair_forms import PairForms

M = 6
ROUNDING = 1e-12


def symmetric(a, b):
    return (np.outer(a, b) + np.outer(b, a)) / 2


@pytest.fixture(params=[(None, 0.0), (None, 0.3), (2.0, 0.0), (2.0, 0.3)], ids=str)
def stored(request):
    """Forms, their pairs, and every A_ik as a matrix, from the inequalities as they are written."""
    L, mu = request.param
    rng = np.random.default_rng(0)
    forms = PairForms.of(np.tril(rng.random((M, M)), -1), L, mu)
    i, k = np.nonzero(~np.eye(M + 1, dtype=bool))
    matrices = []
    for a, b in zip(i, k, strict=True):
        dp, dg = forms.p[a] - forms.p[b], forms.g[a] - forms.g[b]
        form = symmetric(forms.g[b], dp)
        if L is None:
            form += mu / 2 * symmetric(dp, dp)
        else:
            bent = symmetric(dg, dg) / L + mu * symmetric(dp, dp)
            form += (bent - 2 * mu / L * symmetric(dg, dp)) / (2 * (1 - mu / L))
        matrices.append(form)
    return forms, i, k, np.array(matrices)


def gram(seed):
    root = np.random.default_rng(seed).normal(size=(M + 1, M + 1))
    return root @ root.T


def test_a_sum_over_pairs_is_the_sum_of_their_matrices(stored):
    forms, i, k, matrices = stored
    weights = np.random.default_rng(1).random((M + 1, M + 1))
    expected = np.einsum("j,jab->ab", weights[i, k], matrices)
    np.testing.assert_allclose(forms.total(weights), expected, atol=ROUNDING)


def test_products_with_a_matrix_are_traces(stored):
    forms, i, k, matrices = stored
    expected = np.einsum("ab,jab->j", gram(2), matrices)
    np.testing.assert_allclose(forms.products(gram(2))[i, k], expected, atol=ROUNDING)


def test_products_of_two_pairs_are_traces_of_four_matrices(stored):
    forms, i, k, matrices = stored
    X, Z = gram(3), gram(4)
    expected = np.einsum("iab,bc,jcd,da->ij", matrices, X, matrices, Z)
    expected = np.tril(expected + expected.T) / 2
    np.testing.assert_allclose(np.tril(forms.between(X, Z, i, k)), expected, atol=1e-11)
    free = np.array([0, 2, M])
    squares = np.eye(M + 1)[free][:, :, None] * np.eye(M + 1)[free][:, None]
    one = np.einsum("iab,bc,jcd,da->ij", matrices, X, squares, Z)
    two = np.einsum("iab,bc,jcd,da->ij", matrices, Z, squares, X)
    found = forms.against_squares(X, Z, i, k, free)
    np.testing.assert_allclose(found, (one + two) / 2, atol=1e-11)
