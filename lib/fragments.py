"""Parts of pages for htmx and for regions that ask again by themselves."""

from __future__ import annotations

import hashlib

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified


def is_partial(request: HttpRequest, *targets: str) -> bool:
    """Whether only a fragment is wanted; with targets named, only when it is for one of those elements.

    A boosted link and a step back in the history want the whole page.
    """
    headers = request.headers
    if headers.get("HX-Request") != "true" or headers.get("HX-Boosted") == "true":
        return False
    if headers.get("HX-History-Restore-Request") == "true":
        return False
    return not targets or headers.get("HX-Target") in targets


def tag_of(*parts: object) -> str:
    """An ETag of what a fragment is made from. Leave out what changes by itself: ages and form tokens."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'


def unchanged(request: HttpRequest, tag: str) -> HttpResponse | None:
    """304 when the one who asks already shows this; None when there is something to send."""
    if request.headers.get("If-None-Match") != tag:
        return None
    answer = HttpResponseNotModified()
    answer["ETag"] = tag
    return answer
