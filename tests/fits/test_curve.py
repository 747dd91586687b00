"""What a Curve keeps, cuts and refuses."""

import subprocess
import sys

import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.fits import Curve


def test_arrays_are_kept_as_read_only_float64_whatever_the_caller_does_later():
    step, loss = np.array([1, 2, 3]), np.array([3.0, 2.0, 1.5])
    view = loss[:]
    view.flags.writeable = False  # read-only, but its owner can still change
    curve = Curve(step=step, loss=view, lr=[0.1, 0.1, 0.0], meta={"path": "run.csv"})
    loss[0] = 99
    assert curve.loss.tolist() == [3.0, 2.0, 1.5]
    for part in (curve.step, curve.loss, curve.lr):
        assert part.dtype == np.float64 and not part.flags.writeable
    assert curve.meta == {"path": "run.csv"} and len(curve) == 3
    with pytest.raises(AttributeError):
        curve.loss = loss


@pytest.mark.parametrize(
    ("start", "stop", "kept"),
    [
        (None, None, [10, 20, 30, 40]),
        (20, None, [20, 30, 40]),
        (None, 30, [10, 20, 30]),
        (15, 35, [20, 30]),
        (40, 40, [40]),
        (-np.inf, np.inf, [10, 20, 30, 40]),
    ],
)
def test_a_cut_keeps_the_points_from_start_to_stop_with_both_ends(start, stop, kept):
    curve = Curve([10, 20, 30, 40], [4, 3, 2, 1], [1, 2, 3, 4], {"y": "loss"}).cut(start, stop)
    assert curve.step.tolist() == kept
    assert curve.loss.tolist() == [5 - t / 10 for t in kept]
    assert curve.lr.tolist() == [t / 10 for t in kept]
    assert curve.meta == {"y": "loss"}


def test_a_cut_shares_the_memory_of_its_curve():
    curve = Curve(np.arange(10), np.ones(10))
    assert np.shares_memory(curve.cut(3, 7).step, curve.step)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"step": [], "loss": []}, "step is empty"),
        ({"step": [1, 2], "loss": [1]}, r"loss has shape \(1,\) but step has 2 points"),
        ({"step": [1, 2], "loss": [3, 2], "lr": [1]}, "lr has shape"),
        ({"step": [[1, 2]], "loss": [[3, 2]]}, "one run"),
        ({"step": 1, "loss": 3}, "must be an array with one number per point"),
        ({"step": [1, 2], "loss": [3, np.nan]}, "loss has nan at point 2"),
        ({"step": [1, 2], "loss": [np.inf, 1]}, "loss has inf at point 1"),
        ({"step": [1, np.inf], "loss": [2, 1]}, "step has inf at point 2"),
        ({"step": [-1, 2], "loss": [3, 2]}, "step has -1 at point 1"),
        ({"step": [1, 2], "loss": [3, 2], "lr": [0.1, -0.1]}, "lr has -0.1 at point 2"),
        ({"step": [1, 1], "loss": [3, 2]}, "step goes from 1 to 1 at point 2"),
        ({"step": [2, 1], "loss": [3, 2]}, "step goes from 2 to 1 at point 2"),
        ({"step": ["a", "b"], "loss": [3, 2]}, "step must be numbers"),
    ],
)
def test_bad_arrays_are_one_sentence(arguments, reason):
    with pytest.raises(InputError, match=reason) as caught:
        Curve(**arguments)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "stop", "reason"),
    [(41, None, "go from 10 to 40"), (21, 29, "No point lies"), (np.nan, None, "pass numbers")],
)
def test_a_cut_without_points_is_refused(start, stop, reason):
    with pytest.raises(InputError, match=reason):
        Curve([10, 20, 30, 40], [4, 3, 2, 1]).cut(start, stop)


def test_neither_curves_nor_readers_import_what_draws_or_trains():
    code = (
        "import sys, sftheory.fits as f; f.Curve([1], [1]); assert 'polars' not in sys.modules; "
        "f.read; assert not {'torch', 'matplotlib', 'tensorboard', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
