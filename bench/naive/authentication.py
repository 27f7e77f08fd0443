"""A key in the header, looked up in its table at each request."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from bench.naive.models import Token


class TokenOnly(BaseAuthentication):
    """`Authorization: Bearer KEY`, looked up."""

    def authenticate(self, request: Request) -> tuple[Token, None]:
        words = get_authorization_header(request).split()
        token = Token.objects.filter(key=words[1].decode()).first() if len(words) == 2 else None
        if token is None:
            raise AuthenticationFailed
        return token, None
