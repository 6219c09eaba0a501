-- Moments are microseconds since 1970 in UTC. A "box" is an agent's incarnation, agents.id; 0 is the operator's.

CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE agents (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  created INTEGER NOT NULL,
  since INTEGER NOT NULL,
  intended TEXT NOT NULL,
  container TEXT,
  login TEXT,
  revision TEXT,
  boot TEXT,
  transient TEXT,
  transient_since INTEGER,
  transient_by TEXT,
  purge INTEGER NOT NULL DEFAULT 0,
  parked_until INTEGER,
  paused INTEGER NOT NULL DEFAULT 0,
  quarantined TEXT,
  last_error TEXT,
  handle_runtime TEXT,
  handle_pid INTEGER,
  handle_start INTEGER,
  handle_boot TEXT,
  generation INTEGER NOT NULL DEFAULT 0,
  built_revision TEXT NOT NULL DEFAULT '',
  built_config TEXT NOT NULL DEFAULT '',
  model TEXT NOT NULL DEFAULT '',
  rejected_login TEXT,
  session TEXT,
  acked_boot TEXT,
  acked_n INTEGER NOT NULL DEFAULT 0,
  ended INTEGER
);
CREATE UNIQUE INDEX agents_live ON agents (name) WHERE ended IS NULL;
CREATE INDEX agents_name ON agents (name);

CREATE TABLE kept (
  name TEXT PRIMARY KEY,
  since INTEGER NOT NULL
) WITHOUT ROWID;

-- turn and box carry no foreign key: box 0 is no agent, and finished turns are pruned before their messages.
CREATE TABLE messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL,
  sender TEXT NOT NULL,
  recipient TEXT NOT NULL,
  body TEXT NOT NULL,
  ts INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'unread',
  turn INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0
);
-- state is constant in it, but only an index that holds it counts an inbox without reading the messages.
CREATE INDEX messages_unread ON messages (box, state) WHERE state = 'unread';
CREATE INDEX messages_taken ON messages (turn) WHERE state = 'taken';
CREATE INDEX messages_sender ON messages (sender);
CREATE INDEX messages_recipient ON messages (recipient);

CREATE TABLE turns (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL REFERENCES agents (id),
  agent TEXT NOT NULL,
  sender TEXT NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER,
  outcome TEXT,
  note TEXT NOT NULL DEFAULT '',
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cache_read_tokens INTEGER NOT NULL DEFAULT 0,
  cache_write_tokens INTEGER NOT NULL DEFAULT 0,
  cost_usd REAL NOT NULL DEFAULT 0,
  duration_ms INTEGER NOT NULL DEFAULT 0,
  items INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  elided INTEGER NOT NULL DEFAULT 0,
  kept INTEGER NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX turns_open ON turns (box) WHERE ended IS NULL;
CREATE INDEX turns_kept ON turns (box) WHERE kept = 1;
CREATE INDEX turns_ended ON turns (ended) WHERE ended IS NOT NULL;
CREATE INDEX turns_agent_ended ON turns (agent, ended) WHERE ended IS NOT NULL;

CREATE TABLE turn_items (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL,
  turn INTEGER NOT NULL REFERENCES turns (id) ON DELETE CASCADE,
  ts INTEGER NOT NULL,
  type TEXT NOT NULL,
  text TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX turn_items_turn ON turn_items (turn);
CREATE INDEX turn_items_box ON turn_items (box);

CREATE TABLE questions (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  box INTEGER NOT NULL REFERENCES agents (id),
  agent TEXT NOT NULL,
  question TEXT NOT NULL,
  options TEXT NOT NULL,
  multi INTEGER NOT NULL,
  asked INTEGER NOT NULL,
  deadline INTEGER,
  state TEXT NOT NULL DEFAULT 'open',
  answer TEXT,
  closed_by TEXT,
  closed INTEGER
);
CREATE INDEX questions_open ON questions (box) WHERE state = 'open';
CREATE INDEX questions_due ON questions (deadline) WHERE state = 'open' AND deadline IS NOT NULL;

CREATE TABLE approvals (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  agent TEXT NOT NULL,
  requested_by TEXT NOT NULL,
  requested INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending',
  note TEXT NOT NULL DEFAULT '',
  decided_by TEXT,
  decided INTEGER
);
CREATE INDEX approvals_pending ON approvals (agent) WHERE state = 'pending';

CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  ts INTEGER NOT NULL,
  kind TEXT NOT NULL,
  agent TEXT,
  text TEXT NOT NULL
);
