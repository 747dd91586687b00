"""`sftheory fit`: what Python says, as JSON, as a table and as a picture."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sftheory.cli import main
from sftheory.fit_commands import LAWS_OF_STEPS
from sftheory.fits import LAWS, fit, read

T = np.arange(1000, 50_001, 500)
WAVE = 0.002 * np.cos(2.0 * T)


def write(path, loss, form="{t},{y:.6f}", head="step,loss"):
    rows = [head, *(form.format(t=t, y=y) for t, y in zip(T, loss, strict=True))]
    path.write_text("\n".join(row for row in rows if row) + "\n")
    return str(path)


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "run.csv", 3 + 28 / np.sqrt(T + 60) + WAVE)


@pytest.fixture
def cooled(tmp_path):
    drop = np.where(T > 40_000, (T - 40_000) * 2e-5, 0)
    return write(tmp_path / "cooled.csv", 3 + 28 / np.sqrt(T) + WAVE - drop)


def run(capsys, *words):
    status = main(["fit", *map(str, words)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def strict(text):
    """JSON without NaN or Infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} in JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("law", ["auto", "sqrt", "power"])
def test_json_has_the_names_and_numbers_of_the_fit(capsys, log, law):
    status, out, _ = run(
        capsys, log, "--json", "--law", law, "--at", "1e5", "--at", 2e5, "--steps-to", 3.09
    )
    found, told = fit(read(log), law), strict(out)
    assert status == 0
    for name in ("a", "b", "c", "p", "sse", "law"):
        assert told[name] == getattr(found, name)
    assert (told["verdict"], told["verdicts"]) == (found.verdict, list(found.verdicts))
    assert [one["step"] for one in told["at"]] == [1e5, 2e5]
    assert [one["low"] for one in told["at"]] == [found.at(1e5).low, found.at(2e5).low]
    assert told["steps_to"] == [{"loss": 3.09} | found.steps_to(3.09)._asdict()]
    assert told["intervals"]["c"] == list(found.interval("c"))
    assert told["log"] == log and told["points"] == len(T)


def test_a_loss_that_is_never_reached_is_null_in_json_and_never_in_the_table(capsys, log):
    told = strict(run(capsys, log, "--json", "--steps-to", 2.5)[1])
    assert told["steps_to"] == [{"loss": 2.5, "value": None, "low": None, "high": None}]
    assert "never" in run(capsys, log, "--steps-to", 2.5)[1]


def test_a_curve_without_parameters_has_nulls_and_a_reason(capsys, cooled):
    status, out, _ = run(capsys, cooled, "--json", "--at", 1e5, "--steps-to", 3)
    told = strict(out)
    assert status == 0 and told["verdict"] == "phases" and "falls faster" in told["reasons"][0]
    assert [told[name] for name in "abcp"] == [None] * 4
    assert told["at"] == [{"step": 1e5, "value": None, "low": None, "high": None}]
    assert "--cut" in run(capsys, cooled)[1]


def test_cut_start_and_stop_choose_what_is_fitted(capsys, cooled):
    cut = strict(run(capsys, cooled, "--json", "--cut")[1])
    assert cut["verdict"] != "phases" and cut["last"] <= 40_000 and cut["notes"]
    part = strict(run(capsys, cooled, "--json", "--start", 5000, "--stop", 30_000)[1])
    same = fit(read(cooled).cut(5000, 30_000))
    assert (part["first"], part["last"], part["c"]) == (5000, 30_000, same.c)


def test_columns_are_chosen_by_name(capsys, tmp_path):
    form = "{t},{t}e3,{y:.6f},{y:.3f},1e-3"
    head = "step,tokens,train_loss,val_loss,rate_lr"
    log = write(tmp_path / "run.csv", 3 + 28 / np.sqrt(T) + WAVE, form, head)
    words = ["--x", "tokens", "--y", "val_loss", "--lr", "rate_lr", "--json"]
    told = strict(run(capsys, log, *words)[1])
    assert (told["x"], told["y"], told["first"]) == ("tokens", "val_loss", 1e6)
    assert "lr = 'rate_lr' as asked" in told["account"]


def test_several_logs_are_a_list_and_rows_of_one_table(capsys, log, cooled):
    told = strict(run(capsys, log, cooled, "--json")[1])
    assert [one["log"] for one in told["fits"]] == [log, cooled]
    status, out, _ = run(capsys, log, cooled, "--at", 1e5)
    assert status == 0 and all(word in out for word in ("run.csv", "cooled.csv", "loss at 100000"))


def test_the_table_shows_the_values_with_their_intervals(capsys, log):
    out = run(capsys, log, "--law", "sqrt", "--at", 1e5)[1]
    found = fit(read(log), "sqrt")
    for value in (found.c, *found.interval("c"), *found.at(1e5)):
        assert f"{value:.5g}" in out
    assert found.verdict.reason.split("=")[0] in out and read(log).meta["account"] in out


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_plot_writes_the_picture_and_nothing_else(capsys, log, tmp_path, ending):
    folder = tmp_path / "plots"
    folder.mkdir()
    assert run(capsys, log, "--plot", folder / f"fit.{ending}", "--at", 5000, "--at", 1e6)[0] == 0
    assert [file.name for file in folder.iterdir()] == [f"fit.{ending}"]


BAD = [
    ("{log} --law sqr", "There is no law 'sqr'; did you mean 'sqrt'?"),
    ("{log} --y foo", "run.csv: There is no column 'foo'"),
    ("{log} --at 10", "run.csv: The fit starts at step 1000 and knows nothing of 10.0"),
    ("{log} --at nan", "a finite "),
    ("{log} --at later", "expected a finite number > 0 but found 'later'"),
    ("{log} --steps-to 9", "ask for a lower loss"),
    ("{log} --start 1e6", "run.csv: No point lies between"),
    ("{log} --start 48000", "run.csv: The curve has 5 points, too few"),
    ("{log} --plot fit.jpeg", "--plot writes .png, .pdf, .svg, but got 'fit.jpeg'"),
    ("{log} --plot /proc/none/fit.png", "Cannot write /proc/none/fit.png: No such file"),
    ("{log} {log} --plot fit.png", "--plot draws one log, but 2 are given"),
    ("{log} none.csv", "Cannot read the log none.csv: No such file or directory"),
    ("", "the following arguments are required: LOG"),
    ("{broken}", "line 4: 'loss' is nan, so the run may have diverged there; pass --drop to leave"),
    ("{several}", "several.csv holds several losses; choose with --y one of 'loss_a', 'loss_b'"),
    ("{log} --law tissue", "choose --law sqrt, power, power_from_zero, hyperbolic, or use fits."),
    ("{log} {zero} --law power_from_zero --start 0", "infinite at step 0; --start 1 first"),
]


@pytest.mark.parametrize("words, sentence", BAD, ids=[words for words, _ in BAD])
def test_bad_input_is_one_sentence_with_status_2_and_no_output(
    capsys, log, tmp_path, words, sentence
):
    loss = 3 + 28 / np.sqrt(T)
    loss[2] = np.nan
    broken = write(tmp_path / "broken.csv", loss)
    several = write(
        tmp_path / "several.csv", 3 + 28 / np.sqrt(T), "{t},{y:.6f},{y:.6f}", "step,loss_a,loss_b"
    )
    zero = write(tmp_path / "zero.csv", 3 + 28 / np.sqrt(T), "{t},{y:.6f}", "step,loss\n0,11")
    logs = {"log": log, "broken": broken, "several": several, "zero": zero}
    status, out, err = run(capsys, *words.format(**logs).split())
    assert (status, out) == (2, "")
    assert sentence in err and err.count("\n") == 1 and err.startswith("sftheory: ")


def test_notes_name_options_and_not_python(capsys, tmp_path):
    loss = 3 + 28 / np.sqrt(T) + WAVE
    loss[::9] += 1
    log = write(tmp_path / "spikes.csv", loss)
    assert any("robust=True" in note for note in fit(read(log)).notes)
    for out in (run(capsys, log)[1], run(capsys, log, "--json")[1]):
        assert "spikes; --robust would down-weight them" in out and "robust=" not in out


def test_help_names_the_laws_that_need_no_schedule(capsys):
    assert set(LAWS_OF_STEPS) == {law.name for law in LAWS if not law.make().needs_rate}
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    out = capsys.readouterr().out
    assert all(law in out for law in LAWS_OF_STEPS)


def test_drop_leaves_out_what_is_not_finite(capsys, tmp_path):
    loss = 3 + 28 / np.sqrt(T) + WAVE
    loss[2] = np.nan
    told = strict(run(capsys, write(tmp_path / "run.csv", loss), "--drop", "--json")[1])
    assert told["points"] == len(T) - 1 and "1 not finite" in told["account"]


def test_help_of_fit_imports_nothing_heavy():
    code = (
        "import sys, sftheory.cli; sftheory.cli._parser();"
        "heavy = {'numba', 'torch', 'scipy', 'polars', 'matplotlib'};"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
