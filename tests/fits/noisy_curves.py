"""Curves on which a law holds, with AR(1) noise, and the real ones where they are at hand."""

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
STEPS = np.linspace(1000, 50_000, 250)


def noisy(seed: int = 0, rho: float = 0.0, sd: float = 0.002, p: float = 0.5) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal(len(STEPS))
    for i in range(1, len(noise)):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return 28.2 / (STEPS + 60) ** p + 2.9766 + sd * noise


def visible():
    if not os.environ.get("SFTHEORY_DATA"):
        pytest.skip("SFTHEORY_DATA is not set: the real curves are not part of the project")
    spec = importlib.util.spec_from_file_location(
        "visible_curves", ROOT / "benchmarks" / "visible_curves.py"
    )
    assert spec and spec.loader
    module = sys.modules.setdefault("visible_curves", importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module.visible_curves(Path(os.environ["SFTHEORY_DATA"]) / "curves")
