"""The one-pass kernels: torch's values and gradients, whatever the number of threads."""

import pytest
import torch
from torch.nn import functional

from sftheory.lm import fused, team
from sftheory.lm.transformer import EPS, rotated, rotation


def plain_norm(h, gain):
    return functional.rms_norm(h, gain.shape, gain, EPS)


def own_norm(h, gain):
    return fused.NormOfSum.apply(h, None, gain)[1]


def plain_sum_norm(h, added, gain):
    return h + added, plain_norm(h + added, gain)


def plain_turn(h, weight, cos, sin):
    q, k, v = (h @ weight.T).view(*h.shape[:2], 3, 2, 8).unbind(2)
    q, k = (functional.rms_norm(a, a.shape[-1:], None, EPS) for a in (q, k))
    return rotated(q, cos, sin), rotated(k, cos, sin), v


def plain_swiglu(both):
    a, b = both.chunk(2, dim=-1)
    return functional.silu(a) * b


def cases(T):
    cos, sin = rotation(T, 8)
    return {
        "norm": (plain_norm, own_norm, [(3, T, 24), (24,)], ()),
        "norm of a sum": (
            plain_sum_norm,
            fused.NormOfSum.apply,
            [(3, T, 24), (3, T, 24), (24,)],
            (),
        ),
        "turn": (
            plain_turn,
            lambda h, weight, c, s: fused.NormedTurned.apply(h, weight, 2, c, s),
            [(3, T, 16), (48, 16)],
            (cos, sin),
        ),
        "swiglu": (plain_swiglu, fused.SwiGLU.apply, [(3, T, 48)], ()),
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("T", [1, 7, 640])  # the last one is cut into shares
@pytest.mark.parametrize("name", ["norm", "norm of a sum", "turn", "swiglu"])
def test_a_kernel_is_torchs_composition_in_float64(name, T, threads):
    torch.set_num_threads(threads)
    plain, own, shapes, constants = cases(T)[name]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    wide = [x.clone().requires_grad_() for x in inputs]
    narrow = [x.float().requires_grad_() for x in inputs]
    expected = plain(*wide, *(c.double() for c in constants))
    found = own(*narrow, *constants)
    expected, found = (a if isinstance(a, tuple) else (a,) for a in (expected, found))
    weights = [torch.randn(a.shape, generator=generator, dtype=torch.float64) for a in expected]
    sum((a * w).sum() for a, w in zip(expected, weights, strict=True)).backward()
    sum((a * w.float()).sum() for a, w in zip(found, weights, strict=True)).backward()
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a.float(), b, rtol=1e-5, atol=1e-5)  # float32
    for a, b in zip(wide, narrow, strict=True):
        torch.testing.assert_close(a.grad.float(), b.grad, rtol=1e-4, atol=1e-4)


def test_the_sum_alone_has_its_gradient():
    h, added, gain = (torch.randn(s, requires_grad=True) for s in ((4, 24), (4, 24), (24,)))
    weight = torch.randn(4, 24)
    (fused.NormOfSum.apply(h, added, gain)[0] * weight).sum().backward()
    assert torch.equal(h.grad, weight) and torch.equal(added.grad, weight) and gain.grad is None


def test_without_openmp_one_thread_does_all_rows(monkeypatch):
    h, gain = torch.randn(640, 64), torch.ones(64)
    torch.set_num_threads(2)
    shared = own_norm(h, gain)
    monkeypatch.setattr(team, "_openmp", lambda: None)
    assert team.shares_of(h.numel()) == 1
    torch.testing.assert_close(own_norm(h, gain), shared, rtol=0, atol=0)


def test_strided_inputs_are_read_as_they_are():
    h = torch.randn(5, 2, 24).transpose(0, 1)
    gain = torch.ones(24)
    torch.testing.assert_close(own_norm(h, gain), plain_norm(h, gain))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_take_torchs_own(dtype):
    assert not fused.usable(torch.zeros(2, dtype=dtype))
    assert fused.usable(torch.zeros(2))


def test_the_sigmoid_is_right_to_2e_7():
    a = torch.linspace(-30, 30, 20001)
    both = torch.stack([a, torch.ones_like(a)], dim=1)
    found = fused.SwiGLU.apply(both)[:, 0].double()  # a σ(a)
    exact = functional.silu(a.double())
    assert bool(((found - exact).abs() <= 2e-7 * a.abs().double() + 1e-12).all())
