import json
import os
import re
import subprocess
import sys

import pytest

from sftheory import bounds, methods, schedules
from sftheory.cli import main
from sftheory.options import registries


def run(capsys, *words):
    status = main(list(words))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("kind", list(registries()))
def test_list_names_every_entry(capsys, kind):
    status, out, _ = run(capsys, "list", kind, "--json")
    assert status == 0
    assert list(json.loads(out)[kind]) == registries()[kind].names()


def test_list_shows_all_kinds_in_a_table(capsys):
    _, out, _ = run(capsys, "list")
    assert all(word in out for word in ("wsd", "schedule_free", "max_linear", "omega", "F01"))


@pytest.mark.parametrize(
    "kind, name", [(kind, name) for kind, r in registries().items() for name in r.names()]
)
def test_show_gives_the_docstring_of_every_entry(capsys, kind, name):
    status, out, _ = run(capsys, "show", kind.removesuffix("s"), name)
    assert status == 0
    assert registries()[kind].summaries()[name] in out


def test_show_as_json_has_the_plot(capsys):
    _, out, _ = run(capsys, "show", "schedule", "linear", "--json")
    assert json.loads(out)["plot"]["N = 60"] == schedules.Linear()(60).tolist()


def test_bound_gives_what_the_functions_give(capsys):
    words = "bound --schedule wsd --cooldown 0.3 --steps 50 --peak 0.1 --D 2 --G 0.5 --json"
    status, out, _ = run(capsys, *words.split())
    gamma = 0.1 * schedules.WSD(0.3)(50)
    found = {row["bound"]: row["value"] for row in json.loads(out)["bounds"]}
    assert status == 0
    assert found == {
        "last_iterate": bounds.last_iterate(gamma, D=2, G=0.5),
        "omega": bounds.omega(gamma, D=2, G=0.5),
        "b_prime": bounds.b_prime(gamma, D=2, G=0.5),
    }


def test_bound_without_a_peak_takes_the_best(capsys):
    _, out, _ = run(capsys, *"bound last_iterate --steps 99 --json".split())
    assert json.loads(out)["bounds"][0]["value"] == pytest.approx(0.1, rel=1e-12)


def test_bound_of_a_method_uses_its_tableau(capsys):
    words = "bound schedulet --method schedule-free --weights gamma --schedule cosine --warmup 5"
    _, out, _ = run(capsys, *words.split(), "--steps", "50", "--peak=0.1", "--json")
    gamma = 0.1 * schedules.Warmup(schedules.Cosine(), steps=5)(50)
    tableau = methods.ScheduleFree(weights="gamma").tableau(gamma)
    assert json.loads(out)["bounds"][0]["value"] == bounds.schedulet(tableau, D=1, G=1)


def test_worst_case_gives_the_value_its_enclosure_and_its_path(capsys):
    _, out, _ = run(capsys, *"worst-case --steps 99 --json --certify rational".split())
    found = json.loads(out)
    assert found["lower"] <= 0.1 <= found["upper"] and found["value"] == pytest.approx(0.1)
    assert (found["path"], found["certified"]) == ("last iterate", "rational")


def test_worst_case_of_a_method_off_the_theorems_is_solved_and_says_so(capsys):
    words = "worst-case --method primal_average --steps 6 --peak 0.3"
    status, out, _ = run(capsys, *words.split())
    assert status == 0 and "path         sdp, certified: float" in out


def test_bound_prints_a_table_for_people(capsys):
    _, out, _ = run(capsys, "bound", "--steps", "99")
    assert "last_iterate" in out and "less than 0.1" in out


BAD = [
    ("list foo", "There is no kind 'foo'; choose one of"),
    ("show schedule lineer", "did you mean 'linear'"),
    ("bound --schedule wsd --cooldown 3", "WSD's cooldown must be a number in [0, 1], but got 3"),
    ("bound --schedule wsd --cooldown abc", "must be a number in [0, 1], but got 'abc'"),
    ("bound --cooldown 0.2", "Linear and LastIterate have no --cooldown; it is an option of wsd"),
    ("bound --warmup -3", "Warmup's steps must be a whole number >= 0"),
    ("bound --beta nan --method schedule_free", "beta must"),
    ("bound --weights foo --method schedule_free", "weights are None or 'gamma'"),
    ("bound --schedule wds", "did you mean 'wsd'"),
    ("bound --steps 0", "N must be a whole number >= 1"),
    ("bound --steps x", "expected a whole number but found 'x'"),
    ("bound --coldown 3", "There is no option '--coldown'"),
    ("bound --schedule wsd --cooldown", "--cooldown needs a value"),
    ("bound --schedule join", "needs more than options can say; build it in Python"),
    ("bound --D -1", "needs D > 0"),
    ("bound omega --method polyak_average --schedule constant", "use bounds.averaged or"),
    ("bound --method ema", "No bound covers ema"),
    ("bound --method schedule_free", "weights='gamma'"),
    ("bound --method polyak_sgd", "Steps of polyak_sgd depend on the run"),
    ("bound --peak -1", "pass values >= 0"),
    ("reproduce F99", "There is no figure 'F99'"),
    ("reproduce F07 --jobs 0", "jobs must be a whole number >= 1"),
    ("reproduce F07 --out /proc/none", "Cannot write figures to /proc/none"),
    ("reproduce F07 --fast", "unrecognized arguments: --fast"),
    ("plot", "invalid choice"),
    ("", "the following arguments are required"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[words for words, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(capsys, words, sentence):
    status, out, err = run(capsys, *words.split())
    assert status == 2 and out == ""
    assert sentence in err
    assert re.fullmatch(r"sftheory: [^\n]+\n", err)


def test_reproduce_prints_one_json_object_with_claims(capsys, tmp_path):
    words = ["reproduce", "F07", "--quick", "--json", "--jobs", "1", "--out", str(tmp_path)]
    status, out, _ = run(capsys, *words)
    claims = json.loads(out)["claims"]
    assert status == 0
    assert [claim["id"] for claim in claims] == ["F07-cycle-2", "F07-cycle-5"]
    assert all(claim["holds"] for claim in claims)


def test_reproduce_in_processes_says_where_to_look(capsys, tmp_path):
    status, out, _ = run(capsys, "reproduce", "F07", "F04", "--jobs", "2", "--out", str(tmp_path))
    assert status == 0
    assert f"Look at {tmp_path}/index.html" in out
    assert "holds" in out


def test_an_outcome_that_differs_from_the_record_gives_status_1(capsys, tmp_path, monkeypatch):
    from sftheory.core.claim import Claim
    from sftheory.figures import FIGURES

    wrong = Claim("F07-wrong", "one is two", 1, "==", 2, source="nobody")
    monkeypatch.setattr(FIGURES["F07"].object, "claims", lambda self, data: [wrong])
    status, _, _ = run(capsys, "reproduce", "F07", "--jobs", "1", "--out", str(tmp_path))
    assert status == 1


def test_list_and_bound_import_nothing_heavy():
    code = (
        "import sys; from sftheory.cli import main; main(['list']); main(['bound']); "
        "main(['bound', '--method', 'schedule_free', '--weights', 'gamma']); "
        "heavy = {'torch', 'cvxpy', 'numba', 'matplotlib', 'scipy', 'sklearn', 'polars'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
