"""What Sigma's comparisons cannot say of a CloudTrail event: facts for rules, by their names.

Each is worked out when a rule asks for it. Policies are read as far as they show whom they let in:
everybody, unless a condition names who or from where.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from urllib.parse import unquote

from cases.decoding import JSON
from cases.sources import traces
from cases.sources.reading import at, objects, text, texts, time_or_none
from cases.sources.sigma import Fact
from cases.sources.types import Allowed, Ground, RoleCall

MOST_OF_POLICY = 200_000
MOST_LISTED = 100
DENIED = re.compile(r"access.?denied|unauthori[sz]ed|not.?authori[sz]ed|forbidden", re.IGNORECASE)
POLICIES = ("policyDocument", "assumeRolePolicyDocument", "bucketPolicy", "policy")
NARROWING = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourceorgpaths",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "kms:calleraccount",
    }
)
"""Conditions that say who or from where. An external id does not: whoever hears of it has it."""

ADMIN = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/(?:AdministratorAccess|IAMFullAccess)")
ADMIN_PORTS = (22, 3389, 5985, 5986, 445, 1433, 3306, 5432, 6379, 9200, 27017)
"""Ports for whoever runs a machine or its data, not for the world."""


SESSION = re.compile(
    r"arn:[a-z-]+:sts::(?P<account>\d{12}):assumed-role/(?P<role>[\w+=,.@-]{1,64})/(?P<session>[\w+=,.@-]{1,64})"
)
DRAWING = ("AssumeRole", "GetFederationToken", "GetSessionToken")
"""Calls that a trail calls read-only, and that give out credentials."""

LOOKING = ("BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Search", "Select", "Simulate")


class Observed(dict[str, JSON]):
    """An event with the ground on which it is judged."""

    def __init__(self, event: Mapping[str, JSON], ground: Ground) -> None:
        super().__init__(event)
        self.ground = ground


def account_of(event: JSON) -> str:
    """The account whose trail the event is of; empty where it names none."""
    named = (text(event, "recipientAccountId"), text(event, "userIdentity", "accountId"))
    return next((one for one in named if traces.ACCOUNT.fullmatch(one)), "")


def address_of(event: JSON) -> str:
    """The address that the call came from; empty where a service of AWS called."""
    found = text(event, "sourceIPAddress", most=100)
    return found if traces.is_address(found) else ""


def outcome_of(event: JSON) -> str:
    """`done`, `denied` for what was not allowed, `failed` for what could not be."""
    # What signs in answers with the name of the call: `{"ConsoleLogin": "Failure"}`.
    name = text(event, "eventName")
    if any(text(event, part, name) == "Failure" for part in ("responseElements", "serviceEventDetails")):
        return "denied"
    code = text(event, "errorCode", most=200)
    if not code:
        return "done"
    return "denied" if DENIED.search(code) else "failed"


def is_by_aws(event: JSON) -> bool:
    """Whether AWS itself acted, not somebody through a service of its."""
    if text(event, "userIdentity", "type") == "AWSService" or text(event, "eventType") == "AwsServiceEvent":
        return True
    return bool(text(event, "userIdentity", "invokedBy"))


def is_root(event: JSON) -> bool:
    """Whether a person acted with the account's root user: not a service on its behalf."""
    return text(event, "userIdentity", "type") == "Root" and not is_by_aws(event)


def names_other_user(event: JSON) -> bool:
    """Whether the user that the call is about is another than the one who called."""
    about = text(event, "requestParameters", "userName")
    if not about:
        return False
    identity = at(event, "userIdentity")
    return text(identity, "type") != "IAMUser" or text(identity, "userName") != about


def foreign_accounts(event: JSON) -> list[JSON]:
    """Accounts that are let in and that nobody here knows: not the event's own, not of the estate."""
    home = account_of(event)
    named = [account for value in _let_in(event) if (account := _account_in(value))]
    return [one for one in dict.fromkeys(named) if one != home and not _is_known(event, one)]


def is_public(event: JSON) -> bool:
    """Whether everybody is let in."""
    asked = at(event, "requestParameters")
    if any(_is_for_all(statement) for policy in _policies(asked) for statement in _allowing(policy)):
        return True
    if text(asked, "principal") == "*":
        is_narrowed = any(text(asked, name) for name in ("sourceArn", "sourceAccount", "principalOrgID"))
        return not is_narrowed
    return any(value in ("all", "*") for value in _shared_with(asked))


def grants_admin(event: JSON) -> bool:
    """Whether the call gives rights over everything, or over all of IAM."""
    asked = at(event, "requestParameters")
    if any(ADMIN.fullmatch(text(asked, name)) for name in ("policyArn", "managedPolicyArn")):
        return True
    return any(_is_admin(statement) for policy in _policies(asked) for statement in _allowing(policy))


def world_ports(event: JSON) -> list[JSON]:
    """The ports of administration and data that the call opens to every address."""
    asked = at(event, "requestParameters")
    opened = [asked, *objects(asked, "ipPermissions", "items", most=MOST_LISTED)]
    return [port for port in ADMIN_PORTS if any(_opens(permission, port) for permission in opened)]


def sign_in(event: JSON) -> str:
    """From where, as the account's owners see it: `inside` or `outside` what they allow, or `unknown`.

    Empty where nobody said from where the account is used, or a service of AWS called.
    """
    ground, address = _ground(event), address_of(event)
    allowed = ground.allowed_for(account_of(event)) if ground and address else None
    if ground is None or allowed is None or not (allowed.countries or allowed.networks):
        return ""
    if is_within(address, allowed.networks):
        return "inside"
    if not allowed.countries:
        return "outside"
    place = ground.place_of(address)
    if place is None or not place.country:
        return "unknown"
    return "inside" if place.country in allowed.countries else "outside"


def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether the address lies in one of the networks; those that are spelled with host bits count too."""
    parsed = ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in _networks(networks))


def source_country(event: JSON) -> str:
    """The country that the call came from, as ISO 3166 alpha-2; empty where not known."""
    ground, address = _ground(event), address_of(event)
    place = ground.place_of(address) if ground and address else None
    return place.country if place else ""


def bad_address(event: JSON) -> str:
    """The list of bad addresses on which the caller's stands; empty for none."""
    ground, address = _ground(event), address_of(event)
    return ground.indicator_of(address) if ground and address else ""


def environment(event: JSON) -> str:
    """What the account is used for; empty where it is not known."""
    ground = _ground(event)
    return ground.environment_of(account_of(event)) if ground else ""


def words_for(allowed: Allowed) -> str:
    """From where an account is used, in words."""
    parts = [", ".join(sorted(allowed.countries)), ", ".join(allowed.networks[:20])]
    return " and ".join(filter(None, parts))


def outside_journal(event: JSON) -> bool:
    """Whether a role of the responder's own changed something, or tried to, without an action behind it."""
    # Asked of every event: what most of them are not comes first.
    ground, session = _ground(event), _session(event)
    if ground is None or session is None or not ground.is_responder(session["account"], session["role"]):
        return False
    if is_by_aws(event) or not _may_change(event):
        return False
    call = RoleCall(
        account=session["account"],
        role=session["role"],
        session=session["session"],
        source_identity=text(event, "userIdentity", "sessionContext", "sourceIdentity"),
        operation=text(event, "eventName"),
        at=time_or_none(event, "eventTime"),
    )
    return not ground.is_journalled(call)


def _session(event: JSON) -> re.Match[str] | None:
    """Account, role and name of the session that called; None where it was none."""
    identity = event.get("userIdentity") if isinstance(event, dict) else None
    if not isinstance(identity, dict) or identity.get("type") != "AssumedRole":
        return None
    return SESSION.fullmatch(text(identity, "arn", most=400))


def _may_change(event: JSON) -> bool:
    """Whether a call is more than a look. A dry run changes nothing; drawing further sessions is no look."""
    if text(event, "errorCode", most=200).endswith("DryRunOperation"):
        return False
    name = text(event, "eventName")
    if name.startswith(DRAWING):
        return True
    told = at(event, "readOnly")
    return not told if isinstance(told, bool) else not name.startswith(LOOKING)


FACTS: Mapping[str, Fact] = MappingProxyType(
    {
        "quell.bad_address": bad_address,
        "quell.by_aws": is_by_aws,
        "quell.environment": environment,
        "quell.foreign_accounts": foreign_accounts,
        "quell.grants_admin": grants_admin,
        "quell.is_public": is_public,
        "quell.is_root": is_root,
        "quell.other_user": names_other_user,
        "quell.outcome": outcome_of,
        "quell.outside_journal": outside_journal,
        "quell.sign_in": sign_in,
        "quell.source_country": source_country,
        "quell.world_ports": world_ports,
    }
)


# --- the ground ----------------------------------------------------------------------------------------


def _ground(event: JSON) -> Ground | None:
    return event.ground if isinstance(event, Observed) else None


def _is_known(event: JSON, account: str) -> bool:
    ground = _ground(event)
    return bool(ground and ground.environment_of(account))


@lru_cache(maxsize=1_000)
def _networks(spelled: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(network for one in spelled if (network := _network(one)) is not None)


def _network(spelled: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(spelled.strip(), strict=False)
    except ValueError:
        return None


# --- whom a call lets in -------------------------------------------------------------------------------


def _let_in(event: JSON) -> Iterator[str]:
    """Principals, as accounts or ARNs, to which the call gives anything."""
    asked = at(event, "requestParameters")
    yield from _shared_with(asked)
    yield text(asked, "principal")
    yield text(asked, "granteePrincipal")
    for policy in _policies(asked):
        for statement in _allowing(policy):
            yield from _principals(statement)


def _shared_with(asked: JSON) -> Iterator[str]:
    """With whom a snapshot or image is shared: accounts, or `all`."""
    for name in ("createVolumePermission", "launchPermission"):
        for item in objects(asked, name, "add", "items", most=MOST_LISTED):
            yield from filter(None, (text(item, "userId"), text(item, "group")))
    yield from texts(asked, "valuesToAdd", most=MOST_LISTED)


def _account_in(principal: str) -> str:
    """The account of a principal that is an account or an ARN; empty for services and everybody."""
    if traces.ACCOUNT.fullmatch(principal):
        return principal
    parts = principal.split(":", 5)
    return parts[4] if len(parts) == 6 and traces.ACCOUNT.fullmatch(parts[4]) else ""


def _policies(asked: JSON) -> Iterator[JSON]:
    for name in POLICIES:
        found = at(asked, name)
        if isinstance(found, dict):
            yield found
        elif isinstance(found, str) and (parsed := _parsed(found)) is not None:
            yield parsed


def _parsed(spelled: str) -> JSON:
    """A policy as JSON; None for what is none. CloudTrail tells some with their percent signs."""
    policy = unquote(spelled[:MOST_OF_POLICY]) if spelled.startswith("%") else spelled[:MOST_OF_POLICY]
    try:
        found: JSON = json.loads(policy)
    except (ValueError, RecursionError):
        return None
    return found


def _allowing(policy: JSON) -> Iterator[dict[str, JSON]]:
    return (one for one in objects(policy, "Statement", most=MOST_LISTED) if text(one, "Effect") == "Allow")


def _principals(statement: JSON) -> list[str]:
    if isinstance(at(statement, "Principal"), str):
        return texts(statement, "Principal")
    return texts(statement, "Principal", "AWS", most=MOST_LISTED)


def _is_for_all(statement: JSON) -> bool:
    is_for_all = "*" in _principals(statement) or at(statement, "NotPrincipal") is not None
    return is_for_all and not _is_narrowed(statement)


def _is_narrowed(statement: JSON) -> bool:
    condition = at(statement, "Condition")
    operators = condition.values() if isinstance(condition, dict) else ()
    keys = (key for operator in operators if isinstance(operator, dict) for key in operator)
    return any(key.lower() in NARROWING for key in keys)


def _is_admin(statement: JSON) -> bool:
    has_all = any(action in ("*", "*:*", "iam:*") for action in texts(statement, "Action"))
    return has_all and "*" in texts(statement, "Resource") and not at(statement, "Condition")


def _opens(permission: JSON, port: int) -> bool:
    ranges = [
        text(permission, "cidrIp"),
        text(permission, "cidrIpv6"),
        *(text(one, "cidrIp") for one in objects(permission, "ipRanges", "items", most=MOST_LISTED)),
        *(text(one, "cidrIpv6") for one in objects(permission, "ipv6Ranges", "items", most=MOST_LISTED)),
    ]
    return any(one.endswith("/0") for one in ranges) and _covers(permission, port)


def _covers(permission: JSON, port: int) -> bool:
    if text(permission, "ipProtocol") == "-1":
        return True
    first, last = at(permission, "fromPort"), at(permission, "toPort")
    return isinstance(first, int) and isinstance(last, int) and first <= port <= last
