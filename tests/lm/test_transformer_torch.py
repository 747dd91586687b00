"""The model: its loss three ways, its causality, its size and its operations."""

import math

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sftheory.core.errors import InputError
from sftheory.lm import loss as losses
from sftheory.lm.sections import Model
from sftheory.lm.sizes import GPT2, SIZES, expanded
from sftheory.lm.transformer import Transformer, flops_per_token, rotated, rotation

SHAPES = {
    "modern": {},
    "gpt2": GPT2,
    "untied": {"tied": False},
    "without qk norm": {"qk_norm": False},
    "z-loss and cap": {"z_loss": 1e-2, "softcap": 5.0},
}


def model(**changes):
    shape = Model(**{"width": 32, "layers": 2, "heads": 2, "context": 16, **changes})
    return Transformer(shape, 100)


def batch(rows=3, length=17):
    return torch.randint(0, 100, (rows, length), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", SHAPES)
def test_no_logit_depends_on_a_later_token(name):
    net = model(**SHAPES[name])
    tokens = batch()[:, :-1]
    changed = tokens.clone()
    changed[:, 9:] = (changed[:, 9:] + 1) % 100
    a, b = net(tokens), net(changed)
    assert torch.equal(a[:, :9], b[:, :9])
    assert not torch.equal(a[:, 9:], b[:, 9:])


@pytest.mark.parametrize("name", SHAPES)
def test_the_loss_is_that_of_its_logits(name):
    net = model(**SHAPES[name])
    with torch.no_grad():  # larger weights, so that caps and z-losses are felt
        for p in net.parameters():
            p.mul_(4)
    tokens = batch()
    logits = net(tokens[:, :-1]).detach().double()
    lse = logits.logsumexp(-1)
    entropy = (lse - logits.gather(-1, tokens[:, 1:, None])[..., 0]).mean()
    objective, loss = (value.detach() for value in net.loss(tokens))
    wanted = entropy + net.shape.z_loss * lse.square().mean()
    assert float(loss) == pytest.approx(float(entropy), abs=1e-5)  # float32
    assert float(objective) == pytest.approx(float(wanted), abs=1e-5)


@pytest.mark.parametrize("how", ["chunked", "torch"])
@pytest.mark.parametrize(("z_loss", "softcap"), [(0, 0), (1e-2, 0), (0, 2.0), (1e-2, 2.0)])
def test_chunks_give_the_same_loss_and_gradients(how, z_loss, softcap, monkeypatch):
    monkeypatch.setattr(losses, "CHUNK", 7 * 64)
    generator = torch.Generator().manual_seed(0)
    answers = []
    for kind in ("plain", how):
        generator.manual_seed(0)
        h = torch.randn(50, 16, generator=generator, dtype=torch.float64, requires_grad=True)
        w = torch.randn(64, 16, generator=generator, dtype=torch.float64, requires_grad=True)
        y = torch.randint(0, 64, (50,), generator=generator)
        objective, loss = losses.cross_entropy(h, w, y, z_loss=z_loss, softcap=softcap, how=kind)
        (3 * objective).backward()
        answers.append((objective.detach().double(), loss.detach().double(), h.grad, w.grad))
    for plain, other in zip(*answers, strict=True):  # logits are float32
        torch.testing.assert_close(plain, other, rtol=1e-5, atol=1e-6)


def test_without_torchs_own_chunks_ours_are_taken(monkeypatch):
    monkeypatch.setattr(losses, "has_torch_chunks", lambda: False)
    net, other = model(loss="torch"), model(loss="plain")
    for p, q in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
    ours, plain = (m.loss(batch())[0] for m in (net, other))
    torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize("name", ["modern", "gpt2", "untied"])
@pytest.mark.parametrize("how", ["plain", "chunked"])
def test_the_flops_formula_counts_what_torch_counts(name, how):
    net = model(loss=how, **SHAPES[name])
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        net.loss(batch())[0].backward()
    tokens = 3 * 16
    assert counter.get_total_flops() == flops_per_token(net) * tokens


def test_124m_at_1024_costs_what_is_published_for_gpt2():
    shape = Model(**expanded({"preset": "gpt2"}))
    d, L, V = shape.width, shape.layers, shape.vocabulary
    N = 12 * L * d * d + V * d
    assert 6 * N + 12 * L * d * shape.context == pytest.approx(0.855e9, rel=1e-3)


@pytest.mark.parametrize("size", ["0.3M", "0.6M", "1M", "3M", "5M", "10M"])
def test_a_size_has_that_many_parameters(size):
    width, layers, heads = SIZES[size]
    net = Transformer(Model(width=width, layers=layers, heads=heads), 256)
    count = sum(p.numel() for p in net.parameters())
    assert count == pytest.approx(float(size[:-1]) * 1e6, rel=0.15)


@pytest.mark.parametrize(("size", "N"), [("124M", 124e6), ("350M", 354e6)])
def test_the_large_sizes_are_gpt2s(size, N):
    width, layers, _ = SIZES[size]
    assert 12 * layers * width**2 + 50304 * width == pytest.approx(N, rel=0.01)


def test_turning_depends_on_the_distance_alone():
    cos, sin = rotation(32, 8)
    q, k = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    rows = rotated(q.expand(1, 32, 1, 8), cos, sin)[0, :, 0]
    others = rotated(k.expand(1, 32, 1, 8), cos, sin)[0, :, 0]
    products = rows @ others.T
    for distance in range(5):
        line = products.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), rtol=1e-4, atol=1e-4)


def test_the_first_loss_is_that_of_a_guess_with_normal_logits():
    loss = model().loss(batch(16))[1].detach()
    # 100 tokens are padded to 128; a normed h makes logits of variance 0.02² 768
    assert loss.item() == pytest.approx(math.log(128) + 0.02**2 * 768 / 2, abs=0.1)


def test_weights_depend_on_the_seed_alone():
    a, b, c = model(), model(), model()
    for net, seed in ((a, 1), (b, 1), (c, 2)):
        net.initialise(seed)
    assert torch.equal(a.embedding, b.embedding)
    assert not torch.equal(a.embedding, c.embedding)


def test_bfloat16_computes_the_same_from_float32_masters():
    full = model()
    low = Transformer(full.shape, 100, torch.bfloat16)
    a, b = full.loss(batch())[0], low.loss(batch())[0]
    b.backward()
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in low.parameters())
    assert float(a.detach()) == pytest.approx(float(b.detach()), abs=0.02)  # 2^-8 of the logits


def test_a_vocabulary_smaller_than_the_corpus_needs_is_refused():
    with pytest.raises(InputError, match="too small for the corpus's 256 tokens"):
        Transformer(Model(vocabulary=64), 256)
