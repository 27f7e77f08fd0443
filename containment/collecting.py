"""A step that stores one artefact: read, stream into the evidence store, record (docs/adr/0028).

Nothing is sent that changes anything, so there is no intent to commit: who dies in the middle leaves
neither a file nor a row, and whoever claims the action next reads it all again. The row of the evidence
and that of the step are written together, under the lease, so there is never a second artefact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta

from django.db import transaction

from cases import evidence, evidence_store
from cases.evidence import About
from cases.evidence_store import Kept
from containment import failpoints, journal, planning
from containment.actions import UnknownType, action_type
from containment.journal import WORKER
from containment.models import StepState
from containment.refusals import Refusal, classify, told
from containment.turn import Outcome, Turn
from containment.types import CONTRACT_VERSION, Artefact, Kind, Refused
from containment.wire import NotDeclared
from lib import canonical, clock
from lib.aws import AwsError, NoAnswer, WrongAccount

RENEWED_EVERY = timedelta(seconds=20)
MOST_SHOWN = 256 * 1024
"""Characters of JSON that the journal keeps of an artefact; what is longer is only in the artefact."""


def collect(turn: Turn, seq: int) -> Outcome:
    """Take a collecting step to its end, or as far as AWS lets it now."""
    step, row = turn.plan.steps[seq], turn.rows[seq]
    failpoints.reach("saved", step.name)
    if row.state != StepState.WAITING:
        turn.put(seq, state=StepState.WAITING, intent_at=clock.now(), tries=row.tries + 1)
    try:
        artefact = _found(turn, step.name)
        failpoints.reach("intent", step.name)
        kept = None if artefact.absent else evidence_store.keep(_alive(turn, artefact.chunks))
    except NoAnswer as silence:
        return turn.unread(seq, str(silence))
    except AwsError as refusal:
        if classify(refusal) is Refusal.THROTTLED:
            return turn.unread(seq, str(refusal))
        return turn.lose(seq, StepState.FAILED, told(refusal))
    except UnknownType:
        gone = f"the code of {turn.action.type} is gone, and only that knows how to collect this"
        return turn.lose(seq, StepState.FAILED, gone)
    except (Refused, NotDeclared, WrongAccount, evidence_store.TooLarge) as reason:
        return turn.lose(seq, StepState.FAILED, str(reason))
    except OSError as failure:
        return turn.lose(seq, StepState.FAILED, f"the evidence store: {failure.strerror or failure}")
    failpoints.reach("called", step.name)
    if kept and artefact.sha256 and kept.sha256 != artefact.sha256:
        other = f"what arrived has SHA-256 {kept.sha256}; AWS says {artefact.sha256}"
        return turn.lose(seq, StepState.FAILED, other)
    _record(turn, seq, artefact, kept)
    failpoints.reach("recorded", step.name)
    return None


def has_collected(turn: Turn) -> bool:
    """Whether any artefact was stored, or found not to be there."""
    return any(row.kind == Kind.COLLECT and row.state == StepState.DONE for row in turn.rows)


def _found(turn: Turn, name: str) -> Artefact:
    """What the type's code finds; raises like a read."""
    declared = action_type(turn.action.type)
    context = planning.context_of(turn.action, declared)
    reader = replace(turn.eyes, allowed=frozenset(declared.reads))
    return declared().collect(replace(context, reader=reader, sources=reader), name)


def _alive(turn: Turn, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, with the lease kept while they arrive."""
    renewed = clock.now()
    for chunk in chunks:
        if clock.now() - renewed > RENEWED_EVERY:
            journal.renew(turn.action)
            renewed = clock.now()
        yield chunk


def _record(turn: Turn, seq: int, artefact: Artefact, kept: Kept | None) -> None:
    """The evidence's row and the step's, together and only while the action is ours."""
    step, action, now = turn.plan.steps[seq], turn.action, clock.now()
    about = About(
        name=artefact.name,
        media_type=artefact.media_type,
        source=artefact.source,
        account=artefact.at.account,
        region=artefact.at.region,
        tool=f"quell {action.type}",
        tool_version=f"contract {CONTRACT_VERSION}",
        is_sensitive=artefact.is_sensitive,
        action=action,
        step=step.name,
    )
    shown = artefact.shown
    if shown is not None and len(canonical.dumps(shown)) > MOST_SHOWN:
        shown = None
    with transaction.atomic():
        journal.renew(action)
        made = evidence.record(
            incident=action.incident, about=about, kept=kept, by=WORKER, at=now, absent=artefact.absent
        )
        value = {
            "evidence": made.ulid,
            "name": made.name,
            "sha256": made.sha256,
            "size": made.size,
            "absent": made.absent,
            "shown": shown,
        }
        turn.put(seq, state=StepState.DONE, result={"value": value}, error="", finished_at=now)
