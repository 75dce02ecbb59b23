"""A gateway that breaks off, as the real one does when it or its way to the reader dies."""

import json
import socketserver
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STREAM = "0123456789abcdef0123456789abcdef"


def frame(name: str, sequence: int = 0, **data: Any) -> bytes:
    """An event; without a sequence it has no id."""
    mark = f"id: {STREAM}.1.{sequence}\n" if sequence else ""
    return f"event: {name}\n{mark}data: {json.dumps(data)}\n\n".encode()


@dataclass(slots=True)
class Answer:
    """What a request gets.

    Attributes:
        frames: blocks of an event stream, or the body.
        status: of HTTP; 0: the connection is cut before any.
        whole: whether the body comes to its end; else the connection is cut.
        then: waited for before the end.
    """

    frames: Sequence[bytes] = ()
    status: int = 200
    whole: bool = True
    then: threading.Event | None = None


@dataclass(slots=True)
class BrokenGateway:
    """A gateway's answers by method and path, used up in order; the last one stays.

    Attributes:
        url: where it listens.
        answers: what is answered.
        asked: method, path, Last-Event-ID and body of each request.
    """

    url: str
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    def say(self, request: str, **answer: Any) -> None:
        """Answers a request, e.g. ``GET /ready``, with JSON."""
        self.answers[request] = [Answer([json.dumps(answer).encode()])]

    def times(self, request: str) -> int:
        """How often a request came."""
        return sum(f"{method} {path}" == request for method, path, *_ in self.asked)


@contextmanager
def broken_gateway() -> Iterator[BrokenGateway]:
    """Serves until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            path = self.path.partition("?")[0]
            gateway.asked.append((self.command, path, self.headers.get("last-event-id", ""), body))
            answers = gateway.answers.get(f"{self.command} {path}", [Answer(status=404)])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            self.close_connection = True
            if not answer.status:
                return
            stream = path.endswith("-stream")
            self.send_response(answer.status)
            self.send_header("content-type", "text/event-stream" if stream else "application/json")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for block in answer.frames:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))
                self.wfile.flush()
            if answer.then is not None:
                answer.then.wait(30)
            if answer.whole:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A reader that left is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        assert isinstance(server, socketserver.ThreadingMixIn)
        gateway = BrokenGateway(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            server.shutdown()
            thread.join()
