"""Whether this installation lives, is ready, and how it does: for load balancers and Prometheus."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from cases.models import Action, Alert
from cases.words import ActionStatus, AlertStatus
from lib import clock, guards
from soc.models import Heartbeat, LedgerProof

log = logging.getLogger(__name__)

WORKERS = ("worker-general", "worker-collect", "worker-containment")
SILENT_AFTER = timedelta(seconds=30)
GUARDS_LOOKED_AT_EVERY_SECONDS = 60.0
BROKER_SECONDS = 1.0


@dataclass(kw_only=True)
class _Remembered:
    """What need not be looked up at every request: applied migrations stay, guards are trusted a minute."""

    is_migrated: bool = False
    guards_at: float = 0.0
    missing_guards: list[str] = field(default_factory=list)


_remembered = _Remembered()


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 whenever this process answers at all."""
    del request
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when work can be done, else 503; the body says of each part how it is.

    Needed: the database, its migrations and guard triggers, and a live worker of each kind. Broker and
    beat only make things sooner: without them the word is `degraded` and the status stays 200. So it does
    where the ledger is `broken`, which is no reason to stop working and every reason to look.
    """
    del request
    parts, problems = _database()
    parts["broker"] = _broker()
    if parts["database"] == "ok":
        beats = _heartbeats()
        parts |= beats
        parts["ledger"] = _ledger()
        if not settings.QUELL_TESTING:
            problems += [name for name in WORKERS if beats[name] != "ok"]
    ready = not problems
    return JsonResponse({"ready": ready, **parts}, status=200 if ready else 503)


@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """Counts from the database in Prometheus' text format; numbers only, nobody's names."""
    del request
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Rows())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _database() -> tuple[dict[str, object], list[str]]:
    """How the database does, part by part, and which parts forbid work."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        parts: dict[str, object] = {"database": "ok", "migrations": "ok", "guards": "ok"}
        if not _is_migrated():
            parts["migrations"] = "pending"
        if missing := _missing_guards():
            parts["guards"] = {"missing": missing}
    except DatabaseError:
        log.exception("readyz.database")
        return {"database": "failed"}, ["database"]
    return parts, [name for name, state in parts.items() if state != "ok"]


def _is_migrated() -> bool:
    if not _remembered.is_migrated:
        executor = MigrationExecutor(connection)
        _remembered.is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _remembered.is_migrated


def _missing_guards() -> list[str]:
    now = time.monotonic()
    if (
        not _remembered.guards_at
        or _remembered.missing_guards
        or (now - _remembered.guards_at > GUARDS_LOOKED_AT_EVERY_SECONDS)
    ):
        _remembered.missing_guards = guards.missing()
        _remembered.guards_at = now
    return _remembered.missing_guards


def _broker() -> str:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=BROKER_SECONDS, socket_timeout=BROKER_SECONDS
    )
    try:
        client.ping()
    except (redis.RedisError, OSError):
        return "degraded"
    finally:
        client.close()
    return "ok"


def _heartbeats() -> dict[str, object]:
    """`ok`, or `silent` with nothing heard for 30 s, of each worker and of beat."""
    heard = dict(Heartbeat.objects.values_list("process", "at"))
    since = clock.now() - SILENT_AFTER
    return {name: "ok" if name in heard and heard[name] > since else "silent" for name in (*WORKERS, "beat")}


def _ledger() -> str:
    """`ok`, `broken` when the last proof found a place that does not hold, `unproved` before the first."""
    known = LedgerProof.objects.filter(pk=1, proved_at__isnull=False).first()
    if known is None:
        return "unproved"
    return "ok" if known.broken_seq is None else "broken"


class _Rows(Collector):
    """Gauges computed when they are asked for."""

    def collect(self) -> Iterator[Metric]:
        now = clock.now()
        alerts = dict(Alert.objects.values_list("status").annotate(Count("pk")))
        yield _by(
            "quell_alerts", "Alerts by status.", "status", {s.value: alerts.get(s, 0) for s in AlertStatus}
        )
        actions = dict(Action.objects.values_list("status").annotate(Count("pk")))
        counted = {s.value: actions.get(s, 0) for s in ActionStatus}
        yield _by("quell_actions", "Actions by status.", "status", counted)
        unknown = counted[ActionStatus.UNKNOWN.value]
        yield GaugeMetricFamily("quell_actions_unknown", "Actions whose effect is not known.", value=unknown)
        ages = {}
        for name, rows in (("alert", Alert.objects), ("action", Action.objects)):
            oldest = rows.filter(due_at__lte=now).aggregate(oldest=Min("due_at"))["oldest"]
            ages[name] = (now - oldest).total_seconds() if oldest else 0.0
        yield _by("quell_oldest_due_seconds", "How long the oldest due row has been waiting.", "row", ages)
        beats = {
            process: (now - at).total_seconds()
            for process, at in Heartbeat.objects.values_list("process", "at")
        }
        yield _by("quell_heartbeat_age_seconds", "Seconds since a process was heard of.", "process", beats)
        broken = float(_ledger() == "broken")
        yield GaugeMetricFamily("quell_ledger_broken", "1 when the ledger was found broken.", value=broken)


def _by(name: str, says: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, says, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
