"""Evidence of an incident: kept once, never changed, with a record of who had it in their hands.

The content is written first and the row after it, so that a row always has its file; a file without a
row is a content that was collected again. What the worker of containment collects comes through
`record`, what a person has through `upload`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import OuterRef, QuerySet, Subquery

from audit.record import record as ledger
from cases import access, evidence_store, timeline
from cases.evidence_store import Damaged, Kept
from cases.models import Action, Custody, Evidence, Incident
from cases.words import CustodyAct
from identity.actors import Actor
from identity.permissions import Permission
from lib.errors import Conflict, Invalid, NotFound

MOST_VIEWED = 1024 * 1024
"""Bytes of an artefact that a page shows as text."""

CHECKS = (CustodyAct.VERIFIED, CustodyAct.DAMAGED)
_VIEWED = re.compile(r"application/(vnd\.quell\.[a-z.-]+\+)?json|text/[a-z0-9.+-]+")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,50}/[a-z0-9.+-]{1,49}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class About:
    """What is known of an artefact beside its content; texts from outside are cut, never refused."""

    name: str
    media_type: str
    source: str
    account: str = ""
    region: str = ""
    tool: str = "quell"
    tool_version: str = ""
    is_sensitive: bool = False
    action: Action | None = None
    step: str = ""


class TooLarge(Invalid):
    """The artefact is larger than this installation keeps."""

    status = 413
    code = "too-large"


class Altered(Conflict):
    """The file of this artefact is missing or was altered; nothing of it is given out."""

    code = "evidence-damaged"


# --- adding ----------------------------------------------------------------------------------------------


def record(
    *, incident: Incident, about: About, kept: Kept | None, by: Actor, at: datetime, absent: str = ""
) -> Evidence:
    """Write the row of an artefact whose content is kept, or of one that is not there (`absent`: why).

    In the caller's transaction. An action's step has one at most: a second raises `IntegrityError`.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("evidence is recorded in the transaction of the step that collected it")
    made = Evidence.objects.create(
        incident=incident,
        name=printable(about.name)[:200] or "unnamed",
        media_type=about.media_type
        if _MEDIA_TYPE.fullmatch(about.media_type)
        else "application/octet-stream",
        sha256=kept.sha256 if kept else "",
        size=kept.size if kept else 0,
        absent="" if kept else (printable(absent)[:300] or "there is none"),
        source=printable(about.source)[:500],
        account=about.account[:12],
        region=about.region[:30],
        tool=about.tool[:80],
        tool_version=about.tool_version[:40],
        is_sensitive=about.is_sensitive,
        collected_at=at,
        collected_by=by.label[:80],
        person_id=by.person_id,
        action=about.action,
        step=about.step[:120],
    )
    _custody(made, CustodyAct.COLLECTED, by=by, at=at, detail=made.absent)
    return made


def upload(
    *,
    incident: Incident,
    name: str,
    media_type: str,
    source: str,
    chunks: Iterable[bytes],
    by: Actor,
    at: datetime,
    is_sensitive: bool = False,
) -> Evidence:
    """Keep what a person or program has: written to the store, then told on the timeline.

    Raises `Conflict` on a closed incident, `Invalid` without a source, `TooLarge`.
    """
    if incident.status == "closed":
        raise Conflict("The incident is closed; reopen it before adding evidence.")
    if not source.strip():
        raise Invalid("Say where it is from.", pointer="/source")
    try:
        kept = evidence_store.keep(chunks)
    except evidence_store.TooLarge as failure:
        raise TooLarge(f"The file has {failure}.") from failure
    about = About(name=name, media_type=media_type, source=source, tool="upload", is_sensitive=is_sensitive)
    with transaction.atomic():
        made = record(incident=incident, about=about, kept=kept, by=by, at=at)
        timeline.add(
            incident=incident,
            kind="evidence",
            at=at,
            title=f"Evidence added: {made.name}",
            detail=f"SHA-256 {made.sha256}, {made.size} bytes",
            by=by,
            recorded_at=at,
            links={"evidence": made.ulid},
        )
        ledger(
            act="evidence.added",
            by=by,
            at=at,
            on=("evidence", made.ulid),
            details={"incident": incident.ref, "sha256": made.sha256, "size": made.size},
        )
    return made


# --- reading ----------------------------------------------------------------------------------------------


def evidence_of(actor: Actor, incident: Incident) -> QuerySet[Evidence]:
    """The incident's evidence from accounts that the actor may read, the newest first.

    Each row has `last_check`: what the newest check of its file came to (`verified`, `damaged` or None).
    """
    newest = Custody.objects.filter(evidence=OuterRef("pk"), what__in=CHECKS).order_by("-pk")
    found = incident.evidence.filter(pk__in=_visible(actor).values("pk"))
    return (
        found.select_related("action", "person", "incident")
        .annotate(last_check=Subquery(newest.values("what")[:1]))
        .order_by("-pk")
    )


def evidence_for(actor: Actor, ulid: str, *, permission: Permission = Permission.READ_INCIDENTS) -> Evidence:
    """One artefact with its incident; `NotFound` for whoever may not read its incident or account."""
    found = _visible(actor).select_related("incident", "action", "person").filter(ulid=ulid).first()
    if found is None:
        raise NotFound("There is no such evidence, or it is not yours to see.")
    access.incident_for(actor, found.incident.ref, permission=permission)
    return found


def content_for(actor: Actor, ulid: str) -> Evidence:
    """One artefact whose content the actor may have: what is sensitive, only those who work on it.

    Raises `NotFound`, `Forbidden`.
    """
    found = evidence_for(actor, ulid)
    needed = Permission.WRITE_INCIDENTS if found.is_sensitive else Permission.READ_INCIDENTS
    access.incident_for(actor, found.incident.ref, permission=needed)
    return found


def may_have(actor: Actor, found: Evidence) -> bool:
    """Whether the actor may have the content of an artefact that they see."""
    incident = found.incident
    return not found.is_sensitive or access.permits(
        actor, Permission.WRITE_INCIDENTS, team=incident.team_id, account=incident.account
    )


def download(*, evidence: Evidence, by: Actor, at: datetime) -> Iterator[bytes]:
    """The content in chunks, hashed again before the first; written into its custody record.

    Raises `NotFound` where there is no file, `Altered` when the file is missing or not what was kept.
    """
    return _given(evidence, CustodyAct.DOWNLOADED, by=by, at=at)


def view(*, evidence: Evidence, by: Actor, at: datetime) -> str:
    """The content as text, cut after `MOST_VIEWED` bytes; written into its custody record.

    Raises `Conflict` for what is no text, `NotFound` and `Altered` as `download`.
    """
    if not is_viewable(evidence):
        raise Conflict("This is no text; download it to look at it.")
    taken = b""
    for chunk in _given(evidence, CustodyAct.VIEWED, by=by, at=at):
        taken += chunk
        if len(taken) > MOST_VIEWED:
            break
    text = taken[:MOST_VIEWED].decode("utf-8", "replace")
    return text if len(taken) <= MOST_VIEWED else f"{text}\n… cut here; download it for the rest"


def verify(*, evidence: Evidence, by: Actor, at: datetime) -> str:
    """Hash the file again and write down what came of it; what is wrong in words, or nothing."""
    if evidence.absent:
        raise NotFound("There is no file: nothing was found when it was collected.")
    try:
        evidence_store.check(evidence.sha256)
    except Damaged as damage:
        _found_damaged(evidence, str(damage), by=by, at=at)
        return str(damage)
    with transaction.atomic():
        _custody(evidence, CustodyAct.VERIFIED, by=by, at=at, detail="the SHA-256 is the one recorded")
    return ""


def is_viewable(evidence: Evidence) -> bool:
    """Whether a page can show it as text."""
    return not evidence.absent and bool(_VIEWED.fullmatch(evidence.media_type))


def file_name(evidence: Evidence) -> str:
    """A name to save it under: letters, digits, dots and hyphens, whatever the artefact is called."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", evidence.name).strip(".-")
    return f"{evidence.incident.ref}-{evidence.ulid[-6:]}-{plain[-80:] or 'evidence'}"


def printable(text: str) -> str:
    """A text from outside on one line: no control, format or direction characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _given(evidence: Evidence, what: CustodyAct, *, by: Actor, at: datetime) -> Iterator[bytes]:
    if evidence.absent:
        raise NotFound("There is no file: nothing was found when it was collected.")
    try:
        chunks = evidence_store.open_checked(evidence.sha256)
    except Damaged as damage:
        _found_damaged(evidence, str(damage), by=by, at=at)
        raise Altered(f"It is not given out: {damage}.") from damage
    with transaction.atomic():
        _custody(evidence, what, by=by, at=at)
        details = {"incident": evidence.incident.ref, "sha256": evidence.sha256}
        ledger(act=f"evidence.{what}", by=by, at=at, on=("evidence", evidence.ulid), details=details)
    return chunks


def _found_damaged(evidence: Evidence, damage: str, *, by: Actor, at: datetime) -> None:
    """Write it where people look; the timeline tells once, until a check finds it whole again."""
    with transaction.atomic():
        last = evidence.custody.filter(what__in=CHECKS).order_by("-pk").first()
        _custody(evidence, CustodyAct.DAMAGED, by=by, at=at, detail=damage)
        if last is None or last.what != CustodyAct.DAMAGED:
            timeline.add(
                incident=evidence.incident,
                kind="evidence.damaged",
                at=at,
                title=f"Evidence is damaged: {evidence.name}",
                detail=damage,
                by=by,
                recorded_at=at,
                links={"evidence": evidence.ulid},
            )
        ledger(
            act="evidence.damaged",
            by=by,
            at=at,
            on=("evidence", evidence.ulid),
            details={"incident": evidence.incident.ref, "sha256": evidence.sha256},
        )


def _custody(evidence: Evidence, what: CustodyAct, *, by: Actor, at: datetime, detail: str = "") -> None:
    Custody.objects.create(
        evidence=evidence,
        at=at,
        what=what,
        actor_kind=by.kind,
        actor=by.label[:80],
        person_id=by.person_id,
        ip=by.ip[:45],
        digest=evidence.sha256,
        detail=detail[:300],
    )


def _visible(actor: Actor) -> QuerySet[Evidence]:
    """What lies in an incident that the actor may read, and is not of an action hidden from them."""
    found = Evidence.objects.filter(incident__in=access.incidents_for(actor))
    if actor.kind == "system":
        return found
    allowed = access.actions_for(actor).values("pk")
    return found.filter(action__isnull=True) | found.filter(action__in=allowed)
