"""The form in which people report what they noticed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from cases import access, reports
from cases.forms import ReportForm
from cases.reports import Report
from cases.storing import Outcome, Stored
from cases.words import Band
from identity.actors import Actor
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock, ids
from lib.errors import Forbidden, Invalid

SAID = {
    Outcome.CREATED: "Reported. It waits in the queue as an alert.",
    Outcome.REPEATED: "You had reported this already; here it is.",
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def report(request: HttpRequest) -> HttpResponse:
    """Report something, and see the alert that it became."""
    actor = actor_of(request)
    if not actor.may(Permission.WRITE_ALERTS):
        raise Forbidden("Reporting needs the role analyst, responder or lead in a team.")
    teams, accounts = reports.teams_for(actor), reports.accounts_of(actor)
    if request.method != "POST":
        fresh = {"token": ids.ulid(), "severity": Band.MEDIUM.value}
        fresh["account"] = request.GET.get("account", "")
        form = ReportForm(accounts=accounts, teams=teams, initial=fresh)
        return render(request, "cases/report.html", {"form": form})
    form = ReportForm(request.POST, accounts=accounts, teams=teams)
    if not form.is_valid():
        return render(request, "cases/report.html", {"form": form}, status=422)
    said = form.cleaned_data
    try:
        stored = reports.submit(
            report=Report(
                token=said["token"],
                title=said["title"],
                happened=said["happened"],
                noticed_at=said["noticed_at"],
                severity=Band(said["severity"]),
                account=said["account"],
                team=next((one for one in teams if said["team"] in ("", one.slug)), None),
                indicators=said["indicators"],
                link=said["link"],
            ),
            by=actor,
            at=clock.now(),
        )
    except Invalid as refused:
        form.add_error(None, refused.detail)
        return render(request, "cases/report.html", {"form": form}, status=422)
    return _shown(request, actor, stored)


def _shown(request: HttpRequest, actor: Actor, stored: Stored) -> HttpResponse:
    """The alert, where it is still the person's to see: rules may have given it to another team."""
    ulid = stored.alert.ulid if stored.alert is not None else ""
    if not access.alerts_for(actor).filter(ulid=ulid).exists():
        messages.success(request, "You had reported this already; others have it now.")
        return HttpResponseRedirect(reverse("alerts"))
    messages.success(request, SAID.get(stored.outcome, "Your report is brought up to date."))
    return HttpResponseRedirect(reverse("alert", args=[ulid]))
