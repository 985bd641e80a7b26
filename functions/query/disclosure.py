"""What an answer must not carry, whoever wrote it and whatever it was told: links, our instructions, a decision.

A model that follows an instruction hidden in a document is assumed, not ruled out. These checks look at what comes
out, where the damage would be done: an address that takes data away when a page shows it, the text of our prompt, an
approval that reads as the lender's own.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from common.invisible import visible
from functions.query.instructions import ours

RUN_WORDS = 8  # of our instructions in a row; fewer may well be anybody's words

_WORD = re.compile(r"[^\W_]+")
_LINK = re.compile(
    r"""(?:[a-z][a-z0-9+.-]{1,20}:)?//[^\s<>"]+  # with or without a scheme
      | \b(?:mailto|data|javascript|vbscript|tel|file|blob):[^\s<>"]+
      | (?<![\w.@-])(?!\d+\.[ivxlc]+\b)  # an e-mail address or a bare host; 9.ii is a section
        (?:[\w.+-]{1,64}@)?(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}(?:[a-z]{2,24}|xn--[a-z0-9-]{2,60})\b
        (?:[:/?\#][^\s<>"]*)?
      | (?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?:[:/?\#][^\s<>"]*)?  # an address of four numbers
      | [a-z0-9+/=_]{40,}  # no link, but as good: what was encoded to be carried off""",
    re.VERBOSE,
)
_AFTER_LINK = ".,;:!?)]}'*_`\u2019\u201d"
_ACTIVE_SOURCE = re.compile(r"\s*(?:javascript|vbscript|data|blob|file)\s*:", re.IGNORECASE)
_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:www\.)?([^/?#]+)/?")
_DOTS = str.maketrans({"\u3002": ".", "\uff61": ".", "\u2024": "."})  # read as dots in a host's name

_LEADS_AWAY = (
    (re.compile(r"\](?=\()"), "] "),  # [text](address), ![text](address)
    (re.compile(r"(?m)^(\s{0,3}\[[^\]\n]{1,200}\]):"), r"\1 :"),  # [name]: address
    (re.compile(r"<(?=[A-Za-z/!?])"), "\u2039"),  # <address>, <img ...>
)

_SUBJECT = (
    r"(?:your|this|the|his|her|their|my|our)\s+(?:[\w'’-]+\s+){0,3}"
    r"(?:loan|mortgage|credit|application|request|exception|financing|borrower|applicant)s?"
)
_VERDICT = r"(?:pre-?)?(?:approved|declined|denied|rejected)"
_ADVERBS = r"(?:(?:[\w-]+ly|hereby|now|already)\s+){0,3}"
_DECISION = re.compile(
    rf"""(?:{_SUBJECT}|you)\s+(?:is|are|has\ been|have\ been|stands?|gets?)\s+{_ADVERBS}{_VERDICT}\b
      | \b(?:you|your\s+(?:[\w'’-]+\s+){{1,4}})\s*(?:was|were|got)\s+{_ADVERBS}{_VERDICT}\b
      | \b(?:i|we)\s+(?:(?:hereby|can|now|therefore|will|gladly)\s+){{0,3}}(?:approve|decline|deny|reject)\s+
        (?:it\b|you\b|{_SUBJECT})
      | \b(?:i|we)\s+(?:recommend|advise)\s+(?:to\s+|the\s+)?(?:approv|declin|den[yi]|reject)
      | \b(?:decision|verdict|outcome|result|status|recommendation)\s*(?:is|:|=|-)\s*\W{{0,3}}
        (?:{_VERDICT}|approval|approve|decline|deny|reject)\b
      | ^\W*(?:loan\s+|application\s+|request\s+)?{_VERDICT}\W*$
      | ^\W*(?:please\s+)?(?:approve|decline|deny|reject)\s+{_SUBJECT}""",
    re.VERBOSE,
)
# A rule speaks of decisions too: "When the application is declined, a notice is sent within 30 days."
_RULE = re.compile(
    r"\b(?:if|when|whenever|once|after|before|until|unless|whether|where|which|that|who|whose|only|must|may|should|shall"
    r"|each|every|any|because|not|never)\b"
)


def foreign_links(text: str, sources: str) -> list[str]:
    """Addresses in `text`, and strings that look encoded, that `sources` does not hold as they stand.

    The host of an address in `sources` alone is no foreign link: nothing hangs on it that could carry data.
    """
    given = list(_links(text))
    if not given:
        return []
    known = set(_links(sources))
    hosts = {found[1] for link in known if (found := _HOST.match(link))}
    return [link for link in given if link not in known and not _is_host_of(hosts, link)]


def repeats_instructions(text: str) -> bool:
    """Whether `text` has `RUN_WORDS` words in a row from what the model was told."""
    return not _runs(text).isdisjoint(_our_runs())


def decides(sentence: str) -> bool:
    """Whether `sentence` tells an application's fate as a decision; rules about decisions do not."""
    said = _folded(sentence)
    return bool(_DECISION.search(said)) and not _RULE.search(said)


def inactive(text: str) -> str:
    """`text` as plain text that no page makes a link, a picture or a tag of, and without what nobody sees."""
    shown = visible(text)
    for pattern, instead in _LEADS_AWAY:
        shown = pattern.sub(instead, shown)
    return shown


def harmless_source(source: str | None) -> str | None:
    """`source`, or None where it is an address that runs or opens something when a page makes a link of it."""
    return None if source is not None and _ACTIVE_SOURCE.match(visible(source)) else source


def _links(text: str) -> Iterator[str]:
    for match in _LINK.finditer(_folded(text)):
        yield match[0].rstrip(_AFTER_LINK)


def _is_host_of(hosts: set[str], link: str) -> bool:
    """Whether `link` is one of `hosts` and nothing more."""
    found = _HOST.fullmatch(link)
    return found is not None and found[1] in hosts


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", visible(text)).translate(_DOTS).lower()


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(_folded(text))
    return {tuple(words[start : start + RUN_WORDS]) for start in range(len(words) - RUN_WORDS + 1)}


@cache
def _our_runs() -> frozenset[tuple[str, ...]]:
    return frozenset(run for text in ours() for run in _runs(text))
