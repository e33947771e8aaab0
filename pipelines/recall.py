"""What the terminal says of the archive's recall, and of the labels that would narrow it down."""

from __future__ import annotations

from data.workspace import UserError
from evaluation.archive_recall import ArchiveRecall, labels_for
from evaluation.metrics import Interval
from evaluation.planning_record import archive_recall_of, latest_gate


def show_recall(within: float) -> str:
    """Return the estimate of the latest evaluation, and how many labels bring it to ± ``within``.

    Raises:
        UserError: ``within`` is no share, nothing was evaluated, or every message was labelled.
    """
    if not 0 < within < 1:
        raise UserError(f"--within {within:g} is no share; give one between 0 and 1, such as 0.05")
    estimate = archive_recall_of(latest_gate())
    if estimate is None:
        raise UserError(
            "the latest evaluation has no estimate for the archive: it had no unlabelled message, or was "
            "made by an older version; evaluate again"
        )
    return described(estimate, within)


def described(estimate: ArchiveRecall, within: float) -> str:
    """Return the estimate as lines of text: recall, strata, labels to give, what is assumed."""
    plan = {each.stratum: each.more for each in labels_for(estimate, within)}
    table = [f"{'stratum':<20} {'messages':>10} {'labelled':>9} {'wanted':>7} {f'more for ±{within:g}':>15}"]
    for each in estimate.strata:
        counts = f"{each.messages:>10,} {each.labelled:>9,} {each.hits:>7,}"
        table.append(f"{each.name:<20} {counts} {plan.get(each.name, 0):>15,}")
    if estimate.recall.known:
        share = round(100 * estimate.confidence)
        lines = [
            f"recall {estimate.recall}; {share} of 100 such ranges hold the true one",
            f"wanted messages: about {_count(estimate.hits)}, not flagged {_count(estimate.missed)}",
            *table,
        ]
    else:
        lines = ["recall unknown: a stratum has no label, or no labelled message is wanted", *table]
    if estimate.doubts:
        lines.append(f"labelled messages do not score like the others: {', '.join(estimate.doubts)}")
    lines.append("assumed: labelled messages are drawn at random in each stratum, whole threads at a time")
    return "\n".join(lines)


def _count(figure: Interval) -> str:
    return f"{figure.value:,.0f} [{figure.low:,.0f}, {figure.high:,.0f}]"
