"""One client and one recorder, made before a fork and used on both sides of it."""

from __future__ import annotations

import json
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import Sidecar, answers, finish, free_port, start, wait_until

from sapixdb_boboyka import BoboykaSyncClient

BEGIN = """
import asyncio, concurrent.futures, multiprocessing, os, signal, sys, threading, time
from sapixdb_boboyka import *
from sapixdb_boboyka import BoboykaSyncClient as Client

def health(name, n):
    return {"agent_id": name, "status": "healthy", "n": n}

def audit(n):
    return {"agent_id": "a", "event": "e", "n": n}

def tell(name, n, receipt):
    os.write(1, f"{name} {n} {receipt.record_hash}\\n".encode())
"""


def run(code: str | Path, sidecar: Sidecar, expected: int = 0) -> tuple[str, str]:
    """Runs a program in a Python of its own; what it wrote to standard output and standard error."""
    program: list[str | Path] = [code] if isinstance(code, Path) else ["-c", BEGIN + code]
    process = start([sys.executable, *program], {"BOBOYKA_URL": sidecar.url})
    output, errors = finish(process)
    assert process.returncode == expected, errors
    return output, errors


def written(sidecar: Sidecar) -> dict[str, Any]:
    """Every record by its hash."""
    with BoboykaSyncClient(sidecar.url) as client:
        return {event.record_hash: event.data for event in client.iter_events(include_data=True)}


def numbers(sidecar: Sidecar) -> list[int]:
    return sorted(data["n"] for data in written(sidecar).values())


def check_receipts(output: str, sidecar: Sidecar, expected: int) -> None:
    """Every receipt names the record for which it was given."""
    records = written(sidecar)
    receipts = [line.split() for line in output.splitlines()]
    assert len(receipts) == expected
    for name, n, record_hash in receipts:
        data = records[record_hash]
        assert (data["agent_id"], data["n"]) == (name, int(n))


# How a child is made: `body` runs in it with its number in `child`.
FORKS = {
    "os.fork": """
children = []
for child in range(3):
    if (pid := os.fork()) == 0:
        work(child)
        os._exit(0)
    children.append(pid)
work("parent")
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
""",
    "os.fork in a thread": """
def fork():
    children = []
    for child in range(3):
        if (pid := os.fork()) == 0:
            work(child)
            os._exit(0)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
forking = threading.Thread(target=fork)
forking.start()
work("parent")
forking.join()
""",
    "multiprocessing fork": """
make = multiprocessing.get_context("fork").Process
children = [make(target=work, args=(child,)) for child in range(3)]
[child.start() for child in children]
work("parent")
[child.join() for child in children]
assert [child.exitcode for child in children] == [0, 0, 0]
""",
    "a grandchild": """
if (pid := os.fork()) == 0:
    if (pid := os.fork()) == 0:
        work(0)
        os._exit(0)
    work(1)
    os._exit(os.waitpid(pid, 0)[1] >> 8)
work("parent")
assert os.waitpid(pid, 0)[1] == 0
work(2)
""",
}


@pytest.mark.parametrize("fork", FORKS)
def test_parent_and_child_of_a_fork_get_their_own_receipts(sidecar: Sidecar, fork: str) -> None:
    output, _ = run(
        f"""
client = Client()
client.status()
def work(name):
    for n in range(20):
        tell(name, n, client.ingest("agent_health", health(str(name), n)))
{FORKS[fork]}""",
        sidecar,
    )
    check_receipts(output, sidecar, 80)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("fork", FORKS)
def test_so_do_they_with_the_asynchronous_client(sidecar: Sidecar, fork: str, loop: str) -> None:
    output, _ = run(
        f"""
from {loop} import run
client = BoboykaClient()
run(client.status())
async def send(name):
    for n in range(20):
        tell(name, n, await client.ingest("agent_health", health(str(name), n)))
def work(name):
    run(send(name))
{FORKS[fork]}""",
        sidecar,
    )
    check_receipts(output, sidecar, 80)


REQUESTS = {
    "synchronous": "client = Client()\nwork = lambda: (client.status(), client.ingest_many([('audit_log', {})]))",
    "asynchronous": """
client = BoboykaClient()
async def send():
    await client.status()
    await client.ingest_many([('audit_log', {})])
work = lambda: asyncio.run(send())
""",
    "recorder": """
recorder = Recorder()
def work():
    recorder.record("audit_log", audit(1))
    recorder.close()
""",
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_first_request_imports_nothing_that_a_fork_could_interrupt(sidecar: Sidecar, kind: str) -> None:
    output, _ = run(
        f"""
{REQUESTS[kind]}
asyncio.run(asyncio.sleep(0))
before = set(sys.modules)
work()
print(sorted(set(sys.modules) - before))
""",
        sidecar,
    )
    assert output == "[]\n"


def test_a_fork_while_requests_are_under_way_disturbs_neither_side(sidecar: Sidecar) -> None:
    output, _ = run(
        """
client = Client()
def send(name):
    for n in range(100):
        tell(name, n, client.ingest("agent_health", health(name, n)))
threads = [threading.Thread(target=send, args=(f"t{n}",)) for n in range(4)]
[thread.start() for thread in threads]
for child in range(10):
    if (pid := os.fork()) == 0:
        tell(f"c{child}", 0, client.ingest("agent_health", health(f"c{child}", 0)))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
[thread.join() for thread in threads]
""",
        sidecar,
    )
    check_receipts(output, sidecar, 410)


def test_a_recorder_made_before_a_fork_works_on_both_sides(sidecar: Sidecar) -> None:
    run(
        """
recorder = Recorder()
for n in range(50):
    recorder.record("audit_log", audit(n))
children = []
for child in range(3):
    if (pid := os.fork()) == 0:
        assert recorder.counts.waiting == 0, "the parent's records are the parent's"
        for n in range(50):
            recorder.record("audit_log", audit(100 + 50 * child + n))
        recorder.close()
        os._exit(0)
    children.append(pid)
for n in range(50, 100):
    recorder.record("audit_log", audit(n))
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
recorder.close()
""",
        sidecar,
    )
    assert numbers(sidecar) == list(range(250))


ENDINGS = {
    "returns": "",
    "exits": "sys.exit(0)",
    "raises": "raise ValueError('of the application')",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_multiprocessing_child_writes_what_waits_when_it_ends(
    sidecar: Sidecar, method: str, ending: str, tmp_path: Path
) -> None:
    # A file, because the child of "spawn" and "forkserver" reads its program again.
    program = tmp_path / "program.py"
    program.write_text(f"""{BEGIN}
before = Recorder()
def work(child):
    own = Recorder()
    for n in range(100):
        (before if n % 2 else own).record("audit_log", audit(100 * child + n))
    {ENDINGS[ending]}
if __name__ == "__main__":
    before.record("audit_log", audit(200))
    make = multiprocessing.get_context("{method}").Process
    children = [make(target=work, args=(child,)) for child in range(2)]
    [child.start() for child in children]
    [child.join() for child in children]
""")
    run(program, sidecar)
    assert numbers(sidecar) == list(range(201))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_recorder_and_clients_can_be_given_to_a_process_pool(
    sidecar: Sidecar, method: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"""{BEGIN}
def work(client, asynchronous, recorder, n):
    client.ingest("audit_log", audit(n))
    asyncio.run(asynchronous.ingest("audit_log", audit(100 + n)))
    recorder.record("audit_log", audit(200 + n))
    recorder.close()
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        given = Client(), BoboykaClient(), Recorder()
        [done.result() for done in [pool.submit(work, *given, n) for n in range(10)]]
""")
    run(program, sidecar)
    assert numbers(sidecar) == [*range(10), *range(100, 110), *range(200, 210)]


def test_a_pool_that_is_terminated_still_writes_what_its_workers_recorded(sidecar: Sidecar) -> None:
    run(
        """
recorder = Recorder()
def work(n):
    recorder.record("audit_log", audit(n))
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(work, range(500))
    children = multiprocessing.active_children()
""",
        sidecar,
    )
    assert numbers(sidecar) == list(range(500))


@pytest.mark.parametrize("count", [500, 0])
def test_a_child_ends_on_a_sigterm_that_does_not_interrupt_its_main_thread(
    sidecar: Sidecar, count: int
) -> None:
    # A child that recorded nothing has its parent's handler.
    run(
        f"""
recorder = Recorder()
def terminate(main):
    # As if the signal had come just before the main thread began to wait: another thread gets it.
    while sys._current_frames()[main].f_code.co_name != "work":
        time.sleep(0.01)
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
def work():
    [recorder.record("audit_log", audit(n)) for n in range({count})]
    threading.Thread(target=terminate, args=[threading.get_ident()]).start()
    multiprocessing.Semaphore(0).acquire()
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(60)
exitcode = child.exitcode
child.kill()
assert exitcode == -signal.SIGTERM, exitcode
""",
        sidecar,
    )
    assert numbers(sidecar) == list(range(count))


def test_a_child_that_is_terminated_while_it_begins_ends(sidecar: Sidecar) -> None:
    run(
        """
recorder = Recorder()
make = multiprocessing.get_context("fork").Process
for n in range(50):
    child = make(target=time.sleep, args=(3600,))
    child.start()
    # The signal comes before the child has left os.fork, as a pool's does that has no task for it.
    child.terminate()
    child.join(60)
    exitcode = child.exitcode
    child.kill()
    assert exitcode == -signal.SIGTERM, (n, exitcode)
""",
        sidecar,
    )


def test_a_forked_child_does_not_end_its_parent_by_a_signal_of_its_own(sidecar: Sidecar) -> None:
    run(
        """
recorder = Recorder()
def work():
    recorder.record("audit_log", audit(0))
    if (grandchild := os.fork()) == 0:
        # Python notes the signal without a descriptor to write it to, and the process waits for its end.
        signal.raise_signal(signal.SIGTERM)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == -signal.SIGTERM
    time.sleep(0.5)
    recorder.record("audit_log", audit(1))
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join(60)
assert child.exitcode == 0, child.exitcode
""",
        sidecar,
    )
    assert numbers(sidecar) == [0, 1]


def test_a_child_says_how_many_records_it_could_not_write(sidecar: Sidecar) -> None:
    sidecar.kill_9()
    _, errors = run(
        """
recorder = Recorder()
def work():
    [recorder.record("audit_log", audit(n)) for n in range(7)]
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
assert child.exitcode == 0
""",
        sidecar,
    )
    assert "7 records of its recorder were not written" in errors


def test_a_terminated_child_says_what_it_could_not_write_before_it_ends(sidecar: Sidecar) -> None:
    sidecar.kill_9()
    _, errors = run(
        """
import logging
from sapixdb_boboyka import _at_exit
_at_exit._TIMEOUT = 1.0
class Slow(logging.StreamHandler):
    def emit(self, record):
        if record.levelno == logging.CRITICAL:
            # Two threads close the recorder; the one with nothing to tell must not end the process meanwhile.
            time.sleep(1)
        super().emit(record)
logging.basicConfig(handlers=[Slow()])
recorder = Recorder()
recorded = multiprocessing.Event()
def work():
    [recorder.record("audit_log", audit(n)) for n in range(7)]
    recorded.set()
    time.sleep(300)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
recorded.wait()
child.terminate()
child.join()
assert child.exitcode == -signal.SIGTERM, child.exitcode
""",
        sidecar,
    )
    assert "7 records of its recorder were not written" in errors


def test_a_child_of_a_child_does_not_keep_its_parents_descriptors(sidecar: Sidecar) -> None:
    output, _ = run(
        """
def work():
    earlier = set(os.listdir("/proc/self/fd"))
    Recorder()
    own = set(os.listdir("/proc/self/fd")) - earlier
    if (grandchild := os.fork()) == 0:
        print("kept", sorted(own & set(os.listdir("/proc/self/fd"))), "of", len(own), flush=True)
        os._exit(0)
    os.waitpid(grandchild, 0)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
""",
        sidecar,
    )
    assert "kept [] of 2" in output


def test_errors_come_out_of_a_process_pool_as_they_were_raised(sidecar: Sidecar) -> None:
    run(
        """
client = Client()
def work(n):
    client.ingest("agent_health", {"agent_id": "a", "status": "fine"})
with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    for n in range(2):
        try:
            pool.submit(work, n).result()
        except InvalidRecord as error:
            assert (error.field, error.status, error.code) == ("status", 422, "invalid_field")
        else:
            raise AssertionError("no error")
""",
        sidecar,
    )


def test_gunicorns_preloaded_workers_get_their_own_receipts_and_write_what_waits(
    sidecar: Sidecar, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(f"""{BEGIN}
client, recorder = Client(), Recorder()
client.status()
recorder.record("audit_log", audit(-1))

def app(environ, start_response):
    n = int(environ["QUERY_STRING"])
    recorder.record("audit_log", audit(n))
    receipt = client.ingest("agent_health", health("gunicorn", n))
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"gunicorn {{n}} {{receipt.record_hash}}\\n".encode()]
""")
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        "-m",
        "gunicorn",
        "--preload",
        "--workers=4",
        "--threads=2",
        f"--bind={address}",
        "app:app",
    ]
    server = start([sys.executable, *command], {"BOBOYKA_URL": sidecar.url}, tmp_path)
    try:
        wait_until(lambda: answers(f"http://{address}/?0"), "gunicorn")
        output = b"".join(urllib.request.urlopen(f"http://{address}/?{n}").read() for n in range(1, 60))
    finally:
        server.terminate()
        _, errors = finish(server)
    assert server.returncode == 0, errors
    receipts = {line.split()[2]: int(line.split()[1]) for line in output.decode().splitlines()}
    records = written(sidecar)
    assert len(receipts) == 59
    assert all(records[record_hash]["n"] == n for record_hash, n in receipts.items())
    recorded = {data["n"] for data in records.values() if data["agent_id"] == "a"}
    assert recorded == set(range(-1, 60))


def test_celerys_prefork_workers_write_what_their_tasks_record(sidecar: Sidecar, tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(f"""{BEGIN}
from celery import Celery
app = Celery("tasks", broker="filesystem://", backend="file://results")
folder = {{"data_folder_in": "queue", "data_folder_out": "queue"}}
app.conf.broker_transport_options = {{**folder, "polling_interval": 0.05}}
client, recorder = Client(), Recorder()
client.status()

@app.task
def work(n):
    recorder.record("audit_log", audit(n))
    return client.ingest("agent_health", health("celery", n)).record_hash
""")
    for folder in ("queue", "results"):
        (tmp_path / folder).mkdir()
    environment = {"BOBOYKA_URL": sidecar.url}

    def ask(code: str) -> Any:
        program = f"import json, tasks\nprint(json.dumps([{code}]))"
        asking = start([sys.executable, "-c", program], environment, tmp_path)
        output, errors = finish(asking)
        assert asking.returncode == 0, errors
        return json.loads(output)

    # Before there is a worker: one that reads a message which this transport has not written to its end dies.
    sent = ask("tasks.work.delay(n).id for n in range(30)")
    command = ["-m", "celery", "-A", "tasks", "worker", "-P", "prefork", "-c", "3", "-l", "WARNING"]
    worker = start([sys.executable, *command], environment, tmp_path)
    try:
        hashes = ask(f"tasks.app.AsyncResult(one).get(timeout=240, interval=0.05) for one in {sent}")
    finally:
        worker.send_signal(signal.SIGTERM)
        print(finish(worker)[1])
    records = written(sidecar)
    assert [records[record_hash]["n"] for record_hash in hashes] == list(range(30))
    recorded = sorted(data["n"] for data in records.values() if data["agent_id"] == "a")
    assert recorded == list(range(30))
