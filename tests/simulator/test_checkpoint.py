"""What a containment may leave behind in any service can be written to a checkpoint and read back."""

from collections.abc import Callable
from typing import Any

import pytest

from simulator import engine
from tests.simulator.conftest import Stage


def multipart(aws: Stage) -> None:
    s3 = aws.root("s3")
    upload = s3.create_multipart_upload(Bucket="nf-prod-labels", Key="parts")["UploadId"]
    s3.upload_part(Bucket="nf-prod-labels", Key="parts", UploadId=upload, PartNumber=1, Body=b"1" * 1000)


def scaling(aws: Stage) -> None:
    groups, image = aws.root("autoscaling"), aws.instance("tracking-api")["image"]
    groups.create_launch_configuration(LaunchConfigurationName="l", ImageId=image, InstanceType="t3.micro")
    groups.create_auto_scaling_group(
        AutoScalingGroupName="a",
        LaunchConfigurationName="l",
        MinSize=1,
        MaxSize=1,
        AvailabilityZones=["eu-west-1a"],
    )


def table(aws: Stage) -> None:
    aws.root("dynamodb").create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "a", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "a", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


CHANGES: dict[str, Callable[[Stage], Any]] = {
    "s3": multipart,
    "autoscaling": scaling,
    "dynamodb": table,
    "sqs": lambda aws: aws.root("sqs").create_queue(QueueName="q"),
    "sns": lambda aws: aws.root("sns").create_topic(Name="t"),
    "kms": lambda aws: aws.root("kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"),
    "ssm": lambda aws: aws.root("ssm").put_parameter(Name="p", Value="v", Type="String"),
    "secretsmanager": lambda aws: aws.root("secretsmanager").create_secret(Name="s", SecretString="v"),
    "guardduty": lambda aws: aws.root("guardduty").create_detector(Enable=True),
    "lambda": lambda aws: aws.root("lambda").publish_version(FunctionName="label-render"),
    "ec2": lambda aws: aws.root("ec2").create_key_pair(KeyName="k"),
}


@pytest.mark.fast
@pytest.mark.parametrize("service", CHANGES)
def test_a_service_in_use_can_be_kept(aws: Stage, service: str) -> None:
    CHANGES[service](aws)
    state = engine.dump()
    engine.load(state)
    assert len(engine.dump()) == pytest.approx(len(state), rel=0.01)
    aws.root("sts").get_caller_identity()


@pytest.mark.fast
def test_what_cannot_be_kept_is_said(aws: Stage) -> None:
    from moto.iam.models import iam_backends

    vars(iam_backends["444455556666"]["aws"])["foreign"] = (line for line in "a generator")
    with pytest.raises(engine.CannotKeepError, match="generator"):
        engine.dump()
