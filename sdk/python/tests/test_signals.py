"""SIGTERM, Ctrl-C and exits: what a recorder holds is written, or counted in the log."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest
from conftest import Sidecar, finish, start

from sapixdb_boboyka import BoboykaSyncClient

BEGIN = """
import asyncio, atexit, os, signal, sys, threading, time
from sapixdb_boboyka import BoboykaError, BoboykaSyncClient, Recorder

# A job in the background of a shell ignores SIGINT, and its children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

def record(recorder, number=1000):
    for n in range(number):
        recorder.record("audit_log", {"agent_id": "a", "event": "e", "n": n})

def say_ready():
    print("ready", flush=True)
"""

RECORD = """
recorder = Recorder()
record(recorder)
say_ready()
threading.Event().wait()
"""


def ended_by(signals: list[int], code: str, url: str, command: list[str] | None = None) -> tuple[int, str]:
    """Runs a program, sends it signals once it is ready; its exit status and standard error."""
    process = start([*(command or []), sys.executable, "-c", BEGIN + code], {"BOBOYKA_URL": url})
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    for number in signals:
        process.send_signal(number)
    _, errors = finish(process)
    return process.returncode, errors


def numbers(sidecar: Sidecar) -> list[int]:
    with BoboykaSyncClient(sidecar.url) as client:
        events: list[Any] = list(client.iter_events(include_data=True, page_size=1000))
    return sorted(event.data["n"] for event in events)


def test_sigterm_writes_what_waits_and_ends_the_process_as_ever(sidecar: Sidecar) -> None:
    status, _ = ended_by([signal.SIGTERM], RECORD, sidecar.url)
    assert status == -signal.SIGTERM
    assert numbers(sidecar) == list(range(1000))


def test_sigterm_that_interrupts_record_loses_only_what_was_not_recorded(sidecar: Sidecar) -> None:
    status, _ = ended_by(
        [signal.SIGTERM],
        """
recorder = Recorder(max_waiting=10_000_000)
say_ready()
n = 0
while True:
    recorder.record("audit_log", {"agent_id": "a", "event": "e", "n": n})
    n += 1
    if n % 100 == 0:
        recorder.flush()
""",
        sidecar.url,
    )
    assert status == -signal.SIGTERM
    found = numbers(sidecar)
    assert found == list(range(len(found)))


@pytest.mark.parametrize(
    "wait",
    [
        "asyncio.run(asyncio.sleep(3600))",
        "recorder.flush(3600)",
        "time.sleep(3600)",
        "os.read(os.pipe()[0], 1)",
    ],
)
def test_sigterm_is_obeyed_wherever_the_main_thread_waits(sidecar: Sidecar, wait: str) -> None:
    code = f"""
recorder = Recorder()
record(recorder, 10)
threading.Timer(0.2, say_ready).start()
{wait}
time.sleep(3600)
"""
    status, _ = ended_by([signal.SIGTERM], code, sidecar.url)
    assert status == -signal.SIGTERM
    assert numbers(sidecar) == list(range(10))


HANDLERS = {
    "set before": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\nrecorder = Recorder()\nrecord(recorder)",
    "set after": "recorder = Recorder()\nrecord(recorder)\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(3))",
}


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_of_the_application_stays_and_an_exit_in_it_writes_what_waits(
    sidecar: Sidecar, handler: str
) -> None:
    code = f"{HANDLERS[handler]}\nsay_ready()\nthreading.Event().wait()"
    status, _ = ended_by([signal.SIGTERM], code, sidecar.url)
    assert status == 3
    assert numbers(sidecar) == list(range(1000))


def test_an_ignored_sigterm_stays_ignored(sidecar: Sidecar) -> None:
    code = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
recorder = Recorder()
say_ready()
sys.stdin.read()
record(recorder, 10)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        env={**os.environ, "BOBOYKA_URL": sidecar.url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert numbers(sidecar) == list(range(10))


def test_an_event_loops_handler_that_stops_it_writes_what_waits(sidecar: Sidecar) -> None:
    code = """
recorder = Recorder()
async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    record(recorder)
    say_ready()
    await stop.wait()
asyncio.run(main())
"""
    assert ended_by([signal.SIGTERM], code, sidecar.url)[0] == 0
    assert numbers(sidecar) == list(range(1000))


def test_a_recorder_made_in_a_thread_leaves_the_signals_alone(sidecar: Sidecar) -> None:
    code = """
def work():
    with Recorder() as recorder:
        record(recorder, 10)
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
say_ready()
"""
    assert ended_by([], code, sidecar.url)[0] == 0
    assert numbers(sidecar) == list(range(10))


def test_ctrl_c_writes_what_waits(sidecar: Sidecar) -> None:
    status, errors = ended_by([signal.SIGINT], RECORD, sidecar.url)
    assert status == -signal.SIGINT and "KeyboardInterrupt" in errors
    assert numbers(sidecar) == list(range(1000))


def test_sigterm_without_a_sidecar_says_how_many_records_are_lost(sidecar: Sidecar) -> None:
    sidecar.kill_9()
    status, errors = ended_by([signal.SIGTERM], RECORD, sidecar.url)
    assert status == -signal.SIGTERM
    assert "no answer from the sidecar" in errors
    assert "1000 records of its recorder were not written" in errors


def test_a_second_ctrl_c_ends_the_wait_and_says_how_many_records_are_lost(sidecar: Sidecar) -> None:
    sidecar.kill_9()
    code = """
recorder = Recorder()
record(recorder)
# Runs before the recorder's own function, and marks the begin of the wait.
atexit.register(lambda: threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start())
say_ready()
"""
    _, errors = ended_by([], code, sidecar.url)
    assert "1000 records of its recorder were not written" in errors


def test_an_exit_writes_what_is_recorded_by_exit_functions_too(sidecar: Sidecar) -> None:
    code = """
recorder = Recorder()
record(recorder, 9)
atexit.register(lambda: recorder.record("audit_log", {"agent_id": "a", "event": "end", "n": 9}))
say_ready()
"""
    assert ended_by([], code, sidecar.url)[0] == 0
    assert numbers(sidecar) == list(range(10))


def test_a_recorder_that_begins_after_the_last_moment_says_so(sidecar: Sidecar) -> None:
    # Exit functions run last in, first out, so this one is registered before the package's.
    code = """
import atexit
def late():
    try:
        Recorder().record("audit_log", {"agent_id": "a", "event": "end", "n": 1})
    except BoboykaError as error:
        print(error, file=sys.stderr)
atexit.register(late)
"""
    process = subprocess.run(
        [sys.executable, "-c", code + BEGIN + "record(Recorder(), 1)"],
        env={**os.environ, "BOBOYKA_URL": sidecar.url},
        capture_output=True,
        text=True,
    )
    assert "BoboykaSyncClient can still write" in process.stderr
    assert numbers(sidecar) == [0]


def test_sigterm_ends_process_1_of_a_container_too(sidecar: Sidecar) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "--pid", "--fork", "true"]).returncode != 0:
        pytest.skip("NO PROCESS WAS RUN AS NUMBER 1: this user can't make a PID namespace")
    code = """
assert os.getpid() == 1
recorder = Recorder()
record(recorder)
say_ready()
signal.signal(signal.SIGALRM, lambda *_: os._exit(99))
signal.alarm(60)
os.kill(1, signal.SIGTERM)
"""
    status, errors = ended_by([], code, sidecar.url, [unshare, "--pid", "--fork"])
    assert status == 128 + signal.SIGTERM, errors
    assert numbers(sidecar) == list(range(1000))
