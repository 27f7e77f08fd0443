"""How urgent an incident is, and what kind of incident an alert speaks of: two tables, kept as data.

The priority is severity by environment, one step higher for a critical account: 1 is worst, 4 can
wait until tomorrow. What is not known is treated as production.
"""

from __future__ import annotations

from cases.words import Band
from estate.models import Account, Environment

HIGHEST, LOWEST = 1, 4

# Bands from informational to critical; the figures are the priority of an ordinary account.
MATRIX: dict[str, dict[Band, int]] = {
    environment: dict(zip(Band, figures, strict=True))
    for environment, figures in {
        Environment.PRODUCTION: (4, 4, 3, 2, 1),
        Environment.SECURITY: (4, 3, 2, 1, 1),
        Environment.MANAGEMENT: (4, 3, 2, 1, 1),
        Environment.STAGING: (4, 4, 3, 3, 2),
        Environment.DEVELOPMENT: (4, 4, 4, 3, 2),
        Environment.SANDBOX: (4, 4, 4, 3, 3),
    }.items()
}

# The beginning of an alert's type, the most exact first, and the kind of incident that it starts.
KINDS: tuple[tuple[str, str], ...] = (
    ("AttackSequence:S3/", "data_exfiltration"),
    ("AttackSequence:IAM/", "compromised_credentials"),
    ("AttackSequence:EKS/", "compromised_container"),
    ("AttackSequence:ECS/", "compromised_container"),
    ("AttackSequence:EC2/", "compromised_instance"),
    ("CryptoCurrency:", "crypto_mining"),
    ("Impact:EC2/BitcoinDomainRequest", "crypto_mining"),
    ("Exfiltration:", "data_exfiltration"),
    ("Impact:S3/", "data_destruction"),
    ("Policy:S3/", "public_exposure"),
    ("UnauthorizedAccess:S3/", "data_exfiltration"),
    ("Discovery:S3/", "data_exfiltration"),
    ("Stealth:", "log_tampering"),
    ("Recon:EC2/PortProbe", "reconnaissance"),
    ("Recon:EC2/", "compromised_instance"),
    ("CredentialAccess:RDS/", "compromised_database"),
    ("AWS_RISK_CREDENTIALS", "compromised_credentials"),
    ("AWS_RISK_IAM_QUARANTINE", "compromised_credentials"),
)
KIND_OF_RESOURCE = {
    "EC2": "compromised_instance",
    "IAMUser": "compromised_credentials",
    "Kubernetes": "compromised_container",
    "Runtime": "compromised_instance",
    "Container": "compromised_container",
    "ECS": "compromised_container",
    "Lambda": "compromised_function",
    "RDS": "compromised_database",
    "S3": "data_exfiltration",
}


def priority_of(*, severity: int, account: Account | None) -> int:
    """1 to 4 for a severity in an account; `None` for an account that the estate does not know."""
    environment = account.environment if account else Environment.PRODUCTION
    figure = MATRIX[environment][Band.of(severity)]
    return max(HIGHEST, figure - 1) if account and account.is_critical else figure


def kind_of(alert_type: str) -> str:
    """The kind of incident; empty for a type that we know nothing about."""
    for beginning, kind in KINDS:
        if alert_type.startswith(beginning):
            return kind
    purpose, _, rest = alert_type.partition(":")
    return KIND_OF_RESOURCE.get(rest.split("/", maxsplit=1)[0], "") if purpose else ""
