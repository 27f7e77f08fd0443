"""The pages of quarantine: the list with its panel, the raw bytes, replaying and putting aside."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from cases import quarantine, quarantine_list
from cases.ingest import Received
from cases.quarantine import Round
from cases.quarantine_list import Filter
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock, fragments
from lib.errors import Invalid


@require_safe
@signed_in
def items(request: HttpRequest) -> HttpResponse:
    """What could not be read; for the panel alone, its closing."""
    if fragments.is_partial(request, "panel"):
        return render(request, "cases/_panel_closed.html")
    return render(request, "cases/quarantine.html", _list(request, actor_of(request)))


@require_safe
@signed_in
def item(request: HttpRequest, ulid: str) -> HttpResponse:
    """One item: as the panel of the list, alone for htmx, or as a page of its own (`?as=page`)."""
    actor = actor_of(request)
    context = _panel(request, actor, ulid)
    if fragments.is_partial(request, "panel"):
        return render(request, "cases/_quarantine_panel.html", context)
    if request.GET.get("as") == "page":
        return render(request, "cases/quarantine_item.html", context)
    return render(request, "cases/quarantine.html", _list(request, actor) | context)


@require_safe
@signed_in
def raw(request: HttpRequest, ulid: str) -> HttpResponse:
    """The bytes as they came: always a file to keep, never something that a browser would open."""
    actor = actor_of(request)
    found = quarantine.quarantined_one_for(actor, ulid)
    body = quarantine.bytes_for(actor, found)
    response = HttpResponse(body, content_type="application/octet-stream")
    response["Content-Disposition"] = f'attachment; filename="quarantine-{found.ulid}.bin"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
@signed_in
def replay(request: HttpRequest, ulid: str) -> HttpResponse:
    """Try one item again."""
    actor = actor_of(request)
    found = quarantine.quarantined_one_for(actor, ulid, permission=Permission.WRITE_ALERTS)
    received = quarantine.replay(item=found, by=actor, at=clock.now())
    is_still_held = any(held.ulid == ulid for held in received.quarantined)
    return _after(request, actor, ulid, said=_told(received, ulid), is_bad=is_still_held)


@require_POST
@signed_in
def discard(request: HttpRequest, ulid: str) -> HttpResponse:
    """Put one item aside, with a reason; one without comes back as the panel that asks for it."""
    actor = actor_of(request)
    found = quarantine.quarantined_one_for(actor, ulid, permission=Permission.TRIAGE_ALERTS)
    try:
        quarantine.discard(item=found, reason=request.POST.get("reason", ""), by=actor, at=clock.now())
    except Invalid as refused:
        context = _panel(request, actor, ulid) | {"refusal": refused.detail}
        template = "cases/_quarantine_panel.html"
        if not fragments.is_partial(request):
            context |= _list(request, actor)
            template = "cases/quarantine.html"
        return render(request, template, context, status=422)
    return _after(request, actor, ulid, said="Put aside. The bytes are kept.")


@require_POST
@signed_in
def replay_waiting(request: HttpRequest) -> HttpResponse:
    """Try again what waits and fits the filter, as much as one round may."""
    actor = actor_of(request)
    asked = Filter.of(request.GET)
    done = quarantine.replay_waiting(
        source=asked.source, reason=asked.q, after=request.POST.get("after", ""), by=actor, at=clock.now()
    )
    tell = messages.error if done.unreadable or done.settled else messages.success
    tell(request, _round_told(done))
    query = asked.query
    if done.left:
        query += f"{'&' if query else '?'}after={done.last}"
    return HttpResponseRedirect(reverse("quarantine") + query)


def _list(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    asked = Filter.of(request.GET)
    page = quarantine_list.page(actor, asked, cursor=request.GET.get("cursor", ""))
    may = any(seat.is_whole for seat in actor.seats_for(Permission.WRITE_ALERTS))
    return {
        "page": page,
        "filter": asked,
        "filter_rest": asked.without("source").query,
        "after": request.GET.get("after", "")[:26],
        "most_at_once": quarantine.MOST_AT_ONCE,
        "may_replay_all": may and asked.state == "waiting" and bool(page.rows),
        "sees_none": not any(seat.is_whole for seat in actor.seats_for(Permission.READ_ALERTS)),
    }


def _panel(request: HttpRequest, actor: Actor, ulid: str) -> dict[str, Any]:
    return {
        "item": quarantine_list.detail(actor, ulid),
        "open_ulid": ulid,
        "filter": Filter.of(request.GET),
    }


def _after(request: HttpRequest, actor: Actor, ulid: str, *, said: str, is_bad: bool = False) -> HttpResponse:
    """The panel as it is now, with its row and a toast; without htmx, back to where it was."""
    if not fragments.is_partial(request):
        (messages.error if is_bad else messages.success)(request, said)
        return HttpResponseRedirect(reverse("quarantine-item", args=[ulid]) + Filter.of(request.GET).query)
    context = _panel(request, actor, ulid)
    context |= {"said": said, "tone": "error" if is_bad else "success"}
    return render(request, "cases/_quarantine_changed.html", context)


def _told(received: Received, ulid: str) -> str:
    """What a replay came to, in words."""
    if again := next((held for held in received.quarantined if held.ulid == ulid), None):
        return f"Still not readable: {quarantine_list.visible(again.reason)}. It waits on."
    parts = []
    if received.alerts:
        parts.append(_count(len(received.alerts), "document became an alert", "documents became alerts"))
    if received.passed:
        parts.append(f"{received.passed} read, with nothing alarming in it")
    if received.quarantined:
        held = _count(len(received.quarantined), "part waits", "parts wait")
        parts.append(f"{held} on, each with its own reason")
    return f"Replayed: {', '.join(parts) or 'nothing was in it'}."


def _round_told(done: Round) -> str:
    """What a round over many items came to, and what is left."""
    if not done.tried:
        return "Nothing to replay: no item that you may replay fits."
    parts = [f"Tried {done.tried}: {done.done} read, with {_count(done.alerts, 'alert', 'alerts')}."]
    if done.unreadable:
        parts.append(f"{done.unreadable} still cannot be read and wait on.")
    if done.settled:
        parts.append(f"{_count(done.settled, 'was', 'were')} settled by others meanwhile.")
    if done.left:
        parts.append(f"{done.left} not tried yet.")
    return " ".join(parts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
