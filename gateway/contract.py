"""The contract as data: descriptors, message classes and the comments of the ``.proto`` files."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

# Field numbers in descriptor.proto; a comment is found by its path of these and of indexes.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM = 2, 3, 4
_ENUM_VALUE = 2
_SERVICE_METHOD = 2


class Contract:
    """A set of descriptors in a pool of their own.

    Args:
        files: with all imports, each after what it imports, as ``protoc --include_imports`` writes them; comments
            come with ``--include_source_info``.

    Raises:
        TypeError: the set is not complete or not consistent.
    """

    def __init__(self, files: FileDescriptorSet) -> None:
        self.pool: Any = DescriptorPool()
        self._files = [file.name for file in files.file]
        self._comments: dict[str, str] = {}
        for file in files.file:
            self._comments.update(_comments(file))
            self.pool.Add(file)

    def services(self) -> Iterator[ServiceDescriptor]:
        """All services, in the order of the set."""
        for name in self._files:
            yield from self.pool.FindFileByName(name).services_by_name.values()

    def methods(self) -> Iterator[MethodDescriptor]:
        """All methods, in the order of the set."""
        for service in self.services():
            yield from service.methods

    def messages(self) -> Iterator[Descriptor]:
        """All messages that are not nested in another."""
        for name in self._files:
            yield from self.pool.FindFileByName(name).message_types_by_name.values()

    def comment(self, full_name: str) -> str:
        """What the contract says about a thing; empty where it says nothing."""
        return self._comments.get(full_name, "")


def message_class(descriptor: Descriptor) -> Any:
    """The class of a message type."""
    return GetMessageClass(descriptor)


def load_contract(path: Path | None = None) -> Contract:
    """Reads a descriptor set from a file, by default the one that ``make protos`` wrote beside the generated code.

    Raises:
        OSError: the file cannot be read.
        google.protobuf.message.DecodeError: it is no FileDescriptorSet.
    """
    source = resources.files("gaji") / "descriptors.binpb" if path is None else path
    return Contract(FileDescriptorSet.FromString(source.read_bytes()))


def _comments(file: FileDescriptorProto) -> Iterator[tuple[str, str]]:
    texts = {
        tuple(location.path): " ".join(line.strip() for line in location.leading_comments.splitlines()).strip()
        for location in file.source_code_info.location
        if location.leading_comments
    }
    for path, name in _names(file):
        if path in texts:
            yield name, texts[path]


def _names(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    prefix = f"{file.package}." if file.package else ""
    for i, service in enumerate(file.service):
        name = prefix + service.name
        yield (_FILE_SERVICE, i), name
        for j, method in enumerate(service.method):
            yield (_FILE_SERVICE, i, _SERVICE_METHOD, j), f"{name}.{method.name}"
    for i, message in enumerate(file.message_type):
        yield from _names_in(message, prefix, (_FILE_MESSAGE, i))
    for i, enum in enumerate(file.enum_type):
        yield from _names_of_enum(enum, prefix, (_FILE_ENUM, i))


def _names_in(message: Any, prefix: str, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], str]]:
    name = prefix + message.name
    yield path, name
    for i, field in enumerate(message.field):
        yield (*path, _MESSAGE_FIELD, i), f"{name}.{field.name}"
    for i, nested in enumerate(message.nested_type):
        yield from _names_in(nested, f"{name}.", (*path, _MESSAGE_NESTED, i))
    for i, enum in enumerate(message.enum_type):
        yield from _names_of_enum(enum, f"{name}.", (*path, _MESSAGE_ENUM, i))


def _names_of_enum(enum: Any, prefix: str, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], str]]:
    # By the scoping rules of protobuf a value is a sibling of its enum; here it is named under it, for clarity.
    yield path, prefix + enum.name
    for i, value in enumerate(enum.value):
        yield (*path, _ENUM_VALUE, i), f"{prefix}{enum.name}.{value.name}"
