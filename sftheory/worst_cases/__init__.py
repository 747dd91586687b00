"""Exact worst cases: the value, a function that attains it, and a certificate."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Interpolation": "sftheory.worst_cases.interpolation",
        "MaxOfLinear": "sftheory.worst_cases.hard_functions",
        "WorstCase": "sftheory.worst_cases.result",
        "WorstCases": "sftheory.worst_cases.result",
        "worst_case": "sftheory.worst_cases.solve",
    },
)
