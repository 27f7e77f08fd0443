from django.urls import path

from bench.naive import views

urlpatterns = [path("alerts", views.Alerts.as_view()), path("bulk", views.Bulk.as_view())]
