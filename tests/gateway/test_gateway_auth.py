import uuid
from http.cookies import SimpleCookie

import httpx
import pytest

from tests.fixtures.servers import Bearer
from tests.gateway.conftest import Gateway, error_of


def authorization(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Cookie name -> its whole header."""
    headers = answer.headers.get_list("set-cookie")
    return {header.partition("=")[0]: header for header in headers}


async def test_a_route_without_policy_needs_a_reader(client: httpx.AsyncClient) -> None:
    answer = await client.get("/probe/me")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="gaji"'
    assert error_of(answer)["reason"] == "TOKEN_MISSING"


async def test_a_bearer_is_verified_and_handed_on(client: httpx.AsyncClient, bearer: Bearer) -> None:
    user = str(uuid.uuid4())
    answer = await client.get("/probe/me", headers=authorization(bearer(user)))
    assert answer.json()["user_id"] == user
    assert answer.json()["has_deadline"] is True


async def test_a_cookie_does_where_no_header_can_be_set(client: httpx.AsyncClient, bearer: Bearer) -> None:
    user, other = str(uuid.uuid4()), str(uuid.uuid4())
    client.cookies.set("gaji_access_token", bearer(user))
    assert (await client.get("/probe/me")).json()["user_id"] == user
    answer = await client.get("/probe/me", headers=authorization(bearer(other)))
    assert answer.json()["user_id"] == other, "the header goes first"


async def test_expired_and_invalid_tokens_have_reasons_of_their_own(client: httpx.AsyncClient, bearer: Bearer) -> None:
    for token, reason in (
        (bearer(ttl=-5), "TOKEN_EXPIRED"),
        ("a.b.c", "TOKEN_INVALID"),
        (bearer()[:-4], "TOKEN_INVALID"),
    ):
        answer = await client.get("/probe/me", headers=authorization(token))
        assert answer.status_code == 401
        assert error_of(answer)["reason"] == reason
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


async def test_a_token_that_a_room_was_given_is_no_reader_s(client: httpx.AsyncClient, bearer: Bearer) -> None:
    token = bearer(use="delegated")
    answer = await client.get("/probe/me", headers=authorization(token))
    assert answer.status_code == 401
    assert error_of(answer)["reason"] == "TOKEN_INVALID"
    assert (await client.get("/probe/anybody", headers=authorization(token))).json()["user_id"] == "nobody"


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "token"])
async def test_another_scheme_is_no_token(client: httpx.AsyncClient, value: str) -> None:
    answer = await client.get("/probe/me", headers={"authorization": value})
    assert error_of(answer)["reason"] == "TOKEN_INVALID"


async def test_a_public_route_takes_a_valid_token_and_ignores_a_bad_one(
    client: httpx.AsyncClient, bearer: Bearer
) -> None:
    user = str(uuid.uuid4())
    assert (await client.get("/probe/anybody")).json()["user_id"] == "nobody"
    assert (await client.get("/probe/anybody", headers=authorization(bearer(user)))).json()["user_id"] == user
    for token in (bearer(ttl=-5), "a.b.c"):
        answer = await client.get("/probe/anybody", headers=authorization(token))
        assert answer.json()["user_id"] == "nobody"


async def test_streams_ask_for_a_reader_too(client: httpx.AsyncClient, bearer: Bearer) -> None:
    assert (await client.get("/probe/private-count?to=1")).status_code == 401
    client.cookies.set("gaji_access_token", bearer())
    answer = await client.get("/probe/private-count?to=1")
    assert answer.status_code == 200
    assert "event: complete" in answer.text


async def test_fields_become_cookies_that_no_script_can_read(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/session", json={"refresh_token": "r1"})
    assert answer.json() == {"access_token": "abc.def-_", "expires_in": 900, "refresh_token": "after-r1"}
    assert cookies_of(answer) == {
        "gaji_access_token": "gaji_access_token=abc.def-_; Path=/; HttpOnly; SameSite=Strict; Max-Age=900",
        "probe_refresh": "probe_refresh=after-r1; Path=/probe/session; HttpOnly; SameSite=Strict; Max-Age=900",
    }


async def test_a_cookie_fills_a_field_that_the_request_leaves_out(client: httpx.AsyncClient) -> None:
    cookie = {"cookie": "a=b; probe_refresh=from-cookie; c"}
    answer = await client.post("/probe/session", headers=cookie)
    assert answer.json()["refresh_token"] == "after-from-cookie"
    answer = await client.post("/probe/session", json={"refresh_token": "from-body"}, headers=cookie)
    assert answer.json()["refresh_token"] == "after-from-body"


async def test_a_value_that_could_break_out_of_its_cookie_sets_none(client: httpx.AsyncClient) -> None:
    answer = await client.post("/probe/session", json={"refresh_token": "a; Domain=evil"})
    assert set(cookies_of(answer)) == {"gaji_access_token"}


async def test_cookies_are_cleared_under_the_path_that_they_were_set_for(client: httpx.AsyncClient) -> None:
    cleared = cookies_of(await client.post("/probe/session/close"))
    access, refresh = SimpleCookie(cleared["gaji_access_token"]), SimpleCookie(cleared["probe_refresh"])
    assert access["gaji_access_token"].value == refresh["probe_refresh"].value == ""
    assert (access["gaji_access_token"]["path"], access["gaji_access_token"]["max-age"]) == ("/", "0")
    assert (refresh["probe_refresh"]["path"], refresh["probe_refresh"]["max-age"]) == ("/probe/session", "0")


async def test_cookies_are_secure_by_setting(gateway: Gateway) -> None:
    async with gateway(cookie_secure=True) as (client, _):
        for path in ("/probe/session", "/probe/session/close"):
            cookies = cookies_of(await client.post(path))
            assert cookies
            assert all(cookie.endswith("; Secure") for cookie in cookies.values())


async def test_without_a_key_every_token_is_refused(gateway: Gateway, bearer: Bearer) -> None:
    async with gateway(jwt_public_key_file=None) as (client, _):
        answer = await client.get("/probe/me", headers=authorization(bearer()))
        assert answer.status_code == 401
        assert error_of(answer)["reason"] == "TOKEN_INVALID"
