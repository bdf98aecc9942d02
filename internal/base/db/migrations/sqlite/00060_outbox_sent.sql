-- +goose Up

-- For the job that forgets mails that were sent.
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
