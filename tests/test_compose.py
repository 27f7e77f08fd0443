"""docker-compose.yml and .env.example, as far as they can be judged without a container engine."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher import layout, surroundings
from soc import env

pytestmark = pytest.mark.fast

COMPOSE = layout.ROOT / "docker-compose.yml"
OWN = ("web", "worker-general", "worker-collect", "worker-containment", "beat")
# Settings of the test suite and of the launcher: nobody sets them by hand in an installation.
NOT_FOR_USERS = {"QUELL_TESTING", "QUELL_FAILPOINT", "QUELL_CLOCK_RATE", "QUELL_PROCESS"}
# Not read by soc/settings.py: compose's own published port, and what boto3 itself reads.
NOT_SETTINGS = {
    "QUELL_PORT",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return found


def declared() -> set[str]:
    """Every setting that soc/settings.py reads (importing it declares them)."""
    importlib.import_module("soc.settings")
    return set(env.DECLARED)


def plain(name: str) -> str:
    return name.removesuffix("_FILE")


def test_the_file_satisfies_the_compose_schema_and_the_schema_notices_a_mistake(tmp_path: Path) -> None:
    def judge(path: Path) -> int:
        judge_by = ["--builtin-schema", "vendor.compose-spec"]
        command = [sys.executable, "-m", "check_jsonschema", *judge_by, str(path)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert judge(COMPOSE) == 0
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text(encoding="utf-8").replace("service_healthy", "service_well", 1))
    assert judge(wrong) != 0


def test_every_process_of_quell_is_there_and_says_which_it_is(services: dict[str, Any]) -> None:
    assert set(services) == {"postgres", "valkey", "migrate", *OWN}
    for name in OWN:
        assert services[name]["environment"]["QUELL_PROCESS"] == name
    assert "QUELL_PROCESS" not in services["migrate"]["environment"]


def test_images_are_pinned_and_everything_restarts_and_is_watched(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert re.search(r":\d+\.\d+", service["image"]), name
        if name == "migrate":
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped", name
        assert service["healthcheck"]["test"], name
    for line in (layout.ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("FROM "):
            assert re.search(r":\d+\.\d+\.\d+-", line), line


def test_migrations_run_once_before_anything_else(services: dict[str, Any]) -> None:
    assert services["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    for name in OWN:
        needs = services[name]["depends_on"]
        assert needs["migrate"]["condition"] == "service_completed_successfully"


def test_settings_exist_and_secrets_come_as_files(services: dict[str, Any]) -> None:
    secret = {name for name, setting in env.DECLARED.items() if setting.secret}
    for name in (*OWN, "migrate"):
        environment = services[name]["environment"]
        unknown = {plain(key) for key in environment} - declared() - NOT_SETTINGS
        assert unknown == set(), name
        assert not {key for key in environment if key in secret}, f"{name} has a secret in its environment"
        for key, value in environment.items():
            if key.endswith("_FILE"):
                assert Path(value).name in services[name]["secrets"]


def test_every_secret_file_is_declared_and_used(services: dict[str, Any]) -> None:
    document = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    used = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert used == set(document["secrets"])
    head = COMPOSE.read_text(encoding="utf-8").partition("\nname:")[0]
    for secret in used:
        assert secret in head, "the head of the file says how each secret is made"


def test_aws_settings_reach_two_workers_only_and_each_has_its_own(services: dict[str, Any]) -> None:
    files = []
    for name, service in services.items():
        aws = [key for key in service.get("environment", {}) if key.startswith("AWS_")]
        if name in surroundings.AWS_PROCESSES:
            files += [entry["path"] for entry in service["env_file"]]
        else:
            assert aws == []
            assert "env_file" not in service
    assert len(set(files)) == 2


def test_ports_are_bound_to_the_loopback_address(services: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert list(published) == ["web"]
    assert all(port.startswith("127.0.0.1:") for port in published["web"])


def test_containers_are_confined(services: dict[str, Any]) -> None:
    for name in (*OWN, "migrate"):
        assert services[name]["cap_drop"] == ["ALL"]
        assert services[name]["read_only"] is True
        assert "no-new-privileges:true" in services[name]["security_opt"]
    assert "\nUSER quell\n" in (layout.ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_commands_name_things_that_exist(services: dict[str, Any]) -> None:
    for name in (*OWN, "migrate"):
        command = services[name].get("command", ["gunicorn"])
        assert command[0] in {"celery", "python", "gunicorn"}
        if command[0] == "celery":
            assert importlib.util.find_spec("soc.celery")
            if command[3] == "worker":
                assert command[command.index("-Q") + 1] == name.removeprefix("worker-")
        if command[0] == "python":
            assert (layout.ROOT / command[1]).exists()


def test_the_image_holds_every_production_package_and_no_other() -> None:
    copied = re.findall(
        r"^COPY (\w+)/ \1/$", (layout.ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    production = set(layout.packages()) - {"bench", "launcher", "simulator", "tests"}
    assert set(copied) == production | {"templates"}


def test_the_example_names_every_setting_a_user_may_set_and_no_other() -> None:
    text = (layout.ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    assert named - NOT_SETTINGS == declared() - NOT_FOR_USERS
    assert named & NOT_FOR_USERS == set()


def test_the_example_gives_no_secret_away() -> None:
    lines = (layout.ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line and not line.startswith("#")]


def test_compose_variables_are_explained_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE.read_text(encoding="utf-8")))
    text = (layout.ROOT / ".env.example").read_text(encoding="utf-8")
    assert not {name for name in used if f"#{name}=" not in text}
