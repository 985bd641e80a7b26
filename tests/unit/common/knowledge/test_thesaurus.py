from common.knowledge.thesaurus import expansion


def test_everyday_words_bring_the_words_of_the_texts() -> None:
    assert "qualified written request" in expansion("what goes into a QWR?")
    assert "force-placed insurance" in expansion("Is lender placed insurance refundable?")


def test_plurals_and_verb_forms_are_the_same_word() -> None:
    assert expansion("They turned down my loan") == expansion("Why did they turn down my loan?")
    assert expansion("kickbacks") == expansion("a kickback")


def test_parts_of_words_and_unknown_words_bring_nothing() -> None:
    assert expansion("The adage holds for zebras") == ()
    assert expansion("") == ()
