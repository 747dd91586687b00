import pytest
import torch

from sftheory.schedules import SCHEDULES


@pytest.mark.parametrize("entry", SCHEDULES.load().values(), ids=lambda e: e.name)
def test_lambda_lr_plays_the_schedule(entry):
    N, peak = 12, 0.1
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, entry.make(N).as_lambda(N))
    played = []
    for _ in range(N):
        played.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()  # after the last step this asks for k = N
    assert played == [peak * eta for eta in entry.make(N)(N).tolist()]
