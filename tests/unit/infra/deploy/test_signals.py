import os
import signal

import pytest

from infra.deploy.signals import Stopped, stoppable


def test_the_first_signal_stops_and_a_second_one_lets_everything_be_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stoppable():
        with pytest.raises(Stopped, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
