"""The manifests are what Kubernetes and the rooms know, and they say of peers what the contract says."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from jsonschema import ValidationError

from gateway.config import GatewaySettings
from gateway.contract import load_contract
from gateway.sse import HAND_OVER_SECONDS
from mesh.config import MeshSettings
from mesh.interceptors.peers import OPERATOR, callers
from mesh.server import _OWN
from mesh.tls import peer_id, server_name
from services.cache.config import CacheSettings
from services.generation.config import GenerationSettings
from services.jobs.config import JobsSettings
from services.library.config import DatabaseSettings, LibrarySettings
from services.search.config import SearchSettings
from stack.cert_paths import NAMES
from stack.embedded.rights import _KEYS
from stack.secret_files import write_secrets
from tests.deploy.manifests import DEPLOY, OVERLAYS, Pod, image_settings, kustomized, of_kind, pods, rendered
from tests.deploy.schemas import NEWEST, check

ROOMS = ("library", "search", "generation", "cache", "jobs")
COMPONENTS = sorted(path.name for path in (DEPLOY / "kubernetes" / "components").iterdir())
# matchLabelKeys, native sleep in preStop: the oldest release with all that is used.
OLDEST = "1.34.0"
CUSTOM = {("cert-manager.io/v1", "Certificate"), ("cert-manager.io/v1", "Issuer")}
SETTINGS: dict[str, type[MeshSettings]] = {
    "gateway": GatewaySettings,
    "library": LibrarySettings,
    "migrations": DatabaseSettings,
    "search": SearchSettings,
    "embedding": SearchSettings,
    "generation": GenerationSettings,
    "cache": CacheSettings,
    "jobs": JobsSettings,
    "worker": JobsSettings,
}
OTHERS = frozenset({"PATH", *image_settings()})
"""Variables that are no setting of ours: of Python and of libraries."""


def ours(overlay: str) -> list[Pod]:
    return [pod for pod in pods(overlay) if pod.ours]


def known(settings: type[MeshSettings]) -> set[str]:
    """The variables that a process reads."""
    names = set()
    for name, field in settings.model_fields.items():
        alias: Any = field.validation_alias
        names |= {f"GAJI_{name.upper()}"} if alias is None else set(getattr(alias, "choices", [alias]))
    return names


def callers_of(services: Iterator[ServiceDescriptor] | tuple[ServiceDescriptor, ...]) -> set[str]:
    return {caller for service in services for method in service.methods for caller in callers(method)} - {OPERATOR}


def peers() -> dict[str, set[str]]:
    """Who calls each room, by the contract: what every server offers is offered by each of them."""
    services = list(load_contract(None).services())
    found = {}
    for room in ROOMS:
        of_room = tuple(service for service in services if service.full_name.startswith(f"gaji.{room}."))
        found[room] = callers_of(of_room) | callers_of(_OWN)
    return found


def by_name(overlay: str, kind: str) -> dict[str, Any]:
    return {document["metadata"]["name"]: document for document in of_kind(overlay, kind)}


def admitted(policy: Any) -> set[str]:
    """The identities that a policy lets in."""
    (rule,) = policy["spec"]["ingress"]
    (source,) = rule["from"]
    (expression,) = source["podSelector"]["matchExpressions"]
    return set(expression["values"])


def selects(policy: Any, labels: Mapping[str, str]) -> bool:
    """Whether a policy is one of a pod with these labels."""
    selector = policy["spec"]["podSelector"]
    assert all(one["operator"] == "In" for one in selector.get("matchExpressions", []))
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def ways_out(overlay: str, labels: Mapping[str, str]) -> Iterator[tuple[int, Any]]:
    """Port and peer of all that lets such a pod out, names and spans left out."""
    for policy in of_kind(overlay, "NetworkPolicy"):
        if selects(policy, labels) and policy["metadata"]["name"] not in {"names", "traces"}:
            for rule in policy["spec"].get("egress", []):
                yield from ((port["port"], peer) for port in rule["ports"] for peer in rule["to"])


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_document_fits_its_schema_and_has_no_field_that_is_unknown(overlay: str, version: str) -> None:
    checked = 0
    for document in rendered(overlay):
        if (document["apiVersion"], document["kind"]) not in CUSTOM:
            check(document, version)
            checked += 1
    assert checked > 30


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_fits_the_base_by_itself(component: str, tmp_path: Path) -> None:
    kubernetes = Path(os.path.relpath(DEPLOY / "kubernetes", tmp_path))  # Kustomize takes no absolute paths
    about = {"resources": [f"{kubernetes}/base"], "components": [f"{kubernetes}/components/{component}"]}
    (tmp_path / "kustomization.yaml").write_text(json.dumps(about))
    documents = kustomized(tmp_path)
    check_ways_out(documents)
    for document in documents:
        if (document["apiVersion"], document["kind"]) not in CUSTOM:
            check(document, NEWEST)
    assert len(documents) > len(kustomized(DEPLOY / "kubernetes" / "base"))


def test_a_field_that_is_unknown_is_found() -> None:
    document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}, "automountToken": False}
    with pytest.raises(ValidationError, match="automountToken"):
        check(document, NEWEST)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_is_known_to_the_process_that_gets_it(overlay: str) -> None:
    everybody = set().union(*(known(settings) for settings in SETTINGS.values())) | OTHERS
    shared = by_name(overlay, "ConfigMap")
    for document in shared.values():
        assert set(document["data"]) <= everybody
    for pod in ours(overlay):
        own = {variable["name"] for variable in pod.container.get("env", [])}
        assert own <= known(SETTINGS[pod.identity]), pod.name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_process_has_the_settings_that_it_cannot_do_without(
    overlay: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_secrets(tmp_path / "secrets")
    for pod in ours(overlay):
        with monkeypatch.context() as patched:
            for name, value in pod.settings.items():
                patched.setenv(name, value)
            folder = tmp_path / "secrets" / pod.identity
            patched.setenv("GAJI_SECRETS_DIR", str(folder))
            settings = SETTINGS[pod.identity]()
        given = settings.model_dump()
        for name in ("redis_url", "database_url"):
            if name in given and pod.identity != "migrations":
                assert f"gaji{'_library' if name == 'database_url' else f'-{pod.identity}'}:" in given[name], pod.name
        for path in ("jwt_keys_file", "jwt_private_key_file"):
            if given.get(path):
                assert str(given[path]).startswith("/run/secrets/gaji/")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_policies_let_in_whom_the_contract_names_and_nobody_else(overlay: str) -> None:
    policies = by_name(overlay, "NetworkPolicy")
    for room, named in peers().items():
        assert admitted(policies[f"to-{room}"]) == named
    nobody = policies["nobody"]["spec"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_policies_let_each_out_to_whom_it_calls_and_to_the_stores_that_it_has_rights_in(overlay: str) -> None:
    called, stores = peers(), {5432: "postgres", 6379: "valkey", 26379: "sentinels", 8000: "chroma"}
    ports = dict(zip(ROOMS, range(50051, 50056), strict=True))
    for pod in ours(overlay):
        rooms, used, outside = {}, set(), set()
        for port, peer in ways_out(overlay, pod.labels):
            if port in stores:
                used.add(stores[port])
                inside = peer.get("podSelector", {}).get("matchLabels", {}).get("gaji/identity")
                assert inside == (stores[port] if overlay == "small" else None), pod.name
            elif "podSelector" in peer:
                rooms[peer["podSelector"]["matchLabels"]["gaji/identity"]] = port
            else:
                assert "10.0.0.0/8" in peer["ipBlock"]["except"] or "fc00::/7" in peer["ipBlock"]["except"]
                outside.add(port)
        assert rooms == {room: ports[room] for room, named in called.items() if pod.identity in named}, pod.name
        assert ("valkey" in used) == (pod.identity in _KEYS), pod.name
        assert ("sentinels" in used) == (overlay == "production" and pod.identity in _KEYS), pod.name
        assert ("postgres" in used) == (pod.identity in {"library", "migrations"}), pod.name
        assert ("chroma" in used) == (pod.identity == "search"), pod.name
        assert outside == ({443} if pod.identity == "generation" else set()), pod.name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_policy_opens_a_way_to_everywhere(overlay: str) -> None:
    check_ways_out(rendered(overlay))


def check_ways_out(documents: Iterable[Any]) -> None:
    """Whether each rule says to whom, and whom not."""
    rules = [rule for one in documents if one["kind"] == "NetworkPolicy" for rule in one["spec"].get("egress", [])]
    assert rules
    for rule in rules:
        assert rule["to"], "without it a rule means all addresses"
        assert rule["ports"]
        for peer in rule["to"]:
            block = peer.get("ipBlock", {})
            assert block.get("cidr") not in {"0.0.0.0/0", "::/0"} or block["except"], rule


def test_those_who_prove_that_the_name_is_ours_are_reached() -> None:
    """The pods of cert-manager, in the namespace of what they answer for: an Ingress that asks for a certificate."""
    (ingress,) = of_kind("production", "Ingress")
    assert "cert-manager.io/cluster-issuer" in ingress["metadata"]["annotations"]
    solver = {"acme.cert-manager.io/http01-solver": "true"}
    (rule,) = [
        rule
        for policy in of_kind("production", "NetworkPolicy")
        if selects(policy, solver)
        for rule in policy["spec"].get("ingress", [])
    ]
    gateways = by_name("production", "NetworkPolicy")["to-gateway"]["spec"]["ingress"]
    assert [rule["from"]] == [one["from"] for one in gateways]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8089}]


def test_the_stores_let_in_who_has_rights_there() -> None:
    policies = by_name("small", "NetworkPolicy")
    assert admitted(policies["to-valkey"]) == set(_KEYS)
    assert admitted(policies["to-postgres"]) == {"library", "migrations"}
    assert admitted(policies["to-chroma"]) == {"search"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_pod_has_more_rights_than_it_needs(overlay: str) -> None:
    for pod in pods(overlay):
        spec, container = pod.spec, pod.container
        assert spec["serviceAccountName"] == "gaji"
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_the_manifests(overlay: str) -> None:
    assert not list(of_kind(overlay, "Secret"))
    for pod in pods(overlay):
        for name, value in pod.settings.items():
            assert not re.search(r"://[^/@]*:[^/@]*@", value), f"{pod.name}: {name} holds a password"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_may_take_longer_to_stop_than_streams_to_be_handed_over(overlay: str) -> None:
    for pod in ours(overlay):
        drain = float(pod.settings.get("GAJI_DRAIN_SECONDS", 0))
        prepared = pod.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        # Calls, then what holds a connection of the database; the streams are handed over meanwhile.
        needed = prepared + max(2 * drain, drain + HAND_OVER_SECONDS + 1)
        assert needed < pod.spec["terminationGracePeriodSeconds"] - 5, pod.name
    for document in of_kind(overlay, "Deployment"):
        assert document["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_deployment_is_spread_guarded_from_evictions_and_probed(overlay: str) -> None:
    budgets, services = by_name(overlay, "PodDisruptionBudget"), by_name(overlay, "Service")
    secured = overlay == "production"
    for pod in ours(overlay):
        if pod.kind != "Deployment":
            continue
        assert budgets[pod.name]["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()
        for constraint in pod.spec["topologySpreadConstraints"]:
            assert constraint["labelSelector"]["matchLabels"].items() <= pod.labels.items()
            assert set(constraint.get("matchLabelKeys", [])) <= {*pod.labels, "pod-template-hash"}
        assert {"startupProbe", "livenessProbe"} <= set(pod.container)
        if pod.name in ROOMS:
            service = services[pod.name]["spec"]
            assert service["clusterIP"] == "None"
            assert service["selector"].items() <= pod.labels.items()
            listen = int(pod.settings["GAJI_LISTEN"].rpartition(":")[2])
            assert [port["port"] for port in service["ports"]] == [listen, 9100]
            target = pod.settings[f"GAJI_{pod.name.upper()}_TARGET"]
            assert target == f"dns:///{pod.name}:{listen}"
            kind = "httpGet" if secured else "grpc"  # the kubelet's gRPC probes know no TLS
            assert all(kind in pod.container[probe] for probe in ("startupProbe", "readinessProbe", "livenessProbe"))


def test_certificates_bear_the_names_that_peers_insist_on() -> None:
    certificates = by_name("production", "Certificate")
    mounted = set()
    for pod in ours("production"):
        for volume in pod.spec["volumes"]:
            if volume["name"] == "tls":
                mounted.add(volume["secret"]["secretName"])
                assert volume["secret"]["secretName"] == f"gaji-tls-{pod.identity}"
                assert [m["mountPath"] for m in pod.container["volumeMounts"] if m["name"] == "tls"] == ["/run/tls"]
    for name in NAMES:
        spec = certificates[f"gaji-{name}"]["spec"]
        assert spec["uris"] == [peer_id(name)]
        assert spec["dnsNames"] == [server_name(name)]
        assert {"client auth", "server auth"} <= set(spec["usages"])
        assert spec["secretName"] == f"gaji-tls-{name}"
    assert mounted == {f"gaji-tls-{name}" for name in NAMES if name != OPERATOR}


def test_what_is_scaled_by_load_has_no_number_of_its_own() -> None:
    deployments = by_name("production", "Deployment")
    for scaler in of_kind("production", "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        assert "replicas" not in deployments[spec["scaleTargetRef"]["name"]]["spec"]
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]


def test_the_secrets_that_are_mounted_are_those_that_are_made(tmp_path: Any) -> None:
    write_secrets(tmp_path)
    made = {f"gaji-{path.name}" for path in tmp_path.iterdir()}
    for overlay in OVERLAYS:
        for pod in pods(overlay):
            for volume in pod.spec.get("volumes", []):
                named = [source["secret"]["name"] for source in volume.get("projected", {}).get("sources", [])]
                named += [volume["secret"]["secretName"]] if "secret" in volume else []
                assert {name for name in named if not name.startswith("gaji-tls-")} <= made
