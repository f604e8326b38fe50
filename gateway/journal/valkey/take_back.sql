-- What happened after `moment.at` is taken back, by the times that the rows have themselves.

DELETE FROM messages WHERE accepted_at > (SELECT at FROM moment);
DELETE FROM turns WHERE claimed_at > (SELECT at FROM moment);
UPDATE turns SET asked_at = NULL, attempt = 0 WHERE asked_at > (SELECT at FROM moment);
UPDATE turns
    SET ended_at = NULL, outcome = NULL, cause = NULL, state = iif(asked_at IS NULL, 'claimed', 'asked')
    WHERE ended_at IS NULL OR ended_at > (SELECT at FROM moment);

-- What has not ended waits, but for what is in a turn that has not ended either.
UPDATE messages SET ended_at = NULL, outcome = NULL, cause = NULL, turn = NULL, state = 'waiting'
    WHERE ended_at IS NULL OR ended_at > (SELECT at FROM moment);
UPDATE messages SET state = 'claimed', turn = t.id FROM turns t, json_each(t.messages) j
    WHERE t.ended_at IS NULL AND messages.id = j.value;
DELETE FROM bodies WHERE message NOT IN (SELECT seq FROM messages);
UPDATE bodies SET ended_at = (SELECT ended_at FROM messages WHERE seq = message);

DELETE FROM parts WHERE created_at > (SELECT at FROM moment);
UPDATE parts
    SET ended_at = NULL, cause = NULL, platform_ids = NULL,
        state = iif(sending_at <= (SELECT at FROM moment), 'sending', 'waiting')
    WHERE ended_at > (SELECT at FROM moment) OR sending_at > (SELECT at FROM moment);

DELETE FROM dead_letters WHERE at > (SELECT at FROM moment);
DELETE FROM dedupe WHERE at > (SELECT at FROM moment);
DELETE FROM spends WHERE at > (SELECT at FROM moment);
