"""How tracing is set up: by the names that OpenTelemetry gives to its settings.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and .../protocol/exporter/
"""

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Protocol = Literal["http/protobuf", "grpc"]


class TraceSettings(BaseSettings):
    """Read from ``OTEL_*`` variables. Nothing is recorded unless an endpoint is set."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", frozen=True, extra="ignore", env_ignore_empty=True)

    sdk_disabled: bool = Field(False, description="true: nothing is recorded, whatever else is set")
    traces_exporter: Literal["otlp", "none"] = Field("otlp", description="none: nothing is recorded")
    exporter_otlp_endpoint: str = Field(
        "", description="where an OTLP receiver is, e.g. http://collector:4318 (grpc: http://collector:4317)"
    )
    exporter_otlp_traces_endpoint: str = Field("", description="the same for traces alone; used as it is")
    exporter_otlp_headers: SecretStr = Field(SecretStr(""), description="key=value pairs sent along, comma-separated")
    exporter_otlp_traces_headers: SecretStr = Field(SecretStr(""), description="the same for traces alone")
    exporter_otlp_protocol: Protocol = Field("http/protobuf", description="http/protobuf or grpc")
    exporter_otlp_traces_protocol: Protocol | None = Field(None, description="the same for traces alone")
    exporter_otlp_timeout: int = Field(10_000, gt=0, description="milliseconds that one export may take")
    exporter_otlp_compression: Literal["none", "gzip"] = Field("none", description="gzip costs CPU, none bandwidth")
    exporter_otlp_certificate: Path | None = Field(None, description="PEM of the authorities of an https endpoint")
    traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field("parentbased_traceidratio", description="which traces are recorded")
    traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="the ratio of *traceidratio: 0.01 is 1 %")
    service_name: str = Field("", description="service.name; empty: gaji- and the process's name")
    resource_attributes: str = Field("", description="more about the process: key=value pairs, comma-separated")
    bsp_max_queue_size: int = Field(8192, ge=1, le=1_000_000, description="spans that wait at most; more are dropped")
    bsp_max_export_batch_size: int = Field(512, ge=1, le=10_000, description="spans of one export at most")
    bsp_schedule_delay: int = Field(1000, gt=0, description="milliseconds between two exports of few spans")
    bsp_export_timeout: int = Field(30_000, gt=0, description="milliseconds after which a batch is given up")

    @field_validator("exporter_otlp_endpoint", "exporter_otlp_traces_endpoint")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
                raise ValueError(f"{value[:100]!r} is no URL; give http://HOST:PORT or https://HOST:PORT")
        return value

    @field_validator("exporter_otlp_headers", "exporter_otlp_traces_headers")
    @classmethod
    def _are_headers(cls, value: SecretStr) -> SecretStr:
        pairs(value.get_secret_value())
        return value

    @field_validator("resource_attributes")
    @classmethod
    def _are_pairs(cls, value: str) -> str:
        pairs(value)
        return value

    @classmethod
    def read(cls) -> "TraceSettings":
        """From the environment.

        Raises:
            ValueError: a variable does not parse; the message names it.
        """
        try:
            return cls()
        except ValidationError as error:
            told = (f"OTEL_{'.'.join(map(str, each['loc'])).upper()}: {each['msg']}" for each in error.errors())
            raise ValueError(f"bad settings: {'; '.join(told)}") from None

    @property
    def on(self) -> bool:
        """Whether anything is recorded."""
        return bool(self.endpoint) and not self.sdk_disabled and self.traces_exporter == "otlp"

    @property
    def protocol(self) -> Protocol:
        """How traces are sent."""
        return self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol

    @property
    def endpoint(self) -> str:
        """Where traces are sent; empty: nowhere."""
        if self.exporter_otlp_traces_endpoint or not self.exporter_otlp_endpoint:
            return self.exporter_otlp_traces_endpoint
        base = self.exporter_otlp_endpoint
        return base if self.protocol == "grpc" else f"{base.rstrip('/')}/v1/traces"

    @property
    def headers(self) -> dict[str, str]:
        """What is sent along."""
        chosen = self.exporter_otlp_traces_headers.get_secret_value() or self.exporter_otlp_headers.get_secret_value()
        return {key.lower(): value for key, value in pairs(chosen).items()}

    @property
    def ratio(self) -> float:
        """Of the traces that begin here, how many are recorded."""
        if self.traces_sampler.endswith("ratio"):
            return self.traces_sampler_arg
        return 1.0 if self.traces_sampler.endswith("on") else 0.0

    @property
    def obeys(self) -> bool:
        """Whether a caller's decision counts."""
        return self.traces_sampler.startswith("parentbased")


def pairs(text: str) -> dict[str, str]:
    """``key=value`` pairs, separated by commas, with values percent-encoded as in W3C Baggage.

    Raises:
        ValueError: a part is no pair. The message does not repeat it: it may be a secret.
    """
    found = {}
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"part {number} is no key=value pair")
        found[key.strip()] = unquote(value.strip())
    return found
