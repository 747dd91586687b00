import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.schedules import SCHEDULES, FromValues, Linear, Scaled
from sftheory.schedules.base import Schedule

every_schedule = pytest.mark.parametrize("entry", SCHEDULES.load().values(), ids=lambda e: e.name)
SHAPES = [e for e in SCHEDULES.load().values() if not e.facts.get("keeps_values")]
every_length = pytest.mark.parametrize("N", [1, 2, 3, 7, 100, 400])


@every_length
@every_schedule
def test_a_schedule_is_N_finite_float64_values_that_are_not_negative(entry, N):
    eta = entry.make(N)(N)
    assert eta.shape == (N,) and eta.dtype == np.float64
    assert np.isfinite(eta).all() and (eta >= 0).all()


@every_length
@pytest.mark.parametrize("entry", SHAPES, ids=lambda e: e.name)
def test_the_peak_is_one(entry, N):
    assert entry.make(N)(N).max() == 1


@every_schedule
def test_calling_twice_gives_the_same_values_in_an_array_of_its_own(entry):
    schedule = entry.make(10)
    first = schedule(10)
    kept = first.copy()
    first[:] = -1
    np.testing.assert_array_equal(schedule(10), kept)


@pytest.mark.parametrize("N", [0, -1, 2.0, True, None, "10"])
@every_schedule
def test_a_number_of_steps_that_is_not_a_whole_number_from_one_is_refused(entry, N):
    schedule = entry.make(10)
    with pytest.raises(InputError, match="whole number >= 1"):
        schedule(N)


@every_length
@every_schedule
def test_as_lambda_is_the_schedule_and_then_its_last_value(entry, N):
    eta = entry.make(N)(N)
    factor = entry.make(N).as_lambda(N)
    assert [factor(k) for k in range(N)] == eta.tolist()
    assert {factor(k) for k in (N, N + 1, 10 * N)} == {eta[-1]}


@pytest.mark.parametrize("two", [2, 2.0, np.float64(2), np.array(2.0)], ids=repr)
@every_schedule
def test_a_number_times_a_schedule_is_scaled(entry, two):
    schedule = entry.make(7)
    for double in (two * schedule, schedule * two):
        assert isinstance(double, Scaled) and double.inner is schedule
        np.testing.assert_array_equal(double(7), 2 * schedule(7))


@pytest.mark.parametrize("factor", [-1, np.inf, np.nan, "2", None, [1, 2]], ids=repr)
def test_a_schedule_is_not_scaled_by_anything_but_one_number_from_zero(factor):
    with pytest.raises(InputError, match="one number >= 0"):
        Linear() * factor


@pytest.mark.parametrize("peaks", [[0.1, 0.2], [0.1]])
def test_an_array_of_peaks_times_a_schedule_is_refused_from_either_side(peaks):
    with pytest.raises((InputError, TypeError)):
        Linear() * np.array(peaks)
    with pytest.raises((InputError, TypeError)):
        np.array(peaks) * Linear()


class Wrong(Schedule):
    def __init__(self, *values):
        self.given = values

    def values(self, N):
        return np.array(self.given)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1.0, 0.5), "gave 2 values for N=3 steps; return exactly N"),
        ((1.0, 0.5, 0.2, 0.1), "gave 4 values for N=3 steps"),
        ((1.0, -0.5, 0.2), "has -0.5 at step 2; pass values >= 0"),
        ((1.0, np.nan, 0.2), "has nan at step 2"),
        ((), "is empty"),
        (("a", "b", "c"), "must be numbers"),
    ],
)
def test_what_a_wrong_schedule_returns_goes_no_further(values, reason):
    with pytest.raises(InputError, match=reason):
        Wrong(*values)(3)


def test_given_values_serve_their_own_number_of_steps_only():
    with pytest.raises(InputError, match="holds 3 values but N=4"):
        FromValues([1, 0.5, 0.2])(4)
