"""What a reader hands on: one entry of a source, either a message or the reason why it is none.

A record holds raw text: it lives in memory between reading and redacting, and is never written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Channel = Literal["email", "chat", "transcript"]


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who sent or received: by name, by address, or both."""

    name: str = ""
    address: str = ""

    def __bool__(self) -> bool:
        return bool(self.name or self.address)

    @property
    def domain(self) -> str:
        """Where the address lies; "" without one."""
        return self.address.rpartition("@")[2] if "@" in self.address else ""


@dataclass(frozen=True, slots=True)
class Attached:
    """What is known of an attachment. ``text`` is what it says, where it is a text; else it is empty."""

    name: str
    content_type: str
    size: int = 0
    sha256: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One message as it was written.

    ``key`` names it among its thread's messages (a Message-ID, a chat timestamp), ``parents``
    the messages that it answers, root first. Without parents, ``topic`` joins replies that lost
    their references to what they answer. ``names`` are the people whom the text may mention; of an
    export those of all its messages, and ``strangers`` those whom only this one names: apart, so that
    the many are prepared for searching once.
    """

    locator: int
    byte_start: int
    byte_end: int
    channel: Channel
    sent_at: datetime | None
    sender: Party
    recipients: tuple[Party, ...]
    subject: str
    body: str
    attachments: tuple[Attached, ...] = ()
    key: str = ""
    parents: tuple[str, ...] = ()
    topic: str = ""
    is_reply: bool = False
    names: Collection[str] = ()
    strangers: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """An entry that is no usable message; ``reason`` is one of ``schema.REASONS``."""

    locator: int
    byte_start: int
    byte_end: int
    reason: str


Entry = Record | Rejected
