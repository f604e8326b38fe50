-- Rows are found by what still has to happen to them, so most indices are partial: they hold what is open, not history.

CREATE TABLE conversations (
    id          INTEGER PRIMARY KEY,
    bot         TEXT NOT NULL,
    platform    TEXT NOT NULL,
    chat        TEXT NOT NULL,
    last_seq    INTEGER NOT NULL,            -- newest number of its log
    trimmed_seq INTEGER NOT NULL DEFAULT 0,  -- entries up to this number may be gone
    seen_at     REAL NOT NULL,
    UNIQUE (bot, platform, chat)
) STRICT;
CREATE INDEX conversations_empty ON conversations (seen_at) WHERE trimmed_seq = last_seq;

CREATE TABLE messages (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    organization TEXT NOT NULL,
    bot          TEXT NOT NULL,
    platform     TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    log_seq      INTEGER,                    -- null: not part of the conversation's log
    message_id   TEXT,
    sender       TEXT,
    kind         TEXT NOT NULL,              -- ask, record
    direct       INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    sent_at      REAL NOT NULL,
    accepted_at  REAL NOT NULL,
    not_before   REAL,
    join_key     TEXT,
    deadline     REAL,
    state        TEXT NOT NULL,              -- waiting, claimed, ended
    turn         TEXT,
    ended_at     REAL,
    outcome      TEXT,
    cause        TEXT,
    counted      INTEGER NOT NULL,           -- counts against its sender's limit
    notice       INTEGER NOT NULL            -- a fixed text was sent for it
) STRICT;
CREATE INDEX messages_inbox ON messages (organization, seq, kind) WHERE state = 'waiting';
CREATE INDEX messages_queue ON messages (bot, kind, conversation, message_id) WHERE state = 'waiting';
CREATE UNIQUE INDEX messages_log ON messages (conversation, log_seq);
CREATE INDEX messages_counted ON messages (bot, platform, sender, accepted_at) WHERE counted = 1;
CREATE INDEX messages_noticed ON messages (bot, platform, sender, outcome, accepted_at) WHERE notice = 1;
CREATE INDEX messages_ended ON messages (ended_at) WHERE ended_at IS NOT NULL;

-- Texts apart from the rows that the queue is read from: 100,000 waiting messages are chosen from without touching one.
CREATE TABLE bodies (
    message  INTEGER PRIMARY KEY,
    said     BLOB,
    raw      TEXT,                           -- as the platform gave it, until the turn ends
    web      INTEGER NOT NULL,               -- transcripts of the web live longer
    ended_at REAL
) STRICT;
CREATE INDEX bodies_ended ON bodies (web, ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE dedupe (
    bot       TEXT NOT NULL,
    platform  TEXT NOT NULL,
    key       TEXT NOT NULL,
    message   TEXT NOT NULL,
    body_hash TEXT,
    at        REAL NOT NULL,
    PRIMARY KEY (bot, platform, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedupe_age ON dedupe (at);

CREATE TABLE turns (
    id           TEXT PRIMARY KEY,
    organization TEXT NOT NULL,
    bot          TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    messages     TEXT NOT NULL,              -- JSON array of message ids, in order
    state        TEXT NOT NULL,              -- claimed, asked, ended
    token        INTEGER NOT NULL,           -- of the lease it was claimed under
    attempt      INTEGER NOT NULL DEFAULT 0,
    claimed_at   REAL NOT NULL,
    asked_at     REAL,
    ended_at     REAL,
    outcome      TEXT,
    cause        TEXT,
    request_id   TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX turns_in_flight ON turns (conversation) WHERE ended_at IS NULL AND kind = 'ask';
CREATE INDEX turns_open ON turns (organization, token) WHERE ended_at IS NULL;
CREATE INDEX turns_ended ON turns (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE parts (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    organization TEXT NOT NULL,
    bot          TEXT NOT NULL,
    platform     TEXT NOT NULL,
    lane         TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    log_seq      INTEGER NOT NULL,
    owner        TEXT NOT NULL,              -- the turn or message that it answers
    idx          INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    purpose      TEXT NOT NULL,
    address      BLOB NOT NULL,
    part         BLOB,                       -- null once its retention is over
    in_reply_to  TEXT,
    created_at   REAL NOT NULL,
    state        TEXT NOT NULL,              -- waiting, sending, sent, unknown, dead
    token        INTEGER,
    attempt      INTEGER NOT NULL DEFAULT 0,
    not_before   REAL,
    sending_at   REAL,
    ended_at     REAL,
    platform_ids TEXT,
    cause        TEXT
) STRICT;
CREATE INDEX parts_due ON parts (bot, platform, seq) WHERE ended_at IS NULL;
CREATE INDEX parts_lane ON parts (bot, platform, lane, seq) WHERE ended_at IS NULL;
CREATE INDEX parts_sending ON parts (bot, platform, lane) WHERE state = 'sending';
CREATE INDEX parts_dead ON parts (bot) WHERE state = 'dead';
CREATE INDEX parts_owner ON parts (owner);
CREATE UNIQUE INDEX parts_log ON parts (conversation, log_seq);
CREATE INDEX parts_text ON parts (platform = 'web', ended_at) WHERE part IS NOT NULL AND ended_at IS NOT NULL;
CREATE INDEX parts_ended ON parts (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE postponed (
    bot      TEXT NOT NULL,
    platform TEXT NOT NULL,
    lane     TEXT NOT NULL,                  -- '': the whole channel
    until    REAL NOT NULL,
    PRIMARY KEY (bot, platform, lane)
) STRICT, WITHOUT ROWID;

CREATE TABLE spends (
    organization TEXT NOT NULL,
    id           TEXT NOT NULL,
    kind         TEXT NOT NULL,
    completion   INTEGER NOT NULL,
    upload       INTEGER NOT NULL,
    bot          TEXT NOT NULL,
    at           REAL NOT NULL,
    PRIMARY KEY (organization, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX spends_of ON spends (organization, at);
CREATE INDEX spends_age ON spends (at);

CREATE TABLE counters (
    bot     TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n       INTEGER NOT NULL,
    PRIMARY KEY (bot, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name  TEXT PRIMARY KEY,
    token INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    scope      TEXT NOT NULL,
    key        TEXT NOT NULL,
    value      BLOB NOT NULL,
    expires_at REAL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_expiring ON notes (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE probes (
    id     INTEGER PRIMARY KEY,
    weight BLOB NOT NULL
) STRICT;
