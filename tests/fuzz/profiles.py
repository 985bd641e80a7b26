"""How many examples each fuzz test tries: few on every change, a hundred times as many by hand.

pytest tests/fuzz --hypothesis-profile=long
"""

import hypothesis

LONG = "long"

_USUAL = 100  # hypothesis's own
hypothesis.settings.register_profile(LONG, deadline=None, max_examples=100 * _USUAL)


def examples(count: int) -> hypothesis.settings:
    """Decorator: `count` examples, as many times more as the profile has."""
    loaded = hypothesis.settings.default
    assert loaded is not None
    return hypothesis.settings(
        max_examples=count * loaded.max_examples // _USUAL,
        suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
    )
