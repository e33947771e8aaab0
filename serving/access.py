"""Who may do what: roles, their rights, and the caller that a key or a token stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from serving.scope import Scope

Role = Literal["analyst", "reviewer", "approver", "admin", "service"]
Right = Literal[
    "me",
    "classify",
    "embed",
    "generate",
    "search",
    "ask",
    "read",
    "count",
    "find",
    "hold",
    "label",
    "review",
    "reveal",
    "metrics",
]
ROLES: tuple[Role, ...] = get_args(Role)
HIGHEST_FIRST: tuple[Role, ...] = ("admin", "approver", "reviewer", "analyst", "service")

# What is not named here is refused. An admin runs the door and reads no mail; a service reads none either.
# To reveal takes more than the right: a gateway that was set up for it (gateway.yaml).
# To hold is to filter by legal holds: who is under one, and what a matter is called, is not for everybody.
# An approver decides from the report, with mailroom review, where the decision is signed.
RIGHTS: Mapping[Role, frozenset[Right]] = {
    "analyst": frozenset({"me", "classify", "search", "ask", "read", "count", "find"}),
    "reviewer": frozenset(
        {"me", "classify", "search", "ask", "read", "count", "find", "hold", "label", "review"}
    ),
    "approver": frozenset({"me", "search", "ask", "read", "count", "hold", "review", "reveal"}),
    "admin": frozenset({"me", "reveal", "metrics"}),
    "service": frozenset({"me", "classify", "embed", "generate"}),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom a credential vouches for: a name for the audit, roles, and the messages they may see."""

    name: str
    roles: tuple[Role, ...]
    scope: Scope = field(default_factory=Scope)
    credential: str = ""  # the key's or the token's id, for the audit
    signer: str = ""  # in whose name labels are signed

    def may(self, right: Right) -> bool:
        return any(right in RIGHTS[role] for role in self.roles)

    @property
    def counted_as(self) -> str:
        """Whose requests count together: one key signs the tokens of many people, who count each."""
        return f"{self.credential} {self.name}"

    @property
    def highest_role(self) -> Role | Literal["none"]:
        """The one role that stands for the caller where there is room for one: in a measure's label."""
        return next((role for role in HIGHEST_FIRST if role in self.roles), "none")


def known_roles(names: object) -> tuple[Role, ...]:
    """Return those of the names that are roles: what a token says beyond them grants nothing."""
    listed = names if isinstance(names, list | tuple) else [names]
    return tuple(role for role in ROLES if role in listed)
