"""Bad input through HTTP and gRPC: each a clear error that names the field, none INTERNAL."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import jwt
import pytest
from gaji.generation.v1 import generation_service_pb2, generation_service_pb2_grpc
from gaji.library.v1 import (
    conversation_service_pb2,
    conversation_service_pb2_grpc,
    novel_service_pb2,
    novel_service_pb2_grpc,
)
from gaji.search.v1 import search_service_pb2, search_service_pb2_grpc

from mesh.errors import MeshError, from_rpc_error
from tests.e2e.conftest import Talk
from tests.e2e.reader import Reader
from tests.fixtures.stack import RunningStack

UNKNOWN = "00000000-0000-4000-8000-00000000dead"
MIB = 1024 * 1024


async def refusal(call: Any) -> MeshError:
    """The error of a gRPC call, unary or streaming."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    error = from_rpc_error(caught.value)
    assert error.code is not grpc.StatusCode.INTERNAL
    return error


@pytest.fixture
async def channels(stack: Any) -> Any:
    """Plain gRPC channels to the services, as another back end has them."""
    options = [("grpc.max_send_message_length", 32 * MIB)]
    opened = {
        room: grpc.aio.insecure_channel(stack["services"][room][0]["grpc"], options=options)
        for room in ("library", "search", "generation")
    }
    yield opened
    for channel in opened.values():
        await channel.close()


def bearer_of(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


SEARCHES: list[tuple[str, dict[str, Any]]] = [
    ("query", {"query": ""}),
    ("query", {"query": " \n "}),
    ("query", {"query": "x" * 100_000}),
    ("top_k", {"top_k": 0}),
    ("top_k", {"top_k": 51}),
    ("top_k", {"top_k": -1}),
    ("until_chapter", {"until_chapter": -1}),
    ("novel_id", {"novel_id": "not-a-uuid"}),
    ("novel_id", {"novel_id": ""}),
]


@pytest.mark.parametrize(("field", "change"), SEARCHES)
async def test_bad_searches(talk: Talk, channels: Any, field: str, change: dict[str, Any]) -> None:
    body = {"novel_id": talk.novel_id, "query": "the bell", **change}
    answer = await talk.reader.call("POST", "/api/search/passages", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "INVALID_ARGUMENT")
    assert field in error["fields"]
    assert field in error["message"]

    stub: Any = search_service_pb2_grpc.SearchServiceStub(channels["search"])
    refused = await refusal(stub.SearchPassages(search_service_pb2.SearchPassagesRequest(**body), timeout=10))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in refused.fields


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        ("GET", "/api/novels/{id}", "novel_id"),
        ("GET", "/api/novels/{id}/characters", "novel_id"),
        ("GET", "/api/novels/{id}/ingestion-stream", "novel_id"),
        ("GET", "/api/novels/{id}/scenarios", "novel_id"),
        ("DELETE", "/api/novels/{id}", "novel_id"),
        ("GET", "/api/characters/{id}", "character_id"),
        ("GET", "/api/scenarios/{id}", "scenario_id"),
        ("DELETE", "/api/scenarios/{id}", "scenario_id"),
        ("GET", "/api/conversations/{id}", "conversation_id"),
        ("GET", "/api/conversations/{id}/messages", "conversation_id"),
        ("DELETE", "/api/conversations/{id}", "conversation_id"),
        ("GET", "/api/conversations/{id}/messages-stream?content=hi", "conversation_id"),
        ("GET", "/api/conversations/create-stream?scenario_id={id}&character_id={id}", "scenario_id"),
    ],
)
async def test_unknown_and_malformed_ids(reader: Reader, method: str, path: str, field: str) -> None:
    for identity, status in ((UNKNOWN, 404), ("nonsense", 400), ("%F0%9F%98%80", 400)):
        answer = await reader.call(method, path.format(id=identity))
        assert answer.status_code == status, answer.text
        assert field in answer.json()["error"]["fields"]


async def test_unknown_and_malformed_ids_through_grpc(talk: Talk, channels: Any) -> None:
    search: Any = search_service_pb2_grpc.SearchServiceStub(channels["search"])
    library: Any = conversation_service_pb2_grpc.ConversationServiceStub(channels["library"])
    generation: Any = generation_service_pb2_grpc.GenerationServiceStub(channels["generation"])
    metadata = bearer_of(talk.reader.token)
    calls: list[tuple[str, Callable[[str], Any]]] = [
        ("character_id", lambda i: search.GetCharacter(search_service_pb2.GetCharacterRequest(character_id=i))),
        ("novel_id", lambda i: search.SearchPassages(search_service_pb2.SearchPassagesRequest(novel_id=i, query="q"))),
        (
            "conversation_id",
            lambda i: library.GetConversation(
                conversation_service_pb2.GetConversationRequest(conversation_id=i), metadata=metadata
            ),
        ),
        (
            "conversation_id",
            lambda i: generation.StreamReply(
                generation_service_pb2.StreamReplyRequest(conversation_id=i, content="hi"), metadata=metadata
            ),
        ),
    ]
    for field, call in calls:
        for identity, code in ((UNKNOWN, grpc.StatusCode.NOT_FOUND), ("nonsense", grpc.StatusCode.INVALID_ARGUMENT)):
            refused = await refusal(call(identity))
            assert refused.code is code
            assert field in refused.fields


async def test_another_readers_conversation_does_not_exist(talk: Talk, reader: Reader, channels: Any) -> None:
    for method, path in (
        ("GET", f"/api/conversations/{talk.conversation_id}"),
        ("GET", f"/api/conversations/{talk.conversation_id}/messages"),
        ("DELETE", f"/api/conversations/{talk.conversation_id}"),
        ("GET", f"/api/conversations/{talk.conversation_id}/messages-stream?content=hi"),
    ):
        answer = await reader.call(method, path)
        assert answer.status_code == 404, answer.text
        assert "conversation_id" in answer.json()["error"]["fields"]
    generation: Any = generation_service_pb2_grpc.GenerationServiceStub(channels["generation"])
    request = generation_service_pb2.StreamReplyRequest(conversation_id=talk.conversation_id, content="hi")
    refused = await refusal(generation.StreamReply(request, metadata=bearer_of(reader.token)))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert "conversation_id" in refused.fields


async def test_without_a_token_and_with_an_expired_one(running_stack: RunningStack, talk: Talk, channels: Any) -> None:
    path = f"/api/conversations/{talk.conversation_id}"
    private = (running_stack.data_dir / "secrets" / "jwt-private.pem").read_bytes()
    claims = jwt.decode(talk.reader.token, options={"verify_signature": False})
    headers = jwt.get_unverified_header(talk.reader.token)
    expired = jwt.encode({**claims, "exp": int(time.time()) - 60}, private, algorithm="EdDSA", headers=headers)
    library: Any = conversation_service_pb2_grpc.ConversationServiceStub(channels["library"])
    request = conversation_service_pb2.GetConversationRequest(conversation_id=talk.conversation_id)
    for token, reason in ((None, "TOKEN_MISSING"), (expired, "TOKEN_EXPIRED"), ("x.y.z", "TOKEN_INVALID")):
        authorization = {"authorization": f"Bearer {token}" if token else ""}
        answer = await talk.reader.call("GET", path, headers=authorization)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (401, reason)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        refused = await refusal(library.GetConversation(request, metadata=bearer_of(token) if token else None))
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b'{"query": ', 400, "JSON"),
        (b'{"novel_id": "n", "query": 7}', 400, "query"),
        (b'{"novel_id": "n", "query": "q", "top_k": "many"}', 400, "top_k"),
        (b'{"novel_id": "n", "query": "q", "tok_p": 3}', 400, "tok_p"),
        (b"[1, 2]", 400, "object"),
        (b'{"query": "\xff\xfe"}', 400, "UTF-8"),
    ],
)
async def test_broken_json_and_wrong_types(reader: Reader, content: bytes, status: int, says: str) -> None:
    answer = await reader.call(
        "POST", "/api/search/passages", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status
    assert says in json.dumps(answer.json()["error"], ensure_ascii=False)


async def test_other_content_types_methods_and_routes(reader: Reader) -> None:
    form = await reader.call("POST", "/api/search/passages", content=b"a=b", headers={"content-type": "text/plain"})
    wrong = await reader.call("PUT", "/api/novels", {})
    nowhere = await reader.call("GET", "/api/nowhere")
    assert (form.status_code, wrong.status_code, nowhere.status_code) == (415, 405, 404)
    assert {"GET", "POST"} <= {m.strip() for m in wrong.headers["allow"].split(",")}
    assert all(answer.json()["error"]["message"] for answer in (form, wrong, nowhere))


async def test_novels_that_are_none(reader: Reader, channels: Any) -> None:
    empty = await reader.call("POST", "/api/novels", {"title": "Empty", "text": ""})
    big = await reader.call("POST", "/api/novels", {"title": "Big", "text": "a word " * (9 * MIB // 7)})
    untitled = await reader.call("POST", "/api/novels", {"title": "", "text": "Some text."})
    for answer, field in ((empty, "text"), (big, "text"), (untitled, "title")):
        assert answer.status_code in {400, 413}, answer.text
        assert field in answer.json()["error"]["fields"]
    broken = await reader.call(
        "POST",
        "/api/novels",
        content=b'{"title": "Broken", "text": "\xc3\x28"}',
        headers={"content-type": "application/json"},
    )
    assert broken.status_code == 400
    assert "UTF-8" in broken.json()["error"]["message"]

    stub: Any = novel_service_pb2_grpc.NovelServiceStub(channels["library"])
    for text in ("", "a word " * (9 * MIB // 7)):
        request = novel_service_pb2.CreateNovelRequest(title="T", text=text)
        refused = await refusal(stub.CreateNovel(request, metadata=bearer_of(reader.token), timeout=30))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "text" in refused.fields


async def test_invalid_utf8_through_grpc_is_no_internal_error(reader: Reader, channels: Any) -> None:
    call: Any = channels["library"].unary_unary("/gaji.library.v1.NovelService/CreateNovel")
    raw = b"\x0a\x01T" + b"\x22\x02\xc3\x28"  # title "T", text of two bytes that are no UTF-8
    refused = await refusal(call(raw, metadata=bearer_of(reader.token), timeout=10))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_conversations_with_a_character_of_another_novel(talk: Talk) -> None:
    answer = await talk.reader.call(
        "POST",
        "/api/conversations",
        {"scenario_id": talk.scenario_id, "character_id": UNKNOWN, "request_id": uuid.uuid4().hex},
    )
    assert answer.status_code == 404
    assert "character_id" in answer.json()["error"]["fields"]
