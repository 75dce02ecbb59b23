"""Channels that go on with new certificates when their files change: no restart, no lost call.

A change makes a new channel, and new calls go there. The one before is closed when the last call on it has ended:
that may be long after, where a relay's stream runs on it.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from mesh.config import MeshSettings
from mesh.tls import Material, TlsFiles, server_name_of

POLL_SECONDS = 2.0

Options = Sequence[tuple[str, Any]]


async def dial(
    target: str, settings: MeshSettings, options: Options, services: Sequence[ServiceDescriptor]
) -> grpc.aio.Channel:
    """A channel as the settings say: in the open, or with TLS to nobody but the room whose services are given.

    Raises:
        OSError: a TLS file can't be read.
        ValueError: the TLS files are unusable, or the services leave open which room it is.
    """
    files = TlsFiles.of(settings)
    if files is None:
        return grpc.aio.insecure_channel(target, options=options)
    named = _named(options, services)

    def make(material: Material) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(target, material.channel_credentials(), options=named)

    return RenewingChannel(make, files, await asyncio.to_thread(files.load))


def blocking_dial(
    target: str, settings: MeshSettings, options: Options, services: Sequence[ServiceDescriptor]
) -> grpc.Channel:
    """The same for one thread that makes one call at a time; the files are looked at before each call.

    Raises:
        OSError: a TLS file can't be read.
        ValueError: the TLS files are unusable, or the services leave open which room it is.
    """
    files = TlsFiles.of(settings)
    if files is None:
        return grpc.insecure_channel(target, options=options)
    named = _named(options, services)

    def make(material: Material) -> grpc.Channel:
        return grpc.secure_channel(target, material.channel_credentials(), options=named)

    return BlockingRenewingChannel(make, files, files.load())


def _named(options: Options, services: Sequence[ServiceDescriptor]) -> Options:
    return [*options, ("grpc.ssl_target_name_override", server_name_of(services))]


class _Generation:
    """A channel of one set of files, the calls that run on it, and whether it has been replaced."""

    __slots__ = ("_calls", "_closing", "_retired", "channel")

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._calls = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self._closing is not None and self._closing.done()

    def begun(self, call: Any) -> None:
        self._calls += 1
        call.add_done_callback(self._ended)

    def _ended(self, _call: Any) -> None:
        self._calls -= 1
        self._close_if_idle()

    def retire(self) -> None:
        self._retired = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._retired and not self._calls and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.channel.close())

    async def close(self, grace: float | None) -> None:
        self._retired = False
        if self._closing is not None:
            await self._closing
        await self.channel.close(grace)


class RenewingChannel(grpc.aio.Channel):
    """A channel whose certificates are those in the files, within `POLL_SECONDS`. Made in a running loop; to be closed.

    Args:
        make: makes a channel.
        files: looked at in a thread.
        material: what they hold now.
        poll_seconds: how often they are looked at.
    """

    def __init__(
        self,
        make: Callable[[Material], grpc.aio.Channel],
        files: TlsFiles,
        material: Material,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._make = make
        self._files = files
        self._poll_seconds = poll_seconds
        self._retired: list[_Generation] = []
        self.current = _Generation(make(material))
        # Nobody's task: not with the token of whoever happens to open the channel.
        self._looking = asyncio.create_task(self._look(), name="tls files", context=contextvars.Context())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            material = await asyncio.to_thread(self._files.changed)
            if material is not None:
                self.renew(material)

    def renew(self, material: Material) -> None:
        """Goes on with other certificates."""
        before, self.current = self.current, _Generation(self._make(material))
        self.current.channel.get_state(try_to_connect=True)  # so that the first call finds it connected, or nearly
        self._retired = [generation for generation in self._retired if not generation.closed]
        self._retired.append(before)
        before.retire()

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A unary call."""
        return _Latest(self, lambda channel: channel.unary_unary(method, *args, **kwargs))

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A server-streaming call."""
        return _Latest(self, lambda channel: channel.unary_stream(method, *args, **kwargs))

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A client-streaming call."""
        return _Latest(self, lambda channel: channel.stream_unary(method, *args, **kwargs))

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A bidirectional call."""
        return _Latest(self, lambda channel: channel.stream_stream(method, *args, **kwargs))

    async def close(self, grace: float | None = None) -> None:
        """Ends the running calls after a grace in seconds."""
        self._looking.cancel()
        await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(generation.close(grace) for generation in (*self._retired, self.current)))

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """How the newest connection stands."""
        return self.current.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another, of the channel that is the newest now."""
        await self.current.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when a peer is connected and serving."""
        await self.current.channel.channel_ready()

    async def __aenter__(self) -> "RenewingChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class _Latest:
    """A method of whatever channel is the newest when it is called."""

    __slots__ = ("_bind", "_bound", "_generation", "_owner")

    def __init__(self, owner: RenewingChannel, bind: Callable[[grpc.aio.Channel], Any]) -> None:
        self._owner = owner
        self._bind = bind
        self._generation = owner.current
        self._bound = bind(self._generation.channel)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        generation = self._owner.current
        if generation is not self._generation:
            self._generation, self._bound = generation, self._bind(generation.channel)
        call = self._bound(*args, **kwargs)
        generation.begun(call)
        return call


class _BlockingLatest:
    """A method of whatever channel is the newest when it is called, in each way in which interceptors call it."""

    __slots__ = ("_bind",)

    def __init__(self, bind: Callable[[], Any]) -> None:
        self._bind = bind

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._bind()(*args, **kwargs)

    def with_call(self, *args: Any, **kwargs: Any) -> Any:
        return self._bind().with_call(*args, **kwargs)

    def future(self, *args: Any, **kwargs: Any) -> Any:
        return self._bind().future(*args, **kwargs)


class BlockingRenewingChannel(grpc.Channel):
    """The same for a thread that makes one call at a time: what a change replaces has no call left and is closed.

    Args:
        make: makes a channel.
        files: looked at before each call.
        material: what they hold now.
    """

    def __init__(self, make: Callable[[Material], grpc.Channel], files: TlsFiles, material: Material) -> None:
        self._make = make
        self._files = files
        self._channel = make(material)
        self._lock = threading.Lock()

    def newest(self) -> grpc.Channel:
        """The channel of what the files hold now."""
        with self._lock:
            material = self._files.changed()
            if material is not None:
                self._channel.close()
                self._channel = self._make(material)
            return self._channel

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A unary call."""
        return self._latest("unary_unary", method, args, kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A server-streaming call."""
        return self._latest("unary_stream", method, args, kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A client-streaming call."""
        return self._latest("stream_unary", method, args, kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """A bidirectional call."""
        return self._latest("stream_stream", method, args, kwargs)

    def _latest(self, shape: str, method: str, args: Any, kwargs: Any) -> "_BlockingLatest":
        return _BlockingLatest(lambda: getattr(self.newest(), shape)(method, *args, **kwargs))

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        """Tells how the newest connection stands."""
        self._channel.subscribe(callback, bool(try_to_connect))

    def unsubscribe(self, callback: Any) -> None:
        """Tells no more."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Ends it."""
        self._channel.close()

    def __enter__(self) -> "BlockingRenewingChannel":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
