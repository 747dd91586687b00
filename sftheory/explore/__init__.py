"""Live explorers: one JavaScript module each, over Python here and over itself on a static page."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "law": "sftheory.explore.widgets",
        "law_data": "sftheory.explore.dropped_logs",
        "river_data": "sftheory.explore.rivers",
        "river": "sftheory.explore.widgets",
        "worst_case": "sftheory.explore.widgets",
        "worst_case_data": "sftheory.explore.drawn_schedules",
    },
)
