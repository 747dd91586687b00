"""Small transformers: schedules, averages and schedule-free compared in one run."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Config": "sftheory.lm.config",
        "Run": "sftheory.lm.runs",
        "branch": "sftheory.lm.branching",
        "line": "sftheory.lm.lines",
        "load": "sftheory.lm.runs",
        "merged": "sftheory.lm.branching",
        "read_sweep": "sftheory.lm.plans",
        "record": "sftheory.lm.results",
        "sweep": "sftheory.lm.sweeps",
        "train": "sftheory.lm.training",
        "train_stacked": "sftheory.lm.stacked",
    },
)
