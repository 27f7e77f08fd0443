"""What is known around an alert: its account, who owns it, who acted, where addresses are, what was before.

Worked out for a batch of alerts at a time, from the database and the operator's files alone; nothing is
asked of a network. The result depends on nothing but what is known now, so doing it again is harmless.
All text from outside is cut and stays hostile.

The columns `environment`, `owner`, `criticality` and `data_class` are for reading and sorting: AWS tags,
which an attacker may have written, speak before the estate. What gates an action asks the estate itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from audit.models import AuditEvent
from cases import correlation
from cases.addresses import describe
from cases.models import Alert
from cases.words import PRINCIPALS, AlertStatus, Phase
from estate.models import Account

STALE_AFTER = timedelta(hours=1)
"""An alert that was received later than this after its last activity is no basis for automation."""

RECENT = timedelta(days=30)
MOST_COUNTED = 100
MOST_ADDRESSES = 50
LONGEST = 120

SPELLED = {
    "prod": "production",
    "prd": "production",
    "live": "production",
    "stage": "staging",
    "stg": "staging",
    "preprod": "staging",
    "dev": "development",
    "devel": "development",
    "sbx": "sandbox",
    "sand": "sandbox",
    "sec": "security",
    "mgmt": "management",
}
"""How people abbreviate environments in tags."""

CREDENTIALS = {"access_key": "long_lived", "session_key": "session"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What was found out about one alert: the columns, and the context without what rules wrote there."""

    columns: dict[str, Any]
    context: dict[str, Any]


class Enricher:
    """Enriches the alerts of one batch, asking once for what several of them share.

    Two questions to the database for each alert that is the first of its kind in the batch, and two
    for the batch as a whole.
    """

    def __init__(self, alerts: Iterable[Alert], *, at: datetime) -> None:
        self._at = at
        ids = {alert.account for alert in alerts if alert.account}
        self._accounts = {
            one.account_id: one
            for one in Account.objects.select_related("ou", "team").filter(account_id__in=ids)
        }
        self._earlier: dict[tuple[int, str], list[Alert]] = {}
        self._related: dict[tuple[int, str], list[tuple[int, datetime]]] = {}

    def account_of(self, alert: Alert) -> Account | None:
        """The alert's account; None where the estate does not know it."""
        return self._accounts.get(alert.account)

    def enrich(self, alert: Alert) -> Found:
        """What is known around the alert now."""
        account = self.account_of(alert)
        key = correlation.key_of(alert)
        owner = _told(alert, account, settings.QUELL_TAG_OWNER, account.owner if account else "")
        environment = _environment(alert, account)
        criticality = _told(
            alert,
            account,
            settings.QUELL_TAG_CRITICALITY,
            "critical" if account and account.is_critical else "",
        )
        data_class = _told(alert, account, settings.QUELL_TAG_DATA_CLASS, "")
        context: dict[str, Any] = {
            "account": _account(account),
            "owner_from": owner[1],
            "environment_from": environment[1],
            "principal": self._principal(alert, key),
            "addresses": _addresses(alert),
            "seen_before": self._seen_before(alert),
        }
        if is_stale(alert):
            context["stale"] = True
        return Found(
            columns={
                "correlation_key": key,
                "owner": owner[0][:LONGEST],
                "environment": environment[0][:12],
                "criticality": criticality[0][:40].lower(),
                "data_class": data_class[0][:40].lower(),
            },
            context={name: value for name, value in context.items() if value},
        )

    # --- who acted -------------------------------------------------------------------------------------

    def _principal(self, alert: Alert, key: str) -> dict[str, Any]:
        things = [one for one in alert.resources if isinstance(one, dict)]
        acting = [one for one in things if one.get("type") in PRINCIPALS and one.get("id")]
        if not acting:
            return {}
        main = min(acting, key=lambda one: (PRINCIPALS.index(one["type"]), str(one["id"])))
        lives = {CREDENTIALS[one["type"]] for one in acting if one["type"] in CREDENTIALS}
        related = [pk for pk, at in self._near(alert, key) if pk != alert.pk]
        return {
            "kind": main["type"],
            "id": _cut(main["id"], 300),
            # A key that outlives the session can be switched off; that of a session cannot.
            "credential": "long_lived" if "long_lived" in lives else next(iter(lives), ""),
            "alerts_30d": len(related[:MOST_COUNTED]),
        }

    def _near(self, alert: Alert, key: str) -> list[tuple[int, datetime]]:
        """Other alerts of the team with the same main subject in the last 30 days, the newest first."""
        known = self._related.get((alert.team_id, key))
        if known is None:
            rows = _open_to_all(Alert.objects.filter(team_id=alert.team_id, correlation_key=key))
            rows = rows.filter(detected_at__gte=self._at - RECENT).order_by("-detected_at")
            known = list(rows.values_list("pk", "detected_at")[: MOST_COUNTED + 1])
            self._related[alert.team_id, key] = known
        return known

    # --- what was before -------------------------------------------------------------------------------

    def _seen_before(self, alert: Alert) -> dict[str, Any]:
        """How often the same was seen on the same resource before, and how the last of it was closed."""
        before = [one for one in self._same(alert) if one.pk != alert.pk][:MOST_COUNTED]
        if not before:
            return {}
        closed = [one for one in before if closed_at(one) is not None]
        last = max(closed, key=lambda one: (closed_at(one), one.pk), default=None)
        found = {
            "count": len(before),
            "first_at": min(one.first_seen_at or one.detected_at for one in before).isoformat(),
            "last_at": max(one.last_seen_at for one in before).isoformat(),
        }
        return found | ({"closed": _closing(last)} if last is not None else {})

    def _same(self, alert: Alert) -> list[Alert]:
        key = (alert.team_id, alert.fingerprint)
        if key not in self._earlier:
            rows = Alert.objects.filter(team_id=alert.team_id, fingerprint=alert.fingerprint)
            rows = _open_to_all(rows).select_related("incident").order_by("-detected_at")
            self._earlier[key] = list(rows.only(*EARLIER)[: MOST_COUNTED + 1])
        return self._earlier[key]


EARLIER = (
    "ulid",
    "detected_at",
    "first_seen_at",
    "last_seen_at",
    "status",
    "verdict",
    "verdict_reason",
    "dismissed_at",
    "episode",
    "incident__status",
    "incident__verdict",
    "incident__closed_at",
)


def closed_at(alert: Alert) -> datetime | None:
    """When an alert was closed, by dismissal or with its incident; None while it is open."""
    if alert.status == AlertStatus.DISMISSED:
        return alert.dismissed_at
    if alert.status == AlertStatus.ESCALATED and alert.incident is not None:
        return alert.incident.closed_at if alert.incident.status == Phase.CLOSED else None
    return None


def is_stale(alert: Alert) -> bool:
    """Whether it was old news when it came: received more than an hour after its last activity.

    Where Quell detected it itself, on receipt, that says nothing: an old log is old news.
    """
    is_ours = alert.detected_at == alert.received_at
    told = alert.last_seen_at if is_ours else max(alert.detected_at, alert.last_seen_at)
    return alert.received_at - told > STALE_AFTER


def _open_to_all(rows: Any) -> Any:
    """Without what lies in a restricted incident: nothing of it may show on another alert."""
    return rows.filter(Q(incident__isnull=True) | Q(incident__is_restricted=False))


def _closing(alert: Alert) -> dict[str, Any]:
    """How an alert was closed. Of an incident only its verdict: it may be restricted later."""
    at = closed_at(alert)
    told: dict[str, Any] = {"alert": alert.ulid, "at": at.isoformat() if at else ""}
    if alert.incident is not None:
        return told | {"verdict": alert.incident.verdict}
    acts = AuditEvent.objects.filter(object_type="alert", object_id=alert.ulid, act="alert.dismissed")
    by = acts.order_by("-seq").values_list("actor", flat=True).first() or ""
    return told | {"verdict": alert.verdict, "reason": _cut(alert.verdict_reason, 200), "by": by}


# --- the estate and tags -------------------------------------------------------------------------------


def _account(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {
        "name": account.name,
        "environment": account.environment,
        "is_critical": account.is_critical,
        "ou": account.ou.path if account.ou else "",
        "owner": account.owner,
        "security_contact": account.security_contact,
    }


def _told(alert: Alert, account: Account | None, keys: Sequence[str], known: str) -> tuple[str, str]:
    """The value of the first tag that has one, with where it stands; else what the estate knows."""
    places = (("alert", alert.labels), ("account", account.tags if account else {}))
    for place, tags in places:
        told = {str(key).casefold(): value for key, value in tags.items()} if isinstance(tags, dict) else {}
        for key in keys:
            if value := _cut(told.get(key.casefold(), ""), LONGEST):
                return value, f"tag of the {place}"
    return (known, "estate") if known else ("", "")


def _environment(alert: Alert, account: Account | None) -> tuple[str, str]:
    value, place = _told(
        alert, account, settings.QUELL_TAG_ENVIRONMENT, account.environment if account else ""
    )
    lowered = value.lower()
    return SPELLED.get(lowered, lowered), place


def _cut(value: object, most: int) -> str:
    """One line of printable text, cut."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: most * 4]).split())[:most]


# --- addresses -----------------------------------------------------------------------------------------


def _addresses(alert: Alert) -> list[dict[str, Any]]:
    """Class and place of each address; what the finding itself says of a place comes first."""
    told = {str(one.get("address")): one for one in alert.places if isinstance(one, dict)}
    values = [
        str(one.get("value", ""))
        for one in alert.observables
        if isinstance(one, dict) and one.get("kind") == "ip"
    ]
    found = []
    for value in list(dict.fromkeys(values))[:MOST_ADDRESSES]:
        known = asdict(describe(value))
        place = {
            name: _cut(one, LONGEST) if isinstance(one, str) else one
            for name, one in told.get(value, {}).items()
            if one and name in known
        }
        merged = {**known, "kind": str(known["kind"]), **place, "address": _cut(value, 60)}
        found.append({name: one for name, one in merged.items() if one})
    return found
