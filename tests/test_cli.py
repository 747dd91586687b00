import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from sftheory import bounds, methods, schedules
from sftheory.cli import main
from sftheory.options import registries
from sftheory.terminal import as_json
from sftheory.worst_cases import worst_case
from sftheory.worst_cases.sdp import LIMIT


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


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("steps.csv", np.linspace(0.2, 0.1, 9), header="gamma", comments="")
    np.savetxt("norms.csv", np.linspace(1, 2, 10))
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")


@pytest.mark.parametrize("words, factor", [("", 1), ("--peak 2", 2)])
def test_steps_of_ones_own_are_kept_unless_a_peak_is_asked_for(capsys, files, words, factor):
    own = ["--schedule", "from_values", "--source", "steps.csv", "--steps", "9", "--json"]
    gamma = factor * np.linspace(0.2, 0.1, 9)
    exact = json.loads(run(capsys, "worst-case", *own, *words.split())[1])
    bound = json.loads(run(capsys, "bound", "omega", *own, *words.split())[1])
    assert exact["value"] == worst_case(gamma, D=1, G=1).value
    assert bound["bounds"][0]["value"] == bounds.omega(gamma, D=1, G=1)
    assert exact["peak"] == bound["bounds"][0]["peak"] == factor
    assert (
        exact["peak_is"] == bound["peak_is"] == ("as given" if words else "the steps as they are")
    )


PEAKS = [
    ("", "peak 0.284605 (best for the last iterate's exact value)"),
    ("--peak 0.3", "peak 0.3 (as given)"),
    ("--criterion best --steps 3", "(best for the last iterate's exact value)"),
    ("--mu 0.1 --steps 3", "(best for the last iterate's exact value and mu = 0)"),
    (
        "--method primal_average --weights gamma",
        "(best for the exact value of a last iterate with its effective steps)",
    ),
    ("--grad-norms norms.csv", "(best for the last iterate's exact value, all norms 2)"),
    ("--L 4 --steps 3", "peak 0.25 (1/L)"),
]


@pytest.mark.parametrize("words, said", PEAKS, ids=[words for words, _ in PEAKS])
def test_worst_case_says_which_peak_it_took(capsys, files, words, said):
    status, out, _ = run(capsys, "worst-case", "--steps", "9", *words.split())
    assert status == 0 and said in out.splitlines()[0]


def test_bound_says_that_each_peak_is_the_best_of_its_bound(capsys):
    assert "peak: the best of each bound" in run(capsys, "bound", "--steps", "9")[1]


@pytest.mark.parametrize(
    "words, unit",
    [("--L 2 --D 3 --steps 3", "/ (L D²)"), ("--G 2 --D 3 --steps 3", "× sqrt(N+1) / (D G)")],
)
def test_the_value_without_units_is_that_of_unit_constants(capsys, words, unit):
    out = run(capsys, "worst-case", "--schedule", "constant", *words.split())[1]
    alone = ["--L", "1"] if "L" in unit else []
    one = run(capsys, "worst-case", "--schedule", "constant", "--steps", "3", *alone, "--json")[1]
    wanted = json.loads(one)["value"] * (1 if alone else 2)
    told = re.search(re.escape(unit) + r" = (\S+)", out)
    assert told and float(told[1]) == pytest.approx(wanted, rel=1e-6)  # solver


def test_a_bracket_is_two_ends_and_a_remedy_not_a_number(capsys):
    words = ["worst-case", "--method", "primal_average", "--peak", "0.1", "--steps"]
    status, out, _ = run(capsys, *words, "100")
    found = json.loads(run(capsys, *words, "100", "--json")[1])
    assert status == 0 and "nan" not in out
    assert f"between {found['lower']:.9g} and {found['upper']:.9g}" in out
    assert found["value"] is None
    assert out.endswith(
        f"For a value give at most {LIMIT} steps, or weights that the hull condition covers, such "
        f"as --weights gamma.\n"
    )


def test_the_remedies_of_a_bracket_give_values(capsys):
    words = "worst-case --method primal_average --weights gamma --peak 0.1 --steps 100"
    assert "path         hull" in run(capsys, *words.split())[1]


@pytest.mark.parametrize("words, linear", [("", True), ("--cap 0.1", False), ("--steps 1", False)])
def test_design_says_when_its_steps_are_linear_decay(capsys, words, linear):
    command = ["design", "--steps", "30", *words.split()]
    found = json.loads(run(capsys, *command, "--json")[1])
    assert found["linear"] == linear == ("linear decay" in run(capsys, *command)[1])
    if linear:  # the known optimum D / (G (N+1)^{3/2}) (N - k + 1)
        wanted = 31**-1.5 * np.arange(30, 0, -1)
        np.testing.assert_allclose(found["gamma"], wanted, rtol=1e-12)  # rounding


def test_json_has_null_for_what_is_no_number():
    facts = {"a": np.array([1.0, np.nan]), "b": (np.inf, -np.inf), "c": np.float64(2), "d": True}
    assert json.loads(as_json(facts), parse_constant=pytest.fail) == {
        "a": [1.0, None],
        "b": [None, None],
        "c": 2.0,
        "d": True,
    }


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
    ("bound --lr 0.1", "There is no option '--lr'; here it is --peak"),
    ("worst-case --T 10", "There is no option '--T'; here it is --steps"),
    ("bound --schedule wsd --cooldown", "--cooldown needs a value"),
    ("bound --schedule join", "needs more than options can say; build it in Python"),
    ("bound --D -1", "argument --D: expected a finite number > 0 but found '-1'"),
    ("worst-case --D 0", "argument --D: expected a finite number > 0 but found '0'"),
    ("worst-case --L 0", "argument --L: expected a finite number > 0 but found '0'"),
    ("design --G x", "argument --G: expected a finite number > 0 but found 'x'"),
    ("worst-case --L 1 --G 2", "worst_case takes G or L, not both"),
    ("worst-case --L 1 --grad-norms norms.csv --steps 9", "worst_case takes G or L, not both"),
    ("worst-case --G 1 --grad-norms norms.csv", "--grad-norms takes the place of --G; give one"),
    ("worst-case --grad-norms nope.csv", "--grad-norms: Cannot read nope.csv: No such file"),
    ("design --prefix nope.csv", "--prefix: Cannot read nope.csv: No such file"),
    ("design --cap abc", "--cap abc is neither a number nor a file; give a number, or a CSV"),
    ("design --floor nope.csv", "--floor nope.csv is neither a number nor a file"),
    ("design --cap two.csv", "--cap: two.csv has several columns; keep one of ['a', 'b']"),
    ("bound --schedule from_values", "schedule 'from_values' needs --source; write --source VALUE"),
    (
        "worst-case --schedule from_values --values steps.csv",
        "There is no option --values, and schedule 'from_values' needs --source",
    ),
    ("bound --schedule from_values --source two.csv", "several columns; pass --column, one of"),
    ("bound --warmup 200 --steps 100", "--warmup 200 is longer than --steps 100; give fewer"),
    ("design --steps 5 --out /proc/none/steps.csv", "Cannot write /proc/none/steps.csv: No such"),
    ("design --stps 50", "design has no option --stps; did you mean --steps? See sftheory design"),
    ("design 50", "design does not take '50' in that place; see sftheory design --help"),
    ("--fast list", "sftheory has no option --fast; see sftheory --help"),
    ("worstcase", "There is no command 'worstcase'; did you mean 'worst-case'?"),
    ("bound omega --method polyak_average --schedule constant", "use bounds.averaged or"),
    ("bound --method ema", "No bound covers ema"),
    ("bound --method schedule_free", "(--weights gamma: schedulet, averaged)"),
    ("bound --method polyak_sgd", "Steps of polyak_sgd depend on the run"),
    ("bound --peak -1", "pass values >= 0"),
    ("reproduce F99", "There is no figure 'F99'"),
    ("reproduce F07 --jobs 0", "jobs must be a whole number >= 1"),
    ("reproduce F07 --out /proc/none", "Cannot write figures to /proc/none"),
    ("reproduce F07 --fast", "reproduce has no option --fast; see sftheory reproduce --help"),
    ("lsit", "There is no command 'lsit'; did you mean 'list'?"),
    ("", "the following arguments are required"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[words for words, _ in BAD])
def test_bad_input_is_one_sentence_and_status_2(capsys, files, words, sentence):
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
