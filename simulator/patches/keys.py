"""KMS key material comes from the journal's random stream, and symmetric keys have no RSA pair.

In AWS a ciphertext stays readable; with moto's material drawn from the system, a key made again by
the journal could not read what it had encrypted before. moto also makes an RSA pair for every key,
used or not, which takes longer than all the rest of a key.
"""

from __future__ import annotations

from typing import Any

from moto.kms import models, utils
from moto.moto_api._internal import mock_random


def _master_key() -> bytes:
    return mock_random.getrandbits(8 * utils.MASTER_KEY_LEN).to_bytes(utils.MASTER_KEY_LEN, "big")


def apply() -> None:
    """Replace the two functions a KMS key is made with."""
    original = utils.generate_private_key

    def private_key(key_spec: str) -> Any:
        return original(key_spec) if key_spec.startswith(("RSA", "ECC")) else None

    target: Any = models
    target.generate_private_key = private_key
    target.generate_master_key = _master_key
