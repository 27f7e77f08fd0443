"""Permissions boundaries of IAM users, which moto has for roles only.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.core.serialize import never_return, return_if_not_empty
from moto.iam.exceptions import NotFoundException
from moto.iam.models import User
from moto.iam.responses import IamResponse


def _boundary(user: Any) -> dict[str, str] | None:
    arn = getattr(user, "boundary_arn", None)
    if not arn:
        return None
    return {"PermissionsBoundaryType": "PermissionsBoundaryPolicy", "PermissionsBoundaryArn": arn}


def _put(self: Any) -> ActionResult:
    user = self.backend.get_user(self._get_param("UserName"))
    arn = self._get_param("PermissionsBoundary")
    # Raises NoSuchEntity for a policy that is not there, as AWS does.
    self.backend.get_policy(arn)
    user.boundary_arn = arn
    return EmptyResult()


def _delete(self: Any) -> ActionResult:
    user = self.backend.get_user(self._get_param("UserName"))
    if not getattr(user, "boundary_arn", None):
        raise NotFoundException(f"{user.name} does not have a permissions boundary")
    user.boundary_arn = None
    return EmptyResult()


def apply() -> None:
    """Give moto's IAM the two calls, and show the boundary where AWS shows it."""
    model: Any = User
    model.permissions_boundary = property(_boundary)
    response: Any = IamResponse
    response.put_user_permissions_boundary = _put
    response.delete_user_permissions_boundary = _delete
    response.RESPONSE_KEY_PATH_TO_TRANSFORMER = {
        **response.RESPONSE_KEY_PATH_TO_TRANSFORMER,
        "GetUserResponse.User.PermissionsBoundary": return_if_not_empty,
        "CreateUserResponse.User.PermissionsBoundary": return_if_not_empty,
        "ListUsersResponse.Users.User.PermissionsBoundary": never_return,
    }
