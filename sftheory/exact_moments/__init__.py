"""Exact averages over gradient noise on quadratics: no sampling."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Moments": "sftheory.exact_moments.moments",
        "moments": "sftheory.exact_moments.moments",
        "critical_step": "sftheory.exact_moments.stability",
        "spectral_radius": "sftheory.exact_moments.stability",
        "stability_map": "sftheory.exact_moments.stability",
        "transient_growth": "sftheory.exact_moments.stability",
    },
)
