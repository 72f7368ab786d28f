"""The package as its users get it: typed, built, with a command."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent


def run(*command: str, cwd: Path = PACKAGE) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_synchronous_client_is_made_of_the_asynchronous_one() -> None:
    made = run(
        sys.executable,
        "-c",
        "import sys; sys.path.insert(0, 'tools'); import make_sync; print(make_sync.made(), end='')",
    )
    assert made == (PACKAGE / "src/sapixdb_boboyka/_sync_client.py").read_text(), (
        "run python sdk/python/tools/make_sync.py"
    )


def test_it_is_typed_by_mypy_and_pyright_also_where_it_is_used() -> None:
    sample = str(HERE / "sample_project")
    run(sys.executable, "-m", "mypy", "--cache-dir=/dev/null", "src", "examples", sample)
    run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable)
    wrong = HERE / "sample_project_wrong.py"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir=/dev/null", str(wrong)],
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    assert 'incompatible type "int"' in done.stdout and "Found 1 error" in done.stdout, done.stdout


def test_wheel_and_sdist_hold_both_packages_and_their_types(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", str(tmp_path))
    wheel, sdist = next(tmp_path.glob("*.whl")), next(tmp_path.glob("*.tar.gz"))
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("sapixdb_boboyka", "sapixdb_agent"):
        assert f"{package}/__init__.py" in names and f"{package}/py.typed" in names
    with tarfile.open(sdist) as archive:
        assert any(name.endswith("src/sapixdb_boboyka/py.typed") for name in archive.getnames())
