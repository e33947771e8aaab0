"""Back to an earlier release in one step: decision, live bundle, alias."""

from __future__ import annotations

from dataclasses import dataclass

from data.workspace import UserError
from evaluation import decision
from evaluation.release import Release
from serving.live import go_live, kept_bundle

NOT_KEPT = "no bundle of it is kept; to deploy it, give the last mailroom run again"


@dataclass(frozen=True, slots=True)
class Rollback:
    """What is the champion again, which of its bundles is live, and what did not follow."""

    release: Release
    bundle: str  # digest; "" when none of its bundles went live
    problems: tuple[str, ...]

    def __str__(self) -> str:
        live = [f"bundle {self.bundle[:12]} is live: a running gateway turns to it"] if self.bundle else []
        return "\n".join([str(self.release), *live, *(f"problem: {each}" for each in self.problems)])


def roll_back(*, reviewer: str, reason: str, to: str = "") -> Rollback:
    """Make an earlier release the champion, and live at once where a bundle of it is kept.

    The signed decision comes first. The alias comes last: a gateway turns back even while MLflow does not
    answer. ``to`` names a release that was live before; default: the one below the present one.

    Raises:
        UserError: no reason or reviewer, or no such release was live before; nothing has changed then.
    """
    release = decision.roll_back(reviewer=reviewer, reason=reason, to=to)
    problems, digest = [], ""
    try:
        bundle = kept_bundle(release.id)
        if bundle is None:
            problems.append(NOT_KEPT)
        else:
            go_live(bundle)
            digest = bundle.digest
    except (UserError, OSError) as error:
        problems.append(f"no bundle of it is live: {error}")
    return Rollback(release, digest, (*problems, *_alias_problems()))


def _alias_problems() -> tuple[str, ...]:
    import mlflow

    try:
        decision.restore_alias()
        return decision.verify_alias()
    except mlflow.MlflowException as error:
        return (f"the alias was not moved ({type(error).__name__}); later: mailroom review restore",)
