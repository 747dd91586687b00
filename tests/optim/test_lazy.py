"""What importing the package, and taking small steps, does not load."""

import subprocess
import sys

import pytest

CODE = {
    "listing": "import sftheory.optim; dir(sftheory.optim); assert 'torch' not in sys.modules",
    "a small step": (
        "import torch, sftheory.optim; w = torch.nn.Parameter(torch.ones(3)); w.grad = w.detach();"
        "sftheory.optim.ScheduleFreeAdamW([w]).step(); assert 'numba' not in sys.modules"
    ),
}


@pytest.mark.parametrize("code", CODE.values(), ids=CODE)
def test_nothing_heavy_is_imported_by(code):
    subprocess.run([sys.executable, "-c", f"import sys; {code}"], check=True)
