"""Agent `knowledge`: answers from the documents, with citations, or says that they don't answer."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from common.costs.governor import BudgetSpent
from common.llm.chat import ChatAnswer, ModelError, Passage
from common.llm.draft import Draft
from common.logging import component_logger
from common.metrics import metrics_collector
from common.settings import settings
from functions.query.agent import AgentCard, Ask, Degradation, Reply, Retrieved, Status
from functions.query.critique import Critique, critique, review_of_extract
from functions.query.follow_up import SMALL_TALK, refers_back
from functions.query.grounding import Grounded, ground, left_out
from functions.query.planner import draft, draft_request, read_draft

NOT_FOUND = "My documents do not answer this question."
NO_SEARCH = "The search in the documents is not available at the moment, so I cannot answer from them."
BELOW_REVIEW = "(This answer did not reach the score that its review asks for: check it against the sources.)"

log = component_logger("knowledge")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One draft as far as it went. `critique` is None where the model failed in the review."""

    draft: Draft
    grounded: Grounded
    critique: Critique | None
    answer: ChatAnswer


def run(ask: Ask) -> Generator[Status | Reply, None, None]:
    question = in_context(ask)
    yield Status(step="searching")
    retrieved = ask.tools.retrieve(question)
    if not retrieved.passages:
        yield _nothing_found(retrieved)
        return
    rounds: list[_Round] = []
    degraded: tuple[Degradation, ...] = retrieved.degraded
    try:
        yield from _draft_rounds(ask, question, retrieved, rounds)
    except ModelError as error:
        log.warning("model.failed", error_type=type(error).__name__, rounds=len(rounds))
        degraded = (*degraded, "model")
    except BudgetSpent as error:
        if error.over == "refuse":
            raise
        log.info("budget.held", budget=error.budget, rounds=len(rounds))
        degraded = (*degraded, "budget")
    if not rounds:
        rounds.append(_extract(ask, question, retrieved))
    yield replace(_reply(rounds, retrieved), degraded=tuple(dict.fromkeys(degraded)))


def in_context(ask: Ask) -> str:
    """The question with the one before it, where it reads as a follow-up ("and for raw land?")."""
    spoken_of = [turn.message for turn in ask.history if turn.agent not in SMALL_TALK]
    if not spoken_of or not refers_back(ask.message):
        return ask.message
    return f"{spoken_of[-1]}\n{ask.message}"


def _nothing_found(retrieved: Retrieved) -> Reply:
    answer = NO_SEARCH if "retrieval" in retrieved.degraded else NOT_FOUND
    return Reply(answer=answer, answered=False, confidence=0.0, degraded=retrieved.degraded)


def _draft_rounds(ask: Ask, question: str, retrieved: Retrieved, rounds: list[_Round]) -> Iterator[Status]:
    """Drafts and reviews until a draft is accepted; what was done is in `rounds` even when an error ends it."""
    findings: Sequence[str] = ()
    for _ in range(settings().critique_rounds):
        yield Status(step="drafting")
        request = draft_request(
            ask, question, retrieved.passages, findings, max_output_tokens=settings().max_output_tokens
        )
        drafted, answer = yield from draft(ask, request)
        grounded = _ground(drafted, retrieved.passages)
        rounds.append(_Round(draft=drafted, grounded=grounded, critique=None, answer=answer))
        if not drafted.answered:
            return
        yield Status(step="reviewing")
        if ask.tools.model_is_embedded:
            reviewed = review_of_extract(grounded, retrieved.support)
            rounds[-1] = replace(rounds[-1], critique=reviewed)
            return  # the embedded model gives the same draft again
        if grounded.citations:
            reviewed = yield from critique(ask, question, grounded, retrieved.passages)
        else:
            reviewed = Critique(score=0.0, faults=grounded.findings)
        rounds[-1] = replace(rounds[-1], critique=reviewed)
        if reviewed.score >= settings().critique_threshold and not grounded.findings:
            return
        findings = reviewed.faults


def _ground(drafted: Draft, passages: Sequence[Passage]) -> Grounded:
    grounded = ground(drafted, passages)
    for _ in range(grounded.removed):
        metrics_collector.record_rejection("statement")
    for _ in range(len(grounded.findings) - grounded.removed):
        metrics_collector.record_rejection("quote")
    return grounded


def _extract(ask: Ask, question: str, retrieved: Retrieved) -> _Round:
    """The extractive answer, for when the model is down, slow, over quota or refuses."""
    request = draft_request(ask, question, retrieved.passages, (), max_output_tokens=settings().max_output_tokens)
    answer = ask.tools.extract("draft", request)
    drafted = read_draft(answer)
    grounded = _ground(drafted, retrieved.passages)
    reviewed = review_of_extract(grounded, retrieved.support) if drafted.answered else None
    return _Round(draft=drafted, grounded=grounded, critique=reviewed, answer=answer)


def _reply(rounds: Sequence[_Round], retrieved: Retrieved) -> Reply:
    """The best round's answer; a later one goes before an earlier one of the same score."""
    best = max(reversed(rounds), key=lambda one: one.critique.score if one.critique else 0.0)
    score = best.critique.score if best.critique else None
    if score is not None:
        metrics_collector.record_critique(len(rounds), score, score >= settings().critique_threshold)
    if not best.draft.answered or not best.grounded.citations:
        return Reply(
            answer=_unanswered(best.draft, retrieved.passages),
            answered=False,
            confidence=round(retrieved.support, 4),
            critique_score=score,
            critique_rounds=len(rounds),
            model=best.answer.model,
        )
    embedded = best.answer.model == best.answer.asked == "extractive"
    return Reply(
        answer=_with_notes(best.grounded, score, is_extract=embedded),
        answered=True,
        confidence=round(retrieved.support if embedded or score is None else score, 4),
        citations=best.grounded.citations,
        critique_score=score,
        critique_rounds=len(rounds),
        model=best.answer.model,
    )


def _with_notes(grounded: Grounded, score: float | None, *, is_extract: bool) -> str:
    notes = []
    if grounded.removed:
        notes.append(left_out(grounded.removed))
    if not is_extract and score is not None and score < settings().critique_threshold:
        notes.append(BELOW_REVIEW)
    return "\n\n".join([grounded.answer, *notes])


def _unanswered(drafted: Draft, passages: Sequence[Passage]) -> str:
    withheld = " What was drafted is withheld: the passages do not bear it out." if drafted.answered else ""
    titles = list(dict.fromkeys(passage.title for passage in passages))[:3]
    nearest = f" The nearest documents are: {'; '.join(titles)}." if titles else ""
    return NOT_FOUND + withheld + nearest


AGENT = AgentCard(
    name="knowledge",
    description="Answers questions about lending rules, collateral and policy from the documents, with citations.",
    examples=(
        "What is the LTV limit for raw land?",
        "What loan-to-value limit applies to improved property?",
        "What is the maximum LTV for 1-4 family construction?",
        "Which supervisory limit holds for commercial construction?",
        "Is there a supervisory limit for owner-occupied homes?",
        "When is an appraisal required?",
        "Below which amount is an evaluation enough instead of an appraisal?",
        "What is the appraisal threshold for residential real estate?",
        "What is the difference between an appraisal and an evaluation?",
        "What does loan-to-value mean?",
        "What is the difference between LTV and CLTV?",
        "How is the debt service coverage ratio defined?",
        "Explain debt yield to me.",
        "What counts as gross monthly income?",
        "Is there still a 43 percent debt-to-income limit for qualified mortgages?",
        "What haircut applies to government bonds?",
        "Which haircut is used for listed equities and gold?",
        "What is margin stock and what is its maximum loan value?",
        "Which receivables are eligible for a borrowing base?",
        "What are usual advance rates for inventory?",
        "What is cross-aging of receivables?",
        "How do I perfect a security interest in a deposit account?",
        "How long is a UCC financing statement effective?",
        "When may a continuation statement be filed?",
        "What happens when a financing statement lapses?",
        "Who has priority between two secured creditors?",
        "What is a purchase money security interest?",
        "How are liens on vehicles perfected?",
        "Which notice must be sent when an application is declined?",
        "How many days do we have to send an adverse action notice?",
        "What reasons must an adverse action notice state?",
        "Which characteristics may a lender not consider under equal credit rules?",
        "What collateral does the SBA require for a 7(a) loan?",
        "When is a standard SBA loan fully secured?",
        "Does our lending policy say anything about vacant property?",
        "What does the policy require for flood insurance?",
        "Which documents belong in the collateral file?",
        "How are several properties that secure one loan treated?",
        "How must loans above the supervisory limits be reported?",
        "What may a creditor ask about marital status?",
        "Who is a covered person under the regulation?",
        "What must the closing disclosure contain?",
        "What does the rule say about escrow accounts?",
        "When must the creditor provide a copy of the valuation?",
        "Which records have to be kept and for how long?",
        "Is an $80,000 loan exempt from the appraisal rule?",
        "Is $500,000 & 80% enough; or not?",
        "Where can I find the section about prepayment penalties?",
        "Which loans must be reported under HMDA?",
        "What has to be disclosed in a lease advertisement?",
        "May a lender ask the spouse to co-sign?",
        "How long does a servicer have to answer a borrower's complaint?",
        "Is it legal to pay a referral fee to a real estate agent?",
        "What must happen when the servicing of a loan is transferred?",
        "What must a prescreened credit offer say?",
        "Can a consumer get a free copy of the credit report?",
        "The borrower is behind with payments: what does the rule ask of us?",
        "Does this loan count as a covered loan?",
        "What's the haircut on listed shares?",
        "haircut for treasury bonds",
        "What's a lien?",
        "whats a continuation statement",
        "Define cross-collateralization.",
        "LTV limits",
        "borrowing base rules",
        "adverse action notice deadline",
        "What's the advance rate on inventory?",
        "policy exceptions",
        "flood insurance requirements",
        "UCC filing",
        "tell me about guarantees",
        "Explain the appraisal rules to me.",
        "What's the deadline for telling an applicant no?",
        "margin stock",
        "What's the minimum debt service coverage in our policy?",
        "collateral file checklist",
        "Can we charge for an appraisal copy?",
        "What's a UCC-3?",
    ),
    scope="query:ask",
    run=run,
)
