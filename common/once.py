"""What an instance makes once, at its first use: its settings, its engine, its models."""

import functools
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Once(Generic[Made]):
    """A factory without arguments that remembers what it made. Safe to call from several threads at once."""

    def __init__(self, make: Callable[[], Made]) -> None:
        functools.update_wrapper(self, make)
        self._make = make
        self._made: tuple[Made, ...] = ()
        # Reentrant, so that a factory that needs itself is a RecursionError and not a thread that waits for itself.
        self._lock = threading.RLock()

    def __call__(self) -> Made:
        """What the first call made; callers that come meanwhile wait for it. Its exception is not remembered."""
        made = self._made  # read once: `cache_clear` may come in between
        if made:
            return made[0]
        with self._lock:
            if not self._made:
                self._made = (self._make(),)
            return self._made[0]

    @property
    def is_made(self) -> bool:
        """Whether a call now gives what is there already, at once."""
        return bool(self._made)

    def cache_clear(self) -> None:
        """Forget what was made: the next call makes it anew."""
        with self._lock:
            self._made = ()


def once(make: Callable[[], Made]) -> Once[Made]:
    """Decorator: `functools.cache` for a factory without arguments, whose concurrent first calls make one object.

    `functools.cache` would let each of them make its own: eight embedders of 60 MB for eight requests at once.
    """
    return Once(make)
