"""Torch optimizers of the family, and replaying a function through any optimizer."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "AdamC": "sftheory.optim.adam_c",
        "GPAAdamW": "sftheory.optim.gpa_adamw",
        "Objective": "sftheory.optim.replaying",
        "PolyakScheduleFreeSGD": "sftheory.optim.polyak_schedule_free_sgd",
        "ScheduleFree": "sftheory.optim.schedule_free",
        "ScheduleFreeAdamW": "sftheory.optim.schedule_free_adamw",
        "ScheduleFreePlus": "sftheory.optim.schedule_free_plus",
        "ScheduleFreeRAdam": "sftheory.optim.schedule_free_radam",
        "ScheduleFreeSGD": "sftheory.optim.schedule_free_sgd",
        "replay": "sftheory.optim.replaying",
    },
)
