"""Metrics: each is one function of a `Reading`, the inner products of logged steps.

A metric is registered with `@METRICS.register()` in a module of this folder. It may ask for any
inner product: `s.dot(a, b)` is <a, b> over the parameters of each module, and `s.norm(a)` its root.
Many steps are evaluated together, all their modules along one axis, so that a metric is a function
of each entry alone. The vectors are

    w        the parameters w_t, where the gradient was taken
    dw       w_{t+1} - w_t
    moved    w_t - w_0, with w_0 the parameters when the probe was attached
    g        the gradient of the loss at w_t: accumulated, unscaled, before clipping, and reduced by
             DDP or FSDP; what is reduced by hand after backward() is seen before that
    first    the gradient after the first backward of the step
    used     the gradient that the step was given: after clipping
    z-x, z-y of a schedule-free method

g and first are read when backward() ends, before w moves: their products may hold anything but dw.
With `sequence=True` the metric is also known as name.x, name.y and name.z; `w`, `dw` and `moved`
are then those of x, y or z. Values which do not exist are NaN, and null in the frame. A metric must
not branch on a value, because the value is still on its way.
"""

from sftheory.core.registry import Registry

METRICS = Registry("metric", __name__)
__getattr__ = METRICS.attribute
__dir__ = METRICS.symbols
