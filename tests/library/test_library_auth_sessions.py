"""Sessions: tickets, revocations, a refresh token that comes twice, and a signing key that changes."""

import asyncio
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from gaji.library.v1 import auth_service_pb2 as pb
from gaji.library.v1 import user_service_pb2 as users_pb
from google.protobuf.timestamp_pb2 import Timestamp

from mesh.errors import InvalidArgument, Unauthenticated
from mesh.keys import thumbprint
from tests.fixtures.servers import Bearer, JwtKeys
from tests.library.conftest import LibraryClient, OpenLibrary, Reader


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def guest(library: LibraryClient) -> pb.Session:
    return (await library.nobody.call(library.auth.CreateGuest, pb.CreateGuestRequest())).session


async def refresh(library: LibraryClient, token: str) -> pb.Session:
    return (await library.nobody.call(library.auth.RefreshToken, pb.RefreshTokenRequest(refresh_token=token))).session


async def revocations(library: LibraryClient, **fields: Any) -> pb.ListRevocationsResponse:
    return await library.nobody.call(library.auth.ListRevocations, pb.ListRevocationsRequest(**fields))


async def revoked(library: LibraryClient) -> set[str]:
    return {each.session_id for each in (await revocations(library)).revocations}


async def execute(url: str, statement: str, *arguments: Any) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement, *arguments)
    finally:
        await connection.close()


async def test_a_session_has_one_id_for_all_its_tokens(library: LibraryClient) -> None:
    first = await guest(library)
    second = await refresh(library, first.refresh_token)
    sid = claims_of(first.access_token)["sid"]
    assert sid == claims_of(second.access_token)["sid"] != claims_of((await guest(library)).access_token)["sid"]


async def test_a_refresh_token_that_comes_again_at_once_is_answered_alike(library: LibraryClient) -> None:
    first = await guest(library)
    answers = await asyncio.gather(*(refresh(library, first.refresh_token) for _ in range(4)))
    assert len({answer.refresh_token for answer in answers}) == 1, "the family stays one line"
    third = await refresh(library, answers[0].refresh_token)
    assert third.refresh_token not in {first.refresh_token, answers[0].refresh_token}
    assert not await revoked(library)


async def test_later_it_ends_the_session(library: LibraryClient, postgres_url: str) -> None:
    first = await guest(library)
    second = await refresh(library, first.refresh_token)
    await execute(postgres_url, "UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, first.refresh_token)
    assert caught.value.reason == "REFRESH_TOKEN_REUSED"
    with pytest.raises(Unauthenticated):
        await refresh(library, second.refresh_token)
    assert await revoked(library) == {claims_of(first.access_token)["sid"]}


async def test_a_token_of_the_release_before_has_no_second_answer(library: LibraryClient, postgres_url: str) -> None:
    first = await guest(library)
    await execute(postgres_url, "UPDATE refresh_tokens SET used_at = now()")
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, first.refresh_token)
    assert caught.value.reason == "REFRESH_TOKEN_REUSED"


async def test_the_next_token_is_in_no_table(library: LibraryClient, postgres_url: str) -> None:
    second = await refresh(library, (await guest(library)).refresh_token)
    connection = await asyncpg.connect(postgres_url)
    try:
        rows = await connection.fetch("SELECT * FROM refresh_tokens")
    finally:
        await connection.close()
    assert len(rows) == 2
    assert second.refresh_token not in repr(rows)


async def test_to_log_out_an_access_token_does(library: LibraryClient) -> None:
    mine, other = await guest(library), await guest(library)
    me = Reader(mine.access_token)
    await me.call(library.auth.Logout, pb.LogoutRequest())
    assert await revoked(library) == {claims_of(mine.access_token)["sid"]}
    with pytest.raises(Unauthenticated):
        await refresh(library, mine.refresh_token)
    await library.nobody.call(library.auth.Logout, pb.LogoutRequest(refresh_token=other.refresh_token))
    assert await revoked(library) == {claims_of(session.access_token)["sid"] for session in (mine, other)}


async def test_nobody_ends_another_users_session(library: LibraryClient, jwt_keys: JwtKeys) -> None:
    mine, other = await guest(library), await guest(library)
    claims = {**claims_of(mine.access_token), "sid": claims_of(other.access_token)["sid"]}
    private = await asyncio.to_thread(jwt_keys.private.read_bytes)
    await Reader(jwt.encode(claims, private, algorithm="EdDSA")).call(library.auth.Logout, pb.LogoutRequest())
    assert not await revoked(library)


async def test_revocations_come_in_pages_and_only_the_news(library: LibraryClient, postgres_url: str) -> None:
    sessions = [await guest(library) for _ in range(5)]
    for session in sessions:
        await library.nobody.call(library.auth.Logout, pb.LogoutRequest(refresh_token=session.refresh_token))
    ids = [claims_of(session.access_token)["sid"] for session in sessions]
    page = await revocations(library, page_size=2)
    pages = [page]
    while page.next_page_token:
        page = await revocations(library, page_size=2, page_token=page.next_page_token)
        pages.append(page)
    listed = [each for page in pages for each in page.revocations]
    assert [each.session_id for each in listed] == ids
    assert all(len(page.revocations) <= 2 for page in pages)
    assert 900 <= listed[-1].expire_time.ToMicroseconds() / 1e6 - time.time() <= 960
    later = Timestamp(seconds=page.as_of.seconds + 3600)
    assert not (await revocations(library, since=later)).revocations
    assert len((await revocations(library, since=page.as_of)).revocations) == 5, "some seconds are told twice"
    await execute(postgres_url, "UPDATE sessions SET revoked_at = now() - interval '16 minutes'")
    assert not (await revocations(library)).revocations, "their tokens have expired"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"page_size": -1}, "page_size"),
        ({"page_size": 1001}, "page_size"),
        ({"page_token": "x"}, "page_token"),
        ({"since": Timestamp(seconds=10**15)}, "since"),
    ],
    ids=range(4),
)
async def test_a_listing_names_what_is_wrong(library: LibraryClient, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await revocations(library, **fields)
    assert list(caught.value.fields) == [named]


async def test_a_ticket_opens_nothing_but_its_redemption(library: LibraryClient) -> None:
    session = await guest(library)
    reader = Reader(session.access_token)
    sold = await reader.call(library.auth.CreateStreamTicket, pb.CreateStreamTicketRequest())
    assert 0 < sold.expires_in <= 60
    claims, own = claims_of(sold.ticket), claims_of(session.access_token)
    assert (claims["use"], claims["sub"], claims["sid"]) == ("ticket", session.user_id, own["sid"])
    assert (claims["until"], claims["exp"] <= own["exp"]) == (own["exp"], True)
    holder = Reader(sold.ticket)
    refused: list[tuple[Any, Any]] = [
        (library.users.GetProfile, users_pb.GetProfileRequest()),
        (library.auth.CreateStreamTicket, pb.CreateStreamTicketRequest()),
        (library.auth.Logout, pb.LogoutRequest()),
    ]
    for method, request in refused:
        with pytest.raises(Unauthenticated) as caught:
            await holder.call(method, request)
        assert caught.value.reason == "TOKEN_INVALID"
    redeemed = await holder.call(library.auth.RedeemStreamTicket, pb.RedeemStreamTicketRequest())
    inside = claims_of(redeemed.access_token)
    assert (inside["use"], inside["sub"], inside["sid"]) == ("delegated", session.user_id, own["sid"])
    assert inside["exp"] <= own["exp"]
    delegate = Reader(redeemed.access_token)
    assert (await delegate.call(library.users.GetProfile, users_pb.GetProfileRequest())).user.user_id == session.user_id
    refused = [
        (library.auth.CreateStreamTicket, pb.CreateStreamTicketRequest()),
        (library.auth.RedeemStreamTicket, pb.RedeemStreamTicketRequest()),
    ]
    for method, request in refused:
        with pytest.raises(Unauthenticated) as caught:
            await delegate.call(method, request)
        assert caught.value.reason == "TOKEN_INVALID"


@pytest.mark.parametrize("method", ["CreateStreamTicket", "RedeemStreamTicket"])
async def test_tickets_are_no_ones_without_a_token(library: LibraryClient, method: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await library.nobody.call(getattr(library.auth, method), getattr(pb, f"{method}Request")())
    assert caught.value.reason == "TOKEN_MISSING"


async def test_a_ticket_ends_with_its_access_token(library: LibraryClient, bearer: Bearer) -> None:
    reader = Reader(bearer(str(uuid4()), ttl=20))
    sold = await reader.call(library.auth.CreateStreamTicket, pb.CreateStreamTicketRequest())
    assert sold.expires_in <= 20
    assert claims_of(sold.ticket)["exp"] <= claims_of(reader.token)["exp"]


async def test_a_new_key_signs_without_a_restart(open_client: OpenLibrary, tmp_path: Path) -> None:
    def write(path: Path) -> str:
        key = Ed25519PrivateKey.generate()
        new = path.with_suffix(".new")
        new.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        new.replace(path)
        return thumbprint(key.public_key())

    path = tmp_path / "private.pem"
    first = await asyncio.to_thread(write, path)
    async with open_client(jwt_private_key_file=path, jwt_keys_poll_seconds=0.05) as library:
        assert jwt.get_unverified_header((await guest(library)).access_token)["kid"] == first
        second = await asyncio.to_thread(write, path)
        async with asyncio.timeout(30):
            while jwt.get_unverified_header((await guest(library)).access_token)["kid"] != second:
                await asyncio.sleep(0.05)
        await asyncio.to_thread(path.write_text, "nonsense")
        await asyncio.sleep(0.2)
        assert jwt.get_unverified_header((await guest(library)).access_token)["kid"] == second
