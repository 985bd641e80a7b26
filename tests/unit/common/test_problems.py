from common.problems import AssistantError, Unavailable


def test_what_is_unavailable_says_when_to_ask_again() -> None:
    assert Unavailable().headers == {"Retry-After": "5"}


def test_a_known_wait_goes_before_the_usual_one_and_other_headers_stay() -> None:
    assert Unavailable(headers={"Retry-After": "30", "X-Other": "1"}).headers == {"Retry-After": "30", "X-Other": "1"}


def test_an_error_that_waiting_does_not_help_says_nothing_about_it() -> None:
    assert AssistantError().headers == {}
