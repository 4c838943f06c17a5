"""What is asked of an erasure, and what became of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from serving.wire.base import Answer, Id, Payload


class EraseAsk(Payload):
    """Forget a contact: what is personal goes, what others' records need stays under a name that leads to nobody."""

    contact_id: Id


class EraseAnswer(Answer):
    """seq: the number of this change. The contact is gone when this comes, and answers do not know it any more."""

    seq: int
    rows: Annotated[dict[str, int], Field(description="How many rows went or were stripped, by table.")]
    before: Annotated[bool, Field(description="It had been erased before.")]
    scrubbed: Annotated[
        bool,
        Field(description="The database's files are clear of it; false: they could not be rewritten, so ask again."),
    ]
