"""Users and their sessions."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.library.domain.errors import email_taken, unknown_user
from services.library.models import Revocation, Rotation, User
from services.library.stores import rows
from services.library.stores.database import Database

# A transaction's now() is that of its beginning: what a listing did not see yet may be this much older than it.
_LATE_SECONDS = 35.0


class PostgresUsers:
    """The port `UserStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, user: User, password_hash: str | None) -> None:
        """Stores a new user."""
        try:
            async with self._database.connection("users.create") as connection:
                await connection.execute(
                    "INSERT INTO users (user_id, email, password_hash, display_name, created_at)"
                    " VALUES ($1, $2, $3, $4, $5)",
                    user.user_id,
                    user.email,
                    password_hash,
                    user.display_name,
                    user.created_at,
                )
        except asyncpg.UniqueViolationError:
            raise email_taken() from None

    async def upgrade(self, user_id: UUID, email: str, password_hash: str, display_name: str) -> User | None:
        """Makes an account of a guest."""
        try:
            async with self._database.connection("users.upgrade") as connection:
                row = await connection.fetchrow(
                    """
                    UPDATE users SET email = $2, password_hash = $3, display_name = $4, updated_at = now()
                    WHERE user_id = $1 AND email IS NULL
                    RETURNING *
                    """,
                    user_id,
                    email,
                    password_hash,
                    display_name,
                )
        except asyncpg.UniqueViolationError:
            raise email_taken() from None
        return rows.user(row) if row else None

    async def get(self, user_id: UUID) -> User | None:
        """A user."""
        async with self._database.connection("users.get") as connection:
            row = await connection.fetchrow("SELECT * FROM users WHERE user_id = $1", user_id)
        return rows.user(row) if row else None

    async def credentials(self, email: str) -> tuple[User, str] | None:
        """The account of an e-mail address and the hash of its password."""
        async with self._database.connection("users.credentials") as connection:
            row = await connection.fetchrow("SELECT * FROM users WHERE email = $1", email)
        return (rows.user(row), row["password_hash"]) if row else None

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        """Replaces the hash of a password."""
        async with self._database.connection("users.set_password_hash") as connection:
            await connection.execute(
                "UPDATE users SET password_hash = $2, updated_at = now() WHERE user_id = $1", user_id, password_hash
            )

    async def update(self, user_id: UUID, display_name: str | None) -> User | None:
        """Changes what is not None."""
        async with self._database.connection("users.update") as connection:
            row = await connection.fetchrow(
                """
                UPDATE users SET display_name = coalesce($2, display_name), updated_at = now()
                WHERE user_id = $1 RETURNING *
                """,
                user_id,
                display_name,
            )
        return rows.user(row) if row else None

    async def open_session(self, user_id: UUID, session_id: UUID, token_hash: bytes, seconds: int) -> None:
        """Begins a family of refresh tokens with its first, and drops the user's expired ones."""
        with rows.parents({"sessions_user": unknown_user()}):
            async with self._database.transaction("users.open_session") as connection:
                await connection.execute("DELETE FROM sessions WHERE user_id = $1 AND expires_at < now()", user_id)
                await connection.execute(
                    """
                    WITH session AS (
                        INSERT INTO sessions (session_id, user_id, expires_at)
                        VALUES ($1, $2, now() + make_interval(secs => $4)) RETURNING session_id, expires_at
                    )
                    INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
                    SELECT $3, session_id, expires_at FROM session
                    """,
                    session_id,
                    user_id,
                    token_hash,
                    float(seconds),
                )

    async def rotate(
        self, token_hash: bytes, next_hash: bytes, nonce: bytes, seconds: int, reuse_seconds: float
    ) -> Rotation:
        """Exchanges a refresh token for the next of its family. A token used before revokes the family."""
        async with self._database.transaction("users.rotate") as connection:
            # The family's row is locked first, so that of two uses at the same moment one is the second.
            row = await connection.fetchrow(
                """
                SELECT sessions.*, users.*
                FROM sessions JOIN users USING (user_id)
                WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)
                FOR UPDATE OF sessions
                """,
                token_hash,
            )
            token = await connection.fetchrow(
                # Of two at the same moment the second began before the first was done; hence the clock.
                """
                SELECT used_at, expires_at < now() AS expired, next_nonce,
                       used_at > clock_timestamp() - make_interval(secs => $2) AS just_used
                FROM refresh_tokens WHERE token_hash = $1
                """,
                token_hash,
                float(reuse_seconds),
            )
            if row is None or token is None or row["revoked_at"] is not None:
                return Rotation()
            session_id: UUID = row["session_id"]
            if token["used_at"] is not None:
                if token["just_used"] and token["next_nonce"] is not None:
                    return Rotation(rows.user(row), session_id, token["next_nonce"])
                await connection.execute(
                    "UPDATE sessions SET revoked_at = clock_timestamp() WHERE session_id = $1", session_id
                )
                return Rotation(reused=True)
            if token["expired"]:
                return Rotation()
            await connection.execute(
                "UPDATE refresh_tokens SET used_at = clock_timestamp(), next_nonce = $2 WHERE token_hash = $1",
                token_hash,
                nonce,
            )
            await connection.execute(
                """
                WITH session AS (
                    UPDATE sessions SET expires_at = now() + make_interval(secs => $3)
                    WHERE session_id = $1 RETURNING session_id, expires_at
                )
                INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
                SELECT $2, session_id, expires_at FROM session
                """,
                session_id,
                next_hash,
                float(seconds),
            )
            return Rotation(rows.user(row), session_id, nonce)

    async def close_session(self, token_hash: bytes) -> None:
        """Revokes the family of a refresh token."""
        async with self._database.connection("users.close_session") as connection:
            await connection.execute(
                """
                UPDATE sessions SET revoked_at = coalesce(revoked_at, clock_timestamp())
                WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)
                """,
                token_hash,
            )

    async def revoke(self, user_id: UUID, session_id: UUID) -> None:
        """Revokes a session of a user."""
        async with self._database.connection("users.revoke") as connection:
            await connection.execute(
                """
                UPDATE sessions SET revoked_at = coalesce(revoked_at, clock_timestamp())
                WHERE session_id = $1 AND user_id = $2
                """,
                session_id,
                user_id,
            )

    async def revocations(
        self, since: datetime | None, after: tuple[datetime, UUID] | None, limit: int, seconds: float
    ) -> tuple[Sequence[Revocation], datetime]:
        """The sessions that were revoked, the first first, and the time of the listing."""
        async with self._database.connection("users.revocations") as connection:
            found = await connection.fetch(
                """
                SELECT session_id, revoked_at, now() AS as_of
                FROM (SELECT 1) AS one LEFT JOIN sessions ON revoked_at >= greatest(
                    now() - make_interval(secs => $4), $1::timestamptz - make_interval(secs => $5)
                ) AND ($2::timestamptz IS NULL OR (revoked_at, session_id) > ($2, $3::uuid))
                ORDER BY revoked_at, session_id LIMIT $6
                """,
                since,
                after[0] if after else None,
                after[1] if after else None,
                float(seconds),
                _LATE_SECONDS,
                limit,
            )
        listed = [Revocation(row["session_id"], row["revoked_at"]) for row in found if row["session_id"] is not None]
        return listed, found[0]["as_of"]
