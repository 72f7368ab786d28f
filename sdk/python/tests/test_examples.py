"""The page's own examples, cut out of it, and ours: run as they are, as scripts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import BINARIES, ROOT, Sidecar, answers, run_script, wait_until

PAGE = ROOT.parent / "shared" / "boboyka-integration.txt"
EXAMPLES = ROOT / "sdk" / "python" / "examples"
# The page's examples speak to this address.
URL = "http://localhost:7475"


def not_in_use() -> None:
    assert not answers(f"{URL}/v1/boboyka/status"), "a sidecar runs on localhost:7475: end it, then run again"


@pytest.fixture
def without_supabase(tmp_path: Path) -> Iterator[None]:
    not_in_use()
    sidecar = Sidecar(tmp_path, port=7475)
    yield
    sidecar.stop()


@pytest.fixture
def with_supabase() -> Iterator[None]:
    """A sidecar beside a real Postgres and PostgREST."""
    not_in_use()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [BINARIES / "local-supabase"], stdout=log, stderr=log, start_new_session=True
        )
        wait_until(lambda: answers(f"{URL}/v1/boboyka/status"), "the sidecar beside Supabase")
        yield
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)


def cut(page: str, title: str) -> str:
    """The example with this title, as it stands on the page."""
    lines = page.splitlines()
    begin = lines.index(title) + 1
    code: list[str] = []
    for line in lines[begin:]:
        if line and not re.match(r"\s|import |from |async def |def |asyncio\.run\(|#", line):
            break
        code.append(line)
    return "\n".join(code).strip() + "\n"


@pytest.fixture
def examples(tmp_path: Path) -> dict[str, Path]:
    """The page's four examples as files."""
    if not PAGE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(
                f"the public page is not beside the checkout ({PAGE.name}), so its examples can't be run"
            )
        pytest.skip("THE PAGE'S EXAMPLES WERE NOT RUN: the page is not beside the checkout")
    page = PAGE.read_text()
    files: dict[str, Path] = {}
    for title in (
        "build_pipeline.py",
        "health_monitor.py",
        "audit_example.py",
        "via SapixClient (no extra package)",
    ):
        code = cut(page, title)
        if title.startswith("via"):
            # The page leaves the call to its reader.
            assert "asyncio.run" not in code
            code += "\n\nimport asyncio\nasyncio.run(main())\n"
        name = title if title.endswith(".py") else "sapix_client.py"
        files[name] = tmp_path / name
        files[name].write_text(code)
    return files


def run_the_pages(examples: dict[str, Path], mirrored: bool) -> None:
    build = run_script(examples["build_pipeline.py"], {})
    assert re.fullmatch(r"Recorded build bld_007: [0-9a-f]{16}…\n", build), build
    assert run_script(examples["health_monitor.py"], {}) == ""
    audit = run_script(examples["audit_example.py"], {})
    assert re.fullmatch(rf"  \[\d{{13}}\] [0-9a-f]{{12}}…  ok={True if mirrored else None}\n", audit), audit
    sapix = run_script(examples["sapix_client.py"], {}).splitlines()
    assert re.fullmatch(r"[0-9a-f]{64}", sapix[0]) and sapix[1] == "4", sapix
    assert "'record_type': 'audit_log'" in sapix[2]


def test_the_pages_examples_run_unmodified_without_supabase(
    without_supabase: None, examples: dict[str, Path]
) -> None:
    run_the_pages(examples, mirrored=False)


def test_the_pages_examples_run_unmodified_beside_a_real_postgrest(
    with_supabase: None, examples: dict[str, Path]
) -> None:
    run_the_pages(examples, mirrored=True)


def test_our_examples_run(sidecar: Sidecar) -> None:
    here = {"BOBOYKA_URL": sidecar.url}
    assert run_script(EXAMPLES / "build_pipeline.py", here).startswith("build b1 is record 2, ")
    assert run_script(EXAMPLES / "health_monitor.py", here) == "reported\n"
    assert "deploy_completed" in run_script(EXAMPLES / "audit_trail.py", here)
    assert run_script(EXAMPLES / "plain_client.py", here) == "6 6 3\n"
