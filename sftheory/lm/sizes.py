"""One dial from 0.3M to 350M parameters: width, layers and heads by the name of a size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftheory.core.errors import nearest

SIZES: dict[str, tuple[int, int, int]] = {  # width, layers, heads; counted with 256 tokens
    "0.3M": (80, 4, 2),
    "0.6M": (96, 5, 3),
    "1M": (128, 5, 2),
    "3M": (192, 7, 3),
    "5M": (256, 6, 4),
    "10M": (320, 8, 5),
    "30M": (512, 9, 8),
    "60M": (640, 12, 10),
    "124M": (768, 12, 12),  # with 50,304 tokens
    "350M": (1024, 24, 16),  # with 50,304 tokens
}
GPT2: dict[str, Any] = {
    "norm": "layer",
    "positions": "learned",
    "mlp": "gelu",
    "qk_norm": False,
    "bias": True,
}


def expanded(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of [model] with `size` and `preset` written out; what is said besides them wins.

    Example:
        >>> expanded({"size": "1M", "layers": 2})
        {'width': 128, 'layers': 2, 'heads': 2}
    """
    values = dict(values)
    size, preset = values.pop("size", None), values.pop("preset", None)
    chosen: dict[str, Any] = {}
    if preset is not None:
        if preset != "gpt2":
            raise nearest("model preset", str(preset), ["gpt2"])
        chosen |= {"context": 1024, "vocabulary": 50304, **GPT2}
        size = size or "124M"
    if size is not None:
        if size not in SIZES:
            raise nearest("model size", str(size), SIZES)
        chosen |= dict(zip(("width", "layers", "heads"), SIZES[size], strict=True))
    return {**chosen, **values}
