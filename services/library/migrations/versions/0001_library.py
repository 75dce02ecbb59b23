"""Users, novels, scenarios, conversations and messages."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE users (
        user_id       uuid PRIMARY KEY,
        email         text,
        password_hash text,
        display_name  text NOT NULL,
        created_at    timestamptz NOT NULL DEFAULT now(),
        updated_at    timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT users_account_or_guest CHECK ((email IS NULL) = (password_hash IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX users_email ON users (email) WHERE email IS NOT NULL",
    # A session is a family of refresh tokens, each used once to buy the next.
    """
    CREATE TABLE sessions (
        session_id uuid PRIMARY KEY,
        user_id    uuid NOT NULL CONSTRAINT sessions_user REFERENCES users ON DELETE CASCADE,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX sessions_user_expiry ON sessions (user_id, expires_at)",
    """
    CREATE TABLE refresh_tokens (
        token_hash bytea PRIMARY KEY,
        session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
        expires_at timestamptz NOT NULL,
        used_at    timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)",
    """
    CREATE TABLE novels (
        novel_id         uuid PRIMARY KEY,
        owner_id         uuid NOT NULL CONSTRAINT novels_owner REFERENCES users ON DELETE CASCADE,
        title            text NOT NULL,
        author           text NOT NULL,
        language         text NOT NULL,
        visibility       text NOT NULL CHECK (visibility IN ('private', 'public')),
        request_id       text,
        request_hash     bytea NOT NULL,
        status           text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'complete', 'failed')),
        words            integer NOT NULL DEFAULT 0,
        chapters         integer NOT NULL DEFAULT 0,
        passages         integer NOT NULL DEFAULT 0,
        characters       integer NOT NULL DEFAULT 0,
        failure          jsonb,
        progress         smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100),
        stage            text NOT NULL DEFAULT 'queued',
        stage_message    text NOT NULL DEFAULT 'Waiting for its turn',
        attempts         integer NOT NULL DEFAULT 0,
        next_attempt_at  timestamptz NOT NULL DEFAULT now(),
        lease_id         uuid,
        lease_expires_at timestamptz,
        created_at       timestamptz NOT NULL DEFAULT now(),
        updated_at       timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX novels_request ON novels (owner_id, request_id) WHERE request_id IS NOT NULL",
    "CREATE INDEX novels_of_owner ON novels (owner_id, created_at DESC, novel_id DESC)",
    "CREATE INDEX novels_public ON novels (created_at DESC, novel_id DESC) WHERE visibility = 'public'",
    "CREATE INDEX novels_queue ON novels (created_at) WHERE status IN ('pending', 'running')",
    # Apart, so that lists and updates of novels never touch 8 MiB of text.
    """
    CREATE TABLE novel_texts (
        novel_id uuid PRIMARY KEY REFERENCES novels ON DELETE CASCADE,
        content  text NOT NULL
    )
    """,
    # Novels that are gone here and must go from search; written in the transaction that deletes the novel.
    """
    CREATE TABLE search_removals (
        novel_id        uuid PRIMARY KEY,
        settles_at      timestamptz NOT NULL,
        next_attempt_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX search_removals_queue ON search_removals (next_attempt_at)",
    """
    CREATE TABLE scenarios (
        scenario_id   uuid PRIMARY KEY,
        owner_id      uuid NOT NULL CONSTRAINT scenarios_owner REFERENCES users ON DELETE CASCADE,
        novel_id      uuid NOT NULL CONSTRAINT scenarios_novel REFERENCES novels ON DELETE CASCADE,
        title         text NOT NULL,
        description   text NOT NULL,
        passage_ids   uuid[] NOT NULL,
        visibility    text NOT NULL CHECK (visibility IN ('private', 'public')),
        until_chapter integer CHECK (until_chapter >= 0),
        created_at    timestamptz NOT NULL DEFAULT now(),
        updated_at    timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX scenarios_of_novel ON scenarios (novel_id, created_at DESC, scenario_id DESC)",
    "CREATE INDEX scenarios_of_owner ON scenarios (owner_id)",
    """
    CREATE TABLE conversations (
        conversation_id       uuid PRIMARY KEY,
        user_id               uuid NOT NULL CONSTRAINT conversations_user REFERENCES users ON DELETE CASCADE,
        scenario_id           uuid NOT NULL CONSTRAINT conversations_scenario REFERENCES scenarios ON DELETE CASCADE,
        novel_id              uuid NOT NULL CONSTRAINT conversations_novel REFERENCES novels ON DELETE CASCADE,
        character_id          uuid NOT NULL,
        character_name        text NOT NULL,
        character_description text NOT NULL,
        request_id            text,
        status                text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'open')),
        message_count         integer NOT NULL DEFAULT 0,
        last_message          text NOT NULL DEFAULT '',
        created_at            timestamptz NOT NULL DEFAULT now(),
        updated_at            timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE UNIQUE INDEX conversations_request ON conversations (user_id, request_id) WHERE request_id IS NOT NULL",
    "CREATE INDEX conversations_of_user ON conversations (user_id, updated_at DESC, conversation_id DESC)",
    "CREATE INDEX conversations_of_scenario ON conversations (scenario_id)",
    "CREATE INDEX conversations_of_novel ON conversations (novel_id)",
    """
    CREATE TABLE messages (
        message_id      uuid PRIMARY KEY,
        conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
        position        integer NOT NULL,
        role            text NOT NULL CHECK (role IN ('reader', 'character')),
        content         text NOT NULL,
        status          text NOT NULL CHECK (status IN ('pending', 'complete', 'failed')),
        request_id      text,
        lease_id        uuid,
        leased_at       timestamptz,
        record          jsonb,
        created_at      timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT messages_position UNIQUE (conversation_id, position)
    )
    """,
    "CREATE UNIQUE INDEX messages_request ON messages (conversation_id, request_id, role) WHERE request_id IS NOT NULL",
)


def upgrade() -> None:
    """Makes the tables."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drops them."""
    op.execute(
        "DROP TABLE messages, conversations, scenarios, search_removals, novel_texts, novels, refresh_tokens,"
        " sessions, users"
    )
