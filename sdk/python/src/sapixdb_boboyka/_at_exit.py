"""Writes what recorders still hold when the process ends: by an exit, by SIGTERM, or at the end of a
`multiprocessing` child."""

from __future__ import annotations

import atexit
import logging
import signal
import sys
import threading
from typing import Any

from ._process import PerProcess
from ._queue import Queue
from .errors import BoboykaError

_log = logging.getLogger("sapixdb_boboyka")

# Kubernetes kills after 30 s; an agent has an end of its own to come to.
_TIMEOUT = 10.0


def _begin() -> set[Queue]:
    _hook_child()
    return set()


_open = PerProcess(_begin)
_ending = False


def watch(queue: Queue) -> None:
    """Has a queue closed at the end of this process, unless `forget` comes first."""
    if _ending:
        raise BoboykaError("the process ends, a recorder can't begin now; BoboykaSyncClient can still write")
    _open.get().add(queue)


def forget(queue: Queue) -> None:
    _open.get().discard(queue)


def close_all() -> None:
    """Writes what all queues hold, for at most 10 s, and tells what was not written."""
    global _ending
    _ending = True
    queues = list(_open.peek() or ())
    for queue in queues:
        queue.begin_close(_TIMEOUT)
    try:
        for queue in queues:
            queue.wait_closed()
    finally:
        # An interrupt, such as a second Ctrl-C, ends the wait but not the report.
        lost = sum(len(queue.take_rest()) for queue in queues)
        for queue in queues:
            forget(queue)
        if lost:
            _log.critical("the process ends and %d records of its recorder were not written", lost)


def _hook_child() -> None:
    """A child of `multiprocessing`, or of Celery's copy of it, ends without Python's exit functions; it runs
    the finalizers of its own library instead."""
    for library in ("multiprocessing", "billiard"):
        process: Any = sys.modules.get(f"{library}.process")
        util: Any = sys.modules.get(f"{library}.util")
        if process and util and process.current_process().name != "MainProcess":
            util.Finalize(None, close_all, exitpriority=0)


def handle_sigterm() -> None:
    """Installs a handler that closes all queues, then ends the process as SIGTERM does by default.

    Only where a handler can be installed, in the main thread, and where the application has none.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return
    try:
        signal.signal(signal.SIGTERM, _on_sigterm)
    except ValueError:
        # A subinterpreter's main thread; signals belong to the main interpreter.
        _log.debug("no handler of SIGTERM can be installed here")


def _on_sigterm(*_: object) -> None:
    # First, so that a second SIGTERM ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        close_all()
    finally:
        signal.raise_signal(signal.SIGTERM)
        # The kernel spares process 1 of a container.
        sys.exit(128 + signal.SIGTERM)


atexit.register(close_all)
