"""Runs whose numbers are known: by exact recursions, or measured once and written down."""

import numpy as np
import pytest

from sftheory.core.tableau import Tableau
from sftheory.methods import LastIterate, PolyakAverage, RefinedScheduleFree, ScheduleFree
from sftheory.problems import HillAndRiver, SongRiver
from sftheory.schedules import WSD, Constant, Cosine, Linear
from sftheory.simulation import Adam, run

RIVER = {  # (step, beta): mean distance of x and of y over the second half, x's first coordinate
    (0.05, 0.1): (0.342, 0.100, 3.89),
    (0.05, 0.5): (0.155, 0.050, 4.54),
    (0.05, 0.9): (0.0093, 0.0030, 5.53),
    (0.1, 0.1): (0.214, 0.101, 3.98),
    (0.1, 0.5): (0.0907, 0.1185, 4.99),
    (0.1, 0.9): (0.0046, 0.0206, 6.73),
}


def test_schedule_free_adamw_follows_the_river_as_measured():
    N, problem = 999, SongRiver()  # T = 1000 points
    tab = Tableau.stack([ScheduleFree(beta).tableau(np.full(N, g)) for g, beta in RIVER])
    traj = run(problem, tab, preconditioner=Adam(beta2=0.99), record="all")
    for i, (of_x, of_y, downstream) in enumerate(RIVER.values()):
        x, y = traj.x[i, 0, 500:], traj.y[i, 0, 500:]
        # at the edge of stability the means depend on the last bits and on where the half begins
        assert problem.distance_to_river(x).mean() == pytest.approx(of_x, rel=0.01, abs=1e-4)
        assert problem.distance_to_river(y).mean() == pytest.approx(of_y, rel=0.06, abs=1e-4)
        assert x[-1, 0] == pytest.approx(downstream, rel=0.002)


def test_a_wider_window_brings_x_to_the_river():
    problem, betas = SongRiver(), (0.1, 0.5)
    refined = [RefinedScheduleFree(b, C=10.0).tableau(np.full(1000, 0.05)) for b in betas]
    traj = run(problem, Tableau.stack(refined), preconditioner=Adam(beta2=0.99), record="all")
    median = np.median(problem.distance_to_river(traj.x[:, 0, 500:]), axis=-1)
    np.testing.assert_allclose(median, [0.0026, 0.0043], atol=5e-5)  # the digits written down


METHODS = [
    (LastIterate(), Constant()),
    (LastIterate(), WSD()),
    (LastIterate(), Cosine()),
    (PolyakAverage(), Constant()),
    (ScheduleFree(0.5), Constant()),
    (ScheduleFree(0.9), Constant()),
    (RefinedScheduleFree(0.9, C=50.0), Linear()),
]


def hill_losses(tableau, a, sigma):
    """E of the hill's loss at x and y after every step, by the recursion of second moments."""
    A = B = C = 0.0  # E z², E zx, E x²
    of_x, of_y = [], []
    for gamma, beta, c in zip(tableau.gamma, tableau.beta, tableau.c, strict=True):
        of_x.append(a / 2 * C)
        of_y.append(a / 2 * ((1 - beta) ** 2 * A + 2 * beta * (1 - beta) * B + beta**2 * C))
        p, r = 1 - gamma * a * (1 - beta), -gamma * a * beta
        mixed = p * B + r * C
        A = p * p * A + 2 * p * r * B + r * r * C + gamma**2 * sigma**2
        B, C = (1 - c) * mixed + c * A, (1 - c) ** 2 * C + 2 * c * (1 - c) * mixed + c * c * A
    return np.array([*of_x, a / 2 * C]), np.array(of_y)


@pytest.mark.parametrize(("a", "sigma"), [(20.0, 1.0), (10.0, 0.5)])
def test_the_sampled_hill_has_its_exact_mean(a, sigma):
    N, seeds, problem = 200, 2000, HillAndRiver(a=a, sigma=sigma)
    tableaus = [method.tableau(0.05 * shape(N)) for method, shape in METHODS]
    at = [0, 1, 50, 100, N]
    traj = run(problem, Tableau.stack(tableaus), seeds=seeds, record=at)
    for i, tableau in enumerate(tableaus):
        of_x, of_y = hill_losses(tableau, a, sigma)
        for point, exact, last in ((traj.x, of_x, len(at)), (traj.y, of_y, len(at) - 1)):
            sample = problem.hill(point[i, :, :last])
            within = 4 * sample.std(axis=0) / np.sqrt(seeds) + 1e-15  # four standard errors
            assert (np.abs(sample.mean(axis=0) - exact[at[:last]]) <= within).all()


def test_the_exact_hill_and_the_river_have_the_tabled_losses():
    N, problem = 4000, HillAndRiver()
    table = [
        (LastIterate(), Constant(), 0.02500, 0.11848),
        (LastIterate(), WSD(), 0.00040, 0.12270),
        (LastIterate(), Linear(), 0.00018, 0.14916),
        (LastIterate(), Cosine(), 0.00008, 0.14916),
        (ScheduleFree(0.5), Constant(), 0.00001, 0.14467),
        (ScheduleFree(0.9), Constant(), 0.00003, 0.13336),
        (ScheduleFree(0.98), Constant(), 0.00016, 0.13100),
        (RefinedScheduleFree(0.9, C=50.0), Constant(), 0.00016, 0.12165),
        (LastIterate(), 0.1 * Constant(), 0.00132, 0.25400),
    ]
    tableaus = [method.tableau(0.05 * shape(N)) for method, shape, *_ in table]
    traj = run(problem, Tableau.stack(tableaus), record=[N])
    for i, (_, _, hill, river) in enumerate(table):
        assert hill_losses(tableaus[i], 20.0, 1.0)[0][-1] == pytest.approx(hill, abs=5.1e-6)
        assert problem.river(traj.x)[i, 0, 0] == pytest.approx(river, abs=2e-5)


def test_the_plateau_of_the_hill_is_its_stationary_loss():
    gamma, N = 0.05, 2000
    for a in (10.0, 20.0):
        of_x, _ = hill_losses(LastIterate().tableau(np.full(N, gamma)), a, 1.0)
        assert of_x[-1] == pytest.approx(gamma / (2 * (2 - gamma * a)), rel=1e-12)
