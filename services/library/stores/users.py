"""Users and their sessions."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg

from services.library.domain.errors import email_taken, unknown_user
from services.library.models import User
from services.library.stores import rows
from services.library.stores.database import Database


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What came of exchanging a refresh token; the port `Rotation`."""

    user: User | None = None
    reused: bool = False


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

    async def open_session(self, user_id: UUID, token_hash: bytes, seconds: int) -> None:
        """Begins a family of refresh tokens with its first, and drops the user's expired ones."""
        session_id = uuid4()
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

    async def rotate(self, token_hash: bytes, next_hash: bytes, seconds: int) -> Exchanged:
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
                "SELECT used_at, expires_at < now() AS expired FROM refresh_tokens WHERE token_hash = $1", token_hash
            )
            if row is None or token is None or row["revoked_at"] is not None:
                return Exchanged()
            if token["used_at"] is not None:
                await connection.execute(
                    "UPDATE sessions SET revoked_at = now() WHERE session_id = $1", row["session_id"]
                )
                return Exchanged(reused=True)
            if token["expired"]:
                return Exchanged()
            await connection.execute("UPDATE refresh_tokens SET used_at = now() WHERE token_hash = $1", token_hash)
            await connection.execute(
                """
                WITH session AS (
                    UPDATE sessions SET expires_at = now() + make_interval(secs => $3)
                    WHERE session_id = $1 RETURNING session_id, expires_at
                )
                INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
                SELECT $2, session_id, expires_at FROM session
                """,
                row["session_id"],
                next_hash,
                float(seconds),
            )
            return Exchanged(rows.user(row))

    async def close_session(self, token_hash: bytes) -> None:
        """Revokes the family of a refresh token."""
        async with self._database.connection("users.close_session") as connection:
            await connection.execute(
                """
                UPDATE sessions SET revoked_at = coalesce(revoked_at, now())
                WHERE session_id = (SELECT session_id FROM refresh_tokens WHERE token_hash = $1)
                """,
                token_hash,
            )
