"""How often a reply that is being written says something: the more are written at once, the more words at a time.

What an event costs, in the log, in the relay, in a system call and in a browser, has little to do with its length. So
where many replies are written at once, words of a reply that come shortly after each other are told as one event, as
vLLM's ``--stream-interval`` does by count. The first word never waits.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context

FEW = 20
"""As many replies at once, those counted that wait for their first word, are told word by word."""
_REPLY_SECONDS = 0.0005
"""Between two events of a reply, for each reply that is being written here."""
MOST_SECONDS = 0.05
"""Three frames of a screen."""


class Voices:
    """The replies that are being written in this process."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._speaking = 0
        self._held: dict[Voice, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def voice(self, tell: Callable[[str], None]) -> Iterator["Voice"]:
        """That of one more reply; on leaving, all that it has said is told.

        Args:
            tell: makes an event of some words; may not fail.
        """
        voice = Voice(self, tell)
        self._speaking += 1
        try:
            yield voice
        finally:
            self._speaking -= 1
            voice.flush()

    @property
    def pause(self) -> float:
        """Seconds between two events of a reply."""
        return 0.0 if self._speaking <= FEW else min(MOST_SECONDS, self._speaking * _REPLY_SECONDS)

    def now(self) -> float:
        """The loop's clock."""
        return self._loop.time()

    def hold(self, voice: "Voice") -> None:
        """A voice has words that wait for its next ones."""
        self._held[voice] = None
        if self._timer is None:
            self._look_later()

    def told(self, voice: "Voice") -> None:
        """It has none any more."""
        self._held.pop(voice, None)

    def _look(self) -> None:
        """Has those speak whose next word has not come in time: a model that pauses keeps nothing back."""
        self._timer = None
        now = self.now()
        try:
            for voice in list(self._held):
                if now >= voice.due:
                    voice.due = now + self.pause
                    voice.flush()
        finally:
            if self._held:
                self._look_later()

    def _look_later(self) -> None:
        self._timer = self._loop.call_later(MOST_SECONDS, self._look, context=Context())  # it is no reply's own


class Voice:
    """A reply's words on their way into its log.

    Attributes:
        due: when it may speak again, by the loop's clock.
    """

    __slots__ = ("_pieces", "_tell", "_voices", "due")

    def __init__(self, voices: Voices, tell: Callable[[str], None]) -> None:
        self._voices = voices
        self._tell = tell
        self._pieces: list[str] = []
        self.due = 0.0

    def say(self, piece: str) -> None:
        """Tells some words, with those that wait; or has them wait, for a tenth of a second at most."""
        now = self._voices.now()
        if now < self.due:
            if not self._pieces:
                self._voices.hold(self)
            self._pieces.append(piece)
            return
        self.due = now + self._voices.pause
        if self._pieces:
            self._pieces.append(piece)
            self.flush()
        else:
            self._tell(piece)

    def flush(self) -> None:
        """Tells the words that wait."""
        if self._pieces:
            self._voices.told(self)
            text = "".join(self._pieces)
            self._pieces.clear()
            self._tell(text)
