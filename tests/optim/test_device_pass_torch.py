"""The one pass on CUDA: its arithmetic interpreted, its code compiled, its host never waiting.

No test here needs a GPU. What one would show beyond these is speed.
"""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from device_pass_cases import LAYOUTS, STEPS, SUMS, TRAINED, TRAINING, finite, rows, trained
from optimizer_cases import CASES, take
from torch.overrides import TorchFunctionMode

from sftheory.optim import ScheduleFreeAdamW, device_kernel, device_pass, one_pass
from sftheory.optim.device_kernel import BLOCK, COLUMNS, EVEN, FIRST, LENGTH, OPTIONS
from sftheory.optim.pieces import Scratch

needs_triton = pytest.mark.skipif(device_kernel.triton is None, reason="triton is not installed")
HERE = Path(__file__).parent
ALONE = [("sizes", name) for name in STEPS]
ALONE += [(layout, "adam, momentum") for layout in LAYOUTS if layout != "sizes"]
every_step = pytest.mark.parametrize(("layout", "name"), ALONE)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the kernel made of every case, in Triton's interpreter."""
    path = tmp_path_factory.mktemp("steps") / "found.npz"
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "error", str(HERE / "device_pass_cases.py"), str(path)]
    subprocess.run(command, check=True, env=environment)
    with np.load(path) as file:
        assert file["interpreted"]
        return dict(file)


# The arithmetic.


def reference(row, how, move):
    """The step as `arithmetic` states it, in float64."""
    y, z, g, v, m = (row[k].double().numpy() if k in row else None for k in COLUMNS)
    top = g
    if how.mu is not None:
        m = top = how.mu * m + (1 - how.mu) * g
    if how.beta2 is not None:
        v = how.beta2 * v + (1 - how.beta2) * g**2
        top = top / (np.sqrt(v) + float(how.eps)) if how.divides else top
    decay_y, decay_z = float(how.decay_y), float(how.decay_z)
    toward, along_y, along_z = (float(a) for a in (move.toward, move.along_y, move.along_z))
    u = top + decay_y * y + decay_z * (y if z is None else z)
    if z is None:
        y = y + along_z * u
    else:
        y, z = y + toward * (z - y) + along_y * u, z + along_z * u
    return dict(zip(COLUMNS, (y, z, g, v, m), strict=True))


@needs_triton
@every_step
def test_the_kernel_takes_the_step_of_the_formulas(layout, name, found):
    how, move, names = STEPS[name]
    for i, row in enumerate(rows(names, layout)):
        with np.errstate(invalid="ignore"):
            expected = reference(row, how, move)
        for k in row:
            # float32 has 24 bits; entries and steps here are of order 1
            np.testing.assert_allclose(
                found[f"{layout}/{name}/{i}{k}"], expected[k], rtol=2e-6, atol=2e-6
            )


LISTS = ("momentum", "v gathered", "no average")  # take these steps on processors


@needs_triton
@pytest.mark.parametrize(("layout", "name"), [case for case in ALONE if case[1] not in LISTS])
def test_the_kernel_is_the_compiled_pass_of_processors_bit_for_bit(layout, name, found):
    how, move, names = STEPS[name]
    made = rows(names, layout)
    full = [row for row in made if row["g"].numel()]
    if full:
        one_pass.step(full, how, move)
    for i, row in enumerate(made):
        for k in row:
            np.testing.assert_array_equal(found[f"{layout}/{name}/{i}{k}"], row[k].numpy())


@needs_triton
@pytest.mark.parametrize("name", TRAINED)
def test_training_by_the_kernel_is_training_on_processors(name, found):
    assert found[f"launches/{name}"] == TRAINING  # one for all tensors of a step
    # two dozen roundings of float32; the lists of some round elsewhere
    np.testing.assert_allclose(found[f"trained/{name}"], trained(name).numpy(), rtol=0, atol=2e-6)


@needs_triton
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("what", SUMS)
def test_sums_are_those_of_float64(what, layout, found):
    added = [{k: t.double() for k, t in r.items()} for r in finite(rows("yzg", layout))]
    terms = [(r["g"] * (r["z"] - r["y"]), r["g"].abs(), r["g"].square())[what] for r in added]
    # a block of 1024 entries is added in float32
    size = sum(t.abs().sum().item() for t in terms)
    expected = sum(t.sum().item() for t in terms)
    assert found[f"{layout}/sum {what}"] == pytest.approx(expected, rel=0, abs=1e-6 * size)


# The code.


def compiled(kernel, types, flags, capability):
    """A kernel compiled for a GPU that need not be there; its first two arguments are tensors."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    divisible = {(i,): [["tt.divisibility", 16]] for i in range(2)}
    types = {"table": "*i64", "programs": "*i32"} | types | dict.fromkeys(flags, "constexpr")
    source = ASTSource(kernel, types, flags, divisible)
    return compile(source, target=GPUTarget("cuda", capability, 32), options=OPTIONS).asm["ptx"]


def built(name, capability, stored=0):
    """The kernel of a direction."""
    how, _, names = STEPS[name]
    numbers = ["rest", "beta2", "rest2", "eps"]
    types = dict.fromkeys(numbers, "fp32")
    ends = ("decay_y", "decay_z", "toward", "along_y", "along_z", "eps")
    types |= {a: "*fp32" if stored & 2**i else "fp32" for i, a in enumerate(ends)}
    flags = {f"has_{k}": k in names for k in "zvm"}
    flags |= dict(divides=how.divides, stored=stored, block=BLOCK)
    return compiled(device_kernel.move, types, flags, capability)


def accesses(code):
    """How often a thread reads and writes memory, by kind."""
    return Counter(re.findall(r"\b(?:ld|st)\.(?:global|local)[\w.]*", code))


THREADS = 32 * OPTIONS["num_warps"]
PASSES = BLOCK // (4 * THREADS)  # of a block without a mask, for one tensor
MASKED = BLOCK // THREADS  # the last block of a tensor has one: entries move singly there


@needs_triton
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("what", SUMS)
def test_sums_read_every_entry_once_sixteen_bytes_at_a_time(what, capability):
    flags = dict(what=what, block=BLOCK)
    found = accesses(compiled(device_kernel.summed, {"out": "*fp32"}, flags, capability))
    tensors = 1 if what else 3
    assert found == {
        "ld.global.v4.b32": tensors * PASSES,
        "ld.global.b32": tensors * MASKED + 1,
        "ld.global.b64": 2 * tensors + 3,
        "st.global.b32": 1,
    }


@needs_triton
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("name", ["adam", "adam, momentum", "plain", "momentum", "no average"])
def test_every_entry_is_read_and_written_once_sixteen_bytes_at_a_time(name, capability):
    names = STEPS[name][2]
    code = built(name, capability)
    found = accesses(code)
    assert code.rindex("ld.global.v4") < code.index("st.global.v4")  # one wait for memory, not more
    assert found == {
        "ld.global.v4.b32": len(names) * PASSES,
        "st.global.v4.b32": (len(names) - 1) * PASSES,
        "ld.global.b32": len(names) * MASKED + 1,  # and the row of the program
        "st.global.b32": (len(names) - 1) * MASKED,
        "ld.global.b64": 2 * len(names) + 3,  # addresses in both cases, length, first program, even
    }
    moved = found["ld.global.v4.b32"] + found["st.global.v4.b32"]
    if name == "adam":
        assert 16 * moved * THREADS / BLOCK == 28  # bytes for each parameter


@needs_triton
@pytest.mark.parametrize("stored", [0, 0b11101, 0b111101])
def test_no_register_spills_and_nothing_is_fused_or_approximated(stored, tmp_path):
    from triton.knobs import nvidia

    code = built("adam, momentum", 80, stored=stored)
    assert "fma" not in code and ".approx" not in code and ".ftz" not in code
    assert "sqrt.rn.f32" in code and "div.rn.f32" in code
    (tmp_path / "kernel.ptx").write_text(code)
    command = [nvidia.ptxas.path, "-v", "-arch=sm_80", "kernel.ptx", "-o", "kernel.cubin"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in done.stderr
    used = int(re.search(r"Used (\d+) registers", done.stderr)[1])
    programs = 65536 // (8 * -(-used // 8) * THREADS)  # at once on one multiprocessor
    in_flight = 4 * BLOCK * len(STEPS["adam, momentum"][2]) * programs
    assert in_flight > 5 * 3.35e12 * 0.8e-6 / 132  # bandwidth times latency, of each in an H100


@needs_triton
def test_numbers_on_the_device_are_read_there():
    loads = [
        len(re.findall(r"ld\.global\.b32", built("adam", 80, stored=stored)))
        for stored in (0, 0b11111, 0b111111)
    ]
    assert [n - loads[0] for n in loads] == [0, 5, 6]


# The host.


class Launches(list):
    """Stands in for the kernel and keeps what it was launched with."""

    def __getitem__(self, grid):
        return lambda *arguments, **options: self.append((grid, arguments, options))


@pytest.fixture
def launches(monkeypatch):
    """Tensors without data take the way of CUDA tensors: reading one raises."""
    kept = Launches()
    monkeypatch.setattr(device_pass, "DEVICES", {"meta"})
    monkeypatch.setattr(device_pass, "_installed", lambda: True)
    monkeypatch.setattr(device_kernel, "move", kept)
    monkeypatch.setattr(device_kernel, "summed", Launches())
    return kept


class FromHost(TorchFunctionMode):
    """Refuses tensors made on a device of numbers on the host: the copy would wait for it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = function in (torch.tensor, torch.as_tensor, torch.asarray)
        if made and not isinstance(args[0], torch.Tensor):
            assert torch.device(kwargs.get("device") or "cpu").type == "cpu", (function, args)
        return function(*args, **kwargs)


OWN = [name for name in CASES if not name.startswith("around")]


@pytest.mark.parametrize("compile", [False, True], ids=["lists", "one launch"])
@pytest.mark.parametrize("lr", ["float", "tensor"])
@pytest.mark.parametrize("name", OWN)
def test_a_step_reads_nothing_from_the_device(name, lr, compile, launches):
    params = [torch.nn.Parameter(torch.empty(s, device="meta")) for s in ((3, 4), (5,), ())]
    optimizer = CASES[name](params, compile=compile)
    if lr == "tensor":
        for group in optimizer.param_groups:
            group["lr"] = torch.empty((), device="meta")
    with FromHost():
        for t in range(8):
            for p in params:
                p.grad = torch.empty_like(p)
            take(optimizer, loss=torch.empty((), device="meta") if t else 1.0)
    stored = "x" in optimizer.state[params[0]]  # lists take the step where x is stored
    assert len(launches) == (8 if compile and not stored else 0)
    for grid, arguments, options in launches:
        assert grid == (3,)
        on_device = [isinstance(a, torch.Tensor) for a in arguments[6:]]
        assert options["stored"] == sum(2**i for i, a in enumerate(on_device) if a)
        assert any(on_device) == (lr == "tensor" or name in ("polyak", "plus"))


def test_a_read_would_be_noticed():
    w = torch.nn.Parameter(torch.empty(3, device="meta"))
    w.grad = torch.empty_like(w)
    with pytest.raises(RuntimeError, match="meta"):
        ScheduleFreeAdamW([w], nonfinite="raise").step()  # which has to look
    with pytest.raises(AssertionError), FromHost():
        torch.tensor(1.0, device="meta")


# The table.


def test_programs_cover_every_entry_once(launches):
    made = rows("yzgv", "sizes")
    device_pass.step(made, *STEPS["adam"][:2], Scratch())
    ((grid, (table, programs, *_), _),) = launches
    assert grid == (len(programs),)
    covered = [np.zeros(row["y"].numel(), int) for row in made]
    for program, i in enumerate(programs.tolist()):
        start = (program - int(table[i, FIRST])) * BLOCK
        assert 0 <= start < int(table[i, LENGTH])
        covered[i][start : start + BLOCK] += 1
    assert all((c == 1).all() for c in covered)
    for i, row in enumerate(made):
        assert table[i, : len(COLUMNS)].tolist() == [
            row[k].data_ptr() if k in row else 0 for k in COLUMNS
        ]


def test_a_table_is_sent_again_only_if_an_address_changed(launches):
    made, scratch = rows("yzgv", "many tensors"), Scratch()
    how, move, _ = STEPS["adam"]
    for _ in range(2):
        device_pass.step(made, how, move, scratch)
    made[3]["g"] = made[3]["g"].clone()
    device_pass.step(made, how, move, scratch)
    first, second, third = (arguments[:2] for _, arguments, _ in launches)
    assert second[0] is first[0] and third[0] is not first[0]
    assert third[1] is first[1] is second[1]  # sizes are the same
    assert third[0][3, COLUMNS.index("g")] == made[3]["g"].data_ptr()


def test_a_captured_step_keeps_its_table(launches, monkeypatch):
    made, scratch = rows("yzgv", "many tensors"), Scratch()
    how, move, _ = STEPS["adam"]
    for capturing in (False, True, False):
        monkeypatch.setattr(device_pass, "_capturing", lambda _, now=capturing: now)
        made[3]["g"] = made[3]["g"].clone()
        device_pass.step(made, how, move, scratch)
        if capturing:
            kept = list(launches)[-1][1][0].clone()
            address = made[3]["g"].data_ptr()
    warmed, captured, after = (arguments[0] for _, arguments, _ in launches)
    assert captured is warmed and after is not captured  # a replay copies what is pinned
    (table,) = scratch.captured
    assert table.sent is captured and torch.equal(captured, kept)
    assert torch.equal(table.pinned[0], kept) and kept[3, COLUMNS.index("g")] == address


def test_one_tensor_off_sixteen_bytes_slows_no_other(launches):
    made = rows("yzgv", "many tensors")
    made[7]["g"] = rows("g", "off 16 bytes")[2]["g"][: made[7]["y"].numel()]
    device_pass.step(made, *STEPS["adam"][:2], Scratch())
    ((_, (table, *_), _),) = launches
    assert table[:, EVEN].tolist() == [i != 7 for i in range(len(made))]


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row | {"x": row["y"].clone()},
        lambda row: {k: t.double() for k, t in row.items()},
        lambda row: row | {"g": row["g"].bfloat16()},
        lambda row: {"p" if k == "y" else k: t for k, t in row.items()},
    ],
    ids=["x", "float64", "a gradient in bfloat16", "low precision"],
)
def test_lists_take_what_the_kernel_does_not(change, monkeypatch):
    monkeypatch.setattr(device_pass, "DEVICES", {"cpu"})
    monkeypatch.setattr(device_pass, "_installed", lambda: True)
    plain = rows("yzgv", "many tensors")
    assert device_pass.suits(plain)
    assert not device_pass.suits([change(row) for row in plain])


def test_where_no_kernel_can_be_built_lists_take_the_step_with_a_warning(monkeypatch):
    def broken(*_):
        raise RuntimeError("Failed to find C compiler.\nand more")

    monkeypatch.setattr(device_pass, "step", broken)
    device_pass.works.cache_clear()
    with pytest.warns(RuntimeWarning, match="could not build .*Failed to find C compiler"):
        assert not device_pass.works(torch.device("cpu"))
    device_pass.works.cache_clear()
