-- Limits on what a month may cost; `body` is JSON.
CREATE TABLE budget (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    -- Counted up by whoever checks an order against it: on PostgreSQL the row is then theirs until they commit.
    checks BIGINT NOT NULL,
    PRIMARY KEY (owner, name)
);
