"""The dashboard of a running probe."""

import pytest
import torch

from sftheory.figures import dashboard
from sftheory.figures.dashboards import WHOLE
from sftheory.optim import ScheduleFreeSGD
from sftheory.probes import probe


@pytest.mark.parametrize("kind", ["schedule-free", "plain"])
def test_a_running_probe_shows_what_it_has_seen_so_far(kind):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    make = ScheduleFreeSGD if kind == "schedule-free" else torch.optim.SGD
    optimizer = make(model.parameters(), lr=0.1)
    norms = []
    with probe(optimizer, model) as log:
        for t in range(6):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).square().mean().backward()
            norms.append(torch.nn.utils.get_total_norm(p.grad for p in model.parameters()).item())
            optimizer.step()
            if t == 3:
                early = dashboard(log)
        board = dashboard(log)
    assert early.steps == (0, 3) and board.steps == (0, 5) and board.layers == ("0", "2")
    panels = {panel.metric: panel for panel in board.panels}
    sequences = {"distance.x", "distance.y", "distance.z", "z_minus_x"}
    assert (sequences <= panels.keys()) == (kind == "schedule-free")
    (whole,) = [c for c in panels["grad_norm"].curves if c.series == WHOLE]
    assert list(whole.y) == pytest.approx(norms, rel=1e-6)  # float32 gradients
