"""structlog, without rich and asyncio.

structlog imports rich where it is installed, for tracebacks that we never print, and asyncio for its asynchronous
methods, which we have no loop for: 40 ms and 8 ms of a cold start (see DESIGN, section 6). Whoever imported them
before keeps them, and both can be imported afterwards; structlog's asynchronous methods work too.
"""

import importlib
import sys
from types import ModuleType


class _AtFirstUse(ModuleType):
    """Stands in structlog for a module that is imported when something of it is used."""

    def __getattr__(self, name: str) -> object:
        return getattr(importlib.import_module(self.__name__), name)


_STAND_INS = {"rich": None, "asyncio": _AtFirstUse("asyncio")}  # None makes the import an ImportError
_put = {name: stand_in for name, stand_in in _STAND_INS.items() if name not in sys.modules}

sys.modules.update(_put)  # type: ignore[arg-type]  # as the import system itself understands None
try:
    import structlog
    import structlog.dev
    import structlog.stdlib
finally:
    for _name in _put:
        del sys.modules[_name]

__all__ = ["structlog"]
