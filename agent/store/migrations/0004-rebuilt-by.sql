-- A service can be rebuilt by other repositories: {"owner/name": commit} of each, as far as it is known.

ALTER TABLE jobs      ADD COLUMN others TEXT NOT NULL DEFAULT '{}';  -- those that want the service to be made again
ALTER TABLE rollouts  ADD COLUMN others TEXT NOT NULL DEFAULT '{}';
ALTER TABLE revisions ADD COLUMN others TEXT NOT NULL DEFAULT '{}';
