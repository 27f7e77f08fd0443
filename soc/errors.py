"""Answers to what went wrong outside a view: a page for people, problem details for programs."""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from identity.requests import request_id
from soc.api import problems

log = logging.getLogger(__name__)

FOR_PROGRAMS = ("/api/", "/compat/", "/hooks/", "/healthz", "/readyz", "/metrics")


def answer(request: HttpRequest, *, status: int, detail: str) -> HttpResponse:
    """An error in the form that whoever asked can read."""
    if request.path.startswith(FOR_PROGRAMS):
        return problems.response(request, problems.Problem(status=status, detail=detail))
    context = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": detail,
        "request_id": request_id(request),
    }
    return render(request, "error.html", context, status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: hosts, cookies, forms and bodies that Django itself refuses."""
    log.info("request.refused", extra={"kind": type(exception).__name__})
    if isinstance(exception, RequestDataTooBig):
        return answer(request, status=413, detail=problems.too_large(exception))
    return answer(request, status=400, detail="The request could not be understood.")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    del exception
    return answer(request, status=403, detail="Your role does not allow this.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    del exception
    return answer(request, status=404, detail="There is no such thing, or it is not yours to see.")


def broken(request: HttpRequest) -> HttpResponse:
    """Django's handler500: says nothing but the id under which the log tells more."""
    detail = "Something failed here. The log has it under this id."
    try:
        return answer(request, status=500, detail=detail)
    except Exception:  # the page needs the database, which may be what failed
        log.exception("error-page.failed")
        return HttpResponse(f"{detail} {request_id(request)}", status=500, content_type="text/plain")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was opened before the last sign-in or sign-out."""
    log.info("csrf.refused", extra={"reason": reason})
    return answer(
        request, status=403, detail="This form had expired. Load the page again and repeat the step."
    )
