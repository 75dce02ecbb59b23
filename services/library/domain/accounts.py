"""Accounts, guests and sessions."""

import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import email_validator

from mesh import plain_text
from mesh.errors import Unauthenticated
from mesh.identity import Identity
from mesh.validation import Violations
from services.library.domain.errors import unknown_user
from services.library.domain.passwords import Passwords
from services.library.domain.reads import Reads
from services.library.domain.tokens import TokenIssuer, new_nonce, new_secret, secret_hash, successor
from services.library.models import User
from services.library.ports import UserStore

_NAME = 80
_EMAIL = 320
_PASSWORD = 256
# Nothing is sent to an address, so those of intranets and test beds are as good as any.
for _name in ("local", "test"):
    if _name in email_validator.SPECIAL_USE_DOMAIN_NAMES:
        email_validator.SPECIAL_USE_DOMAIN_NAMES.remove(_name)


@dataclass(frozen=True, slots=True)
class Session:
    """An open session.

    Attributes:
        expires_in: seconds of life of the access token.
        refresh_expires_in: seconds of life of the refresh token.
    """

    user: User
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


class Accounts:
    """Opens, continues and ends sessions."""

    def __init__(
        self,
        users: UserStore,
        passwords: Passwords,
        tokens: TokenIssuer,
        reads: Reads,
        refresh_seconds: int,
        *,
        reuse_seconds: float,
    ) -> None:
        self._users = users
        self._passwords = passwords
        self._tokens = tokens
        self._reads = reads
        self._refresh_seconds = refresh_seconds
        self._reuse_seconds = reuse_seconds

    async def register(self, email: str, password: str, display_name: str, guest_id: UUID | None) -> Session:
        """Makes an account.

        Args:
            email: its address, not yet registered.
            password: 8 to 256 characters.
            display_name: at most 80 characters; empty: the address's local part.
            guest_id: the guest who becomes the account, if one asks.

        Raises:
            InvalidArgument: a field is not as above.
            AlreadyExists: the address has an account.
        """
        display_name = plain_text.line(display_name)
        check = Violations()
        address = _email(check, email)
        _password(check, password)
        check.text("display_name", display_name, 0, _NAME)
        check.raise_if_any()
        name = display_name or address.partition("@")[0][:_NAME]
        password_hash = await self._passwords.hash(password)
        user = await self._users.upgrade(guest_id, address, password_hash, name) if guest_id else None
        if user is None:
            user = User(uuid4(), address, name, datetime.now(UTC))
            await self._users.create(user, password_hash)
        else:
            await self._reads.user_changed(user.user_id)
        return await self._open(user)

    async def login(self, email: str, password: str) -> Session:
        """Opens a session.

        Raises:
            InvalidArgument: a field is empty.
            Unauthenticated: the address is unknown or the password wrong; which of the two is not told.
        """
        check = Violations()
        check.text("email", email, 1, _EMAIL)
        if not password:
            check.add("password", "is empty; give the account's password")
        check.raise_if_any()
        found = await self._users.credentials(_stored_form(email) or _lowered(email))
        right = await self._passwords.verify(found[1] if found else None, password[:_PASSWORD])
        if found is None or not right or len(password) > _PASSWORD:
            raise Unauthenticated("e-mail address or password is wrong", reason="WRONG_CREDENTIALS")
        user, password_hash = found
        if self._passwords.outdated(password_hash):
            await self._users.set_password_hash(user.user_id, await self._passwords.hash(password))
        return await self._open(user)

    async def create_guest(self, display_name: str) -> Session:
        """Opens a session for a new guest.

        Raises:
            InvalidArgument: the name has more than 80 characters.
        """
        display_name = plain_text.line(display_name)
        check = Violations()
        check.text("display_name", display_name, 0, _NAME)
        check.raise_if_any()
        user = User(uuid4(), None, display_name or "Guest", datetime.now(UTC))
        await self._users.create(user, None)
        return await self._open(user)

    async def refresh(self, refresh_token: str) -> Session:
        """Exchanges a refresh token for a new session.

        The same token may come again for some seconds: two tabs share it, and answers get lost. It is answered with the
        same refresh token as the first time, so that the family stays one line and a thief's use of it still shows.

        Raises:
            Unauthenticated: the token is missing, unknown, expired, revoked, or used before: then its whole family
                of sessions is ended, for either its owner or a thief has used it.
        """
        if not refresh_token:
            raise _refused("is missing; sign in again", "REFRESH_TOKEN_MISSING")
        nonce = new_nonce()
        next_hash = secret_hash(successor(refresh_token, nonce))
        rotation = await self._users.rotate(
            secret_hash(refresh_token), next_hash, nonce, self._refresh_seconds, self._reuse_seconds
        )
        if rotation.reused:
            raise _refused("was used before, so its session is ended; sign in again", "REFRESH_TOKEN_REUSED")
        if rotation.user is None or rotation.session_id is None:
            raise _refused("is unknown, expired or revoked; sign in again", "REFRESH_TOKEN_INVALID")
        return self._session(rotation.user, rotation.session_id, successor(refresh_token, rotation.nonce))

    async def logout(self, refresh_token: str, caller: Identity | None) -> None:
        """Ends the sessions of a refresh token and of the caller; without either there is nothing to end."""
        if refresh_token:
            await self._users.close_session(secret_hash(refresh_token))
        if caller is not None and caller.session_id:
            try:
                user_id, session_id = UUID(caller.user_id), UUID(caller.session_id)
            except ValueError:
                return  # it is none of ours
            await self._users.revoke(user_id, session_id)

    async def profile(self, user_id: UUID) -> User:
        """The caller.

        Raises:
            Unauthenticated: the user is gone.
        """
        user = await self._reads.user(user_id)
        if user is None:
            raise unknown_user()
        return user

    async def update_profile(self, user_id: UUID, display_name: str | None) -> User:
        """Changes what is not None.

        Raises:
            InvalidArgument: the name does not have 1 to 80 characters.
            Unauthenticated: the user is gone.
        """
        check = Violations()
        if display_name is not None:
            display_name = plain_text.line(display_name)
            check.text("display_name", display_name, 1, _NAME)
        check.raise_if_any()
        user = await self._users.update(user_id, display_name)
        if user is None:
            raise unknown_user()
        await self._reads.user_changed(user_id)
        return user

    async def _open(self, user: User) -> Session:
        secret, session_id = new_secret(), uuid4()
        await self._users.open_session(user.user_id, session_id, secret_hash(secret), self._refresh_seconds)
        return self._session(user, session_id, secret)

    def _session(self, user: User, session_id: UUID, secret: str) -> Session:
        access_token = self._tokens.issue(user, session_id)
        return Session(user, access_token, self._tokens.seconds, secret, self._refresh_seconds)


def _refused(what: str, reason: str) -> Unauthenticated:
    return Unauthenticated(f"refresh_token {what}", reason=reason, fields={"refresh_token": what})


def _lowered(email: str) -> str:
    return email.strip().lower()


def _stored_form(email: str) -> str:
    """The one form in which an address is stored, however its letters are encoded; empty: it is no address.

    A domain may be written in many ways (https://www.unicode.org/reports/tr46/): with characters in it that mean
    nothing, and as many as one likes. An address counts only as it is or in ASCII, letters' width and case aside, since
    whoever counts attempts at an account has to know its spellings.
    """
    if len(email) > _EMAIL:  # to look at more would keep the event loop busy
        return ""
    try:
        address = email_validator.validate_email(email.strip(), check_deliverability=False)
    except email_validator.EmailNotValidError:
        return ""
    spellings = {address.normalized, f"{address.local_part}@{address.ascii_domain}"}
    return _lowered(address.normalized) if _folded(email) in {_folded(each) for each in spellings} else ""


def _folded(email: str) -> str:
    """As the gateway folds what it counts attempts by."""
    return unicodedata.normalize("NFKC", email).strip().casefold()


def _email(check: Violations, email: str) -> str:
    address = _stored_form(email)
    if not email.strip():
        check.add("email", "is missing; give an e-mail address")
    elif not address:
        check.add("email", "is not an e-mail address, e.g. reader@example.com")
    return address


def _password(check: Violations, password: str) -> None:
    if not 8 <= len(password) <= _PASSWORD:
        check.add("password", f"has {len(password):,} characters; give 8 to 256")
