"""The pages of the record: alert queue, alert, incidents, incident. Each view makes one domain call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from cases import access, bulk, incident_list, overview, queries, queue, surroundings, triage
from cases.forms import (
    DISMISSALS,
    CloseForm,
    DismissForm,
    MilestoneForm,
    NoteForm,
    PhaseForm,
    SeverityForm,
)
from cases.models import Alert, Incident, RawDocument
from cases.words import Band, MilestoneKind, Phase, Verdict
from estate.models import Account
from estate.queries import account_of
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock, fragments
from lib.errors import Invalid, NotFound

DOCUMENTS = 5
CANDIDATES = 8


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the panel shows beside the alert's own columns."""

    account: Account | None
    documents: list[RawDocument]
    latency: timedelta | None
    earlier: list[tuple[int, str, datetime]]


# --- alerts -------------------------------------------------------------------------------------------


@require_safe
@signed_in
def alerts(request: HttpRequest) -> HttpResponse:
    """The queue; for the panel alone, its closing."""
    actor = actor_of(request)
    if fragments.is_partial(request, "panel"):
        return render(request, "cases/_panel_closed.html")
    return render(request, "cases/alerts.html", _queue(request, actor))


@require_safe
@signed_in
def news(request: HttpRequest) -> HttpResponse:
    """Whether something came in since the list was made; asked every few seconds."""
    actor = actor_of(request)
    asked = queue.Filter.of(request.GET)
    since = request.GET.get("since", "")
    found = queue.news(actor, asked, since=since)
    tag = fragments.tag_of(found)
    response = fragments.unchanged(request, tag)
    if response is None:
        shown = {"news": found, "queue": {"filter": asked, "since": since}}
        response = render(request, "cases/_news.html", shown)
        response["ETag"] = tag
    return response


@require_safe
@signed_in
def alert(request: HttpRequest, ulid: str) -> HttpResponse:
    """One alert: as the panel of the list, alone for htmx, or as a page of its own (`?as=page`)."""
    actor = actor_of(request)
    found = access.alert_for(actor, ulid)
    if fragments.is_partial(request, "panel"):
        return render(request, "cases/_panel.html", _panel(request, actor, found))
    if request.GET.get("as") == "page":
        return render(request, "cases/alert.html", _panel(request, actor, found))
    return render(request, "cases/alerts.html", _queue(request, actor) | _panel(request, actor, found))


@require_safe
@signed_in
def document(request: HttpRequest, ulid: str, digest: str) -> HttpResponse:
    """One document behind an alert, to save: never shown by the browser, whatever it says it is."""
    found = access.alert_for(actor_of(request), ulid)
    kept = found.documents.filter(digest=digest).first()
    if kept is None:
        raise NotFound("The alert has no such document.")
    body = json.dumps(kept.body, indent=2, ensure_ascii=False)
    response = HttpResponse(body, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="{ulid}-{kept.digest[:12]}.json"'
    return response


@require_POST
@signed_in
def acknowledge(request: HttpRequest, ulid: str) -> HttpResponse:
    """Take an alert: it is mine, and counts as acknowledged."""
    actor = actor_of(request)
    found = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
    triage.acknowledge(alert=found, by=actor, at=clock.now())
    return _after(request, actor, ulid, said="Taken.")


@require_POST
@signed_in
def dismiss(request: HttpRequest, ulid: str) -> HttpResponse:
    """Close an alert with a verdict."""
    actor = actor_of(request)
    found = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
    form = DismissForm(request.POST)
    if not form.is_valid():
        raise Invalid("Choose one of the four verdicts; a reason has at most 500 characters.")
    verdict = Verdict(form.cleaned_data["verdict"])
    triage.dismiss(alert=found, verdict=verdict, reason=form.cleaned_data["reason"], by=actor, at=clock.now())
    said = f"Dismissed as {verdict.value.replace('_', ' ')}."
    return _after(request, actor, ulid, said=said, may_restore=True)


@require_POST
@signed_in
def restore(request: HttpRequest, ulid: str) -> HttpResponse:
    """Take a dismissal back."""
    actor = actor_of(request)
    found = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
    triage.restore(alert=found, by=actor, at=clock.now())
    return _after(request, actor, ulid, said="Open again.")


@require_POST
@signed_in
def escalate(request: HttpRequest, ulid: str) -> HttpResponse:
    """Put an alert into a new incident or into one that is open."""
    actor = actor_of(request)
    found = access.alert_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
    incident = triage.escalate(alerts=[found], incident=_target(request, actor), by=actor, at=clock.now())
    return _after(request, actor, ulid, said="Escalated.", incident=incident)


@require_POST
@signed_in
def selected(request: HttpRequest) -> HttpResponse:
    """One verb for all rows that are checked; each row answers for itself."""
    actor = actor_of(request)
    chosen = request.POST.getlist("alert")[:500]
    done = bulk.apply(
        actor=actor,
        ulids=chosen,
        verb=_verb(request, actor),
        at=clock.now(),
    )
    if not fragments.is_partial(request):
        (messages.success if not done.left else messages.error)(request, done.sentence)
        return HttpResponseRedirect(reverse("alerts") + queue.Filter.of(request.GET).query)
    changed = access.alerts_for(actor).select_related("assignee", "incident").filter(ulid__in=chosen)
    context = {
        "rows": queue.rows_of(actor, changed),
        "filter": queue.Filter.of(request.GET),
        "said": done.sentence,
        "tone": "error" if done.left else "success",
        "incident": done.incident,
    }
    return render(request, "cases/_rows_changed.html", context)


# --- incidents ----------------------------------------------------------------------------------------


@require_safe
@signed_in
def incidents(request: HttpRequest) -> HttpResponse:
    """The incidents, open ones first asked for, worst first."""
    actor = actor_of(request)
    asked = incident_list.Filter.of(request.GET)
    page = incident_list.page(actor, asked, cursor=request.GET.get("cursor", ""))
    return render(request, "cases/incidents.html", {"page": page})


@require_safe
@signed_in
def incident(request: HttpRequest, ref: str) -> HttpResponse:
    """An incident's overview: brief, clock, coverage, newest entries."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref)
    context = _incident(request, actor, found, tab="overview")
    context |= {
        "brief": overview.brief(actor, found),
        "ruler": overview.ruler(found, now=clock.now()),
        "timeline": overview.timeline(found, limit=30),
        "note_form": NoteForm(),
    }
    return render(request, "cases/incident.html", context)


@signed_in
def timeline(request: HttpRequest, ref: str) -> HttpResponse:
    """The whole timeline, and adding to it."""
    actor = actor_of(request)
    if request.method == "POST":
        return _add_note(request, actor, ref)
    found = access.incident_for(actor, ref)
    before = request.GET.get("before", "")
    context = _incident(request, actor, found, tab="timeline")
    context |= {"timeline": overview.timeline(found, before=before), "note_form": NoteForm()}
    return render(request, "cases/incident_timeline.html", context)


@require_safe
@signed_in
def incident_alerts(request: HttpRequest, ref: str) -> HttpResponse:
    """The alerts that an incident gathers."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref)
    context = _incident(request, actor, found, tab="alerts")
    context["rows"] = queue.rows_of(actor, overview.alerts_of(actor, found)[:500])
    return render(request, "cases/incident_alerts.html", context)


@signed_in
def milestones(request: HttpRequest, ref: str) -> HttpResponse:
    """Every timestamp with where it comes from; people with the right state or correct them here."""
    actor = actor_of(request)
    form = MilestoneForm()
    if request.method == "POST":
        found = access.incident_for(actor, ref, permission=Permission.WRITE_MILESTONES)
        form = MilestoneForm(request.POST)
        if form.is_valid() and _stated(form, found, actor):
            messages.success(request, "Recorded. The statement before it is kept.")
            return HttpResponseRedirect(reverse("incident-milestones", args=[ref]))
    else:
        found = access.incident_for(actor, ref)
    context = _incident(request, actor, found, tab="milestones")
    context |= {"statements": overview.statements(found), "milestone_form": form}
    return render(request, "cases/incident_milestones.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def take(request: HttpRequest, ref: str) -> HttpResponse:
    """Make an incident mine."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    triage.assign(incident=found, person=overview.person_of(actor), by=actor, at=clock.now())
    return _back_to(request, ref, said="Yours.")


@require_POST
@signed_in
def set_severity(request: HttpRequest, ref: str) -> HttpResponse:
    """Say how bad it is."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    form = SeverityForm(request.POST)
    if not form.is_valid():
        raise Invalid("Choose one of the five severities.", pointer="/severity")
    band = Band(form.cleaned_data["severity"])
    triage.set_severity(incident=found, severity=band.severity, by=actor, at=clock.now())
    return _back_to(request, ref, said=f"Severity is {band.value} now.")


@require_POST
@signed_in
def move(request: HttpRequest, ref: str) -> HttpResponse:
    """Go on to another phase, or back to one."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    form = PhaseForm(request.POST)
    if not form.is_valid():
        raise Invalid("Choose one of the phases.", pointer="/to")
    to = Phase(form.cleaned_data["to"])
    triage.move_phase(incident=found, to=to, reason=form.cleaned_data["reason"], by=actor, at=clock.now())
    return _back_to(request, ref, said=f"Moved to {to.value}.")


@signed_in
def close(request: HttpRequest, ref: str) -> HttpResponse:
    """Close an incident with a verdict and a resolution."""
    actor = actor_of(request)
    found = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    standing = triage.undecided(found)
    form = CloseForm(request.POST or None, kept=request.POST.getlist("keep"), standing=len(standing))
    if request.method == "POST" and form.is_valid():
        triage.close(
            incident=found,
            verdict=Verdict(form.cleaned_data["verdict"]),
            resolution=form.cleaned_data["resolution"],
            keep=[action.ulid for action in standing if action.ulid in request.POST.getlist("keep")],
            keep_reason=form.cleaned_data["keep_reason"],
            keep_until=_end_of(form.cleaned_data["keep_until"]),
            by=actor,
            at=clock.now(),
        )
        return _back_to(request, ref, said="Closed.")
    context = _incident(request, actor, found, tab="") | {"close_form": form, "standing": standing}
    return render(request, "cases/incident_close.html", context, status=422 if form.errors else 200)


# --- what the views share -----------------------------------------------------------------------------


def _queue(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    asked = queue.Filter.of(request.GET)
    may = actor.may(Permission.TRIAGE_ALERTS)
    return {
        "queue": queue.page(actor, asked, cursor=request.GET.get("cursor", "")),
        "filter": asked,
        "page_size": queue.PAGE,
        "severities": [band.value for band in reversed(Band)][:4],
        "statuses": list(queue.STATUSES),
        "may_triage": may,
        "may_report": actor.may(Permission.WRITE_ALERTS),
        "dismissals": DISMISSALS,
        "candidates": _candidates(actor) if may else [],
    }


def _panel(request: HttpRequest, actor: Actor, found: Alert) -> dict[str, Any]:
    may = access.permits(actor, Permission.TRIAGE_ALERTS, team=found.team_id, account=found.account)
    latency = found.received_at - found.detected_at
    return {
        "alert": found,
        "open_ulid": found.ulid,
        "filter": queue.Filter.of(request.GET),
        "may_triage": may,
        "dismissals": DISMISSALS,
        "candidates": _candidates(actor, account=found.account) if may else [],
        "facts": Facts(
            account=account_of(found.account) if found.account else None,
            documents=list(found.documents.order_by("-received_at", "-pk")[:DOCUMENTS]),
            latency=latency if latency > timedelta(0) else None,
            earlier=queries.earlier_verdicts(found) if found.episode > 1 else [],
        ),
        "around": surroundings.around(actor, found, opened=DOCUMENTS),
    }


def _candidates(actor: Actor, *, account: str = "") -> list[Incident]:
    """Open incidents to put an alert into, at most as many as there are digits; same account first."""
    found = access.incidents_for(actor).exclude(status=Phase.CLOSED).order_by("-opened_at")[:50]
    return sorted(found, key=lambda incident: incident.account != account)[:CANDIDATES]


def _target(request: HttpRequest, actor: Actor) -> Incident | None:
    ref = request.POST.get("incident", "new")
    if ref in {"", "new"}:
        return None
    return access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)


def _verb(request: HttpRequest, actor: Actor) -> bulk.Verb:
    if request.POST.get("do") == "take":
        return bulk.Take()
    if request.POST.get("verdict"):
        form = DismissForm(request.POST)
        if not form.is_valid():
            raise Invalid("Choose one of the four verdicts; a reason has at most 500 characters.")
        return bulk.Dismiss(verdict=Verdict(form.cleaned_data["verdict"]), reason=form.cleaned_data["reason"])
    if request.POST.get("incident"):
        return bulk.Escalate(incident=_target(request, actor))
    raise Invalid("Say what to do with the alerts: take, dismiss or escalate them.")


def _after(
    request: HttpRequest,
    actor: Actor,
    ulid: str,
    *,
    said: str,
    incident: Incident | None = None,
    may_restore: bool = False,
) -> HttpResponse:
    """The panel as it is now, with its row and a toast; without htmx, back to where it was."""
    if not fragments.is_partial(request):
        messages.success(request, f"{said} {incident.ref}" if incident else said)
        return HttpResponseRedirect(reverse("alert", args=[ulid]) + queue.Filter.of(request.GET).query)
    found = access.alert_for(actor, ulid)
    context = _panel(request, actor, found)
    context |= {
        "rows": queue.rows_of(actor, [found]),
        "said": said,
        "tone": "success",
        "incident": incident,
        "restore_ulid": ulid if may_restore else "",
    }
    return render(request, "cases/_alert_changed.html", context)


def _incident(request: HttpRequest, actor: Actor, found: Incident, *, tab: str) -> dict[str, Any]:
    del request
    return {"head": overview.head(actor, found, tab=tab), "incident": found}


def _add_note(request: HttpRequest, actor: Actor, ref: str) -> HttpResponse:
    found = access.incident_for(actor, ref, permission=Permission.WRITE_INCIDENTS)
    form = NoteForm(request.POST)
    if form.is_valid():
        triage.note(
            incident=found,
            at=form.cleaned_data["at"],
            text=form.cleaned_data["text"],
            by=actor,
            recorded_at=clock.now(),
        )
        if not fragments.is_partial(request):
            return HttpResponseRedirect(reverse("incident-timeline", args=[ref]))
        form = NoteForm()
    partial = fragments.is_partial(request)
    context = _incident(request, actor, found, tab="timeline")
    context |= {"timeline": overview.timeline(found, limit=30 if partial else 200), "note_form": form}
    template = "cases/_timeline.html" if partial else "cases/incident_timeline.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _stated(form: MilestoneForm, incident: Incident, actor: Actor) -> bool:
    """Record the statement; what the record refuses becomes an error of the form."""
    try:
        triage.state(
            incident=incident,
            kind=MilestoneKind(form.cleaned_data["kind"]),
            at=form.cleaned_data["at"],
            estimated=form.cleaned_data["estimated"],
            reason=form.cleaned_data["reason"],
            evidence=form.cleaned_data["evidence"],
            by=actor,
            recorded_at=clock.now(),
        )
    except Invalid as refused:
        form.add_error("at" if refused.pointer == "/at" else None, refused.detail)
        return False
    return True


def _end_of(day: date | None) -> datetime | None:
    """The last second of a day, in UTC."""
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC) if day else None


def _back_to(request: HttpRequest, ref: str, *, said: str) -> HttpResponse:
    messages.success(request, said)
    return HttpResponseRedirect(reverse("incident", args=[ref]))
