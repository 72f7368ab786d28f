"""The documents' Python and its commands, cut out of them and run as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT, Sidecar, run_script

DOCUMENTS = [ROOT / "docs" / name for name in ("agents.md", "sapixdb.md")]
# What tests/python.sh has installed before it runs this.
INSTALLED = ["pip install ./sdk/python", "pip install sapixdb"]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_python_of_the_documents_runs(document: Path, sidecar: Sidecar, tmp_path: Path) -> None:
    scripts = blocks(document, "python")
    assert scripts
    for script in scripts:
        path = tmp_path / "script.py"
        path.write_text(script.replace("http://localhost:7475", sidecar.url))
        printed = run_script(path, {"BOBOYKA_URL": sidecar.url})
        assert re.match(r"[0-9a-f]{64}\n", printed), printed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_commands_of_the_documents_run(document: Path, sidecar: Sidecar) -> None:
    lines = "".join(blocks(document, "console")).splitlines()
    commands = [line[2:] for line in lines if line.startswith(("$ pip ", "$ python "))]
    assert commands
    for command in commands:
        if command.startswith("pip "):
            assert command in INSTALLED
            continue
        program = command.removeprefix("python ").replace("'", "")
        arguments = re.findall(r"\{.*\}|\S+", program)
        printed = run_script(arguments, {"BOBOYKA_URL": sidecar.url})
        assert "audit_log" in printed or "hash" in printed, (command, printed)
