"""The Compose file: settings that exist, networks that say what the contract says, no more rights than needed."""

import json
import re
from copy import deepcopy
from functools import cache
from itertools import combinations
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from stack.embedded.rights import _KEYS
from stack.secret_files import write_secrets
from tests.deploy.manifests import DEPLOY
from tests.deploy.test_deploy_kubernetes import OTHERS, ROOMS, SETTINGS, known, peers

STORES = ("postgres", "valkey", "chroma")
WATCHERS = ("prometheus", "grafana")


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return loaded


def services() -> dict[str, Any]:
    return dict(compose()["services"])


def ours() -> dict[str, Any]:
    return {name: service for name, service in services().items() if name not in (*STORES, *WATCHERS)}


def identity(name: str) -> str:
    return "worker" if name.startswith("worker-") else name.removesuffix("-worker")


def filled(value: Any) -> Any:
    """A value with the defaults of its variables."""
    if isinstance(value, dict):
        return {name: filled(part) for name, part in value.items()}
    if isinstance(value, list):
        return [filled(part) for part in value]
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) if isinstance(value, str) else value


def checked(document: dict[str, Any]) -> None:
    """Whether the Compose specification knows all of it; ValueError says what not."""
    PyCompose.from_json(json.dumps(filled(document))).validate()


def test_the_file_is_what_the_compose_specification_says() -> None:
    checked(compose())
    wrong = deepcopy(compose())
    wrong["services"]["gateway"]["read_onli"] = True
    with pytest.raises(ValueError, match="read_onli"):
        checked(wrong)


def test_every_setting_is_known() -> None:
    everybody = set().union(*(known(settings) for settings in SETTINGS.values())) | OTHERS
    shared = set(compose()["x-settings"])
    assert shared <= everybody
    for name, service in ours().items():
        assert set(service["environment"]) - shared <= known(SETTINGS[identity(name)]), name


def test_every_process_has_the_settings_that_it_cannot_do_without(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_secrets(tmp_path)
    for name, service in ours().items():
        (mounted,) = [volume for volume in service["volumes"] if volume["target"] == "/run/secrets/gaji"]
        assert mounted["source"] == f"./secrets/{identity(name)}"
        with monkeypatch.context() as patched:
            for variable, value in service["environment"].items():
                patched.setenv(variable, "" if "${" in str(value) else str(value))
            patched.setenv("GAJI_SECRETS_DIR", str(tmp_path / identity(name)))
            SETTINGS[identity(name)]()


def test_two_processes_share_a_network_where_one_calls_the_other_and_nowhere_else() -> None:
    called = peers()
    networks: dict[str, set[str]] = {}
    for name, service in ours().items():
        networks.setdefault(identity(name), set()).update(service["networks"])
    for one, other in combinations(sorted(networks), 2):
        shared = networks[one] & networks[other]
        if {one, other} == {"library", "migrations"}:
            assert shared == {"to-postgres"}
        else:
            assert bool(shared) == (one in called.get(other, ()) or other in called.get(one, ())), (one, other, shared)


def test_whether_a_network_leads_outside_is_said() -> None:
    for network, setting in compose()["networks"].items():
        assert setting.get("internal", False) == (network not in {"edge", "outside", "watching"}), network


def test_only_what_is_needed_reaches_the_stores_and_the_world() -> None:
    def members(network: str) -> set[str]:
        return {identity(name) for name, service in services().items() if network in service["networks"]}

    own = {network for network in compose()["networks"] if network.startswith("of-")}
    assert own == {f"of-{name}" for name in _KEYS}, "who has rights in Valkey"
    for network in own:
        assert members(network) == {network.removeprefix("of-"), "valkey", "prometheus"}
    reached = {network for name in ("valkey", "prometheus") for network in services()[name]["networks"]}
    assert reached == own | {"watching"}
    assert members("watching") == set(WATCHERS)
    assert members("to-postgres") == {"postgres", "library", "migrations"}
    assert members("to-chroma") == {"chroma", "search"}
    assert members("outside") == {"generation"}
    assert members("edge") == {"gateway"}
    published = {name for name, service in services().items() if "ports" in service}
    assert published == {"gateway", *WATCHERS}
    for name in published:
        assert all(port.startswith("127.0.0.1:") for port in services()[name]["ports"])


def test_search_gets_out_where_it_is_asked_to() -> None:
    more = yaml.safe_load((DEPLOY / "compose" / "search-outside.yaml").read_text())
    checked(more)
    search = more["services"]["search"]
    assert search["networks"] == ["outside"]
    assert set(search["environment"]) <= known(SETTINGS["search"])
    # Who shares the image builds the same one; it has what the others' file says, and Gemini's client.
    image = services()["search"]["image"]
    assert set(more["services"]) == {name for name, one in services().items() if one["image"] == image}
    for name, service in more["services"].items():
        before = services()[name]["build"]["args"]["EXTRAS"].split(",")
        assert service["build"]["args"]["EXTRAS"].split(",") == [*before, "gemini"]


def test_no_container_has_more_rights_than_it_needs() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name in ours():
            assert service["read_only"] is True
            assert service["init"] is True
            assert "memory" in service.get("deploy", {}).get("resources", {}).get("limits", {}) or name == "migrations"
            drain = float(service["environment"].get("GAJI_DRAIN_SECONDS", 0))
            assert 2 * drain + 5 < float(service["stop_grace_period"].removesuffix("s"))


def test_what_is_named_is_there() -> None:
    named = services()
    for name, service in named.items():
        assert set(service["networks"]) <= set(compose()["networks"])
        depends = service.get("depends_on", {})
        assert set(depends) <= set(named)
        for volume in service.get("volumes", []):
            if isinstance(volume, str):
                assert volume.partition(":")[0] in compose()["volumes"], name
            elif not volume["source"].startswith(("./secrets", "../monitoring")):
                assert (DEPLOY / "compose" / volume["source"]).exists()
    for room in ROOMS:
        target = compose()["x-settings"][f"GAJI_{room.upper()}_TARGET"]
        assert target == f"dns:///{room}:{named[room]['environment']['GAJI_LISTEN'].rpartition(':')[2]}"
