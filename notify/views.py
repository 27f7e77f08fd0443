"""The inbox, and the bell in the head of every page."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from identity.requests import actor_of, signed_in
from lib import clock, fragments
from notify import inbox as boxes

PAGE = 50


@require_safe
@signed_in
def inbox(request: HttpRequest) -> HttpResponse:
    """One's own notices, newest first; `?view=unread` only those that were not read."""
    actor = actor_of(request)
    items = boxes.items_for(actor)
    view = "unread" if request.GET.get("view") == "unread" else "all"
    shown = items.filter(read_at__isnull=True) if view == "unread" else items
    before = request.GET.get("before", "")
    if before and (last := items.filter(ulid=before).first()):
        shown = shown.filter(pk__lt=last.pk)
    rows = list(shown[: PAGE + 1])
    context = {
        "items": rows[:PAGE],
        "view": view,
        "unread": boxes.unread(actor),
        "newest": items.values_list("ulid", flat=True).first() or "",
        "before": rows[PAGE - 1].ulid if len(rows) > PAGE else "",
    }
    return render(request, "notify/inbox.html", context)


@require_safe
@signed_in
def bell(request: HttpRequest) -> HttpResponse:
    """The bell with the number of unread notices; asks again by itself."""
    unread = boxes.unread(actor_of(request))
    tag = fragments.tag_of("bell", unread)
    response = fragments.unchanged(request, tag)
    if response is None:
        response = render(request, "notify/_bell.html", {"unread": unread})
        response["ETag"] = tag
    return response


@require_POST
@signed_in
def open_item(request: HttpRequest, ulid: str) -> HttpResponse:
    """Read a notice and go to what it is about."""
    item = boxes.item_for(actor_of(request), ulid)
    boxes.mark_read(item=item, at=clock.now())
    return HttpResponseRedirect(item.notice.link)


@require_POST
@signed_in
def read(request: HttpRequest, ulid: str) -> HttpResponse:
    """Mark one as read."""
    boxes.mark_read(item=boxes.item_for(actor_of(request), ulid), at=clock.now())
    return HttpResponseRedirect(_back(request))


@require_POST
@signed_in
def read_all(request: HttpRequest) -> HttpResponse:
    """Mark everything as read that was on the page."""
    boxes.mark_all_read(by=actor_of(request), upto=request.POST.get("upto", ""), at=clock.now())
    return HttpResponseRedirect(_back(request))


@require_POST
@signed_in
def acknowledge(request: HttpRequest, ulid: str) -> HttpResponse:
    """Say "I have it"."""
    actor = actor_of(request)
    item = boxes.item_for(actor, ulid)
    if not boxes.acknowledge(item=item, by=actor, at=clock.now()) and item.notice.acknowledged_by:
        messages.info(request, f"{item.notice.acknowledged_by.name} has it already.")
    return HttpResponseRedirect(_back(request))


def _back(request: HttpRequest) -> str:
    view = "?view=unread" if request.POST.get("view") == "unread" else ""
    return reverse("inbox") + view
