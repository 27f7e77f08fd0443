"""Whose finding it is that Security Hub tells: one key however the finding came.

GuardDuty, Macie, Inspector and Access Analyzer also speak for themselves; their own documents count more
(`DETECTORS` rank 100, an account of them `RELAYED`).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cases.decoding import JSON, Unreadable
from cases.sources.reading import at, text
from cases.words import Band

RELAYED = 50
DEFAULT_SEVERITY = Band.MEDIUM.severity

DETECTORS = {
    "aws/guardduty": "guardduty",
    "aws/macie": "macie",
    "aws/inspector": "inspector",
    "aws/access-analyzer": "access_analyzer",
}
ACCOUNT = re.compile(r"\d{12}", re.ASCII)
REGION = re.compile(r"[a-z0-9-]{1,30}")
PRODUCT = re.compile(r"arn:[a-z0-9-]+:securityhub:([a-z0-9-]*):\d*:product(?:v2)?/(.+)")
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-z]{12}")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The source that a finding is of, its id there and the parts of its canonical key."""

    source: str
    external_id: str
    finding: tuple[str, ...]

    @property
    def is_relayed(self) -> bool:
        """Whether its detector also speaks for itself."""
        return self.source in DETECTORS.values()


def identity(
    *, product: str, uid: str, account: str, region: str, link: str = "", home: str = "security_hub"
) -> Identity:
    """Whose finding it is; `home` is the source of products that do not speak for themselves."""
    source = DETECTORS.get(product)
    if source is None:
        name = fitted(uid)
        return Identity(source=home, external_id=name, finding=(product, account, region, name))
    name = fitted(uid.rsplit("/", maxsplit=1)[-1])
    if source == "access_analyzer" and (told := UUID.search(link)):
        name = told.group()  # the id in Security Hub names the resource, its link the finding
    return Identity(source=source, external_id=name, finding=(source, account, name))


def fitted(uid: str) -> str:
    """An id as it fits into the column: one that is too long by its digest."""
    return uid if len(uid) <= 300 else "sha256:" + hashlib.sha256(uid.encode("utf-8")).hexdigest()


def product_of(arn: str) -> str:
    """`company/product` of a product's ARN; the text itself where it is none."""
    found = PRODUCT.fullmatch(arn)
    return found.group(2)[:200] if found else arn[:200]


def region_of_product(arn: str) -> str:
    """The region in a product's ARN; empty where it has none."""
    found = PRODUCT.fullmatch(arn)
    return found.group(1) if found else ""


def demanded(document: JSON, *path: str, what: str, most: int = 2000) -> str:
    """The text there. Raises `Unreadable` where there is none, or it is longer."""
    found = at(document, *path)
    pointer = "/" + "/".join(path)
    if not isinstance(found, str) or not found.strip():
        raise Unreadable(f"{what} has {path[-1]}", pointer)
    if len(found.strip()) > most:
        raise Unreadable(f"longer than {most} characters", pointer)
    return found.strip()


def account_at(document: JSON, *path: str, what: str) -> str:
    """The AWS account there. Raises `Unreadable` for anything else."""
    found = demanded(document, *path, what=what)
    if not ACCOUNT.fullmatch(found):
        raise Unreadable("not an AWS account id", "/" + "/".join(path))
    return found


def region_at(document: JSON, *path: str, default: str = "") -> str:
    """The region there, `default` where nothing is. Raises `Unreadable` for what is no region's name."""
    found = text(document, *path) or default
    if found and not REGION.fullmatch(found):
        raise Unreadable("not the name of an AWS region", "/" + "/".join(path))
    return found


def severity_of_word(word: str) -> int | None:
    """The number of a band's name in any case; None for other words."""
    name = word.strip().lower()
    return Band(name).severity if name in set(Band) else None


def https(link: str) -> str:
    """The link, if it is one that a browser may follow; else nothing."""
    return link if link.startswith("https://") and len(link) <= 2000 else ""


def type_of_asff(kind: str) -> str:
    """GuardDuty's own type from ASFF's: `TTPs/Discovery/Recon:EC2-Portscan` is `Recon:EC2/Portscan`."""
    name = kind.rsplit("/", maxsplit=1)[-1]
    purpose, colon, rest = name.partition(":")
    return f"{purpose}{colon}{rest.replace('-', '/', 1)}"[:200]
