"""What is recognised in the free fields of other tools: names of AWS, addresses, hashes.

A value counts only as a whole: nothing is searched for inside a text, which whoever caused the alert may
have written. What could mean two things means nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from cases.decoding import JSON
from cases.sources.types import Observable, Resource

MOST = 500
MOST_RESOURCES = 200

ACCOUNT = re.compile(r"\d{12}")
REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,12}){1,3}-\d{1,2}")
ARN = re.compile(
    r"arn:aws[a-z0-9-]{0,20}:[a-z0-9.-]{1,60}:[a-z0-9-]{0,30}:(?:\d{12}|aws)?:[^\s:][^\s]{0,1800}"
)
KEY = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,124}")
IDS = {
    "instance": re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "network_interface": re.compile(r"eni-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "security_group": re.compile(r"sg-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "volume": re.compile(r"vol-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "snapshot": re.compile(r"snap-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "vpc": re.compile(r"vpc-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    "subnet": re.compile(r"subnet-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
}
OF_ARN = {
    ("iam", "user"): "user",
    ("iam", "role"): "role",
    ("iam", "instance-profile"): "instance_profile",
    ("sts", "assumed-role"): "role_session",
    ("ec2", "instance"): "instance",
    ("ec2", "network-interface"): "network_interface",
    ("ec2", "security-group"): "security_group",
    ("ec2", "volume"): "volume",
    ("ec2", "snapshot"): "snapshot",
    ("ec2", "image"): "image",
    ("ec2", "vpc"): "vpc",
    ("ec2", "subnet"): "subnet",
    ("lambda", "function"): "function",
    ("rds", "db"): "db_instance",
    ("rds", "cluster"): "db_cluster",
    ("kms", "key"): "kms_key",
    ("eks", "cluster"): "eks_cluster",
    ("ecs", "cluster"): "ecs_cluster",
    ("ecs", "task"): "ecs_task",
    ("secretsmanager", "secret"): "secret",
    ("dynamodb", "table"): "table",
}
ACCOUNT_NAMES = {"account", "accountid", "awsaccount", "awsaccountid", "cloudaccountid", "recipientaccountid"}
REGION_NAMES = {"region", "awsregion", "cloudregion"}

HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
HEX = re.compile(r"[0-9a-fA-F]+")
EMAIL = re.compile(r"[^\s@]{1,64}@[a-zA-Z0-9-]{1,63}(?:\.[a-zA-Z0-9-]{1,63}){1,8}")
DOMAIN = re.compile(r"(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?\.){1,20}[a-zA-Z]{2,24}")
URL = re.compile(r"(?:https?|ftp)://\S+", re.IGNORECASE)
NO_DOMAINS = frozenset(
    [
        "bat",
        "bin",
        "cfg",
        "cmd",
        "conf",
        "dll",
        "doc",
        "docm",
        "docx",
        "exe",
        "gz",
        "htm",
        "html",
        "iso",
        "jar",
        "js",
        "json",
        "jsp",
        "lnk",
        "log",
        "msi",
        "pdf",
        "php",
        "ppt",
        "pptx",
        "ps1",
        "py",
        "rar",
        "scr",
        "sh",
        "so",
        "sys",
        "tar",
        "tmp",
        "txt",
        "vbs",
        "xls",
        "xlsm",
        "xlsx",
        "xml",
        "yaml",
        "yml",
        "zip",
    ]
)
"""Endings that file names have more often than domains have."""

MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What an alert's fields say about AWS. Account and region are empty where several were named."""

    account: str
    region: str
    resources: tuple[Resource, ...]


def ground_of(fields: Iterable[tuple[str, str]]) -> Ground:
    """The account, region and resources that named values tell of; the name may be empty.

    A value in a field of that name counts before what ARNs say, and one further out before one further in:
    `recipientAccountId` before `userIdentity.accountId`.
    """
    accounts: dict[int, set[str]] = {}
    regions: dict[int, set[str]] = {}
    of_arns: dict[str, set[str]] = {"account": set(), "region": set()}
    resources: dict[tuple[str, str], Resource] = {}
    for name, value in fields:
        depth, names = name.count("."), {_bare(name), _bare(name.rpartition(".")[2])}
        if names & ACCOUNT_NAMES and ACCOUNT.fullmatch(value):
            accounts.setdefault(depth, set()).add(value)
        if names & REGION_NAMES and REGION.fullmatch(value):
            regions.setdefault(depth, set()).add(value)
        found = resource_of(value)
        if found is None:
            continue
        if found.arn:
            _, _, _, region, account, _ = found.arn.split(":", 5)
            of_arns["account"] |= {account} if ACCOUNT.fullmatch(account) else set()
            of_arns["region"] |= {region} if region else set()
        if len(resources) < MOST_RESOURCES:
            resources.setdefault((found.type, found.id), found)
    return Ground(
        account=_only(accounts[min(accounts)] if accounts else of_arns["account"]),
        region=_only(regions[min(regions)] if regions else of_arns["region"]),
        resources=tuple(resources.values()),
    )


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def resource_of(value: str) -> Resource | None:
    """The thing in AWS that a value surely names: by ARN, access key id, or the id of a thing in a VPC."""
    if ARN.fullmatch(value):
        return _of_arn(value)
    if KEY.fullmatch(value):
        return Resource(type="session_key" if value.startswith("ASIA") else "access_key", id=value)
    for kind, pattern in IDS.items():
        if pattern.fullmatch(value):
            return Resource(type=kind, id=value)
    return None


def kind_of(value: str) -> str:
    """What a value surely is: `ip`, `url`, `email`, `md5`, `sha1`, `sha256`, `domain`, or empty."""
    if is_address(value):
        return "ip"
    if hashed := hash_of(value):
        return hashed
    if URL.fullmatch(value):
        return "url"
    if EMAIL.fullmatch(value):
        return "email"
    if DOMAIN.fullmatch(value) and value.rpartition(".")[2].lower() not in NO_DOMAINS:
        return "domain"
    return ""


def hash_of(value: str) -> str:
    """Which hash a value is by its length, empty for none."""
    return HASHES.get(len(value), "") if HEX.fullmatch(value) else ""


def is_address(value: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ip_address(value)
    except ValueError:
        return False
    return "%" not in value


def once(observables: Iterable[Observable]) -> tuple[Observable, ...]:
    """Each trace once, in its order, at most `MOST` of them and none empty."""
    return tuple(dict.fromkeys(one for one in observables if one.value))[:MOST]


def split(tag: str) -> tuple[str, str]:
    """A tag as a field: name and value of `name=value` or `name:value`; no name where it is one value."""
    if resource_of(tag) is not None:
        return "", tag
    for mark in ("=", ":"):
        name, found, value = tag.partition(mark)
        if found:
            return name.strip(), value.strip().strip('"')
    return "", tag


def plain(value: JSON, *, most: int = 500) -> str:
    """A text, number or truth value as text, cut; empty for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()[:most] if isinstance(value, str | int | float) else ""


def leaves(value: JSON, *, most: int = 200) -> Iterator[tuple[str, str]]:
    """The named single values of an object, those of objects inside it under dotted names."""
    waiting: list[tuple[str, JSON]] = [("", value)]
    left = most
    while waiting and left > 0:
        name, inner = waiting.pop(0)
        if isinstance(inner, dict):
            waiting += [(f"{name}.{key}".strip(".")[:200], member) for key, member in inner.items()][:most]
        elif shown := plain(inner):
            left -= 1
            yield name, shown


def without_times(text: str) -> str:
    """The text with every moment in ISO 8601 taken out, so that only what happened counts, not when."""
    return MOMENT.sub("(time)", text)


def digest(parts: Iterable[str]) -> str:
    """32 hexadecimal digits that stand for these texts and no others."""
    hashed = hashlib.sha256()
    for part in parts:
        spelled = part.encode("utf-8", "replace")
        hashed.update(len(spelled).to_bytes(8, "big") + spelled)
    return hashed.hexdigest()[:32]


def web_link(value: str) -> str:
    """The address if a browser may follow it; empty for `javascript:` and all else."""
    return value[:2000] if re.match(r"https?://[^\s]", value, re.IGNORECASE) else ""


def _of_arn(arn: str) -> Resource:
    _, _, service, _, _, rest = arn.split(":", 5)
    if service == "s3":
        bucket, _, key = rest.partition("/")
        return Resource(type="object" if key else "bucket", id=key or bucket, arn=arn)
    kind, *named = re.split("[/:]", rest, maxsplit=1)
    name = named[0] if named else ""
    known = OF_ARN.get((service, kind))
    if known is None or not name:
        return Resource(
            type=service.replace("-", "_"), id=rest.rsplit("/", 1)[-1].rsplit(":", 1)[-1], arn=arn
        )
    # Users and roles may have a path, functions a version; a session is named with its role.
    if known == "role_session":
        return Resource(type=known, id=name, arn=arn)
    if known == "function":
        return Resource(type=known, id=name.partition(":")[0], arn=arn)
    return Resource(type=known, id=name.rsplit("/", 1)[-1] or name, arn=arn)


def _only(found: set[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""
