"""structlog, without rich.

structlog imports rich where it is installed, for tracebacks that we never print: 40 ms of a cold start (see DESIGN,
section 6). Whoever imported rich before keeps it, and it can be imported afterwards.
"""

import sys

_without_rich = "rich" not in sys.modules
if _without_rich:
    sys.modules["rich"] = None  # type: ignore[assignment]  # makes `import rich` an ImportError
try:
    import structlog
    import structlog.dev
    import structlog.stdlib
finally:
    if _without_rich:
        del sys.modules["rich"]

__all__ = ["structlog"]
