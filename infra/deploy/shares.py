"""Shares of the requests: who serves, and how a candidate gets its part."""

from collections.abc import Sequence

from infra.deploy.cloud import LATEST, Service, Share

CANDIDATE_TAG = "candidate"
ALL = 100


def serving(service: Service) -> tuple[Share, ...]:
    """The revisions that get requests, by name, largest share first, without tags."""
    percents: dict[str, int] = {}
    for share in service.traffic:
        name = share.revision if share.revision != LATEST else service.latest_ready
        percents[name] = percents.get(name, 0) + share.percent
    found = [Share(revision=name, percent=percent) for name, percent in percents.items() if percent > 0]
    return tuple(sorted(found, key=lambda one: (-one.percent, one.revision)))


def beside(previous: Sequence[Share], candidate: str, percent: int) -> tuple[Share, ...]:
    """`candidate` with `percent`, and tagged; what is left is shared as before by those that served, 100 in all."""
    left = ALL - percent
    whole = [one.percent * left // ALL for one in previous]
    rests = sorted(range(len(previous)), key=lambda at: -(previous[at].percent * left % ALL))
    for at in rests[: left - sum(whole)]:
        whole[at] += 1
    shares = [Share(revision=one.revision, percent=part) for one, part in zip(previous, whole, strict=True) if part]
    return (*shares, Share(revision=candidate, percent=percent, tag=CANDIDATE_TAG))


def with_others_tags(service: Service, shares: Sequence[Share]) -> tuple[Share, ...]:
    """`shares`, and the tags that others gave, which get no requests but by their own address."""
    others = [one for one in service.traffic if one.tag not in ("", CANDIDATE_TAG)]
    return (*shares, *(Share(revision=one.revision, percent=0, tag=one.tag) for one in others))


def in_words(shares: Sequence[Share]) -> str:
    """`shares`, as in "lcc-prod-query-00007-abc 90 %, lcc-prod-query-00008-def 10 %"."""
    return ", ".join(f"{one.revision or 'latest'} {one.percent} %" for one in shares if one.percent) or "none"
