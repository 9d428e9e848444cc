-- BIGINT and TEXT only, so that SQLite and PostgreSQL run the same statements. Times are milliseconds since 1970, UTC.
CREATE TABLE operation (
    id TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The server that destroy and power are about.
    subject TEXT,
    idempotency_key TEXT,
    -- Which of the operations under one key: a request of many names becomes several.
    part BIGINT NOT NULL,
    digest TEXT,
    -- The fold of the events, rewritten with each one.
    state TEXT NOT NULL,
    is_open BIGINT NOT NULL,
    next_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- Every append and every claim counts it up: who holds an older one is fenced out.
    version BIGINT NOT NULL,
    lease_owner TEXT,
    lease_until BIGINT NOT NULL
);
CREATE UNIQUE INDEX operation_idempotency ON operation (owner, idempotency_key, part) WHERE idempotency_key IS NOT NULL;
CREATE INDEX operation_open ON operation (owner, is_open, lease_until);
CREATE INDEX operation_newest ON operation (owner, created_at);

CREATE TABLE operation_event (
    operation TEXT NOT NULL REFERENCES operation (id),
    seq BIGINT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (operation, seq)
);

-- A row is made when the server is intended, and so reserves its name before anything is sent.
CREATE TABLE instance (
    operation TEXT NOT NULL REFERENCES operation (id),
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    id TEXT,
    status TEXT NOT NULL,
    addresses TEXT NOT NULL,
    facts TEXT NOT NULL,
    gone_at BIGINT,
    PRIMARY KEY (operation, name)
);
CREATE UNIQUE INDEX instance_living_name ON instance (owner, name) WHERE gone_at IS NULL;
CREATE UNIQUE INDEX instance_living_id ON instance (owner, id) WHERE gone_at IS NULL AND id IS NOT NULL;
