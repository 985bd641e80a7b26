import pytest

from functions.query.follow_up import is_ellipsis, refers_back


@pytest.mark.parametrize(
    ("message", "ellipsis", "refers"),
    [
        ("and for raw land?", True, True),
        ("What about construction?", True, True),
        ("how long does it last?", False, True),
        ("And how long is a financing statement effective under the code?", False, True),
        ("When does a financing statement lapse?", False, False),
        ("What must the notice say about " + "the reasons " * 6 + "and that?", False, False),
    ],
)
def test_a_message_that_goes_on_from_the_last_one_is_told(message: str, ellipsis: bool, refers: bool) -> None:
    assert (is_ellipsis(message), refers_back(message)) == (ellipsis, refers)
