"""The set of keys that verify tokens, and how it changes while a server runs."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gaji.cache.v1 import cache_service_pb2 as pb

from mesh import errors
from mesh.identity import TokenVerifier, open_verifier
from mesh.keys import VerifyingKey, key_set, parse_key_set, pem_key, thumbprint, to_document
from tests.fixtures.forged import READER, claims
from tests.fixtures.servers import JwtKeys
from tests.mesh.conftest import Serve
from tests.mesh.test_identity_forged import refusal, who

# RFC 8037, appendix A
RFC_X = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
RFC_THUMBPRINT = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
NEVER = 3600.0


class Signer:
    """A key that signs."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.public = VerifyingKey(thumbprint(self.private.public_key()), self.private.public_key())

    def token(self, **changes: Any) -> str:
        return jwt.encode(claims(**changes), self.private, algorithm="EdDSA", headers={"kid": self.public.key_id})


def write(path: Path, *keys: VerifyingKey) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(to_document(keys)))
    new.replace(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


async def accepted(stub: Any, token: str) -> bool:
    answer = await stub.Lookup(pb.LookupRequest(key="k"), metadata=[("authorization", f"Bearer {token}")])
    return bool(answer.hit.value == READER.encode())


async def until_refused(stub: Any, token: str) -> errors.MeshError:
    async with asyncio.timeout(20):
        while True:
            try:
                await accepted(stub, token)
            except grpc.aio.AioRpcError as error:
                return errors.from_rpc_error(error)
            await asyncio.sleep(0.02)


def test_the_thumbprint_is_that_of_the_standard() -> None:
    keys = parse_key_set(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": RFC_X}]}).encode())
    assert list(keys) == [RFC_THUMBPRINT]
    assert keys[RFC_THUMBPRINT].to_jwk()["x"] == RFC_X


def test_a_set_is_what_was_written() -> None:
    keys = [Signer().public, VerifyingKey("old", Signer().public.key, 1_700_000_000.0)]
    read = parse_key_set(json.dumps(to_document(keys)).encode())
    assert {key_id: (_raw(key.key), key.expires_at) for key_id, key in read.items()} == {
        key.key_id: (_raw(key.key), key.expires_at) for key in keys
    }


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


OKP = {"kty": "OKP", "crv": "Ed25519", "x": RFC_X}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("nonsense", "no JWK set"),
        ([], "no JWK set"),
        ({"keys": []}, "1 to 100"),
        ({"keys": [7]}, "keys\\[0\\] is no OKP key"),
        ({"keys": [OKP, {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, "keys\\[1\\] is no OKP key"),
        ({"keys": [{"kty": "oct", "k": "AQAB"}]}, "no OKP key"),
        ({"keys": [{**OKP, "crv": "X25519"}]}, "no OKP key"),
        ({"keys": [{**OKP, "d": "AA"}]}, "private"),
        ({"keys": [{**OKP, "x": "AA"}]}, "no valid `x`"),
        ({"keys": [{**OKP, "use": "enc"}]}, "not for signatures"),
        ({"keys": [{**OKP, "alg": "HS256"}]}, "not for signatures"),
        ({"keys": [{**OKP, "kid": 7}]}, "`kid`"),
        ({"keys": [{**OKP, "exp": "x"}]}, "`exp`"),
    ],
    ids=range(13),
)
def test_a_set_of_other_things_is_refused(document: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_key_set(document.encode() if isinstance(document, str) else json.dumps(document).encode())


def test_two_keys_of_one_id_are_refused() -> None:
    key = Signer().public.to_jwk()
    with pytest.raises(ValueError, match="same `kid`"):
        parse_key_set(json.dumps({"keys": [key, key]}).encode())


async def test_the_key_is_chosen_by_its_id(serve: Serve, file: Path) -> None:
    first, second, stranger = Signer(), Signer(), Signer()
    write(file, first.public, second.public)
    async with serve(lookup=who, jwt_public_key_file=None, jwt_keys_file=file) as (_, stub):
        assert await accepted(stub, first.token())
        assert await accepted(stub, second.token())
        for token in (
            stranger.token(),
            jwt.encode(claims(), first.private, algorithm="EdDSA"),  # of two keys one has to be named
            jwt.encode(claims(), first.private, algorithm="EdDSA", headers={"kid": second.public.key_id}),
        ):
            assert (await refusal(stub, token)).reason == "TOKEN_INVALID"


async def test_a_fresh_key_works_at_once_and_a_removed_one_no_more(serve: Serve, file: Path) -> None:
    first, second = Signer(), Signer()
    write(file, first.public)
    changes = {"jwt_public_key_file": None, "jwt_keys_file": file, "jwt_keys_poll_seconds": NEVER}
    async with serve(lookup=who, **changes) as (_, stub):
        old = first.token()
        assert await accepted(stub, old)
        await asyncio.to_thread(write, file, second.public)
        assert await accepted(stub, old), "nobody has looked at the file yet"
        assert await accepted(stub, second.token()), "an unknown key is looked for"
        assert (await refusal(stub, old)).reason == "TOKEN_INVALID", "what was verified before is forgotten"


async def test_the_file_is_polled(serve: Serve, file: Path) -> None:
    first, second = Signer(), Signer()
    write(file, first.public, second.public)
    changes = {"jwt_public_key_file": None, "jwt_keys_file": file, "jwt_keys_poll_seconds": 0.05}
    async with serve(lookup=who, **changes) as (_, stub):
        old = first.token()
        assert await accepted(stub, old)
        await asyncio.to_thread(write, file, second.public)
        assert (await until_refused(stub, old)).reason == "TOKEN_INVALID"
        assert await accepted(stub, second.token())


async def test_a_file_that_cannot_be_read_changes_nothing(
    serve: Serve, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = Signer(), Signer()
    write(file, first.public)
    changes = {"jwt_public_key_file": None, "jwt_keys_file": file, "jwt_keys_poll_seconds": 0.05}
    async with serve(lookup=who, **changes) as (_, stub):
        await asyncio.to_thread(file.write_text, '{"keys": [')
        async with asyncio.timeout(20):
            while "cannot be read" not in caplog.text:
                await asyncio.sleep(0.02)
        assert await accepted(stub, first.token())
        await asyncio.to_thread(os.unlink, file)
        assert (await refusal(stub, second.token())).reason == "TOKEN_INVALID"
        assert await accepted(stub, first.token())
        await asyncio.to_thread(write, file, second.public)
        assert (await until_refused(stub, first.token())).reason == "TOKEN_INVALID"


async def test_looking_for_unknown_keys_is_bounded(file: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, Signer().public)
    reads = 0
    real = Path.open

    def counted(path: Path, *args: Any, **kwargs: Any) -> Any:
        nonlocal reads
        reads += path == file
        return real(path, *args, **kwargs)

    changes = {"jwt_public_key_file": None, "jwt_keys_file": file, "jwt_keys_poll_seconds": NEVER}
    async with serve(lookup=who, **changes) as (_, stub):
        monkeypatch.setattr(Path, "open", counted)
        began = time.monotonic()
        await asyncio.gather(*(refusal(stub, Signer().token()) for _ in range(50)))
        assert 1 <= reads <= 1 + (time.monotonic() - began)


async def test_a_retired_key_ends_with_its_time(file: Path) -> None:
    retired, gone = Signer(), Signer()
    verifier = TokenVerifier(None)
    ends = time.time() + 100
    verifier.replace(
        key_set(
            [
                VerifyingKey(retired.public.key_id, retired.public.key, ends),
                VerifyingKey(gone.public.key_id, gone.public.key, time.time() - 1),
            ]
        )
    )
    assert verifier.verify(retired.token()).expires_at == ends, "no token outlives its key"
    with pytest.raises(errors.Unauthenticated):
        verifier.verify(gone.token())
    assert [key.key_id for key in verifier.keys] == [retired.public.key_id]


async def test_the_pem_file_stays_beside_the_set(settings: Any, file: Path, jwt_keys: JwtKeys, bearer: Any) -> None:
    other = Signer()
    await asyncio.to_thread(write, file, other.public)
    both = settings.model_copy(update={"jwt_keys_file": file})
    pem = await asyncio.to_thread(lambda: pem_key(jwt_keys.public.read_bytes()))
    private = await asyncio.to_thread(jwt_keys.private.read_bytes)
    async with open_verifier(both) as verifier:
        assert verifier.verify(other.token()).user_id == READER
        named = jwt.encode(claims(), private, algorithm="EdDSA", headers={"kid": pem.key_id})
        assert verifier.verify(named).user_id == READER
    async with open_verifier(settings) as verifier:
        assert verifier.verify(bearer()).guest is False, "without an id where there is one key"


@pytest.mark.parametrize("content", ["{}", "nonsense"])
async def test_a_server_does_not_start_with_a_set_of_other_things(settings: Any, file: Path, content: str) -> None:
    await asyncio.to_thread(file.write_text, content)
    with pytest.raises(ValueError, match=str(file)):
        async with open_verifier(settings.model_copy(update={"jwt_keys_file": file})):
            pass
