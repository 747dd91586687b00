"""The one-pass kernels: torch's values and gradients, whatever the number of threads."""

import pytest
import torch
from torch.nn import functional

from sftheory.lm import fused
from sftheory.lm.transformer import EPS, rotated, rotation


def plain_norm(h, gain):
    return functional.rms_norm(h, gain.shape, gain, EPS)


def plain_turn(qkv, cos, sin):
    q, k, v = qkv.unbind(2)
    q, k = (functional.rms_norm(a, a.shape[-1:], None, EPS) for a in (q, k))
    return rotated(q, cos, sin), rotated(k, cos, sin), v


def plain_swiglu(both):
    a, b = both.chunk(2, dim=-1)
    return functional.silu(a) * b


def cases(T):
    cos, sin = rotation(T, 8)
    return {
        "norm": (plain_norm, lambda h, g: fused.RMSNorm.apply(h, g, EPS), [(3, T, 24), (24,)], ()),
        "turn": (
            plain_turn,
            lambda x, c, s: fused.NormedTurned.apply(x, c, s, EPS),
            [(3, T, 3, 2, 8)],
            (cos, sin),
        ),
        "swiglu": (plain_swiglu, fused.SwiGLU.apply, [(3, T, 48)], ()),
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("T", [1, 7, 640])  # the last one is cut into shares
@pytest.mark.parametrize("name", ["norm", "turn", "swiglu"])
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


def test_strided_inputs_are_read_as_they_are():
    h = torch.randn(5, 2, 24).transpose(0, 1)
    gain = torch.ones(24)
    torch.testing.assert_close(fused.RMSNorm.apply(h, gain, EPS), plain_norm(h, gain))


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
