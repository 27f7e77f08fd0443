"""The pages of the ledger: the list with its panel, and the export."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from audit.search import NEWEST, Asked
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock, fragments
from lib.errors import Forbidden, Invalid
from soc.ledger import access, exporting, listing


@require_safe
@signed_in
def events(request: HttpRequest) -> HttpResponse:
    """What was done; for the panel alone, its closing. What cannot be looked for is said above the list."""
    actor = _reader(request)
    if fragments.is_partial(request, "panel"):
        return render(request, "cases/_panel_closed.html")
    context = _list(request, actor)
    return render(request, "soc/audit.html", context, status=422 if context.get("refusal") else 200)


@require_safe
@signed_in
def event(request: HttpRequest, seq: str) -> HttpResponse:
    """One event: as the panel of the list, alone for htmx, or as a page of its own (`?as=page`)."""
    actor = _reader(request)
    context: dict[str, Any] = {"event": listing.detail(actor, seq)}
    if fragments.is_partial(request, "panel"):
        return render(request, "soc/_audit_panel.html", context | {"asked": _asked(request)[0]})
    if request.GET.get("as") == "page":
        return render(request, "soc/audit_event.html", context)
    return render(request, "soc/audit.html", _list(request, actor) | context)


@require_GET  # and no HEAD, which would be recorded as an export that nobody got
@signed_in
def export(request: HttpRequest) -> HttpResponseBase:
    """A slice of the ledger as a zip that proves itself. The ledger keeps who took it, and for what."""
    actor = _reader(request)
    return answer(actor, request.GET)


def answer(actor: Actor, given: Any) -> StreamingHttpResponse:
    """The zip that is asked for, written while it is read."""
    access.demand_whole(actor)
    begun = exporting.begin(exporting.Wish.of(given), by=actor, at=clock.now())
    response = StreamingHttpResponse(exporting.chunks(begun), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{begun.name}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _reader(request: HttpRequest) -> Actor:
    actor = actor_of(request)
    if not actor.may(Permission.READ_AUDIT):
        raise Forbidden("The audit trail is for auditors and leads.")
    return actor


def _list(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    asked, refusal = _asked(request)
    before = request.GET.get("before", "")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 20 else 0
    page = None if refusal else listing.page(actor, asked, before=min(number, NEWEST))
    return {
        "page": page,
        "asked": asked,
        "terms": [(name, value, asked.without(_FIELDS.get(name, name)).query) for name, value in asked.pairs],
        "written": dict(asked.pairs),
        "refusal": refusal,
        "kinds": [(word, kind.says) for word, kind in access.KINDS.items()],
        "proof": listing.proof(),
        "is_whole": access.is_installation_wide(actor),
    }


_FIELDS = {
    "type": "object_type",
    "id": "object_id",
    "from": "since",
    "from_seq": "first",
    "to_seq": "last",
}
"""The field of `Asked` behind a name in the address, where they differ."""


def _asked(request: HttpRequest) -> tuple[Asked, str]:
    """What the address asks for; what of it makes no sense, in words, with nothing asked instead."""
    try:
        return Asked.of(request.GET), ""
    except Invalid as refused:
        return Asked(), refused.detail
