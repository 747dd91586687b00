"""Every figure's claims come out as recorded; the dear ones in quick mode."""

import pytest

from sftheory.figures import FIGURES

FIGURE_NAMES = FIGURES.names()


@pytest.mark.parametrize("name", FIGURE_NAMES)
def test_claims_come_out_as_recorded(name):
    entry = FIGURES[name]
    figure = entry.make()
    dear = bool((entry.facts or {}).get("seconds"))
    claims = figure.claims(figure.data(quick=dear))
    assert claims
    assert len({claim.id for claim in claims}) == len(claims)
    for claim in claims:
        assert claim.id.startswith(f"{name}-") and claim.source
        assert claim.as_recorded, claim.record()
