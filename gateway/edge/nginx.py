"""nginx's configuration, for those who prefer it (https://nginx.org/en/docs/; 1.25.1 or newer, for ``http2 on``)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gateway.edge.front import Front
from gateway.edge.plan import MARGIN_SECONDS, Plan, Rule
from gateway.edge.replies import HEADERS, JSON, REPLIES, RETRIED, RETRY_SECONDS, reply, too_large
from gateway.http import LINGER_SECONDS
from gateway.limits import DEFAULT

_IDLE_SECONDS = 20
_KEPT = 64
_REPLIES = "/.edge/"
_HEADER = """\
# Made by `python -m gateway.edge nginx`; not to be edited. What is in it and why: docs/edge.md.
"""
_CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
# The path without its query, in which readers' words and tickets may stand.
_LINE = {
    "time": "$time_iso8601",
    "method": "$request_method",
    "host": "$host",
    "path": "$asked",
    "protocol": "$server_protocol",
    "status": "$status",
    "seconds": "$request_time",
    "first_byte_seconds": "$upstream_header_time",
    "bytes_in": "$request_length",
    "bytes_out": "$bytes_sent",
    "client": "$remote_addr",
    "gateway": "$upstream_addr",
    "tls": "$ssl_protocol",
    "request_id": "$upstream_http_x_request_id",
    "traceparent": "$http_traceparent",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """One path, whatever the method: nginx decides by paths."""

    where: str
    stream: bool
    seconds: float
    body_bytes: int
    once: bool
    key: str
    limits: Sequence[str]


def nginx_config(plan: Plan, front: Front) -> str:
    """A whole nginx.conf.

    Args:
        plan: what follows from the contract.
        front: where the edge stands.
    """
    lines = [
        *([f"user {front.user};"] if front.user else []),
        "worker_processes auto;",
        f"worker_rlimit_nofile {4 * front.connections};",
        # A reader whose stream is cut at a reload comes back and goes on after its last event.
        f"worker_shutdown_timeout {_time(front.drain_seconds)};",
        "error_log stderr warn;",  # of processes; requests have their own below
        "pid nginx.pid;",
        *_block("events", [f"worker_connections {2 * front.connections + 64};"]),
        *_block("http", _http(plan, front)),
    ]
    return _HEADER + "\n".join(lines) + "\n"


def _http(plan: Plan, front: Front) -> Iterator[str]:
    yield "server_tokens off;"
    # What nginx says of a request quotes its line, with the query: even crit and alert do, where no address or no
    # connection is left for an upstream. How each request ended is in the access log.
    yield "error_log stderr emerg;"
    yield "log_format edge escape=json '{" + ",".join(f'"{name}":"{value}"' for name, value in _LINE.items()) + "}';"
    yield f"access_log {front.access_log} edge;"
    yield from (f"{name}_temp_path {name}_temp;" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    yield f"client_header_timeout {_time(plan.head_seconds)};"
    # The gateway has words for a body that does not come; nginx would reset the connection.
    yield f"client_body_timeout {_time(plan.body_seconds + MARGIN_SECONDS)};"
    yield f"lingering_timeout {_time(LINGER_SECONDS)};"
    yield f"send_timeout {_time(plan.idle_seconds)};"
    yield "keepalive_timeout 75s;"
    yield "client_header_buffer_size 4k;"
    # One line may be as long as an address that the gateway reads; all of them less than what it refuses.
    yield f"large_client_header_buffers 4 {plan.head_bytes // 1024 - 32}k;"
    yield "merge_slashes off;"
    for network in front.front_networks:
        yield f"set_real_ip_from {network};"
    if front.front_networks:
        yield "real_ip_header X-Forwarded-For;"
        yield "real_ip_recursive on;"
    yield from _block("map $request_uri $asked", ['"~^(?<raw>[^?]*)" $raw;', 'default "";'])
    # A household of IPv6 has a /64, which counts as one, as at the gateway.
    yield from _block(
        "map $binary_remote_addr $whose", [r'"~(?s)^(?<net>.{8}).{8}$" $net;', "default $binary_remote_addr;"]
    )
    # HTTP/3 has no Host, and $host has no port.
    yield from _block("map $http_host $called", ['"" $host;', "default $http_host;"])
    for key in sorted({rule.key for rule in plan.rules} - {""}):
        lines = [f'"~^GET (.*&)?{key}=" "";', f'"~^GET " "&{key}=$request_id";', 'default "";']
        yield from _block(f'map "$request_method $args" $made_{key}', lines)
    for name, rate in plan.rates.items():
        yield f"limit_req_zone $whose zone={name}:32m rate={_rate(rate.rate)};"
    yield "limit_req_status 429;"
    if plan.connections_per_address:
        yield "limit_conn_zone $whose zone=open:32m;"
        yield "limit_conn_status 429;"
    yield from _block("upstream gateways", _upstream(plan, front))
    yield from _proxying(front)
    if front.tls is not None and front.redirect_port:
        yield from _block("server", _redirecting(plan, front))
    if front.tls is not None and not front.any_host:
        yield from _block("server", _stranger(front))
    yield from _block("server", _server(plan, front))


def _upstream(plan: Plan, front: Front) -> Iterator[str]:
    yield "zone gateways 256k;"
    yield "least_conn;"  # streams are long: who has fewer open gets the next one
    for gateway in front.gateways:
        yield f"server {gateway} max_conns={plan.connections} max_fails=3 fail_timeout=5s;"
    yield f"keepalive {_KEPT};"
    yield f"keepalive_timeout {_IDLE_SECONDS}s;"


def _proxying(front: Front) -> Iterator[str]:
    yield "proxy_http_version 1.1;"
    if front.source:
        yield f"proxy_bind {front.source};"
    yield "proxy_connect_timeout 1s;"
    yield "proxy_send_timeout 65s;"
    # The gateway bears slow clients, refuses by the head alone, and says itself what is wrong with a body.
    yield "proxy_request_buffering off;"
    yield "proxy_buffer_size 16k;"
    yield "proxy_buffers 8 16k;"
    yield "proxy_max_temp_file_size 0;"
    yield "proxy_next_upstream error timeout;"
    yield "proxy_next_upstream_tries 3;"
    yield "proxy_socket_keepalive on;"
    yield "proxy_pass_header X-Accel-Buffering;"  # for whoever stands in front of it
    headers = {
        "Host": "$called",
        "Connection": '""',
        "X-Forwarded-For": "$proxy_add_x_forwarded_for",
        "X-Forwarded-Proto": "$scheme",
        "Forwarded": '""',
        "X-Real-IP": '""',
        "Proxy": '""',
        "TE": '""',
    }
    for name, value in headers.items():
        yield f"proxy_set_header {name} {value};"


def _redirecting(plan: Plan, front: Front) -> Iterator[str]:
    yield f"listen {_listen(front, front.redirect_port)} default_server;"
    yield "server_name _;"
    yield f"client_header_timeout {_time(plan.head_seconds)};"
    port = "" if front.port == 443 else f":{front.port}"
    yield f"return 308 https://$host{port}$request_uri;"


def _stranger(front: Front) -> Iterator[str]:
    """Who calls by another name has no certificate to see; one seen for a name of ours is of no use for others."""
    yield f"listen {_listen(front, front.port)} ssl default_server;"
    if front.http3:
        yield f"listen {_listen(front, front.port)} quic default_server reuseport;"
    yield "ssl_reject_handshake on;"
    yield from (line for line in _says(421, reply(421), front) if line != "internal;")


def _server(plan: Plan, front: Front) -> Iterator[str]:
    default = " default_server" if front.any_host or front.tls is None else ""
    yield f"listen {_listen(front, front.port)}{' ssl' if front.tls else ''}{default};"
    if front.tls is not None:
        if front.http3:
            reuse = " reuseport" if front.any_host else ""
            yield f"listen {_listen(front, front.port)} quic{default}{reuse};"
            yield "http3 on;"
        yield "http2 on;"
        yield f"ssl_certificate {front.tls.certificate};"
        yield f"ssl_certificate_key {front.tls.key};"
        yield "ssl_protocols TLSv1.2 TLSv1.3;"
        yield f"ssl_ciphers {_CIPHERS};"
        yield "ssl_prefer_server_ciphers off;"
        yield "ssl_session_cache shared:tls:10m;"
        yield "ssl_session_tickets off;"
    yield f"server_name {'_' if front.any_host else ' '.join(front.hosts)};"
    for name, value in _added(front).items():
        yield f"add_header {name} {_quoted(value)} always;"
    if plan.connections_per_address:
        yield f"limit_conn open {plan.connections_per_address};"
    if DEFAULT in plan.rates:
        yield _limit(plan, DEFAULT)
    yield f"client_max_body_size {plan.body_bytes};"
    yield f"proxy_read_timeout {_time(plan.seconds + MARGIN_SECONDS)};"
    yield from _errors(plan.body_bytes)
    for place in _places(plan):
        yield from _block(f"location {place.where}", _location(plan, place))
    # Whatever else there is: pages, files, and what there is not.
    yield from _block("location /", ["proxy_pass http://gateways;"])
    yield from _replies(plan, front)


def _location(plan: Plan, place: _Place) -> Iterator[str]:
    yield "proxy_pass http://gateways;"
    if place.stream:
        yield "proxy_buffering off;"
        yield f"proxy_read_timeout {_time(plan.idle_seconds)};"
    elif place.seconds != plan.seconds:
        yield f"proxy_read_timeout {_time(place.seconds + MARGIN_SECONDS)};"
    if place.body_bytes not in (0, plan.body_bytes):
        yield f"client_max_body_size {place.body_bytes};"
        yield from _errors(place.body_bytes)
    if place.key:
        # The gateways would each make another key: with one for all of them a GET may be sent to the next one.
        yield f"if ($made_{place.key}) {{ set $args $args$made_{place.key}; }}"
    if place.once:
        # nginx cannot tell a gateway that it did not reach from one that has begun.
        yield "proxy_next_upstream off;"
    limits = [name for name in place.limits if name in plan.rates]
    if limits:  # a location with limits of its own has no others
        yield from (_limit(plan, name) for name in (DEFAULT, *limits) if name in plan.rates)


def _places(plan: Plan) -> Iterator[_Place]:
    """The paths in the order of the rules."""

    def pattern(rule: Rule) -> str:
        return rule.pattern

    for _, group in groupby(plan.rules, key=pattern):
        rules = list(group)
        first = rules[0]
        yield _Place(
            where=f"= {first.template}" if first.literal else f'~ "^{first.pattern}$"',
            stream=any(rule.stream for rule in rules),
            seconds=max(rule.seconds for rule in rules),
            body_bytes=max(rule.body_bytes for rule in rules),
            # What has a body, even an empty one, it does not send twice by itself.
            once=any(not (rule.again or rule.key) and rule.method not in {"POST", "PATCH"} for rule in rules),
            key=next((rule.key for rule in rules if rule.key), ""),
            limits=sorted({rule.limit for rule in rules} - {""}),
        )


def _errors(limit: int) -> Iterator[str]:
    """Which words of its own nginx replaces; what a gateway says goes through as it is."""
    # No named locations: a request whose path does not parse has none, and would be answered with 500.
    yield f"error_page 413 {_REPLIES}too-large-{limit};"
    yield f"error_page 494 =431 {_REPLIES}431;"
    yield from (f"error_page {status} {_REPLIES}{status};" for status in REPLIES if status != 431)


def _replies(plan: Plan, front: Front) -> Iterator[str]:
    for limit in sorted({plan.body_bytes, *(rule.body_bytes for rule in plan.rules)} - {0}):
        yield from _block(f"location = {_REPLIES}too-large-{limit}", _says(413, too_large(limit), front))
    for status in REPLIES:
        yield from _block(f"location = {_REPLIES}{status}", _says(status, reply(status), front))


def _says(status: int, body: str, front: Front) -> Iterator[str]:
    headers = {**HEADERS, **_added(front)} | ({"retry-after": str(RETRY_SECONDS)} if status in RETRIED else {})
    yield "internal;"
    yield f"default_type {JSON};"
    for name, value in headers.items():
        yield f"add_header {name} {_quoted(value)} always;"
    yield f"return {status} {_quoted(body)};"


def _added(front: Front) -> dict[str, str]:
    if front.tls is None:
        return {}
    quic = {"alt-svc": f'h3=":{front.port}"; ma=86400'} if front.http3 else {}
    return {"strict-transport-security": "max-age=31536000", **quic}


def _limit(plan: Plan, name: str) -> str:
    return f"limit_req zone={name} burst={max(plan.rates[name].burst, 1)} nodelay;"


def _listen(front: Front, port: int) -> str:
    return f"[{front.address}]:{port}" if ":" in front.address else f"{front.address}:{port}"


def _rate(rate: float) -> str:
    """Whole requests a second, or a minute where that would be none."""
    return f"{round(rate)}r/s" if rate >= 10 else f"{max(1, round(rate * 60))}r/m"


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _block(name: str, lines: Iterable[str]) -> list[str]:
    return [f"{name} {{", *(f"    {line}" for line in lines), "}"]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
