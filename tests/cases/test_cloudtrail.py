"""CloudTrail: what each rule is for, from where people sign in, and every way an event can come."""

from __future__ import annotations

import gzip
import json
import random
import re
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from cases import hearing, ingest, sweeps
from cases.decoding import JSON, Broken, Document, Unreadable
from cases.models import Alert, Heard, Quarantined, RawDocument
from cases.sources import cloudtrail, operators
from cases.sources import cloudtrail_facts as facts
from cases.sources.detections import OWN, Shelf, shelf, shelf_with
from cases.sources.registry import source_of
from cases.sources.types import AlertDraft, Allowed
from estate.models import Environment, OrganizationalUnit
from identity.actors import SYSTEM
from launcher import layout
from lib import clock
from soc import checks
from tests import make
from tests.cases import mmdb
from tests.cases.ground import GROUND, PRODUCTION, SANDBOX
from tests.cases.trail import (
    ADA,
    ADMIN,
    AWS,
    BAD,
    DEPLOY,
    EVERYTHING,
    FOREIGN,
    INSIDE,
    NETWORK,
    OUTSIDE,
    ROOT,
    RULES,
    UNKNOWN,
    Event,
    call,
    denied,
    opened,
    policy,
    shared,
    sign_in,
)

fast = pytest.mark.fast
database = pytest.mark.django_db

PAGE = layout.ROOT / "docs" / "howto" / "detect-in-cloudtrail.md"
STOPPED = RULES["trail-stopped"][0]
QUIET = call("ec2", "DescribeInstances", readOnly=True)


def found(event: Any) -> list[AlertDraft]:
    return list(cloudtrail.detect(event, GROUND))


def names(event: Any) -> set[str]:
    return {draft.type.removeprefix("CloudTrail:") for draft in found(event)}


def only(event: Any, name: str) -> AlertDraft:
    [draft] = [draft for draft in found(event) if draft.type == f"CloudTrail:{name}"]
    return draft


def packed(*events: Any) -> bytes:
    return gzip.compress(json.dumps({"Records": events}).encode(), mtime=0)


def enveloped(event: Event, kind: str = "AWS API Call via CloudTrail") -> Event:
    return {
        "version": "0",
        "id": "0d4f8b9a-1111-4222-8333-444455556666",
        "detail-type": kind,
        "source": "aws.iam",
        "account": event["recipientAccountId"],
        "time": event["eventTime"],
        "region": event["awsRegion"],
        "resources": [],
        "detail": event,
    }


# --- rules -----------------------------------------------------------------------------------------------


@fast
class TestRules:
    def test_all_of_ours_can_be_used(self) -> None:
        assert shelf_with("").refused == ()
        assert {detection.name for detection in shelf_with("").detections.values()} == set(RULES)
        assert len(list(OWN.glob("*.yml"))) == len(RULES) >= 25

    @pytest.mark.parametrize("name", sorted(RULES))
    def test_each_is_for_one_event_and_not_for_another(self, name: str) -> None:
        fits, misses = RULES[name]

        assert name in names(fits)
        assert name not in names(misses)
        assert source_of(fits) is source_of(misses) is cloudtrail

    @pytest.mark.parametrize("name", sorted(RULES))
    def test_each_says_what_it_is_and_what_it_means(self, name: str) -> None:
        draft = only(RULES[name][0], name)

        assert draft.techniques
        assert len(draft.summary.splitlines()[0]) > 40
        assert "account 111122223333 in " in draft.summary
        assert (draft.account, draft.source, draft.raw) == (PRODUCTION, "cloudtrail", RULES[name][0])

    def test_the_page_about_them_names_each_and_every_fact(self) -> None:
        page = PAGE.read_text(encoding="utf-8")
        for detection in shelf_with("").detections.values():
            severity = detection.severity_in("production")
            row = f"| `{detection.name}` | {detection.rule.title} | {severity} | "
            assert row + ", ".join(detection.rule.techniques) in page
        assert set(re.findall(r"\| `(quell\.\w+)` \|", page)) == set(facts.FACTS)

    def test_nobody_else_writes_what_we_wrote(self) -> None:
        for path in OWN.glob("*.yml"):
            assert "author: Quell\n" in path.read_text(encoding="utf-8"), path.name

    @pytest.mark.parametrize(
        ("asked", "expected"),
        [
            ({"policyDocument": EVERYTHING}, True),
            ({"policyDocument": EVERYTHING.replace('"*"', '"iam:*"', 1)}, True),
            ({"policyDocument": EVERYTHING.replace('"*"', '"s3:*"', 1)}, False),
            ({"policyDocument": EVERYTHING.replace("Allow", "Deny")}, False),
            ({"policyDocument": "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C"
              "%22Action%22%3A%22%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D"}, True),
            ({"policyDocument": "{"}, False),
            ({"policyDocument": "[" * 50_000}, False),
            ({"policyArn": ADMIN.replace("arn:aws:", "arn:aws-us-gov:")}, True),
            ({"policyArn": f"arn:aws:iam::{PRODUCTION}:policy/AdministratorAccess"}, False),
            (None, False),
        ],
    )  # fmt: skip
    def test_rights_over_everything(self, asked: Any, expected: bool) -> None:
        assert facts.grants_admin(call("iam", "PutUserPolicy", asked)) is expected

    @pytest.mark.parametrize(
        ("document", "accounts", "is_public"),
        [
            (policy({"AWS": f"arn:aws:iam::{FOREIGN}:root"}), [FOREIGN], False),
            (policy({"AWS": [PRODUCTION, SANDBOX, FOREIGN, FOREIGN]}), [FOREIGN], False),
            (policy({"AWS": f"arn:aws:sts::{FOREIGN}:assumed-role/x/y"}), [FOREIGN], False),
            (policy({"Service": "ec2.amazonaws.com"}), [], False),
            (policy({"Federated": f"arn:aws:iam::{FOREIGN}:saml-provider/x"}), [], False),
            (policy("*"), [], True),
            (policy({"AWS": "*"}), [], True),
            (policy({"AWS": ["*"]}, {"StringEquals": {"sts:ExternalId": "x"}}), [], True),
            (policy("*", {"StringEquals": {"aws:PrincipalOrgID": "o-quelltest1"}}), [], False),
            (policy("*", {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}), [], False),
            (policy("*", Effect="Deny"), [], False),
            (json.dumps({"Statement": {"Effect": "Allow", "NotPrincipal": {"AWS": "1"}}}), [], True),
        ],
    )
    def test_whom_a_policy_lets_in(self, document: str, accounts: list[str], is_public: bool) -> None:
        event = facts.Observed(call("iam", "CreateRole", {"assumeRolePolicyDocument": document}), GROUND)

        assert (facts.foreign_accounts(event), facts.is_public(event)) == (accounts, is_public)

    @pytest.mark.parametrize(
        ("asked", "ports"),
        [
            ({"cidrIp": "0.0.0.0/0", "fromPort": 22, "toPort": 22, "ipProtocol": "tcp"}, [22]),
            ({"cidrIp": "208.236.235.254/0", "fromPort": 20, "toPort": 4000, "ipProtocol": "tcp"}, None),
            ({"cidrIpv6": "::/0", "ipProtocol": "-1"}, list(facts.ADMIN_PORTS)),
            ({"cidrIp": "10.0.0.0/8", "ipProtocol": "-1"}, []),
            ({"ipPermissions": {"items": [{"ipv6Ranges": {"items": [{"cidrIpv6": "::/0"}]}}]}}, []),
            ({"ipPermissions": "all"}, []),
        ],
    )
    def test_ports_that_are_opened(self, asked: Any, ports: list[int] | None) -> None:
        expected = [22, 3389, 445, 1433, 3306] if ports is None else ports
        assert facts.world_ports(call("ec2", "AuthorizeSecurityGroupIngress", asked)) == expected

    def test_a_port_is_open_to_all_or_to_some(self) -> None:
        assert "ports-opened-to-the-world" in names(opened(3389))
        assert "ports-opened-to-the-world" not in names(opened(3389, "192.0.2.0/24"))

    def test_root_is_root_itself_not_a_service_on_its_behalf(self) -> None:
        assert facts.is_root(call("s3", "ListBuckets", userIdentity=ROOT))
        assert not facts.is_root(call("s3", "x", userIdentity={**ROOT, "invokedBy": "AWS Internal"}))
        assert not facts.is_root(call("kms", "RotateKey", userIdentity=ROOT, eventType="AwsServiceEvent"))
        assert not facts.is_root(call("s3", "ListBuckets", userIdentity=AWS))

    def test_a_key_of_another_user(self) -> None:
        assert "access-key-for-other-user" in names(
            call("iam", "CreateAccessKey", {"userName": "ada"}, userIdentity=DEPLOY)
        )

    def test_the_quarantine_by_aws_is_critical(self) -> None:
        draft = only(RULES["compromised-key-quarantine"][0], "compromised-key-quarantine")

        assert draft.severity == 95
        assert [(one.type, one.id, one.role) for one in draft.resources if one.type == "user"] == [
            ("user", "ada", "target")
        ]


@fast
class TestAttempts:
    @pytest.mark.parametrize(
        "code", ["AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "Unauthorized"]
    )
    def test_what_was_denied_is_an_attempt_and_less_grave(self, code: str) -> None:
        draft = only(denied(STOPPED, code), "trail-stopped")

        assert (draft.severity, draft.tags) == (50, ("attempted",))
        assert "was denied StopLogging" in draft.summary

    @pytest.mark.parametrize("code", ["TrailNotFoundException", "Client.DryRunOperation", "LimitExceeded"])
    def test_what_could_not_be_done_is_nothing(self, code: str) -> None:
        assert found(denied(STOPPED, code)) == []

    def test_what_was_done_is_none(self) -> None:
        assert only(STOPPED, "trail-stopped").tags == ()

    def test_a_failed_sign_in_is_one(self) -> None:
        draft = only(sign_in(OUTSIDE, answer="Failure"), "sign-in-from-outside")

        assert (draft.severity, draft.tags) == (45, ("attempted",))


@fast
class TestIdentity:
    def test_an_id_of_the_event_counts_when_it_is_one(self) -> None:
        [draft] = found({**STOPPED, "eventID": "0F0F0F0F-1111-4222-8333-444455556666"})

        assert draft.external_id.startswith(f"{PRODUCTION}:0f0f0f0f-1111-4222-8333-444455556666:")

    @pytest.mark.parametrize("told", ["1", "", None, 7, "0f0f0f0f-1111-4222-8333-44445555666"])
    def test_where_it_is_none_the_content_counts(self, told: Any) -> None:
        event = {**STOPPED, "eventID": told}
        other = {**event, "eventTime": "2026-11-20T09:30:01Z"}

        ids = {draft.external_id for one in (event, dict(event), other) for draft in found(one)}

        assert len(ids) == 2

    def test_each_rule_is_an_alert_of_its_own(self) -> None:
        drafts = found(sign_in(OUTSIDE, mfa="No", userIdentity=ROOT))

        assert len({draft.external_id for draft in drafts}) == len(drafts) == 3

    def test_what_is_counted_by_hours_is_one_alert_an_hour_for_each_principal(self) -> None:
        def ids(*events: Event) -> int:
            return len({only(event, "root-used").external_id for event in events})

        first = call("s3", "ListBuckets", userIdentity=ROOT)
        assert ids(first, call("iam", "ListUsers", userIdentity=ROOT, eventTime="2026-11-20T09:59:59Z")) == 1
        assert ids(first, call("iam", "ListUsers", userIdentity=ROOT, eventTime="2026-11-20T10:00:00Z")) == 2
        assert ids(first, denied(first)) == 2
        assert ids(first, {**first, "recipientAccountId": SANDBOX}) == 2
        assert ids(first, {**first, "eventTime": None}, {**first, "eventTime": "?"}) == 2

    def test_when_it_happened_is_told_and_when_it_was_detected_is_not(self) -> None:
        [draft] = found(STOPPED)

        assert draft.first_seen_at == draft.last_seen_at
        assert str(draft.first_seen_at) == "2026-11-20 09:30:00+00:00"
        assert draft.detected_at is None

    def test_a_shipper_may_keep_the_time_elsewhere(self) -> None:
        event = {**STOPPED, "@timestamp": "2026-11-20T09:30:00.000Z"}
        del event["eventTime"]

        assert found(event)[0].first_seen_at == found(STOPPED)[0].first_seen_at


@fast
class TestPlaces:
    @pytest.mark.parametrize(
        ("networks", "address", "expected"),
        [
            (("10.0.0.1/8",), "10.200.0.1", True),
            (("10.0.0.1/8",), "11.0.0.1", False),
            (("2001:db8::1/32",), "2001:db8:1::9", True),
            (("192.0.2.0/24",), "::ffff:192.0.2.9", True),
            (("nowhere", "192.0.2.9"), "192.0.2.9", True),
            ((), "192.0.2.9", False),
        ],
    )
    def test_networks_are_read_as_people_write_them(
        self, networks: tuple[str, ...], address: str, expected: bool
    ) -> None:
        assert facts.is_within(address, networks) is expected

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            (OUTSIDE, "outside"),
            (INSIDE, "inside"),
            (NETWORK, "inside"),
            (UNKNOWN, "unknown"),
            ("AWS Internal", ""),
        ],
    )
    def test_how_an_address_stands(self, address: str, expected: str) -> None:
        assert facts.sign_in(facts.Observed(sign_in(address), GROUND)) == expected

    def test_where_only_networks_are_said_anything_else_is_outside(self) -> None:
        class Office:
            def __getattr__(self, name: str) -> Any:
                return getattr(GROUND, name)

            def allowed_for(self, account: str) -> Allowed:
                del account
                return Allowed(networks=("203.0.113.0/24",))

        assert facts.sign_in(facts.Observed(sign_in(UNKNOWN), Office())) == "outside"
        assert facts.sign_in(facts.Observed(sign_in(NETWORK), Office())) == "inside"

    @pytest.mark.parametrize(
        ("name", "more"),
        [
            ("SwitchRole", {"responseElements": {"SwitchRole": "Success"}}),
            ("AssumeRoleWithSAML", {"eventSource": "sts.amazonaws.com", "responseElements": None}),
            ("UserAuthentication", {"responseElements": None}),
        ],
    )
    def test_every_way_in_counts(self, name: str, more: Event) -> None:
        assert "sign-in-from-outside" in names(sign_in(OUTSIDE, **more) | {"eventName": name})

    def test_a_call_is_no_sign_in(self) -> None:
        assert names(call("s3", "ListBuckets", sourceIPAddress=OUTSIDE)) == set()


# --- must-show 9: through the door -----------------------------------------------------------------------

BRAZILIAN, GERMAN, NOWHERE = "198.51.100.7", "192.0.2.10", "203.0.113.200"
Post = Callable[..., dict[str, Any]]


@pytest.fixture
def post(tmp_path: Path, settings: Settings, db: None) -> Post:
    """A sender's door, where German and Brazilian addresses are known."""
    places = {"192.0.2.0/24": mmdb.GERMANY, "198.51.100.0/24": mmdb.BRAZIL}
    settings.QUELL_MMDB = [str(mmdb.write(tmp_path / "places.mmdb", places))]
    settings.QUELL_KNOWN_ADDRESSES = []
    client = make.program(make.key("alerts:write", "alerts:read"))
    hearing.forget()

    def send(body: Any, *, source: str = "cloudtrail") -> dict[str, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body)
        answer = client.post(f"/api/v1/ingest/{source}", data=data, content_type="application/json")
        assert answer.status_code == 200, answer.content
        told: dict[str, Any] = answer.json()
        return told

    return send


@database
class TestSignInThroughTheDoor:
    @pytest.mark.parametrize(
        ("environment", "severity"),
        [
            (Environment.PRODUCTION, 75),
            (Environment.MANAGEMENT, 75),
            (Environment.SECURITY, 75),
            (Environment.STAGING, 60),
            (Environment.DEVELOPMENT, 60),
            (Environment.SANDBOX, 45),
        ],
    )
    def test_from_an_unlisted_country_it_is_an_alert_as_grave_as_the_account(
        self, post: Post, environment: Environment, severity: int
    ) -> None:
        make.account(environment=environment, allowed_countries=["DE"])

        told = post(sign_in(BRAZILIAN))

        alert = Alert.objects.get()
        assert [one["outcome"] for one in told["alerts"]] == ["created"]
        assert (alert.type, alert.severity) == ("CloudTrail:sign-in-from-outside", severity)
        assert (alert.account, alert.region) == (make.ACCOUNT, "us-east-1")
        assert {(one["type"], one["id"], one["role"]) for one in alert.resources} == {
            ("user", "ada", "actor")
        }
        assert {"kind": "ip", "value": BRAZILIAN} in alert.observables
        assert [(place["country"], place["city"]) for place in alert.places] == [("BR", "Recife")]
        assert "198.51.100.7 (Recife, Brazil)" in alert.summary
        assert "The account is used from DE only." in alert.summary

    def test_from_a_listed_country_it_is_none(self, post: Post) -> None:
        make.account(allowed_countries=["DE"])

        told = post(sign_in(GERMAN))

        assert (told["alerts"], told["quarantined"], told["passed"]) == ([], [], 1)
        assert not Alert.objects.exists()

    def test_from_a_listed_network_it_is_none_wherever_that_is(self, post: Post) -> None:
        make.account(allowed_countries=["DE"], allowed_networks=["198.51.100.77/24"])

        assert post(sign_in(BRAZILIAN))["passed"] == 1

    def test_where_nobody_said_anything_it_is_none(self, post: Post) -> None:
        make.account()

        assert post(sign_in(BRAZILIAN))["passed"] == 1

    def test_what_the_unit_above_says_counts(self, post: Post) -> None:
        make.account(ou_path="Root/Production/Payments")
        OrganizationalUnit.objects.create(path="Root/Production", allowed_countries=["DE"])

        assert len(post(sign_in(BRAZILIAN))["alerts"]) == 1
        assert post(sign_in(GERMAN))["passed"] == 1

    def test_an_account_that_is_not_known_has_no_places(self, post: Post) -> None:
        assert post(sign_in(BRAZILIAN))["passed"] == 1

    def test_from_where_nobody_knows_it_is_low_and_says_so(self, post: Post) -> None:
        make.account(allowed_countries=["DE"])

        post(sign_in(NOWHERE))

        alert = Alert.objects.get()
        assert (alert.type, alert.severity) == ("CloudTrail:sign-in-from-unknown-place", 20)
        assert "The country of this address is not known" in alert.summary

    def test_one_that_failed_is_an_attempt(self, post: Post) -> None:
        make.account(allowed_countries=["DE"])

        post(sign_in(BRAZILIAN, answer="Failure"))

        alert = Alert.objects.get()
        assert (alert.severity, alert.tags) == (45, ["attempted"])

    def test_a_role_and_the_root_user_count_as_well(self, post: Post) -> None:
        make.account(allowed_countries=["DE"])

        post([sign_in(BRAZILIAN, userIdentity=DEPLOY), sign_in(BRAZILIAN, userIdentity=ROOT)])

        actors = {
            one["type"] for alert in Alert.objects.filter(type__endswith="outside") for one in alert.resources
        }
        assert actors == {"session_key", "role", "role_session", "root"}


# --- every way an event can come -------------------------------------------------------------------------


@database
class TestWays:
    def test_the_same_event_by_every_way_is_one_alert(self, post: Post) -> None:
        ways: list[Any] = [
            STOPPED,
            {"Records": [STOPPED]},
            enveloped(STOPPED),
            {"Events": [{"EventId": STOPPED["eventID"], "CloudTrailEvent": json.dumps(STOPPED)}]},
            packed(STOPPED),
            {"Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(enveloped(STOPPED))}]},
        ]

        outcomes = [post(way)["alerts"][0]["outcome"] for way in ways]

        assert outcomes[0] == "created"
        assert set(outcomes[1:]) <= {"repeated", "updated"}
        alert = Alert.objects.get()
        assert alert.count == 1
        # Bare, and what EventBridge carried.
        assert RawDocument.objects.filter(alert=alert).count() == 2

    def test_the_same_holds_where_nobody_names_the_source(self, post: Post) -> None:
        for way in (STOPPED, {"Records": [STOPPED, QUIET]}, enveloped(STOPPED), packed(STOPPED, QUIET)):
            assert len(post(way, source="auto")["alerts"]) == 1

        assert Alert.objects.count() == 1
        assert not Quarantined.objects.exists()

    @pytest.mark.parametrize(
        ("kind", "event"),
        [
            ("AWS Console Sign In via CloudTrail", sign_in(mfa="No")),
            ("AWS API Call via CloudTrail", STOPPED),
            ("AWS Service Event via CloudTrail", call("s3", "x", userIdentity=ROOT)),
        ],
    )
    def test_each_kind_of_envelope_is_opened(self, post: Post, kind: str, event: Event) -> None:
        assert len(post(enveloped(event, kind), source="auto")["alerts"]) == 1

    def test_a_lone_lookup_and_its_table_are_opened(self, post: Post) -> None:
        looked_up = {"EventId": "x", "EventName": "StopLogging", "CloudTrailEvent": json.dumps(STOPPED)}
        quiet = {"EventId": "y", "CloudTrailEvent": json.dumps(QUIET)}
        broken = {"EventId": "z", "CloudTrailEvent": "{"}

        assert len(post(looked_up)["alerts"]) == 1
        told = post({"Events": [looked_up, quiet, broken], "NextToken": "n"})
        assert (len(told["alerts"]), told["passed"], len(told["quarantined"])) == (1, 1, 1)
        assert told["quarantined"][0]["pointer"].startswith("/Events/2/CloudTrailEvent")

    def test_a_log_without_a_detection_makes_nothing_and_is_heard(self, post: Post) -> None:
        told = post({"Records": [QUIET, {**QUIET, "awsRegion": "eu-central-1"}]})

        assert (told["alerts"], told["quarantined"], told["passed"]) == ([], [], 2)
        assert set(Heard.objects.values_list("source", "account", "region")) == {
            ("cloudtrail", PRODUCTION, "eu-west-1"),
            ("cloudtrail", PRODUCTION, "eu-central-1"),
        }

    def test_insights_and_digests_of_cloudtrail_are_no_fault(self, post: Post) -> None:
        digest = {"awsAccountId": PRODUCTION, "digestEndTime": "x", "digestS3Object": "y", "logFiles": []}

        assert post({"Records": [RULES["unusual-activity"][1]]}, source="auto")["passed"] == 1
        assert post(digest, source="auto")["passed"] == 1
        assert post(gzip.compress(json.dumps(digest).encode()), source="auto")["passed"] == 1
        assert not Quarantined.objects.exists()

    def test_a_notification_of_s3_is_none_of_ours(self, post: Post) -> None:
        notice: JSON = {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "eu-west-1",
            "eventTime": "2026-11-20T09:30:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AROAQUELLTESTDEPLOY01:ci"},
            "s3": {"bucket": {"name": "quell-test-data"}, "object": {"key": "AWSLogs/x.json.gz"}},
        }

        assert not cloudtrail.matches(notice)
        told = post({"Records": [notice]})
        assert "a notification, not an event of CloudTrail" in told["quarantined"][0]["reason"]

    @pytest.mark.parametrize("document", [7, "x", [], {}, {"eventName": ""}, {"eventName": ["StopLogging"]}])
    def test_what_is_no_event_is_kept_aside(self, post: Post, document: Any) -> None:
        told = post([document] if document != [] else [[]])

        assert told["alerts"] == []
        assert told["passed"] == 0

    def test_the_alert_of_a_denied_call_is_an_attempt(self, post: Post) -> None:
        post({"Records": [denied(STOPPED)]})

        assert Alert.objects.get().tags == ["attempted"]

    def test_thirty_calls_of_one_kind_are_one_alert(self, post: Post) -> None:
        calls = [
            call(
                "ec2", "GetPasswordData", {"instanceId": f"i-{n:017x}"}, eventTime=f"2026-11-20T09:30:{n:02}Z"
            )
            for n in range(30)
        ]
        post({"Records": calls})

        alert = Alert.objects.get()
        assert alert.count == 30
        assert RawDocument.objects.filter(alert=alert).count() == 30
        assert len([one for one in alert.resources if one["type"] == "instance"]) == 30

    def test_quell_detects_on_receipt_and_the_time_before_is_honest(self, db: None) -> None:
        at = clock.now()
        event = {**STOPPED, "eventTime": (at - timedelta(minutes=7)).isoformat()}

        ingest.receive(
            source="cloudtrail", body=json.dumps(event).encode(), by=SYSTEM, at=at, team=make.team()
        )

        alert = Alert.objects.get()
        assert alert.detected_at == alert.received_at == at
        assert alert.first_seen_at is not None
        assert at - alert.first_seen_at == timedelta(minutes=7)

    @pytest.mark.parametrize(
        ("minutes", "is_old"), [(5, False), (59, False), (61, True), (60 * 24 * 400, True)]
    )
    def test_an_old_log_is_old_news(self, db: None, minutes: int, is_old: bool) -> None:
        at = clock.now()
        event = {**STOPPED, "eventTime": (at - timedelta(minutes=minutes)).isoformat()}
        ingest.receive(
            source="cloudtrail", body=json.dumps(event).encode(), by=SYSTEM, at=at, team=make.team()
        )

        sweeps.sweep_alerts()

        assert bool(Alert.objects.get().context.get("stale")) is is_old


# --- packed files ----------------------------------------------------------------------------------------


def parts(body: bytes) -> list[Document | Broken]:
    return list(cloudtrail.read(body))


def reasons(body: bytes) -> list[str]:
    return [part.reason for part in parts(body) if isinstance(part, Broken)]


@fast
class TestPackedFiles:
    def test_every_record_is_read_however_the_file_is_cut_into_pages(self) -> None:
        drawn = random.Random(7)
        events = [
            call("s3", "GetObject", {"key": "ä€😀" * drawn.randint(0, 4_000)}, number=number)
            for number in range(60)
        ]
        body = gzip.compress(json.dumps({"Records": events}, ensure_ascii=False, indent=1).encode())

        read = parts(body)

        assert [part.value for part in read if isinstance(part, Document)] == events
        assert [part.pointer for part in read] == [f"/Records/{number}" for number in range(60)]

    def test_members_one_after_the_other_are_one_file(self) -> None:
        whole = json.dumps({"Records": [STOPPED, QUIET]}).encode()
        body = b"".join(gzip.compress(whole[at : at + 100]) for at in range(0, len(whole), 100))

        assert cloudtrail.reads(gzip.compress(whole))
        assert [part.value for part in parts(body) if isinstance(part, Document)] == [STOPPED, QUIET]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{}",
            b"\x1f\x8b",
            b"\x1f\x8bnothing",
            gzip.compress(b"2 111122223333 eni"),
            gzip.compress(b'{"findings": []}'),
            gzip.compress(b"\x00" * 10_000),
        ],
        # The bytes hold the time at which they were packed, which each of pytest's workers has its own of.
        ids=["nothing", "object", "two bytes", "no gzip", "flow logs", "findings", "zeros"],
    )
    def test_what_is_not_surely_cloudtrails_is_left_to_others(self, body: bytes) -> None:
        assert not cloudtrail.reads(body)

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
    def test_a_file_that_ends_too_early_keeps_what_came_before(self, share: float) -> None:
        events = [call("s3", "GetObject", {"key": random.Random(n).randbytes(400).hex()}) for n in range(200)]
        whole = packed(*events)
        cut = whole[: int(len(whole) * share)]

        read = parts(cut)

        documents = [part.value for part in read if isinstance(part, Document)]
        assert documents == events[: len(documents)]
        assert len(documents) >= int(200 * share) - 60
        [broken] = [part for part in read if isinstance(part, Broken)]
        assert broken.body == cut
        assert "not whole" in broken.reason

    @pytest.mark.parametrize(
        ("inside", "reason"),
        [
            ('{"Records": [', "ends in the middle"),
            ('{"Records": [7]}', "not an object"),
            ('{"Records": [{"a": 1} oops', "not an object"),
            ('{"Records": [{"a": nope}]}', "no JSON"),
            ('{"Records": [' + '{"a":' * 100_000, "nested deeper"),
            ('{"eventVersion": ' + "1" * 50 + "}", "a number of 50 characters"),
        ],
    )
    def test_what_cannot_be_read_says_why(self, inside: str, reason: str) -> None:
        assert reason in reasons(gzip.compress(inside.encode()))[0]

    def test_one_bad_record_costs_no_other(self) -> None:
        body = packed(STOPPED, {"eventName": "x", "deep": json.loads("[" * 40 + "]" * 40)}, QUIET)

        read = parts(body)

        assert [isinstance(part, Document) for part in read] == [True, False, True]
        assert read[1].pointer.startswith("/Records/1/deep")

    @pytest.mark.parametrize(
        ("begin", "filling"), [('{"Records": [', " "), ('{"Records": [{"eventVersion": "', "a"), ("[", "[")]
    )
    def test_a_bomb_costs_neither_memory_nor_time(self, begin: str, filling: str) -> None:
        bomb = gzip.compress((begin + filling * (80 * 1024 * 1024)).encode(), 9)
        assert len(bomb) < 100_000

        begun = time.perf_counter()
        tracemalloc.start()
        found_reasons = reasons(bomb)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert "unpacks to more than" in found_reasons[0] or "longer than" in found_reasons[0]
        assert most < 20 * 1024 * 1024
        assert time.perf_counter() - begun < 20

    def test_many_empty_members_take_no_time(self) -> None:
        body = gzip.compress(b'{"Records": [') + gzip.compress(b"") * 100_000

        begun = time.perf_counter()
        assert len(reasons(body)) == 1
        assert time.perf_counter() - begun < 20

    def test_of_a_large_file_only_a_page_is_in_memory(self) -> None:
        events = [call("s3", "GetObject", {"key": f"{n:08}" * 100}) for n in range(20_000)]
        body = packed(*events)
        del events

        tracemalloc.start()
        read = sum(isinstance(part, Document) for part in cloudtrail.read(body))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert read == 20_000
        assert most < 8 * 1024 * 1024


# --- the operator's rules --------------------------------------------------------------------------------

THEIRS = """\
title: {title}
id: {id}
logsource:
    product: {product}
    service: cloudtrail
detection:
    selection:
        eventName: DescribeInstances
    condition: selection
level: high
{more}
"""


OURS = "5b5f1c68-70bb-45b0-ab88-9bcb2138c453"


def written(directory: Path, name: str, **values: str) -> None:
    given = {"title": "Theirs", "id": "0f0f0f0f-1111-4222-8333-444455556666", "product": "aws", "more": ""}
    (directory / name).write_text(THEIRS.format(**{**given, **values}), encoding="utf-8")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    written(tmp_path, "theirs.yml")
    return tmp_path


def read_shelf(directory: Path) -> Shelf:
    shelf_with.cache_clear()
    return shelf_with(str(directory))


@fast
class TestOperatorsRules:
    def test_they_are_used_beside_ours(self, theirs: Path) -> None:
        operators.use(sigma_rules=str(theirs))
        try:
            shelf_with.cache_clear()
            assert names(QUIET) == {"theirs"}
            assert names({**QUIET, "errorCode": "Client.Whatever"}) == {"theirs"}, "of every call"
            assert names(STOPPED) == {"trail-stopped"}
        finally:
            operators.use(sigma_rules="")
        assert names(QUIET) == set()
        assert shelf() is shelf_with("")

    @pytest.mark.parametrize(
        ("name", "values", "reason"),
        [
            ("bad name.yml", {}, "is no name"),
            ("a.yml", {"id": "1"}, "not a Sigma rule"),
            ("a.yml", {"id": OURS}, "its id is that of sign-in-from-outside"),
            ("a.yml", {"product": "windows"}, "not for CloudTrail"),
            ("a.yml", {"more": "quell: {colour: red}"}, "has colour"),
            ("a.yml", {"more": "quell: {severity: {production: 101}}"}, "0 to 100"),
            ("a.yml", {"more": "quell: {severity: true}"}, "0 to 100"),
            ("a.yml", {"more": "quell: {per: minute}"}, "event or hour"),
            ("a.yml", {"more": "quell: {outcomes: [maybe]}"}, "lists some of"),
            ("a.yml", {"more": "quell: {outcomes: [[done]]}"}, "lists some of"),
            ("a.yml", {"more": "quell: 7"}, "not a mapping"),
            ("a.yml", {"title": "x: y: z"}, "not a Sigma rule"),
        ],
    )
    def test_one_that_cannot_be_used_costs_no_other(
        self, theirs: Path, name: str, values: dict[str, str], reason: str
    ) -> None:
        written(theirs, name, **values)

        read = read_shelf(theirs)

        [refused] = read.refused
        assert reason in refused.reason
        assert refused.file == str(theirs / name)
        assert len(read.detections) == len(RULES) + 1

    def test_bytes_that_are_no_text_and_a_directory_that_is_none(self, theirs: Path) -> None:
        (theirs / "a.yml").write_bytes(b"\xff\xfe")
        (theirs / "b.yml").mkdir()
        (theirs / "c.yml").write_text("a" * 70_000)

        assert len(read_shelf(theirs).refused) == 3
        assert len(read_shelf(theirs / "nowhere").refused) == 1

    def test_the_check_names_the_file_and_why(self, theirs: Path, settings: Settings) -> None:
        shelf_with.cache_clear()
        assert checks.check_sigma_rules() == []
        settings.QUELL_SIGMA_RULES = str(theirs)
        assert checks.check_sigma_rules() == []

        shelf_with.cache_clear()
        written(theirs, "broken.yml", product="linux")
        [warning] = checks.check_sigma_rules()

        assert (warning.id, warning.level) == ("quell.W001", 30)
        assert "broken.yml" in warning.msg
        assert "not for CloudTrail" in warning.msg

    def test_severity_by_environment(self, theirs: Path) -> None:
        written(theirs, "theirs.yml", more="quell: {severity: {sandbox: 5, default: 33}}")
        [theirs_of] = [one for one in read_shelf(theirs).detections.values() if one.name == "theirs"]

        assert [theirs_of.severity_in(name) for name in ("sandbox", "production", "")] == [5, 33, 33]


# --- whatever comes --------------------------------------------------------------------------------------

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted(STOPPED)


@fast
@settings(max_examples=300, deadline=None, derandomize=True)
@given(rule=st.sampled_from(sorted(RULES)), name=st.sampled_from(NAMES), value=ANY_JSON, deep=st.booleans())
def test_whatever_an_event_holds_it_is_read_or_unreadable(
    rule: str, name: str, value: Any, deep: bool
) -> None:
    event = {**RULES[rule][0], name: value}
    asked = event["requestParameters"]
    if deep and isinstance(asked, dict):
        event["requestParameters"] = dict.fromkeys(asked, value)

    try:
        drafts = found(event)
    except Unreadable:
        drafts = []
        is_refused_rightly = name in ("eventName", "eventType", "eventSource")
        assert is_refused_rightly

    for draft in drafts:
        assert 0 <= draft.severity <= 100
        assert len(draft.external_id) <= 300
        assert len(draft.title) <= 500


@fast
def test_hostile_events_take_no_time() -> None:
    wide = {f"k{n}": "a" * 1_000 for n in range(4_000)}
    statement = {"Effect": "Allow", "Principal": {"AWS": [FOREIGN] * 50_000}}
    ranges = {"items": [{"cidrIp": "10.0.0.0/8"}] * 50}
    hostile = [
        call("iam", "UpdateAssumeRolePolicy", {"policyDocument": json.dumps({"Statement": [statement] * 5})}),
        call("s3", "PutBucketAcl", wide),
        shared("snapshot", {"userId": FOREIGN}) | {"resources": [{"ARN": ADMIN}] * 50_000},
        call("ec2", "RunInstances", {"instanceType": "p" * 1_000_000}),
        call(
            "ec2",
            "AuthorizeSecurityGroupIngress",
            {"ipPermissions": {"items": [{"ipRanges": ranges}] * 2_000}},
        ),
    ]

    begun = time.perf_counter()
    for event in hostile:
        found(event)

    assert time.perf_counter() - begun < 5


@fast
def test_a_bad_address_is_told_for_any_call() -> None:
    assert names(call("sts", "GetCallerIdentity", sourceIPAddress=BAD, userIdentity=ADA)) == {
        "call-from-bad-address"
    }
