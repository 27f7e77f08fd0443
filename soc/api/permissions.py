"""Each view says what it needs, in `permissions_needed`; a view that says nothing is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rest_framework.exceptions import NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from identity.permissions import Permission
from identity.requests import NotSignedIn, actor_of
from lib.errors import Forbidden

if TYPE_CHECKING:  # REST framework loads this module, named in the settings, while loading its views
    from rest_framework.views import APIView


class Declared(BasePermission):
    """Lets a request in when its actor has the permission declared for the method, in any team.

    Whether the object asked for is theirs is decided where it is looked up (`cases.access`). None as
    permission means: anyone known.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        try:
            actor = actor_of(request)
        except NotSignedIn as unknown:
            raise NotAuthenticated("Sign in, or send a key: Authorization: Bearer qk_…") from unknown
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed: Mapping[str, Permission | None] = getattr(view, "permissions_needed", {})
        if method not in needed:
            # Nothing to protect where there is no handler: the answer is 405, or the method's own.
            if method == "OPTIONS" or not hasattr(view, method.lower()):
                return True
            raise Forbidden(f"{type(view).__name__} does not say who may {method} it.")
        permission = needed[method]
        if permission is not None and not actor.may(permission):
            raise Forbidden(_missing(actor.kind, permission))
        return True


def _missing(kind: str, permission: Permission) -> str:
    if kind == "key":
        return f"This key does not have the scope {permission.scope}."
    return f"None of your roles allows {permission.scope}."
