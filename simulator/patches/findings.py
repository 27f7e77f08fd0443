"""GuardDuty's findings, which moto does not have: made as samples, listed, and read.

https://docs.aws.amazon.com/guardduty/latest/APIReference/API_CreateSampleFindings.html
https://docs.aws.amazon.com/guardduty/latest/APIReference/API_ListFindings.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from moto.guardduty import urls
from moto.guardduty.responses import GuardDutyResponse
from moto.moto_api._internal import mock_random

from simulator import guardduty
from simulator.patches import clock

PAGE = 50
KINDS = (
    "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS",
    "Recon:IAMUser/UserPermissions",
    "Stealth:IAMUser/CloudTrailLoggingDisabled",
)
SEVERITIES = {"UnauthorizedAccess": 8.0, "Recon": 5.5, "Stealth": 2.0}
PATHS = ("findings", "findings/get", "findings/create")


def create_sample_findings(self: Any) -> str:
    """One sample of each type named, else of a few; a type made before is made anew."""
    backend, detector = self.guardduty_backend, _detector(self)
    for kind in self._get_param("findingTypes") or KINDS:
        _findings(detector).append(_sample(kind, backend.account_id, backend.region_name))
    return "{}"


def list_findings(self: Any) -> str:
    """Ids of the findings that meet every criterion, by `updatedAt`, a page at a time."""
    criteria = (self._get_param("findingCriteria") or {}).get("criterion", {})
    found = [one for one in _findings(_detector(self)) if _meets(one, criteria)]
    order = (self._get_param("sortCriteria") or {}).get("orderBy", "ASC")
    found.sort(key=lambda one: one["updatedAt"], reverse=order == "DESC")
    start, size = int(self._get_param("nextToken") or 0), int(self._get_param("maxResults") or PAGE)
    following = str(start + size) if start + size < len(found) else ""
    return json.dumps(
        {"findingIds": [one["id"] for one in found[start : start + size]], "nextToken": following}
    )


def get_findings(self: Any) -> str:
    """The findings with these ids; those that are not there are left out."""
    wanted = set(self._get_param("findingIds") or ())
    return json.dumps({"findings": [one for one in _findings(_detector(self)) if one["id"] in wanted]})


def _detector(response: Any) -> Any:
    return response.guardduty_backend.get_detector(response.path.split("/")[2])


def _findings(detector: Any) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = vars(detector).setdefault("quell_findings", [])
    return kept


def _sample(kind: str, account: str, region: str) -> dict[str, Any]:
    at = clock.now()
    sighting = guardduty.Sighting(
        kind=kind,
        severity=SEVERITIES.get(kind.split(":", maxsplit=1)[0], 5.0),
        title=f"[SAMPLE] {kind}, number {mock_random.getrandbits(32)}",
        description="A sample finding.",
        account=account,
        region=region,
        first=at,
        last=at,
        created=at,
    )
    service = guardduty.api_call("GetCallerIdentity", "sts.amazonaws.com", "198.51.100.7", (), "sample")
    service["additionalInfo"] = {"value": '{"sample":true}', "type": "default"}
    user = {"name": "sample", "id": "AIDASAMPLE", "access_keys": [{"access_key_id": "AKIASAMPLE"}]}
    detail: dict[str, Any] = guardduty.finding(
        sighting, resource=guardduty.key_resource(user), service=service
    )["detail"]
    return detail


def _meets(finding: Mapping[str, Any], criteria: Mapping[str, Any]) -> bool:
    return all(_meets_one(finding, name, condition) for name, condition in criteria.items())


def _meets_one(finding: Mapping[str, Any], name: str, condition: Mapping[str, Any]) -> bool:
    value: Any = finding
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if name == "updatedAt":
        value = datetime.fromisoformat(str(value)).timestamp() * 1000
    for test, wanted in condition.items():
        if test in ("greaterThanOrEqual", "gte") and not value >= wanted:
            return False
        if test in ("eq", "equals") and str(value).lower() not in [str(one).lower() for one in wanted]:
            return False
    return True


def apply() -> None:
    """Give moto's GuardDuty three more operations."""
    target: Any = GuardDutyResponse
    target.create_sample_findings = create_sample_findings
    target.list_findings = list_findings
    target.get_findings = get_findings
    for path in PATHS:
        urls.url_paths[f"{{0}}/detector/(?P<detector_id>[^/]+)/{path}$"] = GuardDutyResponse.dispatch
