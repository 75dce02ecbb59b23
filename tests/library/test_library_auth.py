"""Accounts, guests and sessions."""

import statistics
import time

import asyncpg
import jwt
import pytest
from gaji.library.v1 import auth_service_pb2 as pb
from gaji.library.v1 import user_service_pb2 as users_pb

from mesh.errors import AlreadyExists, InvalidArgument, MeshError, Unauthenticated
from services.library.domain.passwords import Passwords
from tests.fixtures.servers import Bearer, JwtKeys
from tests.library.conftest import LibraryClient, OpenLibrary, Reader

EMAIL = "Ada@Example.com"
PASSWORD = "correct horse"


async def register(library: LibraryClient, who: Reader | None = None, **fields: str) -> pb.Session:
    request = pb.RegisterRequest(**{"email": EMAIL, "password": PASSWORD, **fields})
    return (await (who or library.nobody).call(library.auth.Register, request)).session


async def login(library: LibraryClient, email: str = EMAIL, password: str = PASSWORD) -> pb.Session:
    request = pb.LoginRequest(email=email, password=password)
    return (await library.nobody.call(library.auth.Login, request)).session


async def refresh(library: LibraryClient, token: str) -> pb.Session:
    return (await library.nobody.call(library.auth.RefreshToken, pb.RefreshTokenRequest(refresh_token=token))).session


async def profile(library: LibraryClient, token: str) -> users_pb.User:
    return (await Reader(token).call(library.users.GetProfile, users_pb.GetProfileRequest())).user


async def test_register_login_and_profile(library: LibraryClient) -> None:
    session = await register(library)
    assert session.token_type == "Bearer"
    assert (session.expires_in, session.refresh_expires_in, session.guest) == (900, 30 * 24 * 3600, False)
    again = await login(library, email=" ADA@example.COM ")
    assert again.user_id == session.user_id
    user = await profile(library, again.access_token)
    assert (user.email, user.display_name, user.guest) == ("ada@example.com", "ada", False)


@pytest.mark.parametrize(
    ("registered", "given"),
    [("jos\u00e9@example.com", "jose\u0301@example.com"), ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example")],
)
async def test_an_address_may_be_encoded_in_any_way(library: LibraryClient, registered: str, given: str) -> None:
    session = await register(library, email=registered)
    assert (await login(library, email=given)).user_id == session.user_id


@pytest.mark.parametrize("given", ["ada@exam\ufe0fple.com", "ada@exam\u034fple.com", "ada@example\u3002com"], ids=ascii)
async def test_an_account_has_no_spellings_that_a_limit_of_attempts_would_not_know(
    library: LibraryClient, given: str
) -> None:
    await register(library, email="ada@example.com")
    with pytest.raises(Unauthenticated):
        await login(library, email=given)
    with pytest.raises(InvalidArgument):
        await register(library, email=given)


async def test_access_token_claims(library: LibraryClient, jwt_keys: JwtKeys) -> None:
    session = await register(library)
    claims = jwt.decode(
        session.access_token, jwt_keys.public.read_text(), algorithms=["EdDSA"], audience="gaji", issuer="gaji"
    )
    assert claims["sub"] == session.user_id
    assert claims["guest"] is False
    assert claims["exp"] - claims["iat"] == 900
    assert claims["jti"]
    header = jwt.get_unverified_header(session.access_token)
    assert header["alg"] == "EdDSA"
    assert header["kid"]


async def test_only_hashes_are_stored(library: LibraryClient, postgres_url: str) -> None:
    session = await register(library)
    connection = await asyncpg.connect(postgres_url)
    try:
        stored = await connection.fetchval("SELECT password_hash FROM users WHERE email = 'ada@example.com'")
        tokens = await connection.fetch("SELECT * FROM refresh_tokens")
    finally:
        await connection.close()
    assert stored.startswith("$argon2id$")
    assert len(tokens) == 1
    assert session.refresh_token not in repr(tokens)


async def test_an_address_registers_once(library: LibraryClient) -> None:
    await register(library)
    with pytest.raises(AlreadyExists) as caught:
        await register(library, email="ada@example.com")
    assert list(caught.value.fields) == ["email"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"email": "a@b@example.com"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 257}, "password"),
        ({"display_name": "x" * 81}, "display_name"),
        ({"display_name": "x\0y"}, "display_name"),
    ],
)
async def test_register_names_what_is_wrong(library: LibraryClient, fields: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await register(library, None, **fields)
    assert list(caught.value.fields) == [named]


async def test_a_guest_becomes_the_account_with_all_that_is_theirs(library: LibraryClient) -> None:
    guest = await library.guest()
    novel_id = await library.novel(guest)
    session = await register(library, guest, display_name="Ada L.")
    assert (session.user_id, session.guest) == (guest.user_id, False)
    user = await profile(library, session.access_token)
    assert (user.display_name, user.guest) == ("Ada L.", False)
    assert novel_id
    other = await register(library, guest, email="second@example.com")  # the row is no guest any more
    assert other.user_id != guest.user_id


async def test_a_guest_cannot_take_a_taken_address(library: LibraryClient) -> None:
    await register(library)
    guest = await library.guest()
    with pytest.raises(AlreadyExists):
        await register(library, guest)
    assert (await profile(library, guest.token)).guest


async def test_wrong_password_and_unknown_address_are_the_same_error(library: LibraryClient) -> None:
    await register(library)
    told: list[tuple[type[MeshError], str, str, dict[str, str]]] = []
    for email, password in [(EMAIL, "wrong password"), ("nobody@example.com", PASSWORD), (EMAIL, "x" * 300)]:
        with pytest.raises(Unauthenticated) as caught:
            await login(library, email, password)
        error = caught.value
        told.append((type(error), error.reason, error.message, error.fields))
    assert told[0] == told[1] == told[2]
    assert told[0][1] == "WRONG_CREDENTIALS"


async def test_unknown_address_costs_as_much_work_as_a_wrong_password() -> None:
    async with Passwords() as passwords:
        stored = await passwords.hash(PASSWORD)

        async def median(password_hash: str | None) -> float:
            seconds = []
            for _ in range(7):
                started = time.perf_counter()
                assert not await passwords.verify(password_hash, "wrong password")
                seconds.append(time.perf_counter() - started)
            return statistics.median(seconds)

        # Without the decoy the ratio is above a thousand; a loaded machine does not get there.
        assert await median(stored) / await median(None) < 20


async def test_login_names_what_is_missing(library: LibraryClient) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await login(library, "", "")
    assert set(caught.value.fields) == {"email", "password"}


async def test_refresh_rotates_and_reuse_ends_the_family(open_client: OpenLibrary) -> None:
    async with open_client(refresh_reuse_seconds=0) as library:
        await _reuse(library)


async def _reuse(library: LibraryClient) -> None:
    first = await register(library)
    elsewhere = await login(library)
    second = await refresh(library, first.refresh_token)
    assert second.refresh_token != first.refresh_token
    assert second.user_id == first.user_id
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, first.refresh_token)
    assert caught.value.reason == "REFRESH_TOKEN_REUSED"
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, second.refresh_token)
    assert caught.value.reason == "REFRESH_TOKEN_INVALID"
    assert list(caught.value.fields) == ["refresh_token"]
    assert (await refresh(library, elsewhere.refresh_token)).user_id == first.user_id


@pytest.mark.parametrize(("token", "reason"), [("", "REFRESH_TOKEN_MISSING"), ("x" * 43, "REFRESH_TOKEN_INVALID")])
async def test_refresh_refuses_what_it_does_not_know(library: LibraryClient, token: str, reason: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, token)
    assert caught.value.reason == reason


async def test_refresh_tokens_expire(library: LibraryClient, postgres_url: str) -> None:
    session = await register(library)
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("UPDATE refresh_tokens SET expires_at = now() - interval '1 second'")
    finally:
        await connection.close()
    with pytest.raises(Unauthenticated) as caught:
        await refresh(library, session.refresh_token)
    assert caught.value.reason == "REFRESH_TOKEN_INVALID"


async def test_logout_ends_the_session_and_is_idempotent(library: LibraryClient) -> None:
    session = await register(library)
    for token in (session.refresh_token, session.refresh_token, "unknown", ""):
        await library.nobody.call(library.auth.Logout, pb.LogoutRequest(refresh_token=token))
    with pytest.raises(Unauthenticated):
        await refresh(library, session.refresh_token)


async def test_expired_and_forged_access_tokens_are_refused(library: LibraryClient, bearer: Bearer) -> None:
    guest = await library.guest()
    with pytest.raises(Unauthenticated) as caught:
        await profile(library, bearer(guest.user_id, ttl=-5))
    assert caught.value.reason == "TOKEN_EXPIRED"
    head, body, signature = guest.token.split(".")
    forged = f"{head}.{body}.{signature[:-4]}AAAA"
    unsigned = jwt.encode({"sub": guest.user_id, "iss": "gaji", "aud": "gaji"}, "", algorithm="none")
    for token in (forged, unsigned, "nonsense"):
        with pytest.raises(Unauthenticated) as caught:
            await profile(library, token)
        assert caught.value.reason == "TOKEN_INVALID"


async def test_a_token_of_a_user_that_is_gone_is_refused(library: LibraryClient, bearer: Bearer) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await profile(library, bearer())
    assert caught.value.reason == "USER_UNKNOWN"
    with pytest.raises(Unauthenticated) as caught:
        await library.novel(Reader(bearer()))
    assert caught.value.reason == "USER_UNKNOWN"
    with pytest.raises(Unauthenticated):
        await profile(library, bearer("no-uuid"))


async def test_update_profile(library: LibraryClient) -> None:
    guest = await library.guest()
    renamed = await guest.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name=" Bo "))
    assert renamed.user.display_name == "Bo"
    kept = await guest.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest())
    assert kept.user.display_name == "Bo"
    assert (await profile(library, guest.token)).display_name == "Bo"
    for name in ("", "x" * 81):
        with pytest.raises(InvalidArgument) as caught:
            await guest.call(library.users.UpdateProfile, users_pb.UpdateProfileRequest(display_name=name))
        assert list(caught.value.fields) == ["display_name"]


async def test_guests_have_names(library: LibraryClient) -> None:
    request = pb.CreateGuestRequest(display_name="Visitor")
    named = (await library.nobody.call(library.auth.CreateGuest, request)).session
    assert named.guest
    assert (await profile(library, named.access_token)).display_name == "Visitor"
    plain = await library.guest()
    assert (await profile(library, plain.token)).display_name == "Guest"


async def test_token_lives_are_settings(open_client: OpenLibrary) -> None:
    async with open_client(access_token_seconds=60, refresh_token_seconds=120) as library:
        session = await register(library)
        assert (session.expires_in, session.refresh_expires_in) == (60, 120)
