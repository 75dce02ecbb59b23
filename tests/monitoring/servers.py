"""A real Prometheus and a real Alertmanager on our own configuration, in which time passes faster."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from stack.ports import Ports
from stack.processes import wrapped
from stack.targets import targets_file
from tests.monitoring.files import MONITORING, REPOSITORY, program

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+)([smhd])")
_WINDOW = re.compile(r"\[(\d+)([smhd])\]")
_LEAST_SECONDS = 10.0
"""A window needs some scrapes in it."""
SCRAPE, EVALUATE = "2s", "1s"
READY_SECONDS = 30.0


def seconds_of(number: str, unit: str, factor: float, least: float = 0.0) -> str:
    """A duration that is shorter by a factor, as Prometheus writes it."""
    return f"{round(max(int(number) * _UNITS[unit] / factor, least) * 1000)}ms"


def faster(rules: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same rules with shorter windows and waits."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _WINDOW.sub(
                lambda found: f"[{seconds_of(found[1], found[2], factor, _LEAST_SECONDS)}]", rule["expr"]
            )
            if wait := _DURATION.fullmatch(rule.get("for", "")):
                rule["for"] = seconds_of(wait[1], wait[2], factor)
    return rules


class Webhook:
    """Where Alertmanager tells; keeps all that it is told."""

    def __init__(self) -> None:
        self._told: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                webhook.take(self.path.strip("/"), json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def take(self, receiver: str, body: dict[str, Any]) -> None:
        """Keeps what a receiver is told."""
        with self._lock:
            self._told += [(receiver, alert) for alert in body["alerts"]]

    def told(self, name: str, status: str, **labels: str) -> list[tuple[str, dict[str, Any]]]:
        """Receivers that were told of an alert, and what: ``firing`` or ``resolved``."""
        wanted = {"alertname": name, **labels}.items()
        with self._lock:
            return [
                (receiver, alert)
                for receiver, alert in self._told
                if alert["status"] == status and wanted <= alert["labels"].items()
            ]

    def forget(self) -> None:
        """Nothing was told."""
        with self._lock:
            self._told.clear()

    def close(self) -> None:
        """Hears nothing more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What runs.

    Attributes:
        prometheus: its URL.
        alertmanager: its URL.
        webhook: who is told.
        http: asks them.
    """

    prometheus: str
    alertmanager: str
    webhook: Webhook = field(repr=False)
    http: httpx.Client = field(repr=False)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers; a mistake in the expression fails the test."""
        response = self.http.get(f"{self.prometheus}/api/v1/query", params={"query": expression})
        answer = response.json()
        assert answer["status"] == "success", (expression, answer)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def firing(self) -> set[str]:
        """The alerts that fire, told of or not."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}

    def inhibited(self, name: str) -> bool:
        """Whether nobody is told of an alert, since another says it all."""
        alerts = self.http.get(f"{self.alertmanager}/api/v2/alerts").json()
        return any(one["labels"]["alertname"] == name and one["status"]["inhibitedBy"] for one in alerts)


@contextmanager
def monitoring(folder: Path, data_dir: Path, factor: float) -> Iterator[Monitoring]:
    """Prometheus and Alertmanager for a stack.

    Args:
        folder: where they keep what they keep.
        data_dir: the stack's.
        factor: by which time passes faster.
    """
    ports, webhook = Ports(), Webhook()
    prometheus, alertmanager = f"127.0.0.1:{ports.free()}", f"127.0.0.1:{ports.free()}"
    try:
        with (
            _running(
                folder / "alertmanager.out",
                program("prometheus-alertmanager", "alertmanager"),
                f"--config.file={_alertmanager(folder, webhook.url)}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={alertmanager}",
                "--cluster.listen-address=",
                ready=f"http://{alertmanager}/-/ready",
            ),
            _running(
                folder / "prometheus.out",
                program("prometheus"),
                f"--config.file={_prometheus(folder, data_dir, alertmanager, factor)}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={prometheus}",
                "--enable-feature=exemplar-storage",
                ready=f"http://{prometheus}/-/ready",
            ),
        ):
            with httpx.Client(timeout=20, trust_env=False) as http:
                yield Monitoring(f"http://{prometheus}", f"http://{alertmanager}", webhook, http)
    finally:
        webhook.close()


def _prometheus(folder: Path, data_dir: Path, alertmanager: str, factor: float) -> Path:
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": EVALUATE}
    [manager] = configuration["alerting"]["alertmanagers"]
    manager["static_configs"][0]["targets"] = [alertmanager]
    [discovery] = configuration["scrape_configs"][0]["file_sd_configs"]
    discovery |= {"files": [str(targets_file(data_dir))]}
    rules = folder / "rules"
    rules.mkdir()
    for path in (MONITORING / "rules").glob("*.yml"):
        (rules / path.name).write_text(yaml.safe_dump(faster(yaml.safe_load(path.read_text()), factor)))
    return _written(folder / "prometheus.yml", configuration)


def _alertmanager(folder: Path, url: str) -> Path:
    configuration = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    quick = {"group_wait": "200ms", "group_interval": "500ms"}
    for route in (configuration["route"], *configuration["route"]["routes"]):
        route.update(quick)
    for receiver in configuration["receivers"]:
        for hook in receiver["webhook_configs"]:
            hook["url"] = f"{url}/{receiver['name']}"
    return _written(folder / "alertmanager.yml", configuration)


def _written(path: Path, configuration: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(configuration))
    return path


@contextmanager
def _running(output: Path, *command: str, ready: str) -> Iterator[None]:
    with output.open("wb") as writing:
        process = subprocess.Popen(  # noqa: S603 - a program that was found, with our own arguments
            wrapped(command, None, REPOSITORY, signal.SIGTERM),
            stdin=subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + READY_SECONDS
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{Path(command[0]).name} did not start:\n{output.read_text(errors='replace')}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
