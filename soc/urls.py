"""Where everything is found."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView

from soc import appearance, health

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.prometheus, name="prometheus"),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/", include("soc.api.urls")),
    path("hooks/", include("soc.doors.eventbridge")),
    path("hooks/", include("soc.doors.hooks")),
    path("hooks/", include("soc.doors.sns")),
    path("compat/thehive/", include("soc.doors.thehive")),
    path("compat/iris/", include("soc.doors.iris")),
    path("compat/alertmanager/", include("soc.doors.alertmanager")),
    path("compat/pagerduty/", include("soc.doors.pagerduty")),
    path("", RedirectView.as_view(pattern_name="alerts"), name="home"),
    path("theme", appearance.choose_theme, name="theme"),
    path("", include("identity.urls")),
    path("", include("notify.urls")),
    path("", include("cases.urls")),
    path("", include("containment.urls")),
    path("", include("metrics.urls")),
    path("", include("soc.ledger.urls")),
]

handler400 = "soc.errors.bad_request"
handler403 = "soc.errors.forbidden"
handler404 = "soc.errors.not_found"
handler500 = "soc.errors.broken"
