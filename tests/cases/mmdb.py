"""Writing MMDB files for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

GERMANY: dict[str, Any] = {
    "country": {"iso_code": "DE", "names": {"en": "Germany"}},
    "city": {"names": {"en": "Berlin"}},
}
BRAZIL: dict[str, Any] = {
    "country": {"iso_code": "BR", "names": {"en": "Brazil"}},
    "city": {"names": {"en": "Recife"}},
}


def write(path: Path, records: dict[str, dict[str, Any]]) -> Path:
    """An MMDB with these records by network, put there by renaming as geoipupdate does."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-City")
    for network, record in records.items():
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(f"{path}.new")
    return Path(f"{path}.new").replace(path)
