r"""The arithmetic of `one_pass.advance` as a Triton kernel: one launch moves every parameter.

A program of the grid moves BLOCK entries of one row of a table of addresses that is on the device.
It reads y, z, v, m, g once and writes y, z, v, m once. Multiplications and additions are not
fused, roots and quotients are rounded to nearest: float32 results are those of `one_pass`.
"""
# pyright: reportMissingImports=false, reportOptionalMemberAccess=false, reportInvalidTypeForm=false

from __future__ import annotations

from typing import Any

try:
    import triton
    import triton.language as tl
except ImportError:  # lists take the step
    triton: Any = None
    tl: Any = None

BLOCK = 1024  # entries of a program: eight of each tensor for each thread, in two loads of 16 bytes
OPTIONS = {"num_warps": 4, "enable_fp_fusion": False}
COLUMNS = ("y", "z", "g", "v", "m")  # of the table: addresses, 0 where there is none; then
LENGTH, FIRST, EVEN, WIDTH = 5, 6, 7, 8  # entries, first program, 1 if all addresses are 16 n
jit: Any = triton.jit if triton else lambda function: function


@jit
def number(a, stored: tl.constexpr):
    """A number that came by value, or one that is read where it lies on the device."""
    if stored:
        return tl.load(a).to(tl.float32)
    else:
        return a


@jit
def opened(row, column: tl.constexpr, first, even: tl.constexpr, block: tl.constexpr):
    """Pointers to a program's entries, from `first` on, of the tensor in a column of a row."""
    start = tl.load(row + column).to(tl.pointer_type(tl.float32))
    if even:
        start = tl.multiple_of(start, 16)
    return start + first + tl.arange(0, block)


@jit
def share(table, programs, block: tl.constexpr):
    """The row that this program works on, its first entry there, how many follow, and EVEN."""
    program = tl.program_id(0)
    row = table + 8 * tl.load(programs + program).to(tl.int64)
    first = (program - tl.load(row + 6)) * block
    return row, first, tl.load(row + 5) - first, tl.load(row + 7) != 0


@jit
def advance(
    row, first, mask, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z,
    has_z: tl.constexpr, has_v: tl.constexpr, has_m: tl.constexpr, divides: tl.constexpr,
    even: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One step of a block of entries, or of those of them where the mask is true."""
    y, z = opened(row, 0, first, even, block), opened(row, 1, first, even, block)
    g, v = opened(row, 2, first, even, block), opened(row, 3, first, even, block)
    m = opened(row, 4, first, even, block)
    yi, gi = tl.load(y, mask), tl.load(g, mask)
    zi, mi, vi = yi, gi, gi
    if has_z:
        zi = tl.load(z, mask)
    if has_m:
        mi = tl.load(m, mask)
    if has_v:
        vi = tl.load(v, mask)  # all is read before the first write, which might be to what is read
    u = gi
    if has_m:
        u = mi + rest * (gi - mi)
        tl.store(m, u, mask)
    if has_v:
        vi = beta2 * vi + rest2 * (gi * gi)
        tl.store(v, vi, mask)
        if divides:
            u = tl.math.div_rn(u, tl.math.sqrt_rn(vi) + eps)
    u = u + decay_y * yi + decay_z * zi
    if has_z:
        tl.store(y, yi + toward * (zi - yi) + along_y * u, mask)
        tl.store(z, zi + along_z * u, mask)
    else:
        tl.store(y, yi + along_z * u, mask)


@jit
def move(
    table, programs, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z,
    has_z: tl.constexpr, has_v: tl.constexpr, has_m: tl.constexpr, divides: tl.constexpr,
    stored: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """One step of all rows; `programs` says for each program which row it works on.

    A bit of `stored` says for each of the last five numbers, and then for eps, whether it is an
    address.
    """
    decay_y, decay_z = number(decay_y, stored & 1), number(decay_z, stored & 2)
    toward = number(toward, stored & 4)
    along_y, along_z = number(along_y, stored & 8), number(along_z, stored & 16)
    eps = number(eps, stored & 32)
    row, first, left, even = share(table, programs, block)
    if even & (left >= block):  # then loads and stores are of 16 bytes
        advance(
            row, first, None, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z,
            has_z, has_v, has_m, divides, True, block,
        )  # fmt: skip
    else:
        mask = tl.arange(0, block) < left
        advance(
            row, first, mask, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z,
            has_z, has_v, has_m, divides, False, block,
        )  # fmt: skip


@jit
def terms(row, first, mask, what: tl.constexpr, even: tl.constexpr, block: tl.constexpr):
    """What `summed` adds up, and 0 where the mask is false."""
    found = tl.load(opened(row, 2, first, even, block), mask)
    if what == 0:
        y, z = opened(row, 0, first, even, block), opened(row, 1, first, even, block)
        found = found * (tl.load(z, mask) - tl.load(y, mask))
    elif what == 1:
        found = tl.abs(found)
    else:
        found = found * found
    if mask is not None:
        found = tl.where(mask, found, 0.0)
    return found


@jit
def summed(table, programs, out, what: tl.constexpr, block: tl.constexpr):
    """Each program's sum of g (z - y), |g| or g² where `what` is 0, 1 or 2."""
    row, first, left, even = share(table, programs, block)
    if even & (left >= block):
        total = tl.sum(terms(row, first, None, what, True, block), 0)
    else:
        mask = tl.arange(0, block) < left
        total = tl.sum(terms(row, first, mask, what, False, block), 0)
    tl.store(out + tl.program_id(0), total)
