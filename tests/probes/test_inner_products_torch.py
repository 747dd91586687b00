"""Inner products in one compiled pass, and one by one by torch, against float64 sums."""

import numpy as np
import pytest
import torch

from sftheory.probes import inner_products
from sftheory.probes.inner_products import flat, in_one_pass, one_by_one

PAIRS = [("a", "a"), ("a", "d"), ("d", "d"), ("b", "d")]  # d stands for a - b
CPU = torch.device("cpu")
WAYS = {
    "one pass": in_one_pass,
    "one by one": lambda *given: one_by_one(*given, CPU, torch.float64).T.numpy(),
}
ROUNDING = {"one pass": 3e-7, "one by one": 3e-6}  # of blocks and of whole pieces in float32
SHAPES = [(1,), (0,), (), (1023,), (1025,), (300, 257), (3, 4, 5, 6), (70_001,)]
LAYOUTS = {
    "contiguous": lambda t: t,
    "transposed": lambda t: t.mT.contiguous().mT if t.ndim > 1 else t,
    "strided": lambda t: torch.stack([t, t], dim=-1)[..., 0],
    "channels last": lambda t: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t,
}


def drawn(dtype, layout, seed=0, shapes=SHAPES):
    make = torch.Generator().manual_seed(seed)
    return [
        {n: LAYOUTS[layout](torch.randn(shape, generator=make, dtype=dtype)) for n in "ab"}
        for shape in shapes
    ]


def opened(each):
    """Functions from a name to a tensor, or to two; None stays."""
    for own in each:
        yield own and (lambda n, own=own: (own["a"], own["b"]) if n == "d" else own[n])


def wanted(each):
    table = np.zeros((len(each), len(PAIRS)))
    for row, own in zip(table, each, strict=True):
        if own is not None:
            v = {k: flat(t).double().numpy() for k, t in own.items()}
            v["d"] = v["a"] - v["b"]
            row[:] = [v[p] @ v[q] for p, q in PAIRS]
    return table


def scale(each):
    """What a relative error of the sums refers to: ‖a‖² + ‖b‖² of each parameter."""
    sums = [
        sum(flat(t).double().square().sum().item() for t in (own or {}).values()) for own in each
    ]
    return np.maximum(sums, 1e-30)[:, None]


@pytest.fixture(params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
@pytest.mark.parametrize("way", WAYS)
def test_sums_are_those_of_float64(way, dtype, layout, threads):
    each = drawn(dtype, layout)
    each.insert(2, None)
    found = WAYS[way](PAIRS, opened(each))
    error = np.abs(found - wanted(each)) / scale(each)
    assert error.max() < (1e-14 if dtype == torch.float64 else ROUNDING[way])


@pytest.mark.parametrize("way", WAYS)
def test_parameters_may_differ_in_precision_and_be_many(way, threads, monkeypatch):
    monkeypatch.setattr(inner_products, "_AT_ONCE", 10_000)
    dtypes = [torch.float32, torch.float64, torch.bfloat16, torch.float32]
    each = [own for k, dtype in enumerate(dtypes) for own in drawn(dtype, "contiguous", k)]
    each[-1] = each[5] = None
    error = np.abs(WAYS[way](PAIRS, opened(each)) - wanted(each)) / scale(each)
    assert error.max() < ROUNDING[way]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("each", [[], [None, None]], ids=["no parameters", "no vectors"])
def test_what_is_not_there_is_zero(way, each):
    assert np.array_equal(WAYS[way](PAIRS, opened(each)), np.zeros((len(each), len(PAIRS))))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_seen(way, bad):
    each = drawn(torch.float32, "contiguous", shapes=[(5000,), (10,)])
    each[0]["a"][1234] = bad
    found = WAYS[way](PAIRS, opened(each))
    assert found[0, 0] == pytest.approx(bad, nan_ok=True)
    assert not np.isfinite(found[0, :3]).any() and np.isfinite(found[1]).all()
