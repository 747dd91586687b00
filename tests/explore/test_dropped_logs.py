import re
from pathlib import Path

import numpy as np
import pytest
from dropped_samples import LOSS, OTHER, SEVERAL, SIMPLE, T

from sftheory.core.errors import InputError
from sftheory.explore import law_data
from sftheory.explore.widgets import answer
from sftheory.fits import Curve, fit, read


def test_the_answer_is_that_of_the_fit():
    found = law_data(text=SIMPLE["csv"], name="run.csv", at=30_000)
    fitted = fit(Curve(T, LOSS), "sqrt")
    assert found["verdicts"] == [{"verdict": str(v), "reason": v.reason} for v in fitted.verdicts]
    for name in "abc":
        assert found["parameters"][name] == fitted.parameters[name]
        assert found["intervals"][name] == list(fitted.interval(name))
    assert list(found["forecast"].values()) == [30_000, *fitted.at(30_000)]
    curve = found["curve"]
    np.testing.assert_allclose(curve["loss"], fitted.at(curve["step"]).value, rtol=1e-14)
    assert (np.array(curve["low"]) <= curve["loss"]).all()


@pytest.mark.parametrize("name", SIMPLE)
def test_the_points_drawn_are_those_of_the_log(name, tmp_path):
    (tmp_path / "log").write_text(SIMPLE[name], newline="")
    curve = read(tmp_path / "log")
    found = answer(law_data, {"text": SIMPLE[name]})
    assert found["count"] == len(curve) and len(found["points"]["step"]) <= 601
    kept = np.isin(curve.step, found["points"]["step"])
    np.testing.assert_array_equal(found["points"]["loss"], curve.loss[kept])
    assert found["points"]["step"][-1] == curve.step[-1]


def test_a_cooldown_forbids_numbers_and_a_cut_allows_them():
    whole = law_data(text=SIMPLE["csv with a cooldown"])
    assert whole["verdicts"][0]["verdict"] == "phases" and whole["parameters"] is None
    part = law_data(text=SIMPLE["csv with a cooldown"], cut=True)
    assert part["fitted"]["last"] == 8000 and part["parameters"]["c"] == pytest.approx(3, abs=0.05)


def test_of_several_losses_one_must_be_chosen():
    found = law_data(text=SEVERAL, name="run.csv")
    assert found["losses"] == ["train_loss", "val_loss"] and "choose one" in found["error"]
    chosen = law_data(text=SEVERAL, y="val_loss")
    assert chosen["y"] == "val_loss" and chosen["losses"] == ["train_loss", "val_loss"]


@pytest.mark.parametrize("name", OTHER)
def test_whatever_is_dropped_gives_data_or_a_sentence(name):
    found = answer(law_data, {"text": OTHER[name], "name": "run.log"})
    if "error" in found:
        assert re.fullmatch(r"[^\n]+\.", found["error"])
        assert "Traceback" not in found["error"] and str(Path("/tmp")) not in found["error"]


@pytest.mark.parametrize(
    "bad, sentence",
    [
        ({"size": 10**7}, "run.csv has 10000000 characters"),
        ({"start": 1e9}, "No point lies between"),
        ({"at": 1.0}, "at must be a number >= 100"),
        ({"y": "lost"}, "There is no column 'lost'"),
    ],
)
def test_bad_input_is_one_sentence(bad, sentence):
    with pytest.raises(InputError, match=sentence):
        law_data(text=SIMPLE["csv"], name="run.csv", **bad)


def test_without_a_log_it_waits():
    assert law_data(text="")["waiting"]
