"""The manifests as Kubernetes gets them, and what they say of each process."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
OVERLAYS = ("small", "production")
WORKLOADS = ("Deployment", "StatefulSet", "Job")

Document = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Document, ...]:
    """All documents of an overlay, as `kubectl kustomize` makes them."""
    return kustomized(DEPLOY / "kubernetes" / "overlays" / overlay)


@cache
def kustomized(folder: Path) -> tuple[Document, ...]:
    """All documents that a folder makes."""
    done = subprocess.run(  # noqa: S603 - our own command
        [Path(sys.executable).parent / "kubectl", "kustomize", folder],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def of_kind(overlay: str, *kinds: str) -> Iterator[Document]:
    """The documents of some kinds."""
    return (document for document in rendered(overlay) if document["kind"] in kinds)


@dataclass(frozen=True, slots=True)
class Pod:
    """What a workload runs.

    Attributes:
        name: of the workload.
        kind: of the workload.
        labels: of its pods.
        spec: of its pods.
        settings: the variables of its container.
    """

    name: str
    kind: str
    labels: Mapping[str, str]
    spec: Document
    settings: Mapping[str, str]

    @property
    def identity(self) -> str:
        """Who it is to its peers."""
        return self.labels["gaji/identity"]

    @property
    def container(self) -> Document:
        """Its only container."""
        (only,) = self.spec["containers"]
        return dict(only)

    @property
    def ours(self) -> bool:
        """Whether it runs a room, and not a store."""
        return bool(self.container["name"] == "room")

    @property
    def room(self) -> str:
        """The room in its image."""
        return str(self.container["image"].rpartition("/")[2].partition(":")[0].removeprefix("gaji-"))


def pods(overlay: str) -> list[Pod]:
    """What runs in an overlay."""
    maps = {document["metadata"]["name"]: document["data"] for document in of_kind(overlay, "ConfigMap")}
    found = []
    for document in of_kind(overlay, *WORKLOADS):
        template = document["spec"]["template"]
        (container,) = template["spec"]["containers"]
        settings: dict[str, str] = {}
        for source in container.get("envFrom", []):
            settings |= maps[source["configMapRef"]["name"]]
        settings |= {variable["name"]: variable["value"] for variable in container.get("env", [])}
        found.append(
            Pod(
                document["metadata"]["name"],
                document["kind"],
                template["metadata"]["labels"],
                template["spec"],
                settings,
            )
        )
    return found


@cache
def image_settings() -> Mapping[str, str]:
    """The variables that the image of every room sets, PATH left out."""
    text = (DEPLOY / "container" / "Containerfile").read_text()
    room = text.partition("AS room")[2].partition("AS gateway")[0]
    (block,) = [part for part in room.replace("\\\n", " ").splitlines() if part.startswith("ENV ")]
    pairs = (pair.partition("=") for pair in block.removeprefix("ENV ").split())
    return {name: value for name, _, value in pairs if name != "PATH"}
