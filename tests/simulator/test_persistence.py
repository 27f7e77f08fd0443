"""What was changed is there at the next start, with the same ids, also after a kill."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from simulator import journal
from tests.simulator.conftest import client, code, get, post, session_key

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SHIPPING = "444455556666"


class Server:
    """A simulated AWS in a process of its own."""

    def __init__(self, data: Path | None, *arguments: str) -> None:
        command = [sys.executable, "-m", "simulator", *arguments, *(["--data", str(data)] if data else [])]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().removeprefix("Simulated AWS: ").strip()
        assert self.url.startswith("http://127.0.0.1:")
        self.estate = get(f"{self.url}/_sim/estate")

    def root(self, service: str, account: str = SHIPPING) -> Any:
        """A client as an account's root."""
        key = next(item["root_key"] for item in self.estate["accounts"] if item["id"] == account)
        return client(self.url, service, key)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        code_ = self.process.wait(timeout=20)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code_


@contextmanager
def serving(data: Path | None, *arguments: str) -> Iterator[Server]:
    server = Server(data, *arguments)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def change_much(server: Server) -> dict[str, Any]:
    """Changes of many kinds with reads in between; what a later start has to know."""
    ec2, iam, s3, kms = (server.root(name) for name in ("ec2", "iam", "s3", "kms"))
    machine = next(item for item in server.estate["instances"] if item["name"] == "tracking-api")
    user = next(item for item in server.estate["users"] if item["name"] == "ci-deploy")
    # A read that makes moto build a region it had not seen draws ids, which must not matter.
    client(server.url, "ec2", server.estate["accounts"][2]["root_key"], "ap-south-1").describe_vpcs()
    group = ec2.create_security_group(GroupName="quarantine", Description="q", VpcId=machine["vpc"])[
        "GroupId"
    ]
    ec2.describe_instances()
    for interface in machine["interfaces"]:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=interface["id"], Groups=[group])
    snapshots = ec2.create_snapshots(InstanceSpecification={"InstanceId": machine["id"]})["Snapshots"]
    with pytest.raises(ClientError):
        iam.create_user(UserName="ci-deploy")
    iam.update_access_key(
        UserName="ci-deploy", AccessKeyId=user["access_keys"][0]["access_key_id"], Status="Inactive"
    )
    key = iam.create_access_key(UserName="ci-deploy")["AccessKey"]
    s3.put_object(Bucket="nf-prod-labels", Key="bytes", Body=b"\x00\xff" * 5000)
    secret = kms.encrypt(KeyId="alias/shipping-data", Plaintext=b"hello")["CiphertextBlob"]
    own = kms.create_key()["KeyMetadata"]["KeyId"]
    own_secret = kms.encrypt(KeyId=own, Plaintext=b"own")["CiphertextBlob"]
    hub = client(server.url, "sts", server.estate["hub"])
    place = next(item for item in server.estate["accounts"] if item["id"] == SHIPPING)
    session = hub.assume_role(
        RoleArn=place["roles"]["read"], RoleSessionName="kept", ExternalId=place["external_id"]
    )
    role = iam.create_role(
        RoleName="made", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    )["Role"]
    return {
        "group": group,
        "snapshots": sorted(item["SnapshotId"] for item in snapshots),
        "machine": machine["id"],
        "key": {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]},
        "leaked": user["access_keys"][0],
        "secret": secret,
        "own_secret": own_secret,
        "session": session_key(session),
        "role": (role["RoleId"], role["CreateDate"]),
    }


def check_all(server: Server, known: dict[str, Any]) -> None:
    ec2, iam, s3, kms = (server.root(name) for name in ("ec2", "iam", "s3", "kms"))
    shown = ec2.describe_instances(InstanceIds=[known["machine"]])["Reservations"][0]["Instances"][0]
    assert [[group["GroupId"] for group in item["Groups"]] for item in shown["NetworkInterfaces"]] == [
        [known["group"]]
    ] * 3
    assert set(known["snapshots"]) <= {
        item["SnapshotId"] for item in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    }
    client(server.url, "sts", known["key"]).get_caller_identity()
    with pytest.raises(ClientError) as refused:
        client(server.url, "sts", known["leaked"]).get_caller_identity()
    assert code(refused) == "InvalidClientTokenId"
    assert s3.get_object(Bucket="nf-prod-labels", Key="bytes")["Body"].read() == b"\x00\xff" * 5000
    assert kms.decrypt(CiphertextBlob=known["secret"])["Plaintext"] == b"hello"
    assert kms.decrypt(CiphertextBlob=known["own_secret"])["Plaintext"] == b"own"
    assert (
        client(server.url, "sts", known["session"]).get_caller_identity()["Arn"].endswith("/quell-read/kept")
    )
    role = iam.get_role(RoleName="made")["Role"]
    assert (role["RoleId"], role["CreateDate"]) == known["role"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_changes_are_there_again_after_a_kill_and_after_a_stop(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        estate, known = server.estate, change_much(server)
        last = get(f"{server.url}/_sim/calls?since=0")["next"]
        server.end(number)
    for _ in range(2):
        with serving(tmp_path) as server:
            assert server.estate == estate
            check_all(server, known)
            log = get(f"{server.url}/_sim/calls?since=0")
            assert log["next"] > last
            assert any(call["eventName"] == "CreateSnapshots" for call in log["calls"])
            last = log["next"]
            server.end(number)


def test_a_clean_stop_is_clean_and_frees_the_port(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.root("iam").create_user(UserName="someone")
        assert server.end() == 0
        with pytest.raises(EndpointConnectionError):
            server.root("iam").list_users()
    assert (tmp_path / "journal.jsonl").read_bytes() == b""
    assert (tmp_path / "state.bin").stat().st_mode & 0o077 == 0


def test_half_a_last_line_is_cut_off(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for name in ("first", "second"):
            server.root("iam").create_user(UserName=name)
        server.end(signal.SIGKILL)
    kept = (tmp_path / "journal.jsonl").read_bytes()
    assert kept.count(b"\n") == 2
    (tmp_path / "journal.jsonl").write_bytes(kept[:-7])
    with serving(tmp_path) as server:
        names = {user["UserName"] for user in server.root("iam").list_users()["Users"]}
        assert "first" in names
        assert "second" not in names
        server.root("iam").create_user(UserName="second")


def test_a_kill_in_the_middle_of_much_work_loses_only_what_was_not_answered(tmp_path: Path) -> None:
    answered: list[str] = []

    def work(server: Server) -> None:
        iam = server.root("iam")
        try:
            for index in range(10_000):
                iam.create_user(UserName=f"u{index}")
                answered.append(f"u{index}")
        # The kill may also fall between an answer's head and its body: then nothing was answered either.
        except (ClientError, ConnectionClosedError, EndpointConnectionError, ResponseParserError):
            return

    for _ in range(2):
        answered.clear()
        with serving(tmp_path, "--reset") as server:
            thread = threading.Thread(target=work, args=(server,))
            thread.start()
            while len(answered) < 40:
                time.sleep(0.01)
            server.end(signal.SIGKILL)
            thread.join()
        with serving(tmp_path) as server:
            pages = server.root("iam").get_paginator("list_users").paginate()
            names = {user["UserName"] for page in pages for user in page["Users"]}
            assert set(answered) <= names
            assert len({name for name in names if name.startswith("u")} - set(answered)) <= 1


def test_a_reset_is_kept_too(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.root("iam").create_user(UserName="gone")
        post(f"{server.url}/_sim/reset", {})
        first = server.root("iam").create_user(UserName="kept")["User"]["UserId"]
        server.end(signal.SIGKILL)
    with serving(tmp_path) as server:
        users = {user["UserName"]: user["UserId"] for user in server.root("iam").list_users()["Users"]}
        assert "gone" not in users
        assert users["kept"] == first


def test_the_journal_stays_bounded_and_a_start_short(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        ec2 = server.root("ec2")
        for index in range(journal.CALL_LIMIT + 300):
            ec2.create_tags(
                Resources=[server.estate["instances"][0]["id"]], Tags=[{"Key": "count", "Value": str(index)}]
            )
        server.end(signal.SIGKILL)
    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") == 300
    started = time.monotonic()
    with serving(tmp_path) as server:
        assert time.monotonic() - started < 8
        shown = server.root("ec2").describe_tags(Filters=[{"Name": "key", "Values": ["count"]}])["Tags"]
        assert shown[0]["Value"] == str(journal.CALL_LIMIT + 299)


def test_a_directory_of_another_version_starts_anew(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as server:
        server.root("iam").create_user(UserName="someone")
        server.end()
    for name in ("estate.bin", "state.bin"):
        header, content = journal.read_whole(tmp_path / name) or ({}, b"")
        journal.write_whole(tmp_path / name, {**header, "version": "0/other"}, content)
    with serving(tmp_path) as server:
        assert "someone" not in {user["UserName"] for user in server.root("iam").list_users()["Users"]}
    assert "starting anew" in capfd.readouterr().err


def test_every_first_start_gives_the_same_ids_and_without_a_directory_nothing_is_kept() -> None:
    with serving(None) as server:
        first = server.estate
        server.root("iam").create_user(UserName="someone")
        assert server.end(signal.SIGINT) == 0
    with serving(None) as server:
        assert server.estate == first
        assert server.end(signal.SIGINT) == 0
