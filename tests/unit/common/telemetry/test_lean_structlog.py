"""structlog without what it need not import; the rest of the process notices nothing."""

import subprocess
import sys

import pytest


def said(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


def test_rich_and_asyncio_are_left_out_and_can_be_imported_afterwards() -> None:
    assert said("""
import sys
from common.telemetry.lean_structlog import structlog
assert not {"rich", "asyncio"} & sys.modules.keys()
import asyncio, rich
asyncio.run(asyncio.sleep(0))
print(structlog.stdlib.asyncio.Event is asyncio.Event)
""").split() == ["True"]


def test_structlogs_asynchronous_methods_work() -> None:
    assert "loan.seen" in said("""
from common.telemetry.lean_structlog import structlog
import asyncio
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(0))
asyncio.run(structlog.get_logger().ainfo("loan.seen"))
""")


@pytest.mark.parametrize("name", ["rich", "asyncio"])
def test_what_was_imported_before_stays(name: str) -> None:
    assert said(f"""
import sys, {name}
import common.telemetry.lean_structlog
print(sys.modules[{name!r}] is {name})
""").split() == ["True"]
