"""The process that reads one file: a line of JSON and the file's bytes come in, a line of JSON goes out.

It holds no secret, opens no socket, writes no file, and ends by itself when it takes too much time or memory.
"""

import resource
import sys
from contextlib import suppress

import orjson

from services.library.intake.book import UnreadableError
from services.library.intake.reading import read_book

MEMORY_BYTES = 1024 * 1024 * 1024


def main() -> None:
    """Reads the file on standard input."""
    header, _, data = sys.stdin.buffer.read().partition(b"\n")
    asked = orjson.loads(header)
    with suppress(ValueError, OSError):  # macOS does not know it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (asked["seconds"], asked["seconds"] + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    try:
        answer: object = read_book(data, asked["file_name"])
    except UnreadableError as error:
        answer = {"problem": str(error)}
    except MemoryError:
        answer = {"problem": "takes too much memory to read; give the plain text"}
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    main()
