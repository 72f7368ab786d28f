"""The package as its users get it: typed, built, with a command."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from conftest import ROOT

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


def test_wheel_and_sdist_hold_both_packages_their_types_and_the_licence(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", str(tmp_path))
    wheel, sdist = next(tmp_path.glob("*.whl")), next(tmp_path.glob("*.tar.gz"))
    licence = (ROOT / "LICENSE").read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for package in ("sapixdb_boboyka", "sapixdb_agent"):
            assert f"{package}/__init__.py" in names and f"{package}/py.typed" in names
        folder = next(name for name in names if name.endswith("/METADATA")).removesuffix("METADATA")
        assert archive.read(f"{folder}licenses/LICENSE") == licence
        metadata = email.message_from_bytes(archive.read(f"{folder}METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["License-File"] == "LICENSE"
    classifiers = metadata.get_all("Classifier", [])
    versions = [name.rpartition("3.")[2] for name in classifiers if ":: Python :: 3." in name]
    assert versions == ["10", "11", "12", "13", "14"]
    # An index refuses a licence that is given twice.
    assert not any(name.startswith("License ::") for name in classifiers)
    with tarfile.open(sdist) as archive:
        ends = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "src/sapixdb_boboyka/py.typed"} <= ends


def test_the_readme_has_no_link_that_holds_only_in_the_source_tree() -> None:
    links = re.findall(r"\]\(([^)]*)\)", (PACKAGE / "README.md").read_text())
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
