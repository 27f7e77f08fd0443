"""The pages of evidence: an incident's list, one artefact with its custody record, its content."""

from __future__ import annotations

from django.contrib import messages
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cases import access, evidence, overview
from cases.models import Evidence
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock
from lib.errors import Invalid

MOST_LISTED = 500


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def incident_evidence(request: HttpRequest, ref: str) -> HttpResponse:
    """What the incident has in evidence, and the form to add to it."""
    actor = actor_of(request)
    if request.method == "POST":
        return _add(request, actor, ref)
    return _listed(request, actor, ref, errors={})


@require_safe
@signed_in
def one(request: HttpRequest, ulid: str) -> HttpResponse:
    """One artefact: what it is, where it is from, who had it."""
    actor = actor_of(request)
    return _page(request, actor, evidence.evidence_for(actor, ulid), text=None)


@require_safe
@signed_in
def view(request: HttpRequest, ulid: str) -> HttpResponse:
    """One artefact with its content as text. Noted in its custody record."""
    actor = actor_of(request)
    found = evidence.content_for(actor, ulid)
    return _page(request, actor, found, text=evidence.view(evidence=found, by=actor, at=clock.now()))


@require_safe
@signed_in
def content(request: HttpRequest, ulid: str) -> HttpResponseBase:
    """The file, to save. Noted in its custody record."""
    actor = actor_of(request)
    found = evidence.content_for(actor, ulid)
    return attachment(found, by=actor)


@require_POST
@signed_in
def verify(request: HttpRequest, ulid: str) -> HttpResponse:
    """Hash the file again, and say what came of it."""
    actor = actor_of(request)
    found = evidence.evidence_for(actor, ulid, permission=Permission.WRITE_INCIDENTS)
    damage = evidence.verify(evidence=found, by=actor, at=clock.now())
    if damage:
        messages.error(request, f"Damaged: {damage}.")
    else:
        messages.success(request, "The SHA-256 of the file is the one recorded.")
    return HttpResponseRedirect(reverse("evidence", args=[ulid]))


def attachment(found: Evidence, *, by: Actor) -> StreamingHttpResponse:
    """The content as a file that no browser shows or runs, whatever is in it."""
    chunks = evidence.download(evidence=found, by=by, at=clock.now())
    response = StreamingHttpResponse(chunks, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{evidence.file_name(found)}"'
    response["Content-Length"] = str(found.size)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["Cache-Control"] = "no-store"
    return response


def _add(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    incident = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    given = request.FILES.get("file")
    if given is None:
        return _listed(request, actor, ref, errors={"file": "Choose a file."})
    try:
        made = evidence.upload(
            incident=incident,
            name=given.name or "",
            media_type=given.content_type or "",
            source=request.POST.get("source", ""),
            chunks=given.chunks(),
            is_sensitive=request.POST.get("is_sensitive") == "on",
            by=actor,
            at=clock.now(),
        )
    except Invalid as refused:
        pointer = refused.pointer.lstrip("/") or "file"
        return _listed(request, actor, ref, errors={pointer: refused.detail})
    messages.success(request, f"Kept under SHA-256 {made.sha256[:12]}….")
    return HttpResponseRedirect(reverse("incident-evidence", args=[ref]))


def _listed(request: HttpRequest, actor: Actor, ref: str, *, errors: dict[str, str]) -> HttpResponse:
    incident = access.incident_for(actor, ref)
    context = {
        "head": overview.head(actor, incident, tab="evidence"),
        "incident": incident,
        "rows": list(evidence.evidence_of(actor, incident)[:MOST_LISTED]),
        "source": request.POST.get("source", "")[:500],
        "errors": errors,
    }
    return render(request, "cases/incident_evidence.html", context, status=422 if errors else 200)


def _page(request: HttpRequest, actor: Actor, found: Evidence, *, text: str | None) -> HttpResponse:
    incident = access.incident_for(actor, found.incident.ref)
    custody = list(found.custody.select_related("person").order_by("pk"))
    context = {
        "head": overview.head(actor, incident, tab="evidence"),
        "incident": incident,
        "item": found,
        "custody": custody,
        "last_check": next((one for one in reversed(custody) if one.what in evidence.CHECKS), None),
        "text": text,
        "is_viewable": evidence.is_viewable(found),
        "may_have": evidence.may_have(actor, found),
    }
    return render(request, "cases/evidence.html", context)
