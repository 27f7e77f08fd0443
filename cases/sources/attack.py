"""MITRE ATT&CK techniques of GuardDuty finding types, in our own judgement.

https://attack.mitre.org/matrices/enterprise/cloud/ for the techniques,
https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-types-active.html for the types.
The most exact entry counts: the whole type, then the type up to its first dot or `!`, then the
purpose before the colon.
"""

from __future__ import annotations

import re

TECHNIQUE = re.compile(r"\bT\d{4}(?:\.\d{3})?\b")

OF_TYPE: dict[str, tuple[str, ...]] = {
    "Backdoor:EC2/C&CActivity": ("T1071",),
    "Backdoor:EC2/C&CActivity.B!DNS": ("T1071.004",),
    "Backdoor:EC2/DenialOfService": ("T1498",),
    "Backdoor:EC2/Spambot": ("T1496",),
    "Backdoor:Lambda/C&CActivity": ("T1071",),
    "Backdoor:Runtime/C&CActivity": ("T1071",),
    "Backdoor:Runtime/C&CActivity.B!DNS": ("T1071.004",),
    "Behavior:EC2/NetworkPortUnusual": ("T1571",),
    "Behavior:EC2/TrafficVolumeUnusual": ("T1048",),
    "CredentialAccess:IAMUser/AnomalousBehavior": ("T1552", "T1555.006"),
    "CredentialAccess:IAMUser/CompromisedCredentials": ("T1078.004",),
    "CredentialAccess:Kubernetes/MaliciousIPCaller": ("T1552.007",),
    "CredentialAccess:RDS/AnomalousBehavior": ("T1078", "T1110"),
    "CredentialAccess:RDS/MaliciousIPCaller": ("T1078", "T1110"),
    "CryptoCurrency:EC2/BitcoinTool": ("T1496.001",),
    "CryptoCurrency:Lambda/BitcoinTool": ("T1496.001",),
    "CryptoCurrency:Runtime/BitcoinTool": ("T1496.001",),
    "DefenseEvasion:EC2/UnusualDNSResolver": ("T1090",),
    "DefenseEvasion:EC2/UnusualDoHActivity": ("T1572",),
    "DefenseEvasion:EC2/UnusualDoTActivity": ("T1572",),
    "DefenseEvasion:IAMUser/AnomalousBehavior": ("T1562.008",),
    "DefenseEvasion:IAMUser/BedrockLoggingDisabled": ("T1562.008",),
    "DefenseEvasion:Kubernetes/TorIPCaller": ("T1090.003",),
    "DefenseEvasion:Runtime/FilelessExecution": ("T1620",),
    "DefenseEvasion:Runtime/ProcessInjection": ("T1055",),
    "DefenseEvasion:Runtime/PtraceAntiDebugging": ("T1622",),
    "Discovery:IAMUser/AnomalousBehavior": ("T1580", "T1087.004"),
    "Discovery:Kubernetes/TorIPCaller": ("T1613", "T1090.003"),
    "Discovery:RDS/MaliciousIPCaller": ("T1580",),
    "Discovery:S3/AnomalousBehavior": ("T1619",),
    "Discovery:S3/MaliciousIPCaller": ("T1619",),
    "Discovery:S3/TorIPCaller": ("T1619", "T1090.003"),
    "Execution:Container/MaliciousFile": ("T1204.003",),
    "Execution:EC2/MaliciousFile": ("T1204.002",),
    "Execution:Kubernetes/AnomalousBehavior.ExecInPod": ("T1609",),
    "Execution:Kubernetes/AnomalousBehavior.WorkloadDeployed": ("T1610",),
    "Execution:Kubernetes/ExecInKubeSystemPod": ("T1609",),
    "Execution:Runtime/NewBinaryExecuted": ("T1059.004", "T1105"),
    "Execution:Runtime/NewLibraryLoaded": ("T1574.006",),
    "Execution:Runtime/ReverseShell": ("T1059.004", "T1071"),
    "Exfiltration:IAMUser/AnomalousBehavior": ("T1537",),
    "Exfiltration:S3/AnomalousBehavior": ("T1530", "T1567.002"),
    "Exfiltration:S3/MaliciousIPCaller": ("T1530",),
    "Exfiltration:S3/ObjectRead": ("T1530",),
    "Impact:EC2/AbusedDomainRequest": ("T1071.004",),
    "Impact:EC2/BitcoinDomainRequest": ("T1496.001",),
    "Impact:EC2/MaliciousDomainRequest": ("T1071.004",),
    "Impact:EC2/SuspiciousDomainRequest": ("T1071.004",),
    "Impact:EC2/PortSweep": ("T1046",),
    "Impact:EC2/WinRMBruteForce": ("T1110", "T1021.006"),
    "Impact:IAMUser/AnomalousBehavior": ("T1485", "T1531"),
    "Impact:S3/AnomalousBehavior.Delete": ("T1485",),
    "Impact:S3/AnomalousBehavior.Write": ("T1486",),
    "Impact:S3/AnomalousBehavior.Permission": ("T1222",),
    "Impact:S3/MaliciousIPCaller": ("T1485",),
    "Impact:S3/ObjectDelete": ("T1485",),
    "InitialAccess:IAMUser/AnomalousBehavior": ("T1078.004",),
    "PenTest:IAMUser/": ("T1078.004", "T1580"),
    "PenTest:S3/": ("T1619",),
    "Persistence:IAMUser/AnomalousBehavior": ("T1098", "T1136.003"),
    "Persistence:Kubernetes/ContainerWithSensitiveMount": ("T1611",),
    "Policy:IAMUser/RootCredentialUsage": ("T1078.004",),
    "Policy:S3/AccountBlockPublicAccessDisabled": ("T1562.007",),
    "Policy:S3/BucketAnonymousAccessGranted": ("T1530",),
    "Policy:S3/BucketBlockPublicAccessDisabled": ("T1562.007",),
    "Policy:S3/BucketPublicAccessGranted": ("T1530",),
    "PrivilegeEscalation:IAMUser/AdministrativePermissions": ("T1098.003",),
    "PrivilegeEscalation:IAMUser/AnomalousBehavior": ("T1098.003", "T1548.005"),
    "PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleBindingCreated": ("T1098.006",),
    "PrivilegeEscalation:Kubernetes/PrivilegedContainer": ("T1610", "T1611"),
    "PrivilegeEscalation:Runtime/CGroupsReleaseAgentModified": ("T1611",),
    "PrivilegeEscalation:Runtime/ContainerMountsHostDirectory": ("T1611",),
    "PrivilegeEscalation:Runtime/DockerSocketAccessed": ("T1611",),
    "PrivilegeEscalation:Runtime/RuncContainerEscape": ("T1611",),
    "PrivilegeEscalation:Runtime/UserfaultfdUsage": ("T1068",),
    "Recon:EC2/PortProbeEMRUnprotectedPort": ("T1595.001",),
    "Recon:EC2/PortProbeUnprotectedPort": ("T1595.001",),
    "Recon:EC2/Portscan": ("T1046",),
    "Recon:IAMUser/MaliciousIPCaller": ("T1580",),
    "Recon:IAMUser/TorIPCaller": ("T1580", "T1090.003"),
    "Stealth:IAMUser/CloudTrailLoggingDisabled": ("T1562.008",),
    "Stealth:IAMUser/PasswordPolicyChange": ("T1556",),
    "Stealth:S3/ServerAccessLoggingDisabled": ("T1562.008",),
    "Trojan:EC2/BlackholeTraffic": ("T1071",),
    "Trojan:EC2/DGADomainRequest": ("T1568.002",),
    "Trojan:EC2/DNSDataExfiltration": ("T1048", "T1071.004"),
    "Trojan:EC2/DriveBySourceTraffic": ("T1189",),
    "Trojan:EC2/DropPoint": ("T1074",),
    "Trojan:EC2/PhishingDomainRequest": ("T1566",),
    "Trojan:Lambda/BlackholeTraffic": ("T1071",),
    "Trojan:Lambda/DropPoint": ("T1074",),
    "Trojan:Runtime/DGADomainRequest": ("T1568.002",),
    "UnauthorizedAccess:EC2/MaliciousIPCaller": ("T1071",),
    "UnauthorizedAccess:EC2/MetadataDNSRebind": ("T1552.005",),
    "UnauthorizedAccess:EC2/RDPBruteForce": ("T1110", "T1021.001"),
    "UnauthorizedAccess:EC2/SSHBruteForce": ("T1110", "T1021.004"),
    "UnauthorizedAccess:EC2/TorClient": ("T1090.003",),
    "UnauthorizedAccess:EC2/TorRelay": ("T1090.003",),
    "UnauthorizedAccess:IAMUser/ConsoleLoginSuccess": ("T1078.004",),
    "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration": ("T1552.005", "T1078.004"),
    "UnauthorizedAccess:IAMUser/MaliciousIPCaller": ("T1078.004",),
    "UnauthorizedAccess:IAMUser/ResourceCredentialExfiltration": ("T1552.005", "T1078.004"),
    "UnauthorizedAccess:IAMUser/TorIPCaller": ("T1078.004", "T1090.003"),
    "UnauthorizedAccess:Lambda/MaliciousIPCaller": ("T1071",),
    "UnauthorizedAccess:Lambda/TorClient": ("T1090.003",),
    "UnauthorizedAccess:Runtime/MetadataDNSRebind": ("T1552.005",),
    "UnauthorizedAccess:S3/MaliciousIPCaller": ("T1530",),
    "UnauthorizedAccess:S3/TorIPCaller": ("T1530", "T1090.003"),
}

OF_PURPOSE: dict[str, tuple[str, ...]] = {
    "Backdoor": ("T1071",),
    "CryptoCurrency": ("T1496",),
    "Trojan": ("T1071",),
    "UnauthorizedAccess": ("T1078",),
}


def techniques_of(finding_type: str) -> tuple[str, ...]:
    """The techniques that a finding type stands for; none where we have no opinion."""
    family = re.split(r"[.!]", finding_type, maxsplit=1)[0]
    resource = finding_type[: finding_type.find("/") + 1]
    for name in (finding_type, finding_type.split("!", maxsplit=1)[0], family, resource):
        if name in OF_TYPE:
            return OF_TYPE[name]
    return OF_PURPOSE.get(finding_type.split(":", maxsplit=1)[0], ())


def techniques_in(text: str) -> tuple[str, ...]:
    """The technique ids that a text names, in its order, each once."""
    return tuple(dict.fromkeys(TECHNIQUE.findall(text)))
