-- Mail and Teams: what is synchronised, the messages, and what is to be sent.

CREATE TABLE mailboxes (
    company_id uuid NOT NULL REFERENCES companies,
    -- Object id of the user.
    user_id text NOT NULL CHECK (user_id <> ''),
    address text NOT NULL DEFAULT '',
    display_name text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    -- What is kept of a message beyond its head and preview.
    bodies boolean NOT NULL DEFAULT false,
    attachments boolean NOT NULL DEFAULT true,
    -- Nothing that was received earlier is read; NULL: everything.
    since timestamptz,
    -- Number of the newest enumeration that was begun in any folder; messages that it did not see are looked up.
    generation bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, user_id)
);
CREATE INDEX mailboxes_address ON mailboxes (company_id, lower(address));
SELECT protect_tenant_table('mailboxes');

CREATE TABLE mail_folders (
    company_id uuid NOT NULL,
    user_id text NOT NULL,
    folder_id text NOT NULL,
    parent_id text,
    name text NOT NULL DEFAULT '',
    well_known_name text,
    hidden boolean NOT NULL DEFAULT false,
    -- As the provider counts.
    total_items bigint,
    unread_items bigint,
    generation bigint NOT NULL DEFAULT 0,
    -- The feed named it as gone, or an enumeration of the tree did not see it: to be looked up.
    suspect boolean NOT NULL DEFAULT false,
    deleted_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, user_id, folder_id),
    FOREIGN KEY (company_id, user_id) REFERENCES mailboxes ON DELETE CASCADE
);
SELECT protect_tenant_table('mail_folders');

CREATE TABLE teams_channels (
    company_id uuid NOT NULL REFERENCES companies,
    team_id text NOT NULL CHECK (team_id <> ''),
    channel_id text NOT NULL CHECK (channel_id <> ''),
    name text NOT NULL DEFAULT '',
    membership_type text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    generation bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, team_id, channel_id)
);
SELECT protect_tenant_table('teams_channels');

CREATE TABLE teams_chats (
    company_id uuid NOT NULL REFERENCES companies,
    chat_id text NOT NULL CHECK (chat_id <> ''),
    -- Whose chat it was found as; empty when it was named by its id.
    user_id text NOT NULL DEFAULT '',
    topic text NOT NULL DEFAULT '',
    chat_type text NOT NULL DEFAULT '',
    enabled boolean NOT NULL DEFAULT true,
    generation bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, chat_id)
);
SELECT protect_tenant_table('teams_chats');

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    source text NOT NULL CHECK (source IN ('mail', 'channel', 'chat')),
    -- User id of the mailbox, {team}/{channel}, or chat id.
    place text NOT NULL,
    provider_id text NOT NULL,
    -- Root message of a reply in a channel; empty for everything else.
    reply_to_id text NOT NULL DEFAULT '',
    user_id text,
    folder_id text,
    team_id text,
    channel_id text,
    chat_id text,
    internet_message_id text,
    conversation_id text,
    -- message, systemEventMessage, ... of Teams.
    message_type text,
    subject text,
    sender_name text,
    sender_address text,
    sender_user_id text,
    -- {to, cc, bcc: [{name, address}]}
    recipients jsonb,
    body_preview text,
    body_type text,
    body text,
    body_truncated boolean NOT NULL DEFAULT false,
    has_attachments boolean NOT NULL DEFAULT false,
    -- [{id, name, content_type, size, is_inline}]
    attachments jsonb NOT NULL DEFAULT '[]',
    importance text,
    categories text[] NOT NULL DEFAULT '{}',
    is_read boolean,
    is_draft boolean,
    e_tag text,
    web_url text,
    received_at timestamptz,
    sent_at timestamptz,
    modified_at timestamptz,
    edited_at timestamptz,
    deleted_at timestamptz,
    -- Order of listings: received, else created at the provider.
    occurred_at timestamptz NOT NULL,
    generation bigint NOT NULL DEFAULT 0,
    -- 0 no; 1 the feed named it as gone or an enumeration did not see it: to be looked up; 2 looked up, it is gone.
    suspect smallint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT messages_provider_unique UNIQUE (company_id, source, place, reply_to_id, provider_id)
);
CREATE INDEX messages_recent ON messages (company_id, occurred_at DESC, id DESC);
CREATE INDEX messages_folder ON messages (company_id, place, folder_id) WHERE source = 'mail';
CREATE INDEX messages_suspect ON messages (company_id, source, place) WHERE suspect > 0;
CREATE INDEX messages_deleted ON messages (company_id, deleted_at) WHERE deleted_at IS NOT NULL;
SELECT protect_tenant_table('messages');

CREATE TABLE message_outbox (
    id uuid PRIMARY KEY,
    company_id uuid NOT NULL REFERENCES companies,
    kind text NOT NULL CHECK (kind IN ('mail', 'card')),
    -- Mailbox that sends, or workflow that posts.
    sender text NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN
        ('pending', 'drafted', 'attached', 'submitting', 'submitted', 'ambiguous', 'sent', 'failed', 'cancelled')),
    provider_message_id text,
    internet_message_id text,
    -- Calls that asked the provider to send.
    submissions integer NOT NULL DEFAULT 0,
    -- Look-ups since the last of them.
    lookups integer NOT NULL DEFAULT 0,
    error text,
    requested_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    submitted_at timestamptz,
    sent_at timestamptz
);
CREATE INDEX message_outbox_recent ON message_outbox (company_id, created_at DESC, id DESC);
CREATE INDEX message_outbox_open ON message_outbox (company_id, updated_at)
    WHERE state IN ('pending', 'drafted', 'attached', 'submitting', 'submitted');
SELECT protect_tenant_table('message_outbox');

CREATE TABLE message_outbox_files (
    outbox_id uuid NOT NULL REFERENCES message_outbox ON DELETE CASCADE,
    company_id uuid NOT NULL,
    position integer NOT NULL,
    name text NOT NULL,
    content_type text NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (outbox_id, position)
);
SELECT protect_tenant_table('message_outbox_files');

-- The choice of what is read that a cursor belongs to: another choice needs another round.
ALTER TABLE microsoft_sync_state ADD COLUMN options text NOT NULL DEFAULT '';
-- When to renew, with jitter, as the connector chose.
ALTER TABLE microsoft_subscriptions ADD COLUMN renew_at timestamptz;
CREATE INDEX microsoft_subscriptions_expiry ON microsoft_subscriptions (expires_at) WHERE state = 'active';
-- Whoever removes what this organization has at the provider must know that no other one owns it.
COMMENT ON COLUMN microsoft_subscriptions.renew_at IS 'Half of its life, with jitter.';
