import time

import numpy as np
import pytest

from sftheory import Tableau, run, worst_case
from sftheory.core.errors import InputError
from sftheory.explore import worst_case_data
from sftheory.explore.drawn_schedules import PLATEAU, drawn

SHAPES = {
    "linear": [[0, 1], [1, 0]],
    "plateau": PLATEAU,
    "constant": [[0, 0.4], [1, 0.4]],
    "small": [[0, 0.01], [1, 0]],
    "zeros between": [[0, 0], [0.4, 0], [0.5, 1], [0.6, 0], [1, 0]],
    "steep": [[0, 0], [0.9, 5], [1, 0]],
    "ends high": [[0, 0.1], [1, 3]],
}


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("N", [1, 3, 60])
def test_the_run_on_the_worst_function_is_what_run_gives_and_ends_at_the_value(points, N):
    found = worst_case_data(points=points, steps=N)
    gamma = np.array(found["gamma"])
    worst = worst_case(gamma, D=1.0, G=1.0, certify="rational")
    traj = run(worst.function, Tableau(gamma, 0.0, 1.0), losses="x")
    np.testing.assert_allclose(found["run"], traj.loss_x[0], atol=1e-12)
    assert worst.lower - 1e-12 <= found["run"][-1] <= worst.upper + 1e-12
    assert found["value"] == pytest.approx(worst.value, rel=1e-12)
    assert found["minimax"] <= found["value"] * (1 + 1e-12) <= found["omega"] * (1 + 2e-12)


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
def test_the_gradient_is_the_slope_of_the_value(points):
    gamma = drawn(points, 12) + 0.01  # away from zero, where the value is differentiable
    found = worst_case_data(points=[[u, h + 0.01 * np.sqrt(13)] for u, h in points], steps=12)
    for k in range(12):
        e = 1e-5 * (np.arange(12) == k)
        up, down = (worst_case(gamma + s * e, D=1, G=1, certify=None).value for s in (1, -1))
        assert abs((up - down) / 2e-5 - found["gradient"][k]) < 1e-6


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
def test_no_other_scale_of_the_steps_does_better(points):
    found = worst_case_data(points=points, steps=30)
    gamma = found["scale"] * np.array(found["gamma"])
    values = [worst_case(s * gamma, D=1, G=1, certify=None).value for s in (0.98, 1, 1.02)]
    assert values[1] == pytest.approx(found["scaled"], rel=1e-12)
    assert values[1] <= min(values) * (1 + 1e-12)


def test_the_section_passes_start_and_report_and_is_convex():
    found = worst_case_data(points=PLATEAU, steps=100)
    s, f = np.array(found["section"]["s"]), np.array(found["section"]["f"])
    assert f[np.argmin(np.abs(s))] == pytest.approx(found["run"][0], rel=1e-9)
    assert f[np.argmin(np.abs(s - 1))] == pytest.approx(found["value"], rel=1e-9)
    assert (np.diff(f, 2) >= -1e-12).all()


def test_steps_of_zero_leave_the_start():
    found = worst_case_data(points=[[0, 0], [1, 0]], steps=5)
    assert found["value"] == 1 and found["run"] == [1.0] * 6
    assert found["scale"] is None and found["section"] is None


def test_400_steps_take_less_than_a_tenth_of_a_second_of_the_processor():
    worst_case_data(points=PLATEAU, steps=400)  # compiles
    times = []
    for _ in range(5):
        start = time.process_time()
        worst_case_data(points=PLATEAU, steps=400)
        times.append(time.process_time() - start)
    assert min(times) < 0.1


@pytest.mark.parametrize(
    "points, steps, sentence",
    [
        ([[0, 1], [1, 0]], 401, "steps must be 1 to 400"),
        ([[0, 1], [1, 0]], 0, "steps must be a whole number"),
        ([[0, 1]], 5, "pass 2 to 40 corners"),
        ([[0, 1, 2], [1, 0, 2]], 5, "pass 2 to 40 corners"),
        ([[0, 1], [0.5, 1], [0.5, 0], [1, 0]], 5, "increase from 0 to 1"),
        ([[0.1, 1], [1, 0]], 5, "increase from 0 to 1"),
        ([[0, -1], [1, 0]], 5, "A height must be a number in"),
        ([[0, 1e6], [1, 0]], 5, "A height must be a number in"),
        ([[0, float("nan")], [1, 0]], 5, "finite"),
        ("text", 5, "points must be numbers"),
        ([], 5, "points is empty"),
    ],
)
def test_bad_input_is_one_sentence(points, steps, sentence):
    with pytest.raises(InputError, match=sentence):
        worst_case_data(points=points, steps=steps)
