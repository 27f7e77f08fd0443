"""Who gets which variables: AWS only where it belongs, secrets only where they are used."""

from pathlib import Path

import pytest

from launcher import surroundings
from launcher.cli import command_environment
from launcher.datadir import DataDirectory

pytestmark = pytest.mark.fast

PROCESSES = ("web", "worker-general", "worker-collect", "worker-containment", "beat")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDirectory:
    for name in ("DATABASE_URL", "REDIS_URL", "QUELL_SECRET_KEY", "QUELL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "callers-key")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind 0.0.0.0")
    monkeypatch.setenv("QUELL_DEMO_PASSWORD", "told to nobody else")
    monkeypatch.setenv("HOME", "/home/caller")
    directory = DataDirectory(tmp_path / "data")
    directory.prepare("demo")
    directory.keep_secrets()
    directory.secrets_file.write_text(
        directory.secrets_file.read_text() + "AWS_REGION=eu-west-1\nQUELL_LOG=text\n"
    )
    return directory


def test_the_demo_gives_aws_variables_to_two_processes_and_never_the_callers(data: DataDirectory) -> None:
    common = surroundings.common(data)
    simulated = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "simulated"}
    for name in PROCESSES:
        found = surroundings.of_process(name, common=common, aws=simulated)
        aws = {key: value for key, value in found.items() if key.startswith("AWS_")}
        assert aws == (simulated if name in ("worker-collect", "worker-containment") else {})
        assert found["HOME"] == str(data.home)
        assert found["QUELL_PROCESS"] == name


def test_up_gives_the_callers_aws_settings_to_two_processes_only(data: DataDirectory) -> None:
    common, aws = surroundings.common(data), surroundings.callers_aws(data)
    web = surroundings.of_process("web", common=common, aws=aws)
    worker = surroundings.of_process("worker-collect", common=common, aws=aws)
    assert not any(name.startswith("AWS_") for name in web)
    assert web["HOME"] == str(data.home)
    assert worker["AWS_ACCESS_KEY_ID"] == "callers-key"
    assert worker["AWS_PROFILE"] == "production"
    assert worker["AWS_REGION"] == "eu-west-1"
    assert worker["HOME"] == "/home/caller"


def test_nothing_misleading_and_no_needless_secret_passes(data: DataDirectory) -> None:
    found = surroundings.common(data)
    for name in (
        "PYTHONPATH", "CELERY_BROKER_URL", "GUNICORN_CMD_ARGS",
        "QUELL_DEMO_PASSWORD", "QUELL_VALKEY_PASSWORD",
    ):  # fmt: skip
        assert name not in found
    assert found["QUELL_SECRET_KEY"] == data.settings()["QUELL_SECRET_KEY"]
    assert not any("SECRET" in name or "AUDIT" in name for name in surroundings.of_simulator(found))


def test_the_environment_wins_over_the_file_also_as_name_file(
    data: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert surroundings.common(data)["QUELL_LOG"] == "text"
    monkeypatch.setenv("QUELL_LOG", "json")
    assert surroundings.common(data)["QUELL_LOG"] == "json"
    monkeypatch.setenv("QUELL_SECRET_KEY_FILE", "/run/secrets/key")
    assert "QUELL_SECRET_KEY" not in surroundings.common(data)


def test_a_command_finds_the_running_stack(data: DataDirectory) -> None:
    found = command_environment(data)
    assert found["REDIS_URL"] == surroundings.NOWHERE
    assert found["DATABASE_URL"] == f"sqlite:///{data.path}/quell.sqlite3"
    assert not any(name.startswith("AWS_") for name in found)
    data.remember("running", {"broker": "redis://:p@127.0.0.1:7/0", "url": "http://127.0.0.1:8"})
    found = command_environment(data)
    assert found["REDIS_URL"] == "redis://:p@127.0.0.1:7/0"
    assert found["QUELL_BASE_URL"] == "http://127.0.0.1:8"


def test_a_command_on_real_data_has_the_operators_aws_settings(tmp_path: Path, data: DataDirectory) -> None:
    real = DataDirectory(tmp_path / "real")
    real.open_for_command()
    assert command_environment(real)["AWS_PROFILE"] == "production"
