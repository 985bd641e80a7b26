"""Shares of the requests."""

from hypothesis import given
from hypothesis import strategies as st

from infra.deploy.cloud import LATEST, Service, Share
from infra.deploy.shares import ALL, CANDIDATE_TAG, beside, in_words, serving, with_others_tags


def service(*traffic: Share, latest_ready: str = "new") -> Service:
    return Service(
        name="lcc-dev-query",
        urls=(),
        is_open=True,
        annotations={},
        traffic=traffic,
        tag_urls={},
        latest_created="new",
        latest_ready=latest_ready,
    )


@st.composite
def former(draw: st.DrawFn) -> tuple[Share, ...]:
    """Shares that make 100 in all, of one to four revisions."""
    cuts = sorted(draw(st.sets(st.integers(1, ALL - 1), max_size=3)))
    return tuple(
        Share(revision=f"r{number}", percent=end - start)
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, ALL], strict=True))
    )


@given(former(), st.integers(0, ALL))
def test_shares_beside_a_candidate_make_100_in_all_and_go_as_before(before: tuple[Share, ...], percent: int) -> None:
    shares = beside(before, "new", percent)
    assert sum(one.percent for one in shares) == ALL
    assert shares[-1] == Share(revision="new", percent=percent, tag=CANDIDATE_TAG)
    of = {one.revision: one.percent for one in shares}
    for one in before:
        assert abs(of.get(one.revision, 0) - one.percent * (ALL - percent) / ALL) < 1


def test_90_percent_of_60_to_40_are_54_and_36() -> None:
    before = (Share(revision="a", percent=60), Share(revision="b", percent=40))
    assert in_words(beside(before, "c", 10)) == "a 54 %, b 36 %, c 10 %"


def test_whatever_is_newest_serves_by_its_name() -> None:
    assert serving(service(Share(revision=LATEST, percent=100))) == (Share(revision="new", percent=100),)


def test_two_shares_of_one_revision_are_one_and_a_tag_without_requests_is_none() -> None:
    traffic = (
        Share(revision="old", percent=30),
        Share(revision="new", percent=40, tag="candidate"),
        Share(revision="old", percent=30),
        Share(revision="older", percent=0, tag="debug"),
    )
    assert in_words(serving(service(*traffic))) == "old 60 %, new 40 %"


def test_tags_that_others_gave_stay_and_the_candidates_goes() -> None:
    found = service(
        Share(revision="old", percent=100, tag="stable"), Share(revision="new", percent=0, tag=CANDIDATE_TAG)
    )
    assert with_others_tags(found, (Share(revision="new", percent=100),)) == (
        Share(revision="new", percent=100),
        Share(revision="old", percent=0, tag="stable"),
    )
