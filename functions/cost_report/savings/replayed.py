"""What a replay of a finding's questions measured, and the finding as it stands with that."""

from datetime import datetime
from decimal import ROUND_DOWN, Decimal

from pydantic import BaseModel, ConfigDict

from common.database.columns import DECIMAL_PLACES
from functions.cost_report.amounts import in_usd
from functions.cost_report.models import Finding, Usd
from functions.cost_report.savings.proportions import MARGIN, Share


class Side(BaseModel):
    """One lane's answers to the replayed questions. `score` is the mean critique score of those that have one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    accepted: int
    score: float | None
    cost_usd: Usd


class Replay(BaseModel):
    """`questions` were asked on the default lane in earnest, and again on the cheap one. Both were reviewed by the
    default lane's model; `cheap.cost_usd` is as if the cheap one had reviewed its own, as it does on that lane."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    questions: int
    default: Side
    cheap: Side

    @property
    def does_as_well(self) -> bool:
        """Whether the cheap lane's share of accepted answers is lower by no more than the margin, in this sample."""
        return (self.default.accepted - self.cheap.accepted) / self.questions <= MARGIN

    @property
    def part_saved(self) -> Decimal:
        """What the cheap lane saves of the default one's cost, 0 to 1; 0 where it does not do as well."""
        if not self.does_as_well or not self.default.cost_usd:
            return Decimal(0)
        return max(Decimal(0), 1 - self.cheap.cost_usd / self.default.cost_usd)


def measured(finding: Finding, replay: Replay, cost_usd_per_month: Decimal) -> Finding:
    """`finding` with its amount as the replay has it: the part that the sample saved, of what all the calls cost."""
    usd = (replay.part_saved * cost_usd_per_month).quantize(Decimal(1).scaleb(-DECIMAL_PLACES), ROUND_DOWN)
    verdict = "as well, within" if replay.does_as_well else "worse, by more than"
    evidence = {
        **finding.evidence,
        "replayed": f"{replay.questions} questions on {replay.at:%Y-%m-%d}",
        "default lane in the sample": _side(replay.default, replay.questions),
        "cheap lane in the sample": _side(replay.cheap, replay.questions),
        "verdict": f"{verdict} {100 * MARGIN:.0f} points of accepted answers",
    }
    return finding.model_copy(
        update={"usd_per_month": usd.normalize(), "how_certain": "measured", "evidence": evidence}
        | ({} if replay.does_as_well else {"advice": "Stay on the default lane: the replay's answers were worse."})
    )


def _side(side: Side, questions: int) -> str:
    share = Share(accepted=side.accepted, answers=questions)
    score = "no score" if side.score is None else f"mean score {side.score:.2f}"
    return f"{side.model}: {share} accepted, {score}, {in_usd(side.cost_usd)}"
