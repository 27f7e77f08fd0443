"""The words of the record: severities, states, verdicts, phases, milestone kinds. Pure."""

from __future__ import annotations

from enum import StrEnum


class Band(StrEnum):
    """Severity in words; the number 0–100 behind it is what is stored and compared."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @classmethod
    def of(cls, severity: int) -> Band:
        """0 informational, 1–39 low, 40–69 medium, 70–89 high, 90–100 critical."""
        for floor, band in ((90, cls.CRITICAL), (70, cls.HIGH), (40, cls.MEDIUM), (1, cls.LOW)):
            if severity >= floor:
                return band
        return cls.INFORMATIONAL

    @property
    def severity(self) -> int:
        """The number given to an alert that names only a band."""
        return {"informational": 0, "low": 20, "medium": 50, "high": 80, "critical": 95}[self.value]


class AlertStatus(StrEnum):
    """Where an alert stands."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"
    DISMISSED = "dismissed"


class Verdict(StrEnum):
    """What an alert or incident turned out to be."""

    TRUE_POSITIVE = "true_positive"
    FALSE_POSITIVE = "false_positive"
    BENIGN = "benign"
    DUPLICATE = "duplicate"
    SAMPLE = "sample"
    SUPPRESSED = "suppressed"


class RuleEffect(StrEnum):
    """What a triage rule does."""

    OPEN = "open"
    SUPPRESS = "suppress"
    ROUTE = "route"
    ADJUST = "adjust"


class GroupBy(StrEnum):
    """By what a rule gathers alerts of one account into one incident."""

    SUBJECT = "subject"
    PRINCIPAL = "principal"
    RESOURCE = "resource"
    TYPE = "type"
    NOTHING = "nothing"


PRINCIPALS = (
    "user",
    "federated_user",
    "role",
    "root",
    "role_session",
    "principal",
    "access_key",
    "session_key",
)
"""Kinds of resources that act; whom a credential belongs to comes before the credential."""


class Phase(StrEnum):
    """Where an incident stands, in the guide's words; going back is allowed and recorded."""

    TRIAGE = "triage"
    CONTAINMENT = "containment"
    ERADICATION = "eradication"
    RECOVERY = "recovery"
    REVIEW = "review"
    CLOSED = "closed"


class MilestoneKind(StrEnum):
    """The timestamps of an incident, in the AWS guide's terms (DESIGN §4)."""

    ATTACKER_ACCESS = "attacker_access_at"
    FIRST_IOC = "first_ioc_at"
    DETECTED = "detected_at"
    RECEIVED = "received_at"
    ACKNOWLEDGED = "acknowledged_at"
    PRIORITISED = "prioritised_at"
    RESPONDED = "responded_at"
    CONTAINED = "contained_at"
    ERADICATED = "eradicated_at"
    RECOVERED = "recovered_at"
    CLOSED = "closed_at"


class MilestoneSource(StrEnum):
    """Who or what set a milestone."""

    ALERT = "alert"
    SCOPING = "scoping"
    ACTION = "action"
    PERSON = "person"
    IMPORT = "import"


class Basis(StrEnum):
    """What "contained" rests on."""

    BY_QUELL = "by_quell"
    OBSERVED = "observed"
    ATTESTED = "attested"
    NOT_NEEDED = "not_needed"


class ActionStatus(StrEnum):
    """Where an action stands (CONTRACT §4)."""

    PROPOSED = "proposed"
    REFUSED = "refused"
    PLANNED = "planned"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    APPROVED = "approved"
    APPLYING = "applying"
    DRIFTED = "drifted"
    APPLIED = "applied"
    VERIFIED = "verified"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REVERTING = "reverting"
    REVERTED = "reverted"
    CONFLICT = "conflict"


IN_FORCE = frozenset(
    {
        ActionStatus.APPLYING,
        ActionStatus.APPLIED,
        ActionStatus.VERIFIED,
        ActionStatus.PARTIAL,
        ActionStatus.UNKNOWN,
        ActionStatus.REVERTING,
        ActionStatus.CONFLICT,
    }
)


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0, https://www.first.org/tlp/."""

    RED = "TLP:RED"
    AMBER_STRICT = "TLP:AMBER+STRICT"
    AMBER = "TLP:AMBER"
    GREEN = "TLP:GREEN"
    CLEAR = "TLP:CLEAR"


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    """Django choices of an enumeration, value and label."""
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in words]


class CustodyAct(StrEnum):
    """What can be done with an artefact."""

    COLLECTED = "collected"
    VIEWED = "viewed"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    DAMAGED = "damaged"
    EXPORTED = "exported"
