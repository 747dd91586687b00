"""Loss curves: read from logs, fitted with intervals that cover."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {
        "Curve": "sftheory.fits.curve",
        "Fit": "sftheory.fits.answer",
        "Fits": "sftheory.fits.fitting",
        "JointFit": "sftheory.fits.joint",
        "LAWS": "sftheory.fits.laws",
        "compare": "sftheory.fits.comparison",
        "find_phases": "sftheory.fits.phases",
        "fit": "sftheory.fits.fitting",
        "fit_many": "sftheory.fits.fitting",
        "fit_schedules": "sftheory.fits.joint",
        "log_bins": "sftheory.fits.binning",
        "read": "sftheory.fits.readers",
        "read_all": "sftheory.fits.readers",
        "watch": "sftheory.fits.watching",
    },
)
