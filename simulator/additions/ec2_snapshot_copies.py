"""Copying snapshots between accounts, and what cannot be shared.

A snapshot of another account can be copied where it was shared; one that the default key of EBS
encrypts cannot be shared; a copy is encrypted as asked, and shows no volume of its own. The default
key is AWS's.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
https://docs.aws.amazon.com/ebs/latest/userguide/ebs-modifying-snapshot-permissions.html
"""

# ruff: noqa: SLF001  # reaching into moto is what a patch does
from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from moto.ec2.exceptions import EC2ClientError, InvalidSnapshotIdError
from moto.ec2.models import ec2_backends
from moto.ec2.models.elastic_block_store import EBSBackend, Snapshot
from moto.ec2.utils import random_snapshot_id
from moto.kms.models import kms_backends

NO_VOLUME = "vol-ffffffff"
DEFAULT = "alias/aws/ebs"


def _everywhere(region: str) -> Iterator[Any]:
    for account in list(ec2_backends):
        if region in ec2_backends[account]:
            yield ec2_backends[account][region]


def _visible(snapshot: Any, account: str) -> bool:
    shared = snapshot.create_volume_permission_userids | snapshot.create_volume_permission_groups
    return snapshot.owner_id == account or bool(shared & {account, "all"})


def _source(region: str, snapshot_id: str, account: str) -> Any:
    for backend in _everywhere(region):
        found = backend.snapshots.get(snapshot_id)
        if found is not None and _visible(found, account):
            return found
    raise InvalidSnapshotIdError


def _without_volume(volume: Any) -> Any:
    shadow = copy.copy(volume)
    shadow.id = NO_VOLUME
    return shadow


def _key_arn(backend: Any, key: str) -> str:
    """The key by any of its names. Raises KMS's own refusal where there is none."""
    kms = kms_backends[backend.account_id][backend.region_name]
    found = (
        kms.describe_key(kms.any_id_to_key_id(key)) if not key.startswith("alias/") else kms.describe_key(key)
    )
    return str(found.arn)


def _is_default(backend: Any, arn: str | None) -> bool:
    kms = kms_backends[backend.account_id][backend.region_name]
    return bool(arn) and kms.alias_exists(DEFAULT) and kms.describe_key(DEFAULT).arn == arn


def _copies(target: Any) -> None:
    def copy_snapshot(
        self: Any, source_snapshot_id: str, source_region: str, description: str, kms_key_id: str | None
    ) -> Any:
        source = _source(source_region, source_snapshot_id, self.account_id)
        key = _key_arn(self, kms_key_id) if kms_key_id else source.kms_key_id
        made = Snapshot(
            self,
            random_snapshot_id(),
            volume=_without_volume(source.volume),
            description=description,
            encrypted=source.encrypted,
            kms_key_id=key,
        )
        self.snapshots[made.id] = made
        return made

    target.copy_snapshot = copy_snapshot


def _shares(target: Any) -> None:
    add = target.add_create_volume_permission

    def add_create_volume_permission(self: Any, snapshot_id: str, **given: Any) -> None:
        if _is_default(self, self.get_snapshot(snapshot_id).kms_key_id):
            raise EC2ClientError(
                "InvalidParameter",
                "Encrypted snapshots with EBS default key cannot be shared.",
            )
        add(self, snapshot_id, **given)

    target.add_create_volume_permission = add_create_volume_permission


def apply() -> None:
    """Let copies and shares go between accounts as they do in AWS."""
    target: Any = EBSBackend
    _copies(target)
    _shares(target)
    make_default = target._create_default_encryption_key

    def create_default_encryption_key(self: Any) -> Any:
        arn = make_default(self)
        kms_backends[self.account_id][self.region_name].describe_key(DEFAULT).key_manager = "AWS"
        return arn

    target._create_default_encryption_key = create_default_encryption_key
