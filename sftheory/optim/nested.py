"""The state of an optimizer inside the state_dict of another, in torch's own layout.

Entries of the inner one have names "base.…", so that whatever reshapes or shards a state_dict by
parameter, as torch's distributed checkpoints do, carries them along.
"""

from __future__ import annotations

from typing import Any

PREFIX = "base."
State = dict[Any, dict[str, Any]]  # of each parameter, by its index or name


def merged(outer: State, inner: State) -> State:
    """Both as one."""
    state = dict(outer)
    for index, entries in inner.items():
        named = {f"{PREFIX}{key}": value for key, value in entries.items()}
        state[index] = {**state.get(index, {}), **named}
    return state


def split(state: State) -> tuple[State, State]:
    """The outer and the inner one."""
    outer: State = {}
    inner: State = {}
    for index, entries in state.items():
        outer[index] = {k: v for k, v in entries.items() if not k.startswith(PREFIX)}
        inner[index] = {
            k.removeprefix(PREFIX): v for k, v in entries.items() if k.startswith(PREFIX)
        }
    return outer, inner
