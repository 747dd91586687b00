"""Where and how a run computes: device, dtype, compilation, determinism, peak speed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from sftheory.core.errors import InputError
from sftheory.lm.sections import Run

PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # bfloat16, dense, FLOP/s


def settled(run: Run) -> tuple[torch.device, torch.dtype, bool]:
    """Device, dtype and whether to compile, with "auto" decided and torch's switches set.

    Raises:
        InputError: CUDA is asked for and there is none.
    """
    name = run.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"run.device={run.device!r} but torch sees no GPU; set it to 'cpu'.")
    device = torch.device(name)
    cuda = device.type == "cuda"
    low = run.dtype == "bfloat16" or (run.dtype == "auto" and cuda)
    if run.threads:
        torch.set_num_threads(run.threads)
    if run.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    compiled = run.compile == "yes" or (run.compile == "auto" and cuda)
    return device, torch.bfloat16 if low else torch.float32, compiled


def compiler(compiled: bool) -> Callable[[Any], Any]:
    """torch.compile for fixed shapes, or nothing."""
    return (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)


def peak_flops(device: torch.device) -> float | None:
    """The device's published peak in bfloat16; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for key, peak in PEAKS.items() if key in name), None)
