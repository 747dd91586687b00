"""Every figure's claims come out as recorded; the dear ones in quick mode."""

import pytest

from sftheory.core.errors import InputError
from sftheory.figures import FIGURES, reproduce
from sftheory.figures.requirements import missing

FIGURE_NAMES = FIGURES.names()


@pytest.mark.parametrize("name", FIGURE_NAMES)
def test_claims_come_out_as_recorded(name):
    entry = FIGURES[name]
    if reason := missing(entry):
        pytest.skip(reason)
    figure = entry.make()
    dear = bool((entry.facts or {}).get("seconds"))
    claims = figure.claims(figure.data(quick=dear))
    assert claims
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.id.startswith(f"{name}-") and claim.source
        assert claim.as_recorded, claim.record()


NEEDY = [name for name in FIGURE_NAMES if (FIGURES[name].facts or {}).get("needs")]


@pytest.mark.parametrize("root", [None, "", "/proc"])
def test_figures_of_real_runs_say_what_they_need(monkeypatch, tmp_path, root):
    monkeypatch.delenv("SFTHEORY_DATA", raising=False)
    if root is not None:
        monkeypatch.setenv("SFTHEORY_DATA", root)
    assert {"L01", "L03", "L04"} <= set(NEEDY)
    for name in NEEDY:
        with pytest.raises(InputError, match=f"{name} draws real runs.*set.* SFTHEORY_DATA"):
            reproduce([name], out=tmp_path / "out")
        with pytest.raises(InputError, match="SFTHEORY_DATA"):
            FIGURES[name].make().data()
    assert not (tmp_path / "out").exists()


def test_all_figures_are_those_whose_data_are_here(monkeypatch, tmp_path):
    monkeypatch.delenv("SFTHEORY_DATA", raising=False)
    monkeypatch.setattr("sftheory.figures.output.make_figure", lambda name, *_: {"figure": name})
    monkeypatch.setattr("sftheory.figures.output.write_report", lambda folder: None)
    made = [manifest["figure"] for manifest in reproduce(out=tmp_path)]
    assert made == [name for name in FIGURE_NAMES if name not in NEEDY]
