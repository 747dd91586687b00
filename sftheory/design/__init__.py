"""Optimal schedules: steps of least exact worst case, with a proof of how good they are."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Plan": "sftheory.design.plan",
        "continuation": "sftheory.design.after_prefix",
        "horizon_transfer": "sftheory.design.other_horizon",
        "optimal": "sftheory.design.constrained",
        "refine": "sftheory.design.logged_norms",
    },
)
