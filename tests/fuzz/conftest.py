"""Makes the profiles known before pytest looks for the one that `--hypothesis-profile` names."""

from tests.fuzz import profiles

__all__ = ["profiles"]
