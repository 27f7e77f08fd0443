"""The pages of triage rules: the list, one rule, its form, and what it would have done."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from cases import previewing, rule_list, ruling
from cases.models import TriageRule
from cases.previewing import Preview
from cases.rule_forms import FIELDS, OPERATORS, RuleForm, rows_from
from cases.ruling import NameTaken, Stale
from cases.sources.registry import sources
from identity.actors import Actor
from identity.models import Team
from identity.permissions import Permission
from identity.requests import actor_of, signed_in
from lib import clock, fragments
from lib.errors import Conflict, Forbidden, Invalid

CHART_HEIGHT = 40
BAR = 10
"""Width of one day's bar with its gap, in the units of the drawing."""


@require_safe
@signed_in
def rules(request: HttpRequest) -> HttpResponse:
    """The rules of one's teams, in the order in which they are looked at."""
    actor = actor_of(request)
    listed = rule_list.page(actor, request.GET, at=clock.now())
    context = {"page": listed, "may_keep": bool(ruling.teams_kept_by(actor)), "may_read": _reads_any(actor)}
    return render(request, "cases/rules.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: HttpRequest) -> HttpResponse:
    """Write a rule and try it; saved, it is switched off."""
    actor = actor_of(request)
    teams = ruling.teams_kept_by(actor)
    if not teams:
        raise Forbidden("Rules reach the whole team; they are kept by leads of the whole team.")
    if request.method != "POST":
        return _form(request, RuleForm(None, teams=teams))
    form = RuleForm(request.POST, teams=teams)
    if "more" in request.POST:
        return _form(request, _unjudged(request, teams=teams), rows=3)
    team = ruling.team_for(actor, form.cleaned_data.get("team", "")) if form.is_valid() else teams[0]
    drafted = _drafted(form, team)
    if drafted is None or "save" not in request.POST:
        return _form(request, form, tried=_tried(drafted, actor))
    try:
        rule = ruling.create(wording=form.wording(), team=team, by=actor, at=clock.now())
    except Conflict as refused:
        return _refused(request, form, refused)
    messages.success(request, "Saved, switched off. See what it would have done, then switch it on.")
    return HttpResponseRedirect(reverse("rule", args=[rule.ulid]))


@require_safe
@signed_in
def rule(request: HttpRequest, ulid: str) -> HttpResponse:
    """One rule: what it says, what it did, who changed it."""
    actor = actor_of(request)
    return render(request, "cases/rule.html", _rule(actor, ruling.rule_for(actor, ulid)))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: HttpRequest, ulid: str) -> HttpResponse:
    """Change what a rule says; refused, with what was written kept, when somebody else was faster."""
    actor = actor_of(request)
    found = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    teams = [found.team]
    if request.method != "POST":
        return _form(request, RuleForm(None, teams=teams, rule=found))
    if "more" in request.POST:
        return _form(request, _unjudged(request, teams=teams, rule=found), rows=3)
    form = RuleForm(request.POST, teams=teams, rule=found)
    drafted = _drafted(form, found.team)
    if drafted is None or "save" not in request.POST:
        return _form(request, form, tried=_tried(drafted, actor))
    try:
        seen = request.POST.get("version", "")
        ruling.change(rule=found, wording=form.wording(), by=actor, at=clock.now(), seen=seen)
    except Conflict as refused:
        return _refused(request, form, refused)
    messages.success(request, "Changed. Alerts that it was applied to stay as they are.")
    return HttpResponseRedirect(reverse("rule", args=[ulid]))


@require_safe
@signed_in
def preview(request: HttpRequest, ulid: str) -> HttpResponse:
    """What the rule would have done over the last 30 days, and the switch below it."""
    actor, at = actor_of(request), clock.now()
    found = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    context = _rule(actor, found) | _shown(previewing.preview(rule=found, by=actor, at=at))
    template = "cases/_rule_preview.html" if fragments.is_partial(request, "preview") else "cases/rule.html"
    return render(request, template, context)


@require_POST
@signed_in
def switch(request: HttpRequest, ulid: str) -> HttpResponse:
    """Switch a rule on or off, if it is still as it was looked at."""
    actor = actor_of(request)
    found = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    on = request.POST.get("on")
    if on not in ("yes", "no"):
        raise Invalid("Say whether it is to be on: yes or no.", pointer="/on")
    seen = request.POST.get("version", "")
    ruling.switch(rule=found, on=on == "yes", by=actor, at=clock.now(), seen=seen)
    said = "Switched on. It looks at alerts from now on." if on == "yes" else "Switched off."
    messages.success(request, said)
    return HttpResponseRedirect(reverse("rule", args=[ulid]))


@require_POST
@signed_in
def remove(request: HttpRequest, ulid: str) -> HttpResponse:
    """Remove a rule that suppressed nothing."""
    actor = actor_of(request)
    found = ruling.rule_for(actor, ulid, permission=Permission.KEEP_RULES)
    ruling.remove(rule=found, by=actor, at=clock.now(), seen=request.POST.get("version", ""))
    messages.success(request, f"Removed {found.name}.")
    return HttpResponseRedirect(reverse("rules"))


# --- what the views share -----------------------------------------------------------------------------


def _rule(actor: Actor, found: TriageRule) -> dict[str, Any]:
    return {
        "line": rule_list.counted(found, at=clock.now()),
        "rule": found,
        "version": ruling.version_of(found),
        "history": rule_list.history(found),
        "applied": rule_list.applied_to(actor, found),
        "may_keep": ruling.may_keep(actor, found.team_id),
    }


def _form(
    request: HttpRequest,
    form: RuleForm,
    *,
    tried: dict[str, Any] | None = None,
    rows: int = 0,
    status: int | None = None,
    **more: Any,
) -> HttpResponse:
    """The form as it stands; a rule that is changed keeps the version that was looked at."""
    rule = form.rule
    version = request.POST.get("version") or (ruling.version_of(rule) if rule else "")
    context = {
        "form": form,
        "rule": rule,
        "rows": form.padded(rows),
        "version": version,
        "fields": FIELDS,
        "operators": OPERATORS,
        "sources": sorted(sources()),
        **(tried or {}),
        **more,
    }
    return render(request, "cases/rule_form.html", context, status=status or (422 if form.errors else 200))


def _unjudged(request: HttpRequest, *, teams: list[Team], rule: TriageRule | None = None) -> RuleForm:
    """The form with what was written, and nothing said about it yet."""
    form = RuleForm(None, teams=teams, rule=rule)
    form.initial = {**form.initial, **_plain(request.POST)}
    form.rows = [row for row in rows_from(request.POST) if not row.is_blank]
    return form


def _plain(data: QueryDict) -> dict[str, Any]:
    """The fields that were sent; a box that was not ticked is sent as nothing."""
    return {name: data.get(name, "") for name in RuleForm.base_fields}


def _drafted(form: RuleForm, team: Team) -> TriageRule | None:
    """The rule that the form makes, not stored; None, with errors at their fields, where it makes none."""
    if not form.is_valid():
        return None
    try:
        return ruling.drafted(form.wording(), team=team, at=clock.now(), before=form.rule)
    except Invalid as refused:
        form.refused(refused)
        return None


def _tried(drafted: TriageRule | None, actor: Actor) -> dict[str, Any]:
    """What a drafted rule would have done."""
    if drafted is None:
        return {}
    return _shown(previewing.preview(rule=drafted, by=actor, at=clock.now()))


def _refused(request: HttpRequest, form: RuleForm, refused: Conflict) -> HttpResponse:
    """What somebody else's change or rule does not allow, with everything that was written kept."""
    if isinstance(refused, Stale) and form.rule is not None:
        change = rule_list.last_change(form.rule)
        # A second "Save" is meant: it is for the rule as it is now.
        return _form(request, form, status=409, stale=change, version=ruling.version_of(form.rule))
    form.add_error("name" if isinstance(refused, NameTaken) else None, refused.detail)
    return _form(request, form, status=409)


def _shown(found: Preview) -> dict[str, Any]:
    """A preview with its days as bars."""
    most = max(found.busiest, 1)
    bars = [
        {
            "x": number * BAR,
            "y": CHART_HEIGHT - height,
            "height": height,
            "title": f"{day:%-d %b}: {count:,}",
        }
        for number, (day, count) in enumerate(found.days)
        if (height := max(round(count * CHART_HEIGHT / most), 2 if count else 0))
    ]
    return {"preview": found, "bars": bars, "chart_width": max(len(found.days), 1) * BAR}


def _reads_any(actor: Actor) -> bool:
    return any(seat.is_whole for seat in actor.seats_for(Permission.READ_ALERTS))
