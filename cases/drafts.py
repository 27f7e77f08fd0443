"""A draft on its way into the database, with what the request and the estate add to it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cases.decoding import JSON
from cases.sources.types import AlertDraft
from lib import canonical


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A draft on its way into the database: `number` is its place in the request.

    `read_as` is the source that made the draft, which need not be the alert's own; `door` how it came.
    """

    number: int
    draft: AlertDraft
    team_id: int
    body: JSON
    read_as: str = ""
    door: str = ""

    @property
    def pair(self) -> tuple[str, str]:
        return self.draft.source, self.draft.external_id

    @property
    def finding_key(self) -> str | None:
        if self.draft.finding:
            return canonical.sha256(list(self.draft.finding))
        if self.draft.content:
            # Made of what the sender chose, so it may never reach into another team.
            return canonical.sha256(["content", str(self.team_id), *self.draft.content])
        return None

    @property
    def digest(self) -> str:
        """Of the document's content: equal for the same content however it is spaced and ordered."""
        return hashlib.sha256(canonical.spelled(self.body).encode("utf-8")).hexdigest()
