import json
import os

import polars as pl
import pytest

from sftheory.core.errors import InputError
from sftheory.figures import FIGURES, Curve, Data, reproduce
from sftheory.figures.output import make_figure

ENDINGS = ("pdf", "png", "dark.png", "csv", "json")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    return out, reproduce(["f07", "F04"], out=out)


def test_every_file_of_a_figure_is_written_and_nothing_else(made):
    out, _ = made
    expected = {f"{name}.{ending}" for name in ("F04", "F07") for ending in ENDINGS}
    assert set(os.listdir(out)) == expected | {"index.html"}


def test_the_manifest_holds_claims_versions_and_commit(made):
    out, manifests = made
    manifest = json.loads((out / "F07.json").read_text())
    assert manifest == manifests[0]
    assert {"claims", "versions", "commit", "wall_seconds", "seed", "quick"} <= set(manifest)
    claim = manifest["claims"][0]
    assert set(claim) == {
        *("id", "statement", "relation", "expected", "computed"),
        *("tolerance", "source", "holds", "known_failure"),
    }


def test_the_csv_holds_what_is_drawn(made):
    out, _ = made
    table = pl.read_csv(out / "F07.csv")
    data = FIGURES["F07"].make().data()
    assert table.columns == ["panel", "series", "x", "y", "low", "high"]
    assert len(table) == sum(len(curve.x) for curve in data.curves)
    tuned = table.filter(pl.col("series") == "tuned")["y"].to_list()
    assert tuned == pytest.approx(data.panel("cycle")["tuned"].y, rel=1e-12)


def test_pictures_of_the_same_data_are_byte_equal(made, tmp_path):
    out, _ = made
    make_figure("F07", tmp_path, quick=False)
    for ending in ("pdf", "png", "dark.png", "csv"):
        assert (tmp_path / f"F07.{ending}").read_bytes() == (out / f"F07.{ending}").read_bytes()


def test_an_unknown_id_suggests_the_nearest_and_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"did you mean 'F\d\d'"):
        reproduce(["F0X"], out=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_said_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write figures to"):
        reproduce(["F07"], out=tmp_path / "file")


def test_a_figure_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch):
    monkeypatch.setattr(FIGURES["F07"].object, "claims", lambda self, data: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        reproduce(["F07"], out=tmp_path)
    assert os.listdir(tmp_path) == []


def test_curves_with_and_without_bands_share_one_table():
    data = Data([Curve("a", "s", [1, 2], [3, 4]), Curve("b", "s", [1], [2], low=[1], high=[3])])
    assert data.table()["low"].to_list() == [None, None, 1.0]


@pytest.mark.parametrize("name", FIGURES.names())
def test_every_figure_has_a_title_a_caption_and_a_source(name):
    entry = FIGURES[name]
    assert entry.object.title() and not entry.object.title().endswith(".")
    assert len(entry.object.caption()) > 60
    assert entry.ref
