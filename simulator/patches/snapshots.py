"""CreateSnapshots: each item carries its state, and CopyTagsFromSource copies the volume's tags.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SnapshotInfo.html
"""

from __future__ import annotations

from typing import Any

from moto.ec2.models.elastic_block_store import Snapshot
from moto.ec2.responses.elastic_block_store import ElasticBlockStore


def _copy_volume_tags(backend: Any, snapshot: Any) -> None:
    own = dict(backend.tags.get(snapshot.id, {}))
    snapshot.add_tags({**backend.tags.get(snapshot.volume.id, {}), **own})


def apply() -> None:
    """Add what moto leaves out of the answer and of the tags."""
    # moto's serializer looks for the output member `State`, and a Snapshot only has `status`.
    Snapshot.state = property(lambda self: self.status)  # type: ignore[attr-defined]
    original = ElasticBlockStore.create_snapshots

    def create_snapshots(self: Any) -> Any:
        answer: Any = original(self)
        if self._get_param("CopyTagsFromSource") == "volume":
            for snapshot in answer.result["Snapshots"]:
                _copy_volume_tags(self.ec2_backend, snapshot)
        return answer

    ElasticBlockStore.create_snapshots = create_snapshots  # type: ignore[method-assign]
