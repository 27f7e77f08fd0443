"""DetachVolume needs the volume alone, and refuses one that is not attached.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DetachVolume.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import EBSBackend


def apply() -> None:
    """Look the instance up where moto would fail without one."""
    original = EBSBackend.detach_volume

    def detach(self: Any, volume_id: str, instance_id: str | None, device_path: str | None) -> Any:
        attachment = self.get_volume(volume_id).attachment
        if attachment is None:
            raise EC2ClientError("IncorrectState", f"Volume '{volume_id}' is in the 'available' state.")
        return original(
            self, volume_id, instance_id or attachment.instance.id, device_path or attachment.device
        )

    target: Any = EBSBackend
    target.detach_volume = detach
