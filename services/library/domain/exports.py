"""Conversations as files."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from mesh import plain_text
from services.library.models import Conversation, Message, MessageStatus, Novel, Role

# What begins a block in CommonMark (https://spec.commonmark.org/0.31.2/): headings and their underlines, quotes,
# fences, list items, thematic breaks and link definitions. An item or a quote could hold a heading in turn.
_BLOCK = re.compile(r"^([ \t]*)(?=#|>|=+[ \t]*$|```|~~~|[-+*](?:[ \t]|$)|[-*_](?:[-*_ \t]*)$)", re.MULTILINE)
_NUMBER = re.compile(r"^([ \t]*\d{1,9})(?=[.)](?:[ \t]|$))", re.MULTILINE)
_INLINE = re.compile(r"([\\`*_\[\]#])")
# What makes links and pictures, whose targets may be anything (javascript:, somebody's counter); a backslash before one
# would undo the one that is put there.
_LINKS = re.compile(r"\\(?=[\\\[\]!<&])|[\[\]]")
# A reference to a character is shown as what it is written as.
_REFERENCE = re.compile(r"&(?=#?[A-Za-z0-9]+;)")


@dataclass(frozen=True, slots=True)
class File:
    """A file.

    Attributes:
        content_type: a media type.
    """

    content_type: str
    data: bytes


def as_json(conversation: Conversation, novel: Novel, messages: Sequence[Message]) -> File:
    """The conversation for programs."""
    content = {
        "conversation_id": str(conversation.conversation_id),
        "title": conversation.title,
        "novel": {"novel_id": str(novel.novel_id), "title": novel.title, "author": novel.author},
        "character": {"character_id": str(conversation.character_id), "name": conversation.character_name},
        "created_at": conversation.created_at.isoformat(),
        "messages": [
            {
                "message_id": str(message.message_id),
                "role": message.role,
                "status": message.status,
                "content": message.content,
                "created_at": message.created_at.isoformat(),
            }
            for message in messages
        ],
    }
    return File("application/json", orjson.dumps(content, option=orjson.OPT_INDENT_2))


def as_markdown(conversation: Conversation, novel: Novel, messages: Sequence[Message]) -> File:
    """The conversation for people. Its headings are ours alone: the text of messages cannot make any."""
    by = f" by {_inline(novel.author)}" if novel.author else ""
    facts = (
        f"- Novel: {_inline(novel.title)}{by}",
        f"- Character: {_inline(conversation.character_name)}",
        f"- Date: {conversation.created_at:%Y-%m-%d}",
    )
    parts = [f"# {_inline(conversation.title)}", "\n".join(facts)]
    for message in messages:
        speaker = "Reader" if message.role is Role.READER else _inline(conversation.character_name)
        mark = "" if message.status is MessageStatus.COMPLETE else f" ({message.status})"
        parts += [f"## {speaker}{mark}", paragraphs(message.content)]
    return File("text/markdown; charset=utf-8", ("\n\n".join(part for part in parts if part) + "\n").encode())


FORMATS: Mapping[str, Callable[[Conversation, Novel, Sequence[Message]], File]] = {
    "json": as_json,
    "markdown": as_markdown,
}


def paragraphs(text: str) -> str:
    """Text whose paragraphs and emphasis count; nothing that begins another kind of block, no link, no HTML."""
    lines = _REFERENCE.sub("&amp;", _LINKS.sub(r"\\\g<0>", plain_text.text(text)))
    return _NUMBER.sub(r"\1\\", _BLOCK.sub(r"\1\\", lines.replace("<", "&lt;").strip("\n")))


def _inline(text: str) -> str:
    """Text on one line, as it is."""
    return _INLINE.sub(r"\\\1", _REFERENCE.sub("&amp;", plain_text.line(text)).replace("<", "&lt;"))
