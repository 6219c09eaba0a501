-- Operations that were accepted and wait for the one under way: kind, who asked, purge, generation each.
ALTER TABLE agents ADD COLUMN queued TEXT NOT NULL DEFAULT '[]';
