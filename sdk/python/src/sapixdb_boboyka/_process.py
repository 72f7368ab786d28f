"""Values that belong to one process: a forked child must not use its parent's connections or threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Stands for this process. A process ID can't: a later child may get the ID of an earlier process.
_current = object()


def _begin_child() -> None:
    global _current
    _current = object()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_child)


class PerProcess(Generic[T]):
    """A value that each process makes for itself on first use.

    A child keeps what it inherited, untouched: closing it would disturb the sockets and the selector that
    the parent still uses.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[object, T] = {}

    def get(self) -> T:
        """This process's value."""
        found = self._made.get(_current)
        if found is None:
            # Atomic, so threads that arrive together agree on one value without a lock; a lock could be
            # held by another thread at the moment of a fork, and stay held in the child.
            found = self._made.setdefault(_current, self._make())
        return found

    def peek(self) -> T | None:
        """This process's value, if it made one."""
        return self._made.get(_current)
