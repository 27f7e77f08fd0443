"""Archiving GuardDuty's findings, and Security Hub's BatchUpdateFindings and filters, which moto lacks.

https://docs.aws.amazon.com/guardduty/latest/APIReference/API_ArchiveFindings.html
https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_BatchUpdateFindings.html
"""

from __future__ import annotations

import json
from typing import Any

from moto.guardduty import urls as guardduty_urls
from moto.guardduty.responses import GuardDutyResponse
from moto.securityhub import urls as securityhub_urls
from moto.securityhub.responses import SecurityHubResponse

TEXTS = ("AwsAccountId", "GeneratorId", "Id", "ProductArn", "RecordState", "Region", "Title")
KEPT = ("Confidence", "Criticality", "Note", "Types", "UserDefinedFields", "VerificationState", "Workflow")


def _archive(archived: bool) -> Any:
    def archive(self: Any) -> str:
        detector = self.guardduty_backend.get_detector(self.path.split("/")[2])
        wanted = set(self._get_param("findingIds") or ())
        for finding in vars(detector).get("quell_findings", []):
            if finding["id"] in wanted:
                finding["service"]["archived"] = archived
        return "{}"

    return archive


def _batch_update_findings(self: Any) -> str:
    asked = json.loads(self.body)
    found = {(one.data["Id"], one.data["ProductArn"]): one.data for one in self.securityhub_backend.findings}
    done: list[dict[str, str]] = []
    failed: list[dict[str, Any]] = []
    for name in asked["FindingIdentifiers"]:
        finding = found.get((name["Id"], name["ProductArn"]))
        if finding is None:
            told = {"ErrorCode": "FindingNotFound", "ErrorMessage": "Finding Not Found"}
            failed.append({"FindingIdentifier": name, **told})
            continue
        finding.update({key: asked[key] for key in KEPT if key in asked})
        done.append(name)
    return json.dumps({"ProcessedFindings": done, "UnprocessedFindings": failed})


def _meets(finding: dict[str, Any], filters: dict[str, Any]) -> bool:
    return all(
        any(
            one.get("Comparison") != "EQUALS" or one.get("Value") == finding.get(name)
            for one in filters[name]
        )
        for name in TEXTS
        if filters.get(name)
    )


def _filtered(original: Any) -> Any:
    def get_findings(self: Any) -> Any:
        """moto's answer for the findings that meet the filters on plain texts; others it leaves out."""
        backend, filters = self.securityhub_backend, self._get_param("Filters") or {}
        everything = backend.findings
        try:
            backend.findings = [one for one in everything if _meets(one.data, filters)]
            return original(self)
        finally:
            backend.findings = everything

    return get_findings


def apply() -> None:
    """Give moto's GuardDuty two more operations and its Security Hub one, and filters."""
    guardduty: Any = GuardDutyResponse
    guardduty.archive_findings = _archive(True)
    guardduty.unarchive_findings = _archive(False)
    for last in ("archive", "unarchive"):
        path = f"{{0}}/detector/(?P<detector_id>[^/]+)/findings/{last}$"
        guardduty_urls.url_paths[path] = GuardDutyResponse.dispatch
    hub: Any = SecurityHubResponse
    hub.batch_update_findings = _batch_update_findings
    hub.get_findings = _filtered(SecurityHubResponse.get_findings)
    securityhub_urls.url_paths["{0}/findings/batchupdate$"] = SecurityHubResponse.dispatch
