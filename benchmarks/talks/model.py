"""The model of both stacks: a server that speaks OpenAI's protocol and says numbered words at a steady pace.

The first word says when the question came and when the word was sent (`time.monotonic`, which all processes of a
machine share): whoever reads it knows how long both ways took. A question with ``Briefly`` in it gets two words.

Usage: python -m benchmarks.talks.model WORDS RATE; prints its port.
"""

import asyncio
import sys
import time

import orjson
import uvloop

MODEL = "numbered-words"
BRIEFLY = "Briefly"
_BRIEF_WORDS = 2
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(delta: dict[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _data({"choices": [choice]})


def _data(rest: dict[str, object]) -> bytes:
    # As long as what vLLM and others send for a token.
    common = {"id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1700000000}
    return _chunk(b"data: " + orjson.dumps({**common, "model": MODEL, **rest}) + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _end(words: int) -> bytes:
    usage = {"prompt_tokens": 1000, "completion_tokens": words, "total_tokens": 1000 + words}
    told = _data({"choices": [], "usage": usage})
    return _event({}, "stop") + told + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


class Answers(asyncio.Protocol):
    """One connection: a question, its answer, and so on.

    Args:
        words: of an answer.
        rate: words a second.
    """

    def __init__(self, words: list[bytes], rate: float) -> None:
        self._all = words
        self._words = words
        self._rate = rate
        self._read = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._came = self._began = 0.0
        self._said = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = transport  # type: ignore[assignment]  # TCP gives no other

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody listens any more."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Some of a question."""
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0) if found else 0
        if not found or len(body) < length:
            return
        self._read = b""
        self._came = time.monotonic()
        self._words = self._all[:_BRIEF_WORDS] if BRIEFLY.encode() in body else self._all
        self._began, self._said = asyncio.get_running_loop().time(), 0
        self._transport.write(_HEAD)
        self._wait()

    def _wait(self) -> None:
        # By the clock, not word by word: the pace does not drift when the machine is busy.
        at = self._began + (self._said + 1) / self._rate
        self._timer = asyncio.get_running_loop().call_at(at, self._say)

    def _say(self) -> None:
        if self._said:
            self._transport.write(self._words[self._said])
        else:
            self._transport.write(_event({"content": f"at {self._came:.6f} {time.monotonic():.6f}"}))
        self._said += 1
        if self._said < len(self._words):
            self._wait()
        else:
            self._transport.write(_end(self._said))


async def serve(words: int, rate: float) -> None:
    """Serves until the process is ended."""
    said = [_event({"content": f" word{number}"}) for number in range(1, words + 1)]
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answers(said, rate), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2])))
