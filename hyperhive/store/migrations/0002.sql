-- Configs are git: approvals pin commits, rebuilds are generations, drafts wait for their first approval.

ALTER TABLE agents ADD COLUMN built_commit TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';

ALTER TABLE kept ADD COLUMN size INTEGER;

ALTER TABLE approvals ADD COLUMN sha TEXT;
ALTER TABLE approvals ADD COLUMN summary TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN thread INTEGER NOT NULL DEFAULT 0;
ALTER TABLE approvals ADD COLUMN base TEXT;
ALTER TABLE approvals ADD COLUMN deadline INTEGER;
ALTER TABLE approvals ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
ALTER TABLE approvals ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
ALTER TABLE approvals ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE approvals ADD COLUMN decided_where TEXT NOT NULL DEFAULT '';
ALTER TABLE approvals ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
UPDATE approvals SET thread = id;
CREATE INDEX approvals_unended ON approvals (agent) WHERE state IN ('approved', 'building');
CREATE INDEX approvals_due ON approvals (deadline) WHERE state = 'pending' AND deadline IS NOT NULL;
CREATE INDEX approvals_agent ON approvals (agent, id);
CREATE INDEX approvals_thread ON approvals (thread);

CREATE TABLE drafts (
  name TEXT PRIMARY KEY,
  created INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  size INTEGER NOT NULL DEFAULT 0,
  kept INTEGER
) WITHOUT ROWID;

CREATE TABLE generations (
  agent TEXT NOT NULL,
  number INTEGER NOT NULL,
  made INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  revision TEXT NOT NULL,
  git_commit TEXT NOT NULL,
  summary TEXT NOT NULL DEFAULT '',
  config TEXT NOT NULL,
  model TEXT NOT NULL,
  warnings TEXT NOT NULL DEFAULT '[]',
  approval INTEGER,
  PRIMARY KEY (agent, number)
) WITHOUT ROWID;

-- What happened stays as it was written; what an operator did stays longest.
CREATE TRIGGER events_are_not_edited BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not edited');
END;
CREATE INDEX events_audit ON events (seq) WHERE kind IN ('audit', 'approval_resolved');
