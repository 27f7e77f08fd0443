"""Access entries of EKS clusters and their policies, which moto does not have.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateAccessEntry.html
https://docs.aws.amazon.com/eks/latest/APIReference/API_AssociateAccessPolicy.html
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.eks import urls
from moto.eks.responses import EKSResponse
from moto.moto_api._internal import mock_random

from simulator.patches import clock

PATHS = ("access-entries", "access-entries/(?P<entry>.+)")


class NotThere(JsonRESTError):
    """What AWS says about a cluster, entry or policy that is not there."""

    code = 404

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message)


class InUse(JsonRESTError):
    """What AWS says about an entry that is there already."""

    code = 409

    def __init__(self, message: str) -> None:
        super().__init__("ResourceInUseException", message)


def _cluster(self: Any) -> Any:
    name = self._get_param("clusterName") or self._get_param("name")
    found = self.eks_backend.clusters.get(name)
    if found is None:
        raise NotThere(f"No cluster found for name: {name}.")
    return found


def _entries(self: Any) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = vars(_cluster(self)).setdefault("quell_access_entries", {})
    return kept


def _entry(self: Any) -> dict[str, Any]:
    found = _entries(self).get(self._get_param("principalArn"))
    if found is None:
        raise NotThere("The specified principalArn could not be found.")
    return found


def _default_username(principal: str) -> str:
    _, partition, _, _, account, resource = principal.split(":", 5)
    if resource.startswith("role/"):
        name = resource.rpartition("/")[2]
        return f"arn:{partition}:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}"
    return principal


def create_access_entry(self: Any) -> ActionResult:
    principal, entries = self._get_param("principalArn"), _entries(self)
    if principal in entries:
        raise InUse("The specified access entry resource is already in use on this cluster.")
    backend, at, cluster = self.eks_backend, clock.now(), _cluster(self).name
    arn = f"arn:aws:eks:{backend.region_name}:{backend.account_id}:access-entry/{cluster}"
    entries[principal] = {
        "policies": {},
        "said": {
            "clusterName": cluster,
            "principalArn": principal,
            "kubernetesGroups": list(self._get_param("kubernetesGroups") or []),
            "accessEntryArn": f"{arn}/{mock_random.uuid4()}",
            "createdAt": at,
            "modifiedAt": at,
            "tags": dict(self._get_param("tags") or {}),
            "username": self._get_param("username") or _default_username(principal),
            "type": self._get_param("type") or "STANDARD",
        },
    }
    return ActionResult({"accessEntry": entries[principal]["said"]})


def describe_access_entry(self: Any) -> ActionResult:
    return ActionResult({"accessEntry": _entry(self)["said"]})


def list_access_entries(self: Any) -> ActionResult:
    return ActionResult({"accessEntries": list(_entries(self))})


def delete_access_entry(self: Any) -> ActionResult:
    _entry(self)
    del _entries(self)[self._get_param("principalArn")]
    return ActionResult({})


def associate_access_policy(self: Any) -> ActionResult:
    policies, policy, at = _entry(self)["policies"], self._get_param("policyArn"), clock.now()
    scope = self._get_param("accessScope")
    policies[policy] = {
        "policyArn": policy,
        "accessScope": {"type": scope["type"], "namespaces": list(scope.get("namespaces") or [])},
        "associatedAt": at,
        "modifiedAt": at,
    }
    return ActionResult({**_named(self), "associatedAccessPolicy": policies[policy]})


def disassociate_access_policy(self: Any) -> ActionResult:
    if _entry(self)["policies"].pop(self._get_param("policyArn"), None) is None:
        raise NotThere("The specified policy is not associated with the access entry.")
    return ActionResult({})


def list_associated_access_policies(self: Any) -> ActionResult:
    return ActionResult({**_named(self), "associatedAccessPolicies": list(_entry(self)["policies"].values())})


def _named(self: Any) -> dict[str, str]:
    return {"clusterName": _cluster(self).name, "principalArn": self._get_param("principalArn")}


OPERATIONS = (
    create_access_entry,
    describe_access_entry,
    list_access_entries,
    delete_access_entry,
    associate_access_policy,
    disassociate_access_policy,
    list_associated_access_policies,
)


def apply() -> None:
    """Let moto's responses know the operations, and its clusters say that they know access entries."""
    responses: Any = EKSResponse
    for operation in OPERATIONS:
        setattr(responses, operation.__name__, operation)
    for path in PATHS:
        urls.url_paths[f"{{0}}/clusters/(?P<name>[^/]+)/{path}$"] = responses.dispatch
    create = responses.create_cluster

    def create_cluster(self: Any) -> Any:
        answer = create(self)
        config = self._get_param("accessConfig") or {}
        mode = config.get("authenticationMode") or "API"
        vars(_cluster(self))["access_config"] = {"authenticationMode": mode}
        return answer

    responses.create_cluster = create_cluster
