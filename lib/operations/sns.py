"""https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html"""

from __future__ import annotations

from lib.operations.needs import Need

_TOPIC = ("{TopicArn}",)

OPERATIONS: dict[str, Need] = {
    "sns:GetTopicAttributes": Need(actions=("sns:GetTopicAttributes",), resources=_TOPIC),
    "sns:ListSubscriptionsByTopic": Need(actions=("sns:ListSubscriptionsByTopic",), resources=_TOPIC),
    "sns:SetTopicAttributes": Need(actions=("sns:SetTopicAttributes",), resources=_TOPIC),
}
