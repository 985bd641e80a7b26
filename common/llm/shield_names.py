"""Names of persons: who is named by what stands around, and where these names stand again.

No list of names knows a borrower's. What tells it is an introduction ("my name is Jane Roe"), a label ("Co-borrower:
Jane Roe"), a role beside it ("applicant Jane Roe", "Jane Roe (guarantor)"), a form of address ("Ms. Roe", "mrs. roe"),
a mailbox ("Jane Roe <jane@roe.example>"), a signature, or what is said of persons ("Jane Roe's loan", "does Jane Roe
qualify"), if no word of it is a word of the language. From there it is found everywhere in the request, word by word:
"Roe, Jane", "JANE ROE", "Roe's loan", "jane_roe.pdf". A word of it that is a word of the language too ("Will Price") is
hidden beside another word of the same name only.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from common.llm.shield_words import (
    AGENCIES,
    ALSO_WORDS,
    COMPANIES,
    FUNCTION_WORDS,
    NOT_NAMES,
    ORGANISATIONS,
    PARTICLES,
    TOWNS,
)
from common.recognizers.patterns import pattern

_WORD = pattern(r"[^\W\d_]+")
# What stands between two words that are read as one name, and between two known ones, where an initial may be left out.
_NEXT = pattern(r"(?:[ \t\u00a0]{1,3}|['\u2019\-]|(?<=\b[A-Z])\.[ \t]{0,2}|(?<=Jr|Sr)\.[ \t]{0,2})([^\W\d_]{1,40})")
_NEXT_TYPED = pattern(r"(?:[ \t\u00a0]{1,3}|['\u2019\-]|(?<=\b[a-z])\.[ \t]{0,2})([^\W\d_]{1,40})")
_AFTER_COMMA = pattern(r",[ \t]{0,2}([^\W\d_]{1,40})")
_GAP = pattern(r"\.|(?<=\b[A-Z])\.\s|[\s,'\u2019_+\-]{1,3}(?:[A-Z]\.?\s)?")
_BETWEEN = pattern(r"[ \t\u00a0]{1,2}(?:[A-Z]\.?[ ]{1,2})?")
_ANNOUNCED = pattern(r"\b(?:mr|mrs|ms|miss|mx|dr|name is|name['\u2019]s|name:)\.?\s\Z", re.IGNORECASE)
_MOST_WORDS = 5
_MOST_PERSONS = 4

# Cues are looked for at words that begin one (`_CUES`), which is ten times quicker than searching for each.
_SAID = pattern(
    r"(?:my (?:full |legal |first |last |maiden )?name(?:['\u2019]s| is|:)|i am called|call me)[ \t]{1,3}",
    re.IGNORECASE,
)
_AM = pattern(
    r"(?:(?P<self>i am|i['\u2019]m)|this is|it['\u2019]s|it is|here is|(?:spoke|speaking) (?:to|with))[ \t]{1,3}",
    re.IGNORECASE,
)
_ROLES = frozenset(
    """borrower applicant signer owner debtor obligor mortgagor buyer purchaser guarantor customer client seller spouse
    husband wife tenant landlord trustee beneficiary grantor member employee contact insured payee holder accountholder
    cardholder consumer officer underwriter appraiser broker attorney notary lessee lessor coborrower coapplicant
    cosigner coowner""".split()
)
_LABELLED = pattern(
    rf"(?:(?P<role>{'|'.join(sorted(_ROLES, reverse=True))})s?(?P<name>(?:['\u2019]s)?[ _]?(?:full |legal )?name)?|"
    r"(?:full|legal|first|last|given|family|sur|maiden)[ _-]?name|(?:signed|prepared|submitted) by)(?:\(s\))?"
    r"(?:(?P<sign>[\"'*]{0,3}[ \t]{0,3}[:=|#][ \t*|]{0,4}|[ \t]is[ \t])|"
    r"[ ]\(|,?[ \t]{1,2}(?:named[ ]|[\-\u2013\u2014][ ])?)"
    r"[\"']?",
    re.IGNORECASE,
)
_BARE_NAME = pattern(r"(?:^|[\n;,|{>*\-][ \t*]{0,4}\"?)Name[\"*]{0,3}[ \t]{0,2}[:=][ \t*]{0,4}\"?", re.IGNORECASE)
_IN_ROLE = pattern(rf"(?:{'|'.join(sorted(_ROLES, reverse=True))})s?(?![\w'\u2019])", re.IGNORECASE)
_UP_TO_ROLE = pattern(
    r"(?:,?[ ]?[(\[]|,[ ]{0,2}|,?[ ]as[ ]|[ ](?:is|was|and)[ ]|[ ][\-\u2013\u2014][ ])"
    r"(?:(?:the|an?|our|your|my|his|her|their|its|as|sole|primary|lead|loan|co|joint|main|first|second|new|named)[ \-])"
    r"{0,3}\Z",
    re.IGNORECASE,
)
_CAPITALISED = pattern(r"(?:[^\W\d_a-z][^\W\d_]{0,30}(?:\.?[ ]{1,2}|['\u2019\-])){1,4}[^\W\d_a-z][^\W\d_]{1,30}\Z")
_AND_BEFORE = pattern(r",?[ ](?:and|&)[ ]\Z", re.IGNORECASE)
_AT_A_PLACE = pattern(r"\b(?i:in|near|outside|around|under|within)[ ][^\W\d_a-z]")
_TITLED = pattern(r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|MR|MRS|MS|DR)(?:\.[ \t]{0,2}|[ \t]{1,2})")
_TITLED_TYPED = pattern(r"(?:(?P<person>mrs?)|ms|mx|dr|prof|miss)(?P<point>\.)?[ ]{0,2}", re.IGNORECASE)
_COUNTED = pattern(r"\d[^\W\d_ ]{0,2}(?:[ ][^\W\d_]{1,20}){0,3}[ ]{0,2}\Z")
_MAILBOX = pattern(r"[\"']?[ \t]{0,2}<[^<>@\s]{1,64}@")
_SIGNED = pattern(
    r"(?:regards|sincerely|yours|best|thanks|thank you|cheers)[,.!]?[ \t]{0,3}\r?\n[ \t\r\n]{0,4}", re.IGNORECASE
)
_ENDS_AFTER_ONE = pattern(r"[ \t]{0,2}(?:[,.!?;:\n]|\Z|(?:and|from|with|at|calling|writing|again|speaking)\b)")
_ENDS_AFTER_CALLER = pattern(
    r"[ \t]{1,2}(?:from|calling|writing|again|speaking)\b|,?[ \t]{1,2}(?:and )?(?:I|I['\u2019]m)\b"
)
_GOES_ON = pattern(
    r",?[ ](?:is|was|has|had|owes|owns|pledges|pledged|wants|asks|asked|earns|earned|applied|and|who|whose)\b"
)
_FURTHER = pattern(r",?[ \t]{1,2}(?:and|&)[ \t]{1,2}", re.IGNORECASE)
_ASKED = pattern(r"(?:[Dd]oes|[Dd]id|Has|Is|Can|Could|May|Should|Will|Would|Was)[ ]")
_IN_SENTENCE = pattern(r"[ ][a-z]")
_OWNER = pattern(r"\b(?:[A-Z][^\W\d_]{1,30}[ ]){1,3}[A-Z][^\W\d_]{1,30}(?=['\u2019]s\b)")
_FOLLOWS_A_STREET = pattern(r"\b(?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th))[ ]\Z")
_BEFORE = pattern(r"(?:[^\W\d_][^\W\d_'\u2019\-]{0,30}[.,]?[ '\u2019\-]{1,2}){0,4}[^\W\d_][^\W\d_]{0,30}\.?\Z")
_PLAIN_WORDS = pattern(
    r"([^\W\d_]{2,30})(?: ([^\W\d_]{2,30}))?(?: ([^\W\d_]{2,30}))?(?=[ \t]{0,2}(?:[,.!?;\n]|\Z| and\b))"
)
_MODALS = frozenset({"may", "will"})
_NAMES_ON_ED = frozenset(
    """ahmed mohammed muhammed mohamed jared jarred alfred wilfred winifred winfred mildred hildred eldred allred
    kindred saeed khaled majed waleed hamed javed whited freed sneed steed creed""".split()
)
_NAMES_ON_ING = frozenset(
    """boling bowling browning bunting cushing darling deering deming denning dowling downing dunning easterling fanning
    fielding fleming golding gooding harding henning herring irving keating keeling manning pickering redding rushing
    schilling spalding spaulding starling sterling stribling walling whiting""".split()
)
_ENDINGS = pattern(
    r"[a-z]{2,}(?:[ts]ions?|ments?|ness|[abdlrv]ity|[cdlnrv]ities|ances?|ences?|olog(?:y|ies)|[iu]tory|"
    r"sheets?|[ai]bly|ively|ously|edly|ntly|ally)"
)
_NAMES_ON_ENDINGS = frozenset(
    """candance clarence clement clements constance florance florence frances garrity guinness harkness lachance
    lafrance laurence lawrence mcguinness mcnally nance prudence sally spence terence terrance terrence torrance
    torrence vance""".split()
)

Name = tuple[str, ...]
"""The words of one person's name, as they are spelled."""


class Names:
    """Names that are known, and where they stand in texts. Not changed once made."""

    def __init__(self, names: Iterable[Name]) -> None:
        self._owners: dict[str, set[int]] = {}
        self._as_spelled: set[str] = set()
        for person, name in enumerate(dict.fromkeys(names)):
            self._as_spelled.update(name)
            for word in name:
                self._owners.setdefault(word.casefold(), set()).add(person)

    def __bool__(self) -> bool:
        return bool(self._owners)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where words of a name stand in `text`: half-open offsets, left to right, each one word."""
        mentions = list(self._mentions(text)) if self._owners else []
        beside = [_is_beside(one, two, text) for one, two in pairwise(mentions)]
        return [
            (one.start, one.end)
            for one, before, after in zip(mentions, [False, *beside], [*beside, False], strict=False)
            if self._is_one(one, is_announced=before or after or _is_announced(one, text))
        ]

    def _mentions(self, text: str) -> Iterator["_Mention"]:
        for found in _WORD.finditer(text):
            owners = self._owners.get(found[0].casefold())
            if owners is not None:
                yield _Mention(found.start(), found.end(), found[0], owners)

    def _is_one(self, mention: "_Mention", *, is_announced: bool) -> bool:
        """Whether it is written as a name is, and is one by what stands beside it or on its own."""
        word = mention.word
        is_written_so = word[0].isupper() or word in self._as_spelled
        if is_announced and (is_written_so or _is_telling(word)):
            return True
        return is_written_so and _is_telling(word) and (len(word) > 2 or word in self._as_spelled)


class _Mention(NamedTuple):
    start: int
    end: int
    word: str
    owners: set[int]


def _is_beside(one: _Mention, two: _Mention, text: str) -> bool:
    """Whether they are different words of one name, next to each other; an initial may stand between."""
    if one.owners.isdisjoint(two.owners) or one.word.casefold() == two.word.casefold():
        return False
    return _GAP.fullmatch(text, one.end, two.start) is not None


def _is_announced(mention: _Mention, text: str) -> bool:
    """Whether a form of address or the like stands before it: "Mr. Price"."""
    return _ANNOUNCED.search(text, max(0, mention.start - 9), mention.start) is not None


def _is_telling(word: str) -> bool:
    """Whether `word` alone can be taken for the name."""
    return len(word) > 1 and word.casefold() not in ALSO_WORDS and word.casefold() not in NOT_NAMES


def names_in(texts: Iterable[str]) -> Names:
    """Everybody who is named in `texts`, by what stands around the name."""
    texts = list(dict.fromkeys(texts))
    found = [name for text in texts for name in _named(text) if name]
    surnames = {name[0] for name in found if len(name) == 1 and _is_telling(name[0])}
    if surnames:  # "Ms. Roe" is the Jane Roe of another place
        found += [name for text in texts for name in _with_given_name(text, surnames)]
    return Names(found)


def _named(text: str) -> Iterator[Name]:
    for found in _WORD.finditer(text):
        for cue, names_after in _CUES.get(found[0].lower(), ()):
            if (opening := cue.match(text, found.start())) is not None:
                yield from names_after(text, opening)
    for opening in _BARE_NAME.finditer(text):
        yield _name_at(text, opening.end(), may_turn=True).words
    for owner in _OWNER.finditer(text):
        yield _owning(text, owner)
    for closing in _MAILBOX.finditer(text):
        yield _before(text, closing.start())


def _with_given_name(text: str, surnames: set[str]) -> Iterator[Name]:
    """The capitalised word before one of `surnames`, with it, unless it is a word of the language."""
    before = ""
    end = 0
    for found in _WORD.finditer(text):
        word = found[0]
        is_next = word in surnames and _BETWEEN.fullmatch(text, end, found.start()) is not None
        if is_next and before[:1].isupper() and _is_telling(before) and before.casefold() not in ORGANISATIONS:
            yield before, word
        if len(word) > 1:  # an initial may stand between
            before, end = word, found.end()


class _Read(NamedTuple):
    words: Name
    end: int


def _name_at(text: str, position: int, *, may_turn: bool = False) -> _Read:
    """The capitalised words from `position` on that may be a name; no words where they name something else.

    `may_turn`: the surname may come first, with a comma behind it.
    """
    words: list[str] = []
    end = position
    found = _WORD.match(text, position)
    while found is not None and len(words) < _MOST_WORDS:
        word = found[found.lastindex or 0]
        folded = word.casefold()
        if folded in ORGANISATIONS and word[0].isupper():
            return _Read((), position)
        is_inner = bool(words) and folded in PARTICLES
        if (
            not (word[0].isupper() or is_inner)
            or folded in NOT_NAMES
            or (not words and len(word) == 1 and folded in "ai")
        ):
            break
        words.append(word)
        end = found.end()
        found = _NEXT.match(text, end) or (_AFTER_COMMA.match(text, end) if may_turn and len(words) == 1 else None)
    while words and not words[-1][0].isupper():
        words.pop()
    if not any(len(word) > 1 for word in words) or " ".join(words[:2]).casefold() in AGENCIES:
        return _Read((), position)
    return _Read(tuple(words), end)


def _whole(words: Name) -> Name:
    """`words` where they are a given name and a surname at least, and not all of them words of the language."""
    return words if len(words) > 1 and any(map(_is_telling, words)) else ()


def _said(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "my name is": any name, also as people type it, in lower case."""
    yield _name_at(text, cue.end()).words or _in_lower_case(text, cue.end())


def _introduced(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "I am": a full name, or one word that ends there. After "this is" one word only where somebody calls."""
    words, end = _name_at(text, cue.end())
    if not words or _is_participle(words[0]):
        return
    is_self = cue["self"] is not None
    if len(words) > 1:
        yield words if is_self else _whole(words)
    elif _is_telling(words[0]) and (_ENDS_AFTER_ONE if is_self else _ENDS_AFTER_CALLER).match(text, end):
        yield words


def _is_participle(word: str) -> bool:
    """ "Looking", "Interested": what people are, and not who."""
    folded = word.casefold()
    return (len(word) > 5 and folded.endswith("ing") and folded not in _NAMES_ON_ING) or (
        len(word) > 4 and folded.endswith("ed") and folded not in _NAMES_ON_ED
    )


def _labelled(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "Borrower name:" any name, after "Borrower:" full ones; without a sign only within a sentence."""
    words, end = _name_at(text, cue.end(), may_turn=True)
    has_sign = cue["sign"] is not None
    is_named = cue["role"] is None or cue["name"] is not None
    if is_named and has_sign:
        yield words
    elif has_sign or cue["role"] is None or cue["role"].islower() or _GOES_ON.match(text, end):
        yield _whole(words)
    else:  # or a heading, or what it may do
        words = () if words[:1] and words[0].casefold() in _MODALS else _evident(words)
        yield words
    while words and (further := _FURTHER.match(text, end)) is not None:
        words, end = _name_at(text, further.end())
        yield _whole(words)


def _in_role(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """Before ", the applicant", "(guarantor)" or "as guarantor": full names, unless they are a place's."""
    joint = _UP_TO_ROLE.search(text, max(0, cue.start() - 32), cue.start())
    for _ in range(_MOST_PERSONS):
        if joint is None:
            return
        run = _CAPITALISED.search(text, max(0, joint.start() - 80), joint.start())
        if run is None or _AT_A_PLACE.search(text, max(0, run.start() - 8), run.end()):
            return
        words, start = _ending_with(text, run, _evident)
        yield words
        joint = _AND_BEFORE.search(text, max(0, start - 6), start)


def _evident(words: Name) -> Name:
    """`words` up to one that states something, where they are a full name in the midst of titles of documents."""
    states = (at for at, word in enumerate(words) if word.casefold() in FUNCTION_WORDS)
    words = words[: next(states, len(words))]
    is_title = any(map(_is_participle, words)) or any(map(_is_abstract, words))
    if sum(len(word) > 1 for word in words) < 2 or is_title or words[0].casefold() in TOWNS:
        return ()
    return _whole(words)


def _is_abstract(word: str) -> bool:
    """ "Certification", "Worksheet", "Jointly": of a form that no name has."""
    folded = word.casefold()
    return folded not in _NAMES_ON_ENDINGS and _ENDINGS.fullmatch(folded) is not None


def _titled(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "Ms.": any name. "Dr" behind a street's name is a drive."""
    is_drive = cue[0][:2].casefold() == "dr" and _FOLLOWS_A_STREET.search(text, max(0, cue.start() - 24), cue.start())
    if not is_drive:
        yield _name_at(text, cue.end()).words


def _titled_in_lower_case(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "mrs.", as people type it: one word or two. "dr" may be a drive, "ms" a time, and "miss" a verb.

    What follows these without a point is no name if a word of the language is in it.
    """
    is_person = cue["person"] is not None
    if not is_person and _COUNTED.search(text, max(0, cue.start() - 48), cue.start()):
        return
    words = _typed(text, cue.end())
    is_sure = is_person or (cue["point"] is not None and cue[0][:4].casefold() != "miss")
    if is_sure or (all(map(_is_telling, words)) and (len(words) > 1 or cue[0][:2].casefold() == "ms")):
        yield words


def _typed(text: str, position: int) -> Name:
    """The words in lower case from `position` on that may be a name: two at most, beside initials and particles."""
    words: list[str] = []
    long = 0
    found = _WORD.match(text, position)
    while found is not None:
        word = found[found.lastindex or 0]
        if word in COMPANIES:
            return ()
        if long == 2 or len(words) == _MOST_WORDS or not (word in PARTICLES or _may_be_typed(word)):
            break
        words.append(word)
        long += len(word) > 1 and word not in PARTICLES
        found = _NEXT_TYPED.match(text, found.end())
    return tuple(words) if long else ()


def _may_be_typed(word: str) -> bool:
    is_ordinary = word in FUNCTION_WORDS or word in NOT_NAMES or word in ORGANISATIONS
    return word.islower() and not is_ordinary and not _is_participle(word) and not _is_abstract(word)


def _asked(text: str, cue: re.Match[str]) -> Iterator[Name]:
    """After "does": a full name that a word in lower case follows."""
    words, end = _name_at(text, cue.end())
    if _IN_SENTENCE.match(text, end):
        yield _unmistakable(words)


def _owning(text: str, owner: re.Match[str]) -> Name:
    """The longest full name that ends where the capitalised words before "'s" do."""
    return _ending_with(text, owner, _unmistakable)[0]


def _ending_with(text: str, run: re.Match[str], checked: Callable[[Name], Name]) -> tuple[Name, int]:
    """The longest name that ends where `run` does, and that `checked` lets pass; and where it begins."""
    for first in _WORD.finditer(run[0]):
        start = run.start() + first.start()
        words, end = _name_at(text, start)
        if end == run.end() and checked(words):
            return words, start
    return (), run.start()


def _unmistakable(words: Name) -> Name:
    return words if len(words) > 1 and all(map(_is_telling, words)) else ()


def _signed(text: str, cue: re.Match[str]) -> Iterator[Name]:
    yield _whole(_name_at(text, cue.end()).words)


def _before(text: str, end: int) -> Name:
    """The name that ends at `end`, before an address in angle brackets."""
    found = _BEFORE.search(text, max(0, end - 80), end)
    return _whole(_name_at(text, found.start(), may_turn=True).words) if found is not None else ()


def _in_lower_case(text: str, position: int) -> Name:
    """ "my name is jane roe," as people type: one to three words up to a stop, none of them a word of the language."""
    found = _PLAIN_WORDS.match(text, position)
    words = tuple(word for word in found.groups() if word) if found is not None else ()
    ordinary = NOT_NAMES | ORGANISATIONS | ALSO_WORDS
    return () if any(word.casefold() in ordinary or _is_participle(word) for word in words) else words


_Reader = Callable[[str, re.Match[str]], Iterator[Name]]


def _by_first_word() -> Mapping[str, list[tuple[re.Pattern[str], _Reader]]]:
    """What to look for at which word, in lower case."""
    cues: dict[str, list[tuple[re.Pattern[str], _Reader]]] = {}
    for words, cue, reader in (
        (("my", "i", "call"), _SAID, _said),
        (("i", "this", "it", "here", "spoke", "speaking"), _AM, _introduced),
        (tuple(role + end for role in _ROLES for end in ("", "s", "name")), _LABELLED, _labelled),
        (tuple(role + end for role in _ROLES for end in ("", "s")), _IN_ROLE, _in_role),
        (("full", "legal", "first", "last", "given", "family", "surname", "maiden"), _LABELLED, _labelled),
        (("does", "did", "has", "is", "can", "could", "may", "should", "will", "would", "was"), _ASKED, _asked),
        (("signed", "prepared", "submitted"), _LABELLED, _labelled),
        (("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor"), _TITLED, _titled),
        (("mr", "mrs", "ms", "miss", "mx", "dr", "prof"), _TITLED_TYPED, _titled_in_lower_case),
        (("regards", "sincerely", "yours", "best", "thanks", "thank", "cheers"), _SIGNED, _signed),
    ):
        for word in words:
            cues.setdefault(word, []).append((cue, reader))
    return cues


_CUES = _by_first_word()
