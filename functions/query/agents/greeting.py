"""Says hello, thank you and goodbye."""

from collections.abc import Generator

from functions.query.agent import AgentCard, Ask, Reply, Status
from functions.query.tfidf import words

_PARTINGS = {"bye", "goodbye", "farewell", "later", "tomorrow", "night", "leaving", "end", "off"}
_THANKS = {"thanks", "thank", "thx", "cheers", "appreciate", "appreciated", "helpful", "grateful", "great"}

_WELCOME = (
    "Hello. I answer questions about lending and collateral from the documents here, and quote where the answer "
    'stands. Ask me one, or ask "What can you do?".'
)
_YOU_ARE_WELCOME = "You're welcome. Is there anything else that you want to know about lending or collateral?"
_GOODBYE = "Goodbye. This conversation can be taken up again with the same session."


def run(ask: Ask) -> Generator[Status | Reply, None, None]:
    said = set(words(ask.message))
    answer = _YOU_ARE_WELCOME if said & _THANKS else _GOODBYE if said & _PARTINGS else _WELCOME
    yield Reply(answer=answer, answered=True, confidence=1.0)


AGENT = AgentCard(
    name="greeting",
    description="Says hello, thank you and goodbye.",
    examples=(
        "Hello",
        "Hello there",
        "Hi",
        "Hi there!",
        "Hey",
        "Hey there, anyone home?",
        "Good morning",
        "Good morning, how are you?",
        "Good afternoon",
        "Good evening",
        "Good day to you",
        "Greetings",
        "Howdy",
        "Hiya",
        "Yo",
        "How are you?",
        "How are you doing today?",
        "How is it going?",
        "What's up?",
        "Nice to meet you",
        "Pleased to meet you",
        "Hello, my name is Anna",
        "Hi, this is Tom from the credit desk",
        "Are you there?",
        "Is anybody there?",
        "Thanks",
        "Thank you",
        "Thank you very much",
        "Thanks a lot, that helped",
        "Many thanks for your help",
        "Great, thank you",
        "Perfect, thanks",
        "That was very helpful",
        "Cheers, much appreciated",
        "I appreciate it",
        "Ok, thanks, that is all",
        "Bye",
        "Goodbye",
        "Bye for now",
        "See you later",
        "See you tomorrow",
        "Have a nice day",
        "Have a good weekend",
        "Good night",
        "Talk to you soon",
        "That's it for today",
    ),
    scope="query:ask",
    run=run,
)
