"""The server itself: many clients at once, and the control endpoints."""

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from simulator.server import Simulator
from tests.simulator.conftest import Stage, get


def test_many_clients_at_once_are_served_in_some_order(aws: Stage) -> None:
    machine = aws.instance("tracking-api")

    def work(number: int) -> list[str]:
        ec2, iam = aws.root("ec2"), aws.root("iam")
        made = []
        for index in range(6):
            name = f"w{number}-{index}"
            iam.create_user(UserName=name)
            iam.list_users()
            made.append(
                ec2.create_security_group(GroupName=name, Description=name, VpcId=machine["vpc"])["GroupId"]
            )
            ec2.describe_network_interfaces()
        return made

    with ThreadPoolExecutor(8) as pool:
        groups = [group for made in pool.map(work, range(8)) for group in made]
    assert len(set(groups)) == 48
    assert not [call for call in aws.simulator.calls() if "errorCode" in call]
    assert [call["seq"] for call in aws.simulator.calls()] == sorted(
        call["seq"] for call in aws.simulator.calls()
    )


@pytest.mark.fast
def test_there_is_one_per_process(aws: Stage) -> None:
    with pytest.raises(RuntimeError, match="one simulated AWS per process"):
        Simulator().start()


@pytest.mark.fast
@pytest.mark.parametrize(
    "path", ["/_sim/nothing", "/_sim/calls?since=x", "/moto-api/reset", "/latest/meta-data/iam"]
)
def test_other_paths_are_refused(aws: Stage, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        get(f"{aws.url}{path}")
    assert error.value.code in {400, 403, 404}
    error.value.close()


@pytest.mark.fast
def test_large_and_streamed_bodies_arrive_whole(aws: Stage) -> None:
    s3, body = aws.root("s3"), bytes(range(256)) * 4096
    s3.put_object(Bucket="nf-prod-labels", Key="large", Body=body, ChecksumAlgorithm="SHA256")
    assert s3.get_object(Bucket="nf-prod-labels", Key="large")["Body"].read() == body
    link = s3.generate_presigned_url("get_object", Params={"Bucket": "nf-prod-labels", "Key": "large"})
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == body


@pytest.mark.fast
@pytest.mark.parametrize("service", ["ec2", "iam", "sqs"])
def test_each_request_has_an_id_of_its_own(aws: Stage, service: str) -> None:
    calls = {"ec2": "describe_vpcs", "iam": "list_users", "sqs": "list_queues"}
    client = aws.root(service)
    ids = {getattr(client, calls[service])()["ResponseMetadata"]["RequestId"] for _ in range(3)}
    assert len(ids) == 3
    assert all(len(one) > 20 for one in ids)
