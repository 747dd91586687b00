"""The static page's numerics against Python: to rounding, 1e-12, unless a line says otherwise."""

import itertools
import json

import numpy as np
import pytest
from dropped_samples import OTHER, SEVERAL, SIMPLE, damaged
from test_drawn_schedules import SHAPES

from sftheory.explore import law_data, river_data, worst_case_data
from sftheory.explore.modules import bundle
from sftheory.explore.rivers import INPUTS as RIVER
from sftheory.explore.rivers import METHODS, SCHEDULES, noise_table
from sftheory.explore.widgets import answer

MODULES = ("river_numbers", "worst_numbers", "law_numbers", "checks")
ROUNDING = 1e-12


@pytest.fixture(scope="module")
def javascript(tab):
    """compute(name, inputs): what a function of the page returns in the browser."""
    tab.open("data:text/html,<title>numbers</title>")
    tab.evaluate(f"{bundle(*MODULES)} 0")
    tab.evaluate(f"globalThis.NOISE = {json.dumps(noise_table().tolist())}; 0")
    functions = {
        "river": "(one) => river_numbers.riverData(one, NOISE)",
        "worst": "worst_numbers.worstCaseData",
        "law": "law_numbers.lawData",
    }

    def compute(name, cases):
        code = f"{json.dumps(cases)}.map((one) => checks.answer({functions[name]}, one))"
        return tab.evaluate(code)

    return compute


def flat(data, name=""):
    """Every number and array of nested data, by its path."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from flat(value, f"{name}.{key}")
    else:
        yield name, data


def assert_same(ours, theirs, scale=None, tolerance=ROUNDING):
    """Equal but for rounding, in units of each array's largest entry, or of `scale`."""
    ours, theirs = dict(flat(ours)), dict(flat(theirs))
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if value is None or isinstance(value, str):
            assert theirs[name] == value, name
            continue
        value = np.asarray(value, float)
        unit = np.abs(value).max(initial=1e-300) if scale is None else scale
        np.testing.assert_allclose(theirs[name], value, rtol=0, atol=tolerance * unit, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_river_runs_agree(javascript, method):
    grid = itertools.product(SCHEDULES, (0.01, 0.09), (0.0, 0.9), (1, 2, 300))
    cases = [
        RIVER | {"method": method, "seed": i % 8, "C": 7.5, "schedule": schedule, "gamma": gamma,
                 "noise": i % 4 / 2, "beta": beta, "steps": N}
        for i, (schedule, gamma, beta, N) in enumerate(grid)
    ]  # fmt: skip
    for case, found in zip(cases, javascript("river", cases), strict=True):
        assert_same(river_data(**case), found)


@pytest.mark.parametrize("points", SHAPES.values(), ids=SHAPES)
def test_worst_cases_agree(javascript, points):
    cases = [{"points": points, "steps": N} for N in (1, 2, 7, 100, 400)]
    for case, found in zip(cases, javascript("worst", cases), strict=True):
        ours = worst_case_data(**case)
        for name in ("value", "omega", "gamma", "minimax", "scale", "scaled"):
            assert_same(ours.pop(name), found.pop(name))
        assert_same(ours, found, scale=1.0)  # in units of D = G = 1


def test_worst_cases_of_random_drawings_agree(javascript):
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(30):
        inner = np.sort(rng.choice(np.arange(1, 1000), rng.integers(0, 12), replace=False)) / 1000
        u = [0, *inner, 1]
        heights = rng.random(len(u)) * rng.choice([0.2, 2, 50]) * (rng.random(len(u)) > 0.2)
        points = np.stack([u, heights], axis=1).tolist()
        cases.append({"points": points, "steps": int(rng.integers(1, 401))})
    for case, found in zip(cases, javascript("worst", cases), strict=True):
        assert_same(
            worst_case_data(**case), found, scale=max(1.0, worst_case_data(**case)["value"])
        )


def test_400_steps_take_less_than_a_tenth_of_a_second_in_the_browser(javascript, tab):
    case = json.dumps({"points": SHAPES["plateau"], "steps": 400})
    took = tab.evaluate(
        f"(() => {{ const times = []; for (let i = 0; i < 30; i++) {{ const t = performance.now();"
        f"worst_numbers.worstCaseData({case}); times.push(performance.now() - t); }}"
        "return Math.min(...times); })()"
    )
    assert took < 100


def law_case(text, **options):
    given = {"size": 0, "y": None, "start": None, "stop": None, "cut": False, "at": None}
    return {"text": text, "name": "run.log", **given, **options}


SOME = ("csv", "csv with a cooldown", "late warm-up", "hidden cooldown", "p = 0.8, rho = 0.6")
LAW = [(name, law_case(text)) for name, text in SIMPLE.items()]
LAW += [(name, law_case(SIMPLE[name], cut=True)) for name in SOME]
LAW += [(name, law_case(SIMPLE[name], start=500, at=1e5)) for name in SOME]


def test_every_simple_log_has_the_verdicts_and_numbers_of_python(javascript):
    spoken = 0
    for (name, case), found in zip(LAW, javascript("law", [case for _, case in LAW]), strict=True):
        ours = answer(law_data, case)
        if "error" in ours or "error" in found:
            assert found.get("error") == ours.get("error"), name
            continue
        spoken += 1
        assert found["verdicts"] == ours["verdicts"], name
        for key in ("x", "y", "lr", "losses", "count", "fitted", "points"):
            assert found[key] == ours[key], (name, key)
        if ours["parameters"] is None:
            assert found["parameters"] is found["curve"] is found["exponent"] is None
            continue
        # both search for the free exponent and stop within 1e-6 of its standard error
        one, other = ours["exponent"], found["exponent"]
        assert abs(one["value"] - other["value"]) <= 1e-6 * one["error"] + ROUNDING, name
        units = {"a": 1, "b": ours["fitted"]["last"] / abs(ours["parameters"]["b"]), "c": 1}
        for key, unit in units.items():
            one, other = ours["parameters"][key], found["parameters"][key]
            assert abs(one - other) <= ROUNDING * unit * abs(one), (name, key)
        assert_same(ours["curve"]["step"], found["curve"]["step"])
        assert_same(ours["curve"]["loss"], found["curve"]["loss"])
        assert_same(ours["forecast"]["loss"], found["forecast"]["loss"])
    assert spoken > 35


def test_what_the_page_cannot_read_is_a_sentence_and_never_a_number(javascript):
    cases = [law_case(text) for text in OTHER.values()]
    for name, found in zip(OTHER, javascript("law", cases), strict=True):
        assert found["error"].startswith(("run.log", "The ")), (name, found)
        assert found["error"].endswith("."), name
        assert "could not be computed" not in found["error"], (name, found)


def test_a_damaged_log_gets_pythons_verdict_or_a_sentence(javascript):
    cases = [law_case(text) for text in damaged(60) if text]
    same = 0
    for case, found in zip(cases, javascript("law", cases), strict=True):
        assert "could not be computed" not in found.get("error", ""), (found, case["text"][:200])
        if "error" in found:
            continue
        ours, same = answer(law_data, case), same + 1
        assert "error" not in ours, (ours, case["text"][:200])
        for key in ("x", "y", "lr", "count", "fitted"):
            assert found[key] == ours[key], (key, case["text"][:200])
        words = [[one["verdict"] for one in verdicts["verdicts"]] for verdicts in (found, ours)]
        assert words[0] == words[1], case["text"][:200]
    assert same > 15


def test_several_losses_are_listed_as_python_lists_them(javascript):
    (found,) = javascript("law", [law_case(SEVERAL)])
    assert found == law_data(**law_case(SEVERAL))
    (chosen,) = javascript("law", [law_case(SEVERAL, y="val_loss")])
    assert chosen["verdicts"] == law_data(**law_case(SEVERAL, y="val_loss"))["verdicts"]


BAD = {
    "river": [
        RIVER | bad
        for bad in (
            *({"gamma": 0}, {"gamma": -1}, {"beta": 1}, {"C": 0.5}, {"noise": -1}, {"steps": 501}),
            *({"steps": 0}, {"steps": 2.5}, {"seed": 8}, {"method": "x"}, {"schedule": "x"}),
            *({"gamma": None}, {"method": "last iterate", "gamma": 0.5}),
        )
    ],
    "worst": [
        {"points": points, "steps": steps}
        for points, steps in [
            *(([[0, 1], [1, 0]], 401), ([[0, 1], [1, 0]], 0), ([[0, 1]], 5), ([], 5), ("x", 5)),
            *(([[0, 1], [0.5, 1], [0.5, 0], [1, 0]], 5), ([[0.1, 1], [1, 0]], 5)),
            *(([[0, -1], [1, 0]], 5), ([[0, 1e6], [1, 0]], 5), ([[0, None], [1, 0]], 5)),
        ]
    ],
}


@pytest.mark.parametrize("name, compute", [("river", river_data), ("worst", worst_case_data)])
def test_both_refuse_the_same_input_in_a_sentence(javascript, name, compute):
    for case, found in zip(BAD[name], javascript(name, BAD[name]), strict=True):
        assert "error" in answer(compute, case), case
        assert found["error"].endswith("."), case
        assert "could not be computed" not in found["error"], case


def test_the_sentence_of_a_run_that_leaves_the_valley_is_pythons(javascript):
    case = RIVER | {"method": "last iterate", "gamma": 0.5}
    assert javascript("river", [case])[0] == answer(river_data, case)


def test_numbers_are_written_as_python_writes_them(tab, javascript):
    values = [0.0, 1.0, 12345.678, 0.00012345, 1e-5, 99999.5, 1e16, -2.5e-7, 123456, 0.1]
    for digits in (3, 4, 6):
        found = tab.evaluate(f"{json.dumps(values)}.map((v) => checks.g(v, {digits}))")
        assert found == [f"{v:.{digits}g}" for v in values]
