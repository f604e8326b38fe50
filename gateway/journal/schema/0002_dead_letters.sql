-- What was given up, for an operator to see: a turn that failed, a part that was not (or perhaps not) delivered, an
-- update that could not be read. A row goes when it is retried, dropped, or too old.
CREATE TABLE dead_letters (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,       -- of the turn, the part or the message
    kind         TEXT NOT NULL,              -- turn, part, update
    organization TEXT NOT NULL,
    bot          TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    message      TEXT NOT NULL,              -- whose life tells the rest
    outcome      TEXT NOT NULL,              -- failed, dead, unknown, quarantined
    cause        TEXT,
    at           REAL NOT NULL
) STRICT;
CREATE INDEX dead_letters_bot ON dead_letters (bot, seq);
CREATE INDEX dead_letters_age ON dead_letters (at);
CREATE INDEX dead_letters_conversation ON dead_letters (conversation);

INSERT INTO dead_letters (id, kind, organization, bot, conversation, message, outcome, cause, at)
    SELECT t.id, 'turn', t.organization, t.bot, t.conversation, t.messages ->> '$[#-1]', t.outcome, t.cause, t.ended_at
        FROM turns t WHERE t.outcome = 'failed' AND t.kind = 'ask'
    UNION ALL
    SELECT id, 'part', organization, bot, conversation, in_reply_to, state, cause, ended_at
        FROM parts WHERE state IN ('dead', 'unknown') AND in_reply_to IS NOT NULL
    UNION ALL
    SELECT id, 'update', organization, bot, conversation, id, outcome, cause, accepted_at
        FROM messages WHERE outcome = 'quarantined';

DROP INDEX parts_dead;

-- When a retried message began to wait again; its acceptance stays what it was.
ALTER TABLE messages ADD COLUMN waiting_since REAL;

-- Where a turn's time went, in seconds.
ALTER TABLE turns ADD COLUMN quota_wait REAL;
ALTER TABLE turns ADD COLUMN upstream REAL;
