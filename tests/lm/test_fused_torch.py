"""The one-pass kernels: torch's values and gradients, whatever the number of threads."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from sftheory.lm import fused, kernels, products, team
from sftheory.lm.sections import Model
from sftheory.lm.transformer import EPS, Transformer, rotated, rotation

needs_blas = pytest.mark.skipif(not products.blas(), reason="torch's BLAS shows no sgemm_")


def plain_norm(h, gain):
    return functional.rms_norm(h, gain.shape, gain, EPS)


def own_norm(h, gain):
    return fused.NormOfSum.apply(h, None, gain)[1]


def plain_sum_norm(h, added, gain):
    return h + added, plain_norm(h + added, gain)


def plain_attention(h, weight, cos, sin):
    q, k, v = (h @ weight.T).view(*h.shape[:2], 3, 2, 8).unbind(2)
    q, k = (functional.rms_norm(a, a.shape[-1:], None, EPS) for a in (q, k))
    q, k, v = (a.transpose(1, 2) for a in (rotated(q, cos, sin), rotated(k, cos, sin), v))
    hidden = torch.ones(h.shape[1], h.shape[1]).triu(1).bool()
    scores = (q @ k.transpose(2, 3) / 8**0.5).masked_fill(hidden, -torch.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).reshape(h.shape)


def plain_swiglu(h, into, back):
    a, b = (h @ into.T).chunk(2, dim=-1)
    return (functional.silu(a) * b) @ back.T


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
        "attention": (
            plain_attention,
            lambda h, weight, c, s: fused.Attended.apply(h, weight, 2, c, s),
            [(3, T, 16), (48, 16)],
            (cos, sin),
        ),
        "swiglu": (plain_swiglu, fused.Gated.apply, [(3, T, 16), (48, 16), (16, 24)], ()),
    }


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("T", [1, 7, 100, 640])  # the last one is cut into shares
@pytest.mark.parametrize(
    "name",
    ["norm", "norm of a sum", pytest.param("attention", marks=needs_blas), "swiglu"],
)
def test_a_kernel_is_torchs_composition_in_float64(name, T, threads):
    torch.set_num_threads(threads)
    plain, own, shapes, constants = cases(T)[name]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    inputs = [x / x.shape[1] ** 0.5 if x.ndim == 2 else x for x in inputs]  # as weights are
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
    monkeypatch.setattr(team, "runtime", lambda: None)
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


def test_a_powers_relative_error_is_below_2e_7():
    x = np.linspace(-126, 126, 20001).astype(np.float32)
    found = np.array([kernels.power(value) for value in x], dtype=np.float64)
    assert np.max(np.abs(found / 2.0 ** x.astype(np.float64) - 1)) < 2e-7


@needs_blas
@pytest.mark.parametrize("flip_a", [0, 1])
@pytest.mark.parametrize("flip_b", [0, 1])
def test_a_product_reads_and_writes_parts_of_arrays(flip_a, flip_b):
    a, b, c = (np.random.default_rng(0).normal(size=(9, 11)).astype(np.float32) for _ in range(3))
    A, B = a[:4, :5], b[:5, :3]
    wanted, rest = c.copy(), 0.5 * c[:4, :3]
    wanted[:4, :3] = 2 * A.astype(np.float64) @ B + rest
    a, b = (np.ascontiguousarray(x.T) if flip else x for x, flip in ((a, flip_a), (b, flip_b)))
    of_a, of_b, of_c = a.shape[1], b.shape[1], c.shape[1]
    sizes, places = (4, 3, 5, of_a, flip_a, of_b, flip_b, of_c), (x.ctypes.data for x in (a, b, c))
    products.product(products.blas(), sizes, *places, np.float32(2), np.float32(0.5))
    np.testing.assert_allclose(c, wanted, rtol=1e-5, atol=1e-5)  # float32


@needs_blas
def test_without_a_blas_attention_is_torchs(monkeypatch):
    net = Transformer(Model(width=32, layers=2, heads=2, context=16), 100)
    tokens = torch.randint(0, 100, (3, 17), generator=torch.Generator().manual_seed(1))
    losses = []
    for found in (products.blas(), 0):
        monkeypatch.setattr(fused, "blas", lambda found=found: found)
        assert fused.attends(torch.zeros(3, 16, 32), 2) == bool(found)
        losses.append(net.loss(tokens)[1].detach())
    torch.testing.assert_close(*losses, rtol=1e-5, atol=0)  # float32


@needs_blas
def test_attention_is_torchs_where_flash_is_excluded_or_threads_would_idle():
    h = torch.zeros(3, 16, 32)
    torch.set_num_threads(3)
    with sdpa_kernel(SDPBackend.MATH):
        assert not fused.attends(h, 2)
    assert fused.attends(h, 2) and not fused.attends(h[:1], 2)


@needs_blas
def test_no_weight_gets_a_gradient_that_is_not_wanted():
    h, weight = torch.randn(2, 7, 16, requires_grad=True), torch.randn(48, 16)
    fused.Attended.apply(h, weight, 2, *rotation(7, 8)).sum().backward()
    fused.Gated.apply(h, weight, torch.randn(16, 24)).sum().backward()
    assert h.grad is not None and weight.grad is None


def test_the_sigmoid_is_right_to_2e_7():
    a = torch.linspace(-30, 30, 20001)
    into = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    both = torch.stack([a, torch.ones_like(a)], dim=1)
    found = fused.Gated.apply(both, into, torch.ones(2, 1))[:, 0].double()  # a σ(a)
    exact = functional.silu(a.double())
    assert bool(((found - exact).abs() <= 2e-7 * a.abs().double() + 1e-12).all())
