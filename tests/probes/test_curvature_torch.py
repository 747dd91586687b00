"""Sharpness against the eigenvalues of the Hessian, written out entry by entry."""

import pytest
import torch
from networks import batch, loss_of, members, network, table, train

from sftheory.core.errors import InputError
from sftheory.probes import probe
from sftheory.probes.hessian import gradient_of, largest_eigenvalue


def exact(model, loss, roots=None, where=None):
    """The largest eigenvalue of R H R, or of a block of it, by torch.linalg on the whole matrix."""
    parameters = list(model.parameters())
    gradient = torch.autograd.grad(loss(), parameters, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in gradient])
    rows = []
    for entry in flat:
        row = torch.autograd.grad(entry, parameters, retain_graph=True, allow_unused=True)
        full = [
            torch.zeros_like(p) if r is None else r for r, p in zip(row, parameters, strict=True)
        ]
        rows.append(torch.cat([r.reshape(-1) for r in full]))
    H = torch.stack(rows)
    if roots is not None:
        H = roots[:, None] * H * roots
    if where is not None:
        keep = torch.cat([torch.full((p.numel(),), i in where) for i, p in enumerate(parameters)])
        H = H[keep][:, keep]
    return float(torch.linalg.eigvalsh(H)[-1])


@pytest.mark.parametrize("module", ["", "0", "0.weight", "2.1"])
@pytest.mark.parametrize("warm", [0, 40])
def test_sharpness_is_the_largest_eigenvalue_of_the_hessians_block(module, warm):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer, warm)

    def loss():
        return loss_of(model, batch(50))

    expected = exact(model, loss, where=members(model, module))
    with probe(optimizer, model, metrics=["sharpness"], modules=[module], loss=loss) as log:
        train(model, optimizer, 1)
    # twenty steps of Lanczos from below on 71 eigenvalues
    assert table(log)[0, module, "sharpness"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["torch", "ours", "published"])
def test_preconditioned_sharpness_is_that_of_the_adam_metric(name):
    import schedulefree

    from sftheory.optim import ScheduleFreeAdamW

    model, lr, betas = network(), 0.01, (0.9, 0.99)
    make = {
        "torch": torch.optim.Adam,
        "ours": ScheduleFreeAdamW,
        "published": schedulefree.AdamWScheduleFree,
    }[name]
    optimizer = make(model.parameters(), lr=lr, betas=betas, eps=1e-8)
    if name == "published":
        optimizer.train()
    v = [torch.zeros_like(p) for p in model.parameters()]
    steps = 5
    for t in range(steps):  # the second moment a second way
        optimizer.zero_grad()
        loss_of(model, batch(t)).backward()
        for moment, p in zip(v, model.parameters(), strict=True):
            moment.mul_(betas[1]).add_((1 - betas[1]) * p.grad**2)
        optimizer.step()

    def loss():
        return loss_of(model, batch(50))

    P = 1 / ((torch.cat([m.reshape(-1) for m in v]) / (1 - betas[1] ** steps)).sqrt() + 1e-8)
    expected = exact(model, loss, P.sqrt())
    with probe(optimizer, model, metrics=["preconditioned_sharpness"], loss=loss) as log:
        train(model, optimizer, 1, start=steps)
    assert table(log)[0, "", "preconditioned_sharpness"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    "eigenvalues",
    [
        [3.0],
        [-3.0, -1.0],
        [1.0, -5.0],
        [2.0, 2.0, 2.0],
        [4.0, 4.0, -9.0, 0.0],
        [0.0, 0.0],
        [1e-8, 5],
    ],
)
def test_the_largest_eigenvalue_of_small_matrices_is_exact_also_when_others_are_larger_in_size(
    eigenvalues,
):
    # with few distinct eigenvalues the chain of Lanczos ends early
    d = torch.tensor(eigenvalues, dtype=torch.float64)
    torch.manual_seed(1)
    Q, _ = torch.linalg.qr(torch.randn(len(d), len(d), dtype=torch.float64))
    H, w = Q @ torch.diag(d) @ Q.T, torch.ones(len(d), dtype=torch.float64, requires_grad=True)
    found = largest_eigenvalue(gradient_of(lambda: w @ H @ w / 2, [w]), [w])
    assert float(found) == pytest.approx(max(eigenvalues), abs=1e-10)  # rounding


def test_a_loss_that_does_not_depend_on_a_parameter_has_no_curvature_there():
    w, other = (torch.ones(2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    gradient = gradient_of(lambda: 3 * (w**2).sum() + 5 * other[0], [w, other])
    assert float(largest_eigenvalue(gradient, [w, other])) == pytest.approx(6, rel=1e-12)


def test_the_whole_model_is_sampled_and_blocks_only_where_they_are_named():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log = probe(optimizer, model, metrics=["sharpness"], loss=lambda: loss_of(model, batch(50)))
    train(model, optimizer, 1)
    found = table(log)
    assert found[0, "", "sharpness"] is not None and found[0, "0", "sharpness"] is None


def test_attention_has_a_sharpness():
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(2, 5, 8)

    def loss():
        return model(x).square().mean()

    with probe(optimizer, model, metrics=["sharpness"], loss=loss) as log:
        loss().backward()
        optimizer.step()
    assert table(log)[0, "", "sharpness"] > 0


def test_sharpness_without_a_loss_is_refused():
    model = network()
    with pytest.raises(InputError, match="pass loss"):
        probe(torch.optim.SGD(model.parameters(), lr=0.1), model, metrics=["sharpness"])
