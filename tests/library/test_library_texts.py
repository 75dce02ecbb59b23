"""Texts at the library's door and on their way out: what is stored is what is shown, and it is only text."""

import re
from typing import Any
from uuid import uuid4

import pytest
from gaji.library.v1 import conversation_service_pb2 as pb
from gaji.library.v1 import novel_service_pb2 as novels_pb
from gaji.library.v1 import scenario_service_pb2 as scenarios_pb
from gaji.library.v1 import user_service_pb2 as users_pb
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mesh.errors import InvalidArgument
from services.library.domain.exports import paragraphs
from tests.library.conftest import FakeSearch, LibraryClient
from tests.library.talk import make_talk

DIRTY = "A\u202ename \x1b]0;x\x07of\u200b\r\n  two\x85lines\x9b1m\ufeff"
LINE = "Aname ]0;xof two lines1m"
LINES = "Aname ]0;xof\n  two\nlines1m"


async def test_controls_are_taken_out_of_what_readers_write(library: LibraryClient, search: FakeSearch) -> None:
    ada = await library.guest()
    profile = await ada.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name=DIRTY))
    assert profile.user.display_name == LINE
    novel_id = await library.novel(ada, title=DIRTY, author=DIRTY)
    novel = (await ada.call(library.novels.GetNovel, novels_pb.GetNovelRequest(novel_id=novel_id))).novel
    assert (novel.title, novel.author) == (LINE, LINE)
    update = novels_pb.UpdateNovelRequest(novel_id=novel_id, title=f"New {DIRTY}", author="\u200b")
    novel = (await ada.call(library.novels.UpdateNovel, update)).novel
    assert (novel.title, novel.author) == (f"New {LINE}", "")
    scenario = await library.scenario(ada, novel_id, title=DIRTY, description=DIRTY)
    assert (scenario.title, scenario.description) == (LINE, LINES)
    change = scenarios_pb.UpdateScenarioRequest(scenario_id=scenario.scenario_id, title="\tB ", description=DIRTY)
    changed = (await ada.call(library.scenarios.UpdateScenario, change)).scenario
    assert (changed.title, changed.description) == ("B", LINES)


async def test_a_message_is_stored_as_it_is_shown_and_its_request_is_known_again(
    library: LibraryClient, search: FakeSearch
) -> None:
    talk = await make_talk(library, search)
    begun = await talk.say(DIRTY, "said")
    assert begun.context.history[-1].content == LINES
    assert (await talk.messages())[-2].content == LINES
    again = await talk.say(DIRTY, "said")
    assert again.reply.message_id == begun.reply.message_id
    edited = await talk.edit(begun.reply.parent_id, f"{DIRTY}!", "edited")
    assert edited.context.history[-1].content == f"{LINES}!"


async def test_a_characters_name_is_a_line_whatever_the_novel_holds(library: LibraryClient, search: FakeSearch) -> None:
    talk = await make_talk(library, search)
    character_id = search.add_character((await talk.conversation()).novel_id, "Bo\nb\x1b[2J" + "x" * 500)
    begun = await talk.open(character_id=character_id)
    name = begun.context.character_name
    assert name == ("Bo b[2J" + "x" * 500)[:200]


@pytest.mark.parametrize(
    "blank", ["\u200b\ufeff", "\x1b", "\u2028", "\ud7ff\0"], ids=["hidden", "control", "end", "nul"]
)
async def test_what_holds_no_text_is_refused_by_its_name(
    library: LibraryClient, search: FakeSearch, blank: str
) -> None:
    talk = await make_talk(library, search)
    novel_id = (await talk.conversation()).novel_id

    async def refused(call: Any) -> list[str]:
        with pytest.raises(InvalidArgument) as caught:
            await call
        return list(caught.value.fields)

    ada = talk.reader
    profile = users_pb.UpdateProfileRequest(display_name=blank)
    assert await refused(ada.call(library.users.UpdateProfile, profile)) == ["display_name"]
    assert await refused(library.novel(ada, title=blank)) == ["title"]
    assert await refused(library.scenario(ada, novel_id, title=blank)) == ["title"]
    assert await refused(library.scenario(ada, novel_id, description=blank)) == ["description"]
    assert await refused(talk.say(blank)) == ["content"]


async def test_an_export_holds_no_link_and_no_html_whoever_wrote_them(
    library: LibraryClient, search: FakeSearch
) -> None:
    evil = (
        "[x](javascript:alert(1)) ![y](http://t.test/z) <script>alert(1)</script> <http://a.test>\n\n[r]: data:x\n\n[r]"
    )
    ada = await library.guest()
    novel_id = await library.novel(ada, title=evil, author=evil)
    scenario = await library.scenario(ada, novel_id, title="[t](javascript:1) <img src=x>")
    character_id = search.add_character(novel_id, "[c](javascript:1)<b>")
    request = pb.CreateConversationRequest(scenario_id=scenario.scenario_id, character_id=character_id)
    talk = (await ada.call(library.conversations.CreateConversation, request)).conversation_id
    begun = await ada.call(
        library.conversations.BeginReply,
        pb.BeginReplyRequest(request_id="", reply=pb.ReplyTarget(conversation_id=talk, content=evil)),
    )
    complete = pb.CompleteReplyRequest(message_id=begun.reply.message_id, lease_id=begun.lease_id, content=evil)
    await library.nobody.call(library.conversations.CompleteReply, complete)
    export = pb.ExportConversationRequest(conversation_id=talk, format="markdown")
    file = (await ada.call(library.conversations.ExportConversation, export)).file
    html = MarkdownIt("commonmark").render(file.data.decode())
    assert not re.search(r"<(a|img|script|b)\b", html)
    assert html.count("<h1>") == 1


markup = st.lists(
    st.sampled_from(
        [
            *"[]()!<>\\`*_&#:|~=-+.\n\t ab",
            "](javascript:x)",
            "&lt;",
            "&#91;",
            "<b>",
            "```",
            "[r]: x",
            "\\[",
            "    ",
            "1.",
        ]
    ),
    max_size=30,
).map("".join)


@given(markup)
def test_a_message_makes_paragraphs_and_nothing_that_leads_away(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"# Title\n\n{paragraphs(text)}\n")
    tags = set(re.findall(r"</?([a-z0-9]+)", html))
    assert tags <= {"h1", "p", "em", "strong", "code", "br", "pre"}, html
    assert html.count("<h1>") == 1


def test_a_message_is_shown_as_it_was_written() -> None:
    said = f"He said [sic] & left; a < b, \\o/ &amp; {uuid4().hex}"
    html = MarkdownIt("commonmark").render(paragraphs(said))
    shown = html.replace("&lt;", "<").replace("&amp;", "&")
    assert shown == f"<p>{said}</p>\n"
