"""The explorers in a notebook: anywidget shows the JavaScript module, Python computes its data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sftheory.core.errors import InputError, nearest
from sftheory.explore.drawn_schedules import INPUTS as DRAWN
from sftheory.explore.drawn_schedules import worst_case_data
from sftheory.explore.dropped_logs import INPUTS as LOG
from sftheory.explore.dropped_logs import law_data
from sftheory.explore.modules import style, widget_module
from sftheory.explore.rivers import INPUTS as RIVER
from sftheory.explore.rivers import river_data

Compute = Callable[..., dict[str, Any]]


def river(**inputs: Any) -> Any:
    """A run in a noisy valley, live; the arguments of `river_data` are where it starts.

    `widget.inputs` can be set from Python, and `widget.data` is what is shown.

    Raises:
        InputError: an argument is unknown, or anywidget is not installed.

    Example:
        >>> widget = river(method="last iterate", schedule="linear")
        >>> widget.data["gamma"] == widget.data["effective"]
        True
    """
    return _widget("rivers", river_data, RIVER, inputs)


def worst_case(**inputs: Any) -> Any:
    """A schedule to draw and its exact worst case, live; arguments as for `worst_case_data`.

    Raises:
        InputError: an argument is unknown, or anywidget is not installed.

    Example:
        >>> widget = worst_case(points=[[0, 1], [1, 0]], steps=24)
        >>> round(widget.data["scaled"], 12)
        0.2
    """
    return _widget("drawn_schedules", worst_case_data, DRAWN, inputs)


def law(**inputs: Any) -> Any:
    """A log to drop, the law fitted to it and its verdict, live; arguments as for `law_data`.

    Raises:
        InputError: an argument is unknown, or anywidget is not installed.

    Example:
        >>> sorted(law().data)
        ['losses', 'waiting']
    """
    return _widget("dropped_logs", law_data, LOG, inputs)


def answer(compute: Compute, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a widget shows: the data, or {"error": a sentence}, as nobody sees a traceback."""
    try:
        return compute(**inputs)
    except InputError as error:
        return {"error": str(error)}
    except Exception as error:
        return {"error": f"This could not be computed ({error}); change the inputs."}


def _widget(name: str, compute: Compute, defaults: dict[str, Any], given: dict[str, Any]) -> Any:
    for key in given:
        if key not in defaults:
            raise nearest("input", key, defaults)
    return _kind(name, compute)(inputs=defaults | given)


@cache
def _kind(name: str, compute: Compute) -> Any:
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise InputError(
            "Explorers in a notebook need anywidget; pip install 'sftheory[explore]', or write the "
            "static page with sftheory report --site."
        ) from None

    class Explorer(anywidget.AnyWidget):
        """`inputs` come from the page or from Python, `data` follow."""

        _esm = widget_module(name)
        _css = style()
        inputs = traitlets.Dict().tag(sync=True)
        data = traitlets.Dict().tag(sync=True)

        @traitlets.observe("inputs")
        def _answered(self, change: Any) -> None:
            self.data = answer(compute, change["new"])

    return Explorer
