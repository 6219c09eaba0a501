-- Configs are git: approvals pin commits, rebuilds are generations, drafts wait for their first approval.

ALTER TABLE agents ADD COLUMN built_commit TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN warnings TEXT NOT NULL DEFAULT '[]';
-- The generation that the rebuilding under way goes back to.
ALTER TABLE agents ADD COLUMN transient_generation INTEGER;

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
-- The draft that an approved spawn-commit took up: if its first build fails, the draft comes back.
ALTER TABLE approvals ADD COLUMN draft_created INTEGER;
ALTER TABLE approvals ADD COLUMN draft_by TEXT;
ALTER TABLE approvals ADD COLUMN draft_size INTEGER;
ALTER TABLE approvals ADD COLUMN draft_kept INTEGER;
UPDATE approvals SET thread = id;
-- Until now an approved agent was carried out with its decision: nothing of it waits for a build.
UPDATE approvals SET state = 'deployed' WHERE state = 'approved';
CREATE INDEX approvals_unended ON approvals (agent) WHERE state IN ('approved', 'building');
CREATE INDEX approvals_due ON approvals (deadline) WHERE state = 'pending' AND deadline IS NOT NULL;
CREATE INDEX approvals_agent ON approvals (agent, id);
CREATE INDEX approvals_thread ON approvals (thread);

CREATE TABLE drafts (
  name TEXT PRIMARY KEY,
  created INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  size INTEGER NOT NULL DEFAULT 0,
  kept INTEGER -- since when its folders had been kept, to go back to; NULL: they are its own
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
  approval INTEGER, -- which one led to it
  PRIMARY KEY (agent, number)
) WITHOUT ROWID;

-- What happened stays as it was written; what an operator did stays longest.
CREATE TRIGGER events_are_not_edited BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'events are not edited');
END;
CREATE INDEX events_audit ON events (seq) WHERE kind IN ('audit', 'approval_resolved');
