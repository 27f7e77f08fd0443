"""Service-specific credentials of IAM users (CodeCommit, Keyspaces, Bedrock), which moto has not.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html
"""

from __future__ import annotations

import secrets
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.exceptions import NotFoundException
from moto.iam.responses import IamResponse
from moto.iam.utils import random_access_key

from simulator.patches import clock


def _of(user: Any) -> dict[str, dict[str, Any]]:
    """The credentials of a user, by id; moto's user keeps them."""
    if not hasattr(user, "service_credentials"):
        user.service_credentials = {}
    found: dict[str, dict[str, Any]] = user.service_credentials
    return found


def _one(self: Any) -> dict[str, Any]:
    user, asked = (
        self.backend.get_user(self._get_param("UserName")),
        self._get_param("ServiceSpecificCredentialId"),
    )
    if asked not in _of(user):
        raise NotFoundException(f"No such credential {asked} exists")
    return _of(user)[asked]


def _create(self: Any) -> ActionResult:
    user = self.backend.get_user(self._get_param("UserName"))
    made = {
        "UserName": user.name,
        "Status": "Active",
        "ServiceUserName": f"{user.name}-at-{user.account_id}",
        "CreateDate": clock.now(),
        "ServiceSpecificCredentialId": "ACCA" + random_access_key(),
        "ServiceName": self._get_param("ServiceName"),
    }
    _of(user)[made["ServiceSpecificCredentialId"]] = made
    return ActionResult({"ServiceSpecificCredential": {**made, "ServicePassword": secrets.token_urlsafe(32)}})


def _list(self: Any) -> ActionResult:
    user = self.backend.get_user(self._get_param("UserName"))
    wanted = self._get_param("ServiceName")
    found = [one for one in _of(user).values() if wanted in (None, one["ServiceName"])]
    return ActionResult({"ServiceSpecificCredentials": found, "IsTruncated": False})


def _update(self: Any) -> ActionResult:
    _one(self)["Status"] = self._get_param("Status")
    return EmptyResult()


def _delete(self: Any) -> ActionResult:
    credential = _one(self)
    user = self.backend.get_user(credential["UserName"])
    del _of(user)[credential["ServiceSpecificCredentialId"]]
    return EmptyResult()


def apply() -> None:
    """Give moto's IAM the four calls."""
    response: Any = IamResponse
    response.create_service_specific_credential = _create
    response.list_service_specific_credentials = _list
    response.update_service_specific_credential = _update
    response.delete_service_specific_credential = _delete
