"""The route that undoes a pseudonym; the audit has the reason of every call, and never what was revealed."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from data.reveal import TellingReasonError, placeholder_of
from serving.access import Caller
from serving.guard import Guards, needs, saw
from serving.requests import RevealRequest
from serving.revealing import BusyError, Revealer, is_telling

CLOSED = "this gateway reveals nothing to this key; who has archive and key can: mailroom reveal"
WITHHELD = "withheld: only a reason that names nobody is written down"


class Revealed(BaseModel):
    """The values that have a pseudonym."""

    pseudonym: str
    values: list[str] = Field(description="as the archive writes them; none when no value of it has it")


def add_reveal_route(app: FastAPI, guards: Guards) -> None:
    """Add the route; it is closed unless the gateway was set up for it."""
    revealer = Revealer(guards.reveals) if guards.reveals else None

    @app.post("/v1/reveal")
    def reveal(
        body: RevealRequest, request: Request, caller: Annotated[Caller, Depends(needs("reveal"))]
    ) -> Revealed:
        placeholder, telling = placeholder_of(body.pseudonym), is_telling(body.reason)
        saw(request, [], pseudonym=placeholder, reason=WITHHELD)
        if revealer is None or not _may_reveal(guards, caller):
            request.scope["visit"].refused = "reveal"
            raise HTTPException(403, CLOSED)
        if telling:
            raise HTTPException(400, "a reason is written into the audit: no name, address or number")
        try:
            found = revealer.values(
                placeholder, reason=body.reason, caller=caller.counted_as, by=caller.signer
            )
        except BusyError as error:
            raise HTTPException(429, str(error), {"Retry-After": str(int(error.seconds) + 1)}) from None
        except TellingReasonError as error:
            raise HTTPException(400, str(error)) from None
        saw(request, [], revealed=len(found), reason=body.reason)  # which names none of the found
        return Revealed(pseudonym=placeholder, values=list(found))


def _may_reveal(guards: Guards, caller: Caller) -> bool:
    """A caller who sees a part of the archive must not learn from the rest of it who somebody is."""
    roles = guards.reveals.roles if guards.reveals else ()
    return caller.scope.is_everything and not set(roles).isdisjoint(caller.roles)
