"""Says what the assistant can do, from what is registered."""

from collections.abc import Generator

from functions.query.agent import AgentCard, Ask, Reply, Status

_EXAMPLES_SHOWN = 2


def run(ask: Ask) -> Generator[Status | Reply, None, None]:
    lines = [_line(card) for card in ask.can_answer() if card.examples]
    answer = "\n".join(
        [
            "I work from the documents that were loaded here, quote what I rely on, and show every calculation. "
            "What I can do:",
            *lines,
            "I neither approve nor decline a loan: that is for a person, with my sources and steps in hand.",
        ]
    )
    # The figures in the example questions are our own, so they count as shown.
    yield Reply(answer=answer, answered=True, confidence=1.0, calculation=tuple(lines))


def _line(card: AgentCard) -> str:
    tries = " or ".join(f'"{example}"' for example in card.examples[:_EXAMPLES_SHOWN])
    return f"- {card.name}: {card.description} Try {tries}"


AGENT = AgentCard(
    name="help",
    description="Says what this assistant can do, and how to ask for it.",
    examples=(
        "What can you do?",
        "Help",
        "Help me",
        "I need help",
        "Can you help me?",
        "What can you help me with?",
        "What are you able to do?",
        "What are your capabilities?",
        "What do you know?",
        "What can I ask you?",
        "What kind of questions can I ask?",
        "What sort of questions do you answer?",
        "How does this work?",
        "How do I use this?",
        "How do I use this assistant?",
        "Show me what you can do",
        "Show me some examples",
        "Give me an example question",
        "List your features",
        "List all commands",
        "Which commands are there?",
        "Which agents are available?",
        "Which agents do you have?",
        "What topics do you cover?",
        "What is this tool for?",
        "What is this?",
        "What are you?",
        "Who are you?",
        "Are you a bot or a person?",
        "Are you a human being?",
        "Tell me about yourself",
        "Introduce yourself",
        "What services do you offer?",
        "How can you assist me?",
        "Where do I start?",
        "I don't know what to ask",
        "I am new here, how do I begin?",
        "Instructions please",
        "Is there a manual for this assistant?",
        "Menu",
        "Options",
        "Usage",
        "How should I phrase my question?",
        "What are you good at?",
        "What are your limits as an assistant?",
        "Can you explain what you do?",
    ),
    scope="query:ask",
    run=run,
)
