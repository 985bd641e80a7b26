"""What tests of the audit share: its tools, and a repository to look at."""

import subprocess
from pathlib import Path

import pytest

from infra.supply_chain import tools
from tests import servers


@pytest.fixture
def audit_tools() -> Path:
    """The folder of the tools of requirements-audit.txt; without them the test is skipped, and with CI=true fails."""
    if not (tools.BIN.parent / ".installed").exists():
        servers.missing("the tools of the audit (make audit installs them)")
    return tools.BIN


@pytest.fixture
def rules_tools() -> Path:
    """The folder of the tools of requirements-checkov.txt; as `audit_tools`."""
    if not (tools.RULES_BIN.parent / ".installed").exists():
        servers.missing("the rules of the audit (make audit installs them)")
    return tools.RULES_BIN


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty git repository."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path
