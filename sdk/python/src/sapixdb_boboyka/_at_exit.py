"""Writes what recorders still hold when the process ends: by an exit, by SIGTERM, or at the end of a
`multiprocessing` child."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from ._process import PerProcess
from ._queue import Queue
from .errors import BoboykaError

_log = logging.getLogger("sapixdb_boboyka")

# The libraries whose children end without Python's exit functions.
_LIBRARIES = "multiprocessing", "billiard"
# Kubernetes kills after 30 s; an agent has an end of its own to come to.
_TIMEOUT = 10.0


def _begin() -> set[Queue]:
    _hook_child()
    return set()


_open = PerProcess(_begin)
_ending = False
# Reentrant: the handler of SIGTERM may interrupt a close in the main thread.
_closing = PerProcess(threading.RLock)
# Where `_wake_main` reads the numbers of signals, and where Python writes them.
_pipe: tuple[int, int] | None = None
# The signals that threads which fork now had blocked before, by thread.
_masks: dict[int, set[Any]] = {}


def watch(queue: Queue) -> None:
    """Has a queue closed at the end of this process, unless `forget` comes first."""
    if _ending:
        raise BoboykaError("the process ends, a recorder can't begin now; BoboykaSyncClient can still write")
    _open.get().add(queue)


def forget(queue: Queue) -> None:
    _open.get().discard(queue)


def close_all() -> None:
    """Writes what all queues hold, for at most 10 s, and tells what was not written.

    A second thread waits for the first: it may end the process when this returns.
    """
    global _ending
    _ending = True
    with _closing.get():
        _close_open()


def _close_open() -> None:
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
    if util := _library_of_child():
        util.Finalize(None, close_all, exitpriority=0)


def _library_of_child() -> Any:
    """The `util` module of the library that made this process; none if this is no such child."""
    for library in _LIBRARIES:
        process: Any = sys.modules.get(f"{library}.process")
        util: Any = sys.modules.get(f"{library}.util")
        if process and util and process.current_process().name != "MainProcess":
            return util
    return None


def handle_sigterm() -> None:
    """Installs a handler that closes all queues, then ends the process as SIGTERM does by default.

    Only where a handler can be installed, in the main thread, and where the application has none.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _on_sigterm)
        if signal.getsignal(signal.SIGTERM) is _on_sigterm and _library_of_child():
            _watch_sigterm()
    except ValueError:
        # A subinterpreter's main thread; signals belong to the main interpreter.
        _log.debug("no handler of SIGTERM can be installed here")


def _watch_sigterm() -> None:
    """Has a thread wake the main thread for a SIGTERM that it missed, where no event loop has the wakeup
    descriptor.

    Python runs a handler between two instructions of the main thread. A signal that comes just before this
    thread waits, as a pool's worker does for its next task, does not end the wait; and a parent that waits
    for its child sends no second one.
    """
    global _pipe
    # Windows has no thread to wake: there SIGTERM ends a process at once.
    if _pipe or not hasattr(signal, "pthread_kill"):
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    earlier = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    if earlier != -1:
        signal.set_wakeup_fd(earlier)
        os.close(reader)
        os.close(writer)
        return
    _pipe = reader, writer
    threading.Thread(target=_wake_main, args=(reader,), name="boboyka-sigterm", daemon=True).start()


def _wake_main(reader: int) -> None:
    while signals := os.read(reader, 64):
        if signal.SIGTERM in signals and _handles_sigterm():
            break
    else:
        # Somebody closed the other end.
        return
    # First, because the second SIGTERM ends the process at once if its handler runs already.
    close_all()
    while main := threading.main_thread().ident:
        signal.pthread_kill(main, signal.SIGTERM)
        time.sleep(0.1)


def _handles_sigterm() -> bool:
    """Whether the handler is ours; when it runs, it has put the default in its place."""
    return signal.getsignal(signal.SIGTERM) in (_on_sigterm, signal.SIG_DFL)


def _before_fork() -> None:
    """Holds SIGTERM back, if its handler is ours: Python drops a signal that comes to a child before it has
    begun, and the handler would never run."""
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        # Read before it is changed, and the outer one is kept: a handler may run here, raise, or fork itself.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        finally:
            _masks.setdefault(threading.get_ident(), mask)


def _after_fork() -> None:
    mask = _masks.get(threading.get_ident())
    if mask is not None:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        finally:
            _masks.pop(threading.get_ident(), None)


def _begin_child() -> None:
    try:
        _forget_wakeup()
        if signal.getsignal(signal.SIGTERM) is _on_sigterm:
            for library in _LIBRARIES:
                util: Any = sys.modules.get(f"{library}.util")
                # Another thread may have been importing it.
                if register := getattr(util, "register_after_fork", None):
                    # Runs in the library's own child and in no other.
                    register(_open, _watch_inherited)
    finally:
        _after_fork()
        _masks.clear()


def _watch_inherited(_: object) -> None:
    """A child that waits for work may never use a recorder, and has the handler nevertheless."""
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        # Before Python 3.12 it may be that of the parent's event loop, which does not run here.
        signal.set_wakeup_fd(-1)
        _watch_sigterm()


def _forget_wakeup() -> None:
    """In a forked child: its own signal must not wake its parent. From Python 3.12 on asyncio does it."""
    global _pipe
    if _pipe is None:
        return
    reader, writer = _pipe
    _pipe = None
    current = signal.set_wakeup_fd(-1)
    if current != writer:
        signal.set_wakeup_fd(current)
    os.close(reader)
    os.close(writer)


def _on_sigterm(*_: object) -> None:
    # First, so that a second SIGTERM ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        close_all()
    finally:
        signal.raise_signal(signal.SIGTERM)
        # A thread that forks has it blocked, while another thread may take it.
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        # The kernel spares process 1 of a container, and Python ignores what a hook of a fork raises.
        if threading.get_ident() in _masks:
            os._exit(128 + signal.SIGTERM)
        sys.exit(128 + signal.SIGTERM)


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_child)
atexit.register(close_all)
