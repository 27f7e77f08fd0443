"""The screen of an instance, which moto does not have.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleScreenshot.html
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.general import General

SCREEN = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300" + "01" * 64 + "ffc0000b080001000101011100"
    "ffc40014000100000000000000000000000000000009ffc40014100100000000000000000000000000000000"
    "ffda0008010100003f0054ffd9"
)
"""One grey point, as JPEG."""


def get_console_screenshot(self: Any) -> ActionResult:
    """The screen of a running instance; raises as AWS does where there is no such instance."""
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    return ActionResult({"InstanceId": instance.id, "ImageData": b64encode(SCREEN).decode()})


def apply() -> None:
    """Give moto's EC2 screens."""
    target: Any = General
    target.get_console_screenshot = get_console_screenshot
