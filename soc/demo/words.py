"""What people wrote in the demo's past."""

from __future__ import annotations

from cases.words import Basis, Verdict

EXERCISES = (
    "Exercise: leaked deployment key",
    "Exercise: ransom note in a bucket",
    "Exercise: miner on a container host",
    "Exercise: administrator signs in from two countries",
)

NOTES: dict[str, tuple[str, ...]] = {
    "compromised_credentials": (
        "Nobody of the owner's team made these calls.\nThe key is used by one job only, they say.",
        "The key was in a build log that the contractor could read. Log removed.",
        "CloudTrail shows 14 calls, all of them listing. Nothing was written.",
    ),
    "compromised_instance": (
        "Volumes saved before anything else was changed.",
        "The process behind the connections is a web shell below the upload directory.",
        "The role of the instance made no calls from outside during the whole time.",
    ),
    "crypto_mining": (
        "A scheduled task starts the miner again; found and saved.",
        "Load on the machine was at 100 % since the night before.",
    ),
    "data_exfiltration": (
        "The objects that were read hold no personal data. The data owner agrees.",
        "Server access logs requested for the time before data events were on.",
    ),
    "public_exposure": (
        "The policy came with last night's deployment; the template is corrected.",
        "No anonymous reads in the access log while the bucket was open.",
    ),
    "log_tampering": (
        "Logging was off for eleven minutes. The organization's trail has the events.",
        "The change was made with the break-glass role; nobody remembers using it.",
    ),
    "reconnaissance": (
        "The port had been opened for a test and forgotten.",
        "Only a banner was read; no session was set up.",
    ),
}

RESPONSES = {
    "compromised_credentials": "First measure: the key's owner was called.",
    "compromised_instance": "First measure: snapshots of all volumes.",
    "crypto_mining": "First measure: snapshots of all volumes.",
    "data_exfiltration": "First measure: the bucket's policy was tightened for the principal.",
    "public_exposure": "First measure: the bucket's policy was saved.",
    "log_tampering": "First measure: logging was started again.",
    "reconnaissance": "First measure: the open port was looked at.",
}

MEASURES = {
    "compromised_credentials": "the access key is Inactive",
    "compromised_instance": "the instance has only the isolation group",
    "crypto_mining": "the instance has only the isolation group",
    "data_exfiltration": "the bucket policy denies the principal",
    "public_exposure": "Block Public Access is on",
    "log_tampering": "the role's sessions are revoked and the trail is logging",
    "reconnaissance": "the port is closed",
}

CONTAINED = {
    Basis.OBSERVED: "Read back from AWS: {what}. The account's owner made the change; CloudTrail has it.",
    Basis.ATTESTED: "The account's owner says on the phone that {what}.",
    Basis.NOT_NEEDED: "The credentials had expired before anything could be stopped.",
}

ACCESS = {
    "compromised_credentials": "First call from the foreign network in CloudTrail.",
    "compromised_instance": "First connection to the server in the flow logs.",
    "crypto_mining": "Time stamp of the miner's file on the saved volume.",
    "data_exfiltration": "First GetObject by the principal from the foreign network.",
    "public_exposure": "PutBucketPolicy in CloudTrail.",
    "log_tampering": "AssumeRole before the change, in CloudTrail.",
    "reconnaissance": "First probe in the flow logs.",
}

RESOLUTIONS = {
    Verdict.TRUE_POSITIVE: "Contained, cleaned up and back in service. Cause found, owner informed.",
    Verdict.FALSE_POSITIVE: "The finding does not fit what happened. Nothing was accessed.",
    Verdict.BENIGN: "It happened as reported, and was allowed: announced work of the account's owner.",
    Verdict.DUPLICATE: "The same event as an incident that was open already.",
}

DISMISSALS: dict[Verdict, tuple[str, ...]] = {
    Verdict.FALSE_POSITIVE: (
        "The address belongs to our own new office.",
        "The name is that of a monitoring service.",
    ),
    Verdict.BENIGN: ("Announced penetration test.", "Planned migration by the account's owner."),
    Verdict.DUPLICATE: ("Same event as the alert before.",),
}
