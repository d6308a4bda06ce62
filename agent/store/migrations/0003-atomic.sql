-- A release can be one whole: when one of its rollouts fails, the others are taken back.

ALTER TABLE releases ADD COLUMN atomic INTEGER NOT NULL DEFAULT 0;  -- 1: so it is, and nobody has looked at its end yet

CREATE INDEX releases_atomic ON releases(id) WHERE atomic = 1;
