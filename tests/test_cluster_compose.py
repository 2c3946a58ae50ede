"""`compose.cluster.yaml` says what it promises; no registry is asked for its images here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from index.address import Address

COMPOSE: dict[str, Any] = yaml.safe_load((Path(__file__).parents[1] / "compose.cluster.yaml").read_text("utf-8"))


def filled(text: str) -> str:
    """Return what compose makes of a value where no variable is set."""
    return re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text)


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_nothing_but_quoteline_is_reached_from_outside_and_that_only_from_this_machine(name: str) -> None:
    service = COMPOSE["services"][name]
    ports = service.get("ports", [])
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert bool(ports) == ("front" in service["networks"]) == (name == "quoteline")
    assert COMPOSE["networks"]["back"]["internal"]


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_each_image_is_of_one_version_and_each_service_waits_for_healthy_ones(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "build" in service or re.search(r":\D*\d+[.\-]\d+", service["image"])
    for other, waiting in service.get("depends_on", {}).items():
        assert waiting["condition"] == "service_healthy"
        assert "healthcheck" in COMPOSE["services"][other]


def test_the_address_of_the_index_is_that_of_the_services() -> None:
    services = COMPOSE["services"]
    address = Address.parse(filled(services["quoteline"]["environment"]["QUOTELINE_INDEX"]))
    assert address.host in services
    assert address.password == filled(services["milvus"]["environment"]["COMMON_SECURITY_DEFAULTROOTPASSWORD"])
    postgresql = {name: filled(value) for name, value in services["postgresql"]["environment"].items()}
    assert address.store == (
        f"postgresql://{postgresql['POSTGRES_USER']}:{postgresql['POSTGRES_PASSWORD']}@postgresql:5432/"
        f"{postgresql['POSTGRES_DB']}"
    )


def test_every_volume_is_named() -> None:
    used = {volume.split(":")[0] for service in COMPOSE["services"].values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])
