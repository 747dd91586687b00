"""The dashboard of a probe: what is drawn is what was logged, in a picture and on a page."""

import json
import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest

from sftheory.core.errors import InputError
from sftheory.figures import Dashboard, dashboard
from sftheory.figures.dashboards import MOST, ROWS, WHOLE, thinned
from sftheory.probes.sinks import JSONL, Parquet

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
METRICS = [metric for _, metrics in ROWS for metric, _ in metrics]
LAYERS = ["embed", "blocks.0.<b>", 'head"x"']


def rows(metrics=METRICS, steps=5, layers=("", *LAYERS)):
    """Keys, steps and values as a probe writes them; every value is another one."""
    keys = [(module, metric) for metric in metrics for module in layers]
    values = 1.0 + np.arange(steps * len(keys), dtype=float).reshape(steps, len(keys))
    return list(range(steps)), keys, values


def frame(*args, **kwargs):
    steps, keys, values = rows(*args, **kwargs)
    return pl.DataFrame(
        [
            (t, *key, v)
            for t, row in zip(steps, values, strict=True)
            for key, v in zip(keys, row, strict=True)
        ],
        schema=["step", "module", "metric", "value"],
        orient="row",
    )


def curves(board):
    return {
        (panel.metric, "" if curve.series == WHOLE else curve.series): list(curve.y)
        for panel in board.panels
        for curve in panel.curves
    }


def test_every_value_that_was_logged_is_drawn_once():
    _, keys, values = rows()
    drawn = curves(dashboard(frame()))
    shown = [key for key in keys if key[1] != "distance"]  # which is distance.y
    assert drawn == {(m, module): list(values[:, keys.index((module, m))]) for module, m in shown}


@pytest.mark.parametrize("kind", ["parquet", "one parquet", "jsonl"])
def test_a_file_gives_the_page_of_its_frame(kind, tmp_path):
    written = rows()
    if kind == "one parquet":
        path = tmp_path / "all.parquet"
        frame().write_parquet(path)
    else:
        path = tmp_path / f"log.{kind}"
        {"parquet": Parquet, "jsonl": JSONL}[kind](path).write(*written)
    assert dashboard(path).html() == dashboard(frame()).html()


def test_values_that_do_not_exist_are_left_out_and_infinite_ones_break_nothing():
    table = pl.DataFrame(
        {
            "step": [0, 1, 2] * 2,
            "module": [""] * 6,
            "metric": ["grad_norm"] * 3 + ["noise_scale"] * 3,
            "value": [1.0, float("inf"), 2.0, None, None, None],
        }
    )
    board = dashboard(table)
    assert [panel.metric for panel in board.panels] == ["grad_norm"]
    assert "Infinity" not in board.html() and "NaN" not in board.html()
    assert board._repr_png_()[:4] == b"\x89PNG"


def test_a_long_run_is_thinned_to_its_extremes():
    rng = np.random.default_rng(0)
    value = rng.standard_normal(20_000)
    value[[7_777, 12_345]] = 50.0, -50.0
    kept = thinned(value)
    assert len(kept) <= MOST and {7_777, 12_345} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(thinned(value[:MOST]), np.arange(MOST))


def test_layers_that_agree_are_one_curve():
    table = frame(["effective_lr_y"], steps=3).with_columns(pl.lit(0.1).alias("value"))
    (panel,) = dashboard(table).panels
    assert [curve.series for curve in panel.curves] == ["every layer"]


def test_modules_choose_the_layers():
    board = dashboard(frame(), modules=["embed"])
    assert board.layers == ("embed",) and set(board.last) == {"embed"}
    with pytest.raises(InputError, match="no module 'embde'; did you mean 'embed'"):
        dashboard(frame(), modules=["embde"])


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("layers", [1, 3, 40])
def test_the_picture_has_an_axis_for_each_panel_and_a_line_for_each_curve(dark, layers):
    board = dashboard(frame(layers=("", *(f"layer{i}" for i in range(layers)))))
    drawing = board.figure(dark)
    titles = {axis.get_title(loc="left"): axis for axis in drawing.axes}
    for panel in board.panels:
        assert len(titles[panel.title].lines) == len(panel.curves)
    assert drawing.get_facecolor()[0] < 0.2 if dark else drawing.get_facecolor()[0] == 1
    plt.close(drawing)


@pytest.mark.parametrize("ending", ["png", "pdf", "svg", "html"])
def test_it_is_saved_as_its_name_says(ending, tmp_path):
    starts = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml", "html": b"<!doctype html>"}
    file = dashboard(frame()).save(tmp_path / f"page.{ending}")
    assert file.read_bytes().startswith(starts[ending])


def test_the_page_is_one_file_whose_data_are_the_curves():
    board = dashboard(frame())
    text = board.html()
    assert not re.findall(r"https?://|<link|<img|src=", text)
    (found,) = re.findall(r"const DATA = (\[.*\]);\n", text)
    for panel, data in zip(board.panels, json.loads(found), strict=True):
        assert [c["y"] for c in data["curves"]] == [list(c.y) for c in panel.curves]
    assert "<b>" not in text  # names are text, never markup


SENTENCES = {
    "a probe, its frame": lambda tmp: dashboard(7),
    "There is no": lambda tmp: dashboard(tmp / "none.parquet"),
    "neither in .parquet nor in .jsonl": lambda tmp: dashboard(tmp),
    "lacks the column 'metric'": lambda tmp: dashboard(pl.DataFrame({"step": [1], "module": [""]})),
    "Nothing was logged yet": lambda tmp: dashboard(frame(steps=0)),
    "is one name": lambda tmp: dashboard(frame(), modules="embed"),
    "only rms_update": lambda tmp: dashboard(frame(["rms_update"])),
    "ends in none of": lambda tmp: dashboard(frame()).save(tmp / "page.txt"),
}


@pytest.mark.parametrize("words", SENTENCES)
def test_a_mistake_is_one_sentence(words, tmp_path):
    with pytest.raises(InputError, match=words) as raised:
        SENTENCES[words](tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_in_a_browser_a_name_that_is_clicked_stays_and_a_curve_that_is_pointed_at_tells_its_value(
    tmp_path,
):
    text = dashboard(frame()).html()
    act = """<script>
      key.children[1].click();
      const svg = document.querySelector("svg"), box = svg.getBoundingClientRect();
      const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
      svg.dispatchEvent(new PointerEvent("pointermove", at));
      document.title = document.querySelector("output").value;
      svg.dispatchEvent(new PointerEvent("pointerleave", at));
    </script>"""
    (tmp_path / "page.html").write_text(text.replace("</body>", act + "</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"]
    done = subprocess.run(
        [
            CHROMIUM,
            *flags,
            f"--user-data-dir={tmp_path / 'profile'}",
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = re.findall(r"<title>(.*) · step 2 · (.*)</title>", done.stdout)
    assert len(said) == 1
    drawn = {c.series: c.y[2] for c in dashboard(frame()).panels[0].curves}
    assert drawn[said[0][0].replace("&lt;", "<").replace("&gt;", ">")] == float(said[0][1])
    assert '<body class="faded">' in done.stdout
    assert re.findall(r'<button data-name="([^"]*)" aria-pressed="true"', done.stdout) == LAYERS[:1]


def test_a_dashboard_is_what_the_package_says():
    assert isinstance(dashboard(frame()), Dashboard)
