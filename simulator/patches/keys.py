"""A symmetric KMS key has no RSA pair.

moto makes one for every key, used or not, which takes longer than all the rest of a key.
"""

from __future__ import annotations

from typing import Any

from moto.kms import models, utils


def apply() -> None:
    """Make a private key only for a key that signs or decrypts with one."""
    original = utils.generate_private_key

    def private_key(key_spec: str) -> Any:
        return original(key_spec) if key_spec.startswith(("RSA", "ECC")) else None

    target: Any = models
    target.generate_private_key = private_key
