"""Exact averages over gradient noise on quadratics: no sampling."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Moments": "sftheory.exact_moments.expectation",
        "moments": "sftheory.exact_moments.expectation",
        "after_cooldown": "sftheory.exact_moments.answers",
        "best_peak": "sftheory.exact_moments.answers",
        "critical_batch": "sftheory.exact_moments.answers",
        "hill_and_river": "sftheory.exact_moments.answers",
        "split": "sftheory.exact_moments.answers",
        "steps_to": "sftheory.exact_moments.answers",
        "variance_at_the_edge": "sftheory.exact_moments.central_flow",
        "which_average_wins": "sftheory.exact_moments.answers",
        "least_squares": "sftheory.exact_moments.least_squares_noise",
        "critical_step": "sftheory.exact_moments.stability",
        "spectral_radius": "sftheory.exact_moments.stability",
        "stability_map": "sftheory.exact_moments.stability",
        "transient_growth": "sftheory.exact_moments.stability",
    },
)
