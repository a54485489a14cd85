-- Schema version 1: the statements that make it, and those that a release which knows it runs. Nothing here is
-- ever changed: a release goes on working on the schema of the next one.

-- make
CREATE SCHEMA IF NOT EXISTS "isthmus_old";

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".meta (name text PRIMARY KEY, value text NOT NULL);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".guard (
        key text COLLATE "C" NOT NULL PRIMARY KEY, version text COLLATE "C" NOT NULL, txn text COLLATE "C" NOT NULL, rowhash text COLLATE "C" NOT NULL, deleted boolean NOT NULL,
        entity text COLLATE "C" NOT NULL, decided bigint NOT NULL) WITH (fillfactor = 70);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".ledger (
        txn text COLLATE "C" NOT NULL, month date NOT NULL, key text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL, rowhash text COLLATE "C" NOT NULL, decided bigint NOT NULL,
        PRIMARY KEY (txn, month)) PARTITION BY RANGE (month);

-- make
CREATE INDEX IF NOT EXISTS ledger_decided ON "isthmus_old".ledger USING brin (decided);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".settled (txn text COLLATE "C" NOT NULL PRIMARY KEY, decided bigint NOT NULL);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".parked (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text COLLATE "C" NOT NULL, txn text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL,
        rowhash text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL, entity text COLLATE "C" NOT NULL, epoch bigint NOT NULL, detected text COLLATE "C" NOT NULL,
        arrived bigint NOT NULL, reason text COLLATE "C" NOT NULL, message text COLLATE "C" NOT NULL, stage text COLLATE "C" NOT NULL, event bytea NOT NULL,
        decodable boolean NOT NULL, shard text COLLATE "C" NOT NULL, sequence text COLLATE "C" NOT NULL, attempts integer NOT NULL DEFAULT 1,
        first_at bigint NOT NULL, last_at bigint NOT NULL, UNIQUE (key, txn));

-- make
CREATE INDEX IF NOT EXISTS parked_order ON "isthmus_old".parked (key, version);

-- make
CREATE INDEX IF NOT EXISTS parked_reason ON "isthmus_old".parked (reason);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".outbox (
        place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text COLLATE "C" NOT NULL, txn text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL,
        reason text COLLATE "C" NOT NULL, shard text COLLATE "C" NOT NULL, sequence text COLLATE "C" NOT NULL, event bytea NOT NULL, written bigint NOT NULL);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".fence (
        source text COLLATE "C" NOT NULL, lane integer NOT NULL, epoch bigint NOT NULL, PRIMARY KEY (source, lane));

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".history (
        place bigint GENERATED ALWAYS AS IDENTITY, month date NOT NULL, key text COLLATE "C" NOT NULL, version text COLLATE "C" NOT NULL, txn text COLLATE "C" NOT NULL,
        outcome text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL, epoch bigint NOT NULL, detected text COLLATE "C" NOT NULL, arrived bigint NOT NULL,
        decided bigint NOT NULL, shard text COLLATE "C" NOT NULL, sequence text COLLATE "C" NOT NULL) PARTITION BY RANGE (month);

-- make
CREATE INDEX IF NOT EXISTS history_key ON "isthmus_old".history (key);

-- make
CREATE INDEX IF NOT EXISTS history_decided ON "isthmus_old".history USING brin (decided);

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".ledger_older PARTITION OF "isthmus_old".ledger FOR VALUES FROM (MINVALUE) TO ('2020-03-01');

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".ledger_later PARTITION OF "isthmus_old".ledger DEFAULT;

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".history_older PARTITION OF "isthmus_old".history FOR VALUES FROM (MINVALUE) TO ('2020-03-01');

-- make
CREATE TABLE IF NOT EXISTS "isthmus_old".history_later PARTITION OF "isthmus_old".history DEFAULT;

-- make
INSERT INTO "isthmus_old".meta (name, value) VALUES ('schema_version', '1'), ('first_month', '2020-03-01') ON CONFLICT (name) DO NOTHING;

-- make
LOCK TABLE "isthmus_old".ledger_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".ledger_2020_03 (LIKE "isthmus_old".ledger INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".ledger_later WHERE month >= '2020-03-01' AND month < '2020-04-01' RETURNING *) INSERT INTO "isthmus_old".ledger_2020_03 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".ledger ATTACH PARTITION "isthmus_old".ledger_2020_03 FOR VALUES FROM ('2020-03-01') TO ('2020-04-01');

-- make
LOCK TABLE "isthmus_old".ledger_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".ledger_2020_04 (LIKE "isthmus_old".ledger INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".ledger_later WHERE month >= '2020-04-01' AND month < '2020-05-01' RETURNING *) INSERT INTO "isthmus_old".ledger_2020_04 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".ledger ATTACH PARTITION "isthmus_old".ledger_2020_04 FOR VALUES FROM ('2020-04-01') TO ('2020-05-01');

-- make
LOCK TABLE "isthmus_old".ledger_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".ledger_2020_05 (LIKE "isthmus_old".ledger INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".ledger_later WHERE month >= '2020-05-01' AND month < '2020-06-01' RETURNING *) INSERT INTO "isthmus_old".ledger_2020_05 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".ledger ATTACH PARTITION "isthmus_old".ledger_2020_05 FOR VALUES FROM ('2020-05-01') TO ('2020-06-01');

-- make
LOCK TABLE "isthmus_old".history_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".history_2020_03 (LIKE "isthmus_old".history INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".history_later WHERE month >= '2020-03-01' AND month < '2020-04-01' RETURNING *) INSERT INTO "isthmus_old".history_2020_03 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".history ATTACH PARTITION "isthmus_old".history_2020_03 FOR VALUES FROM ('2020-03-01') TO ('2020-04-01');

-- make
LOCK TABLE "isthmus_old".history_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".history_2020_04 (LIKE "isthmus_old".history INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".history_later WHERE month >= '2020-04-01' AND month < '2020-05-01' RETURNING *) INSERT INTO "isthmus_old".history_2020_04 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".history ATTACH PARTITION "isthmus_old".history_2020_04 FOR VALUES FROM ('2020-04-01') TO ('2020-05-01');

-- make
LOCK TABLE "isthmus_old".history_later IN ACCESS EXCLUSIVE MODE;

-- make
CREATE TABLE "isthmus_old".history_2020_05 (LIKE "isthmus_old".history INCLUDING ALL EXCLUDING IDENTITY);

-- make
WITH moved AS (DELETE FROM "isthmus_old".history_later WHERE month >= '2020-05-01' AND month < '2020-06-01' RETURNING *) INSERT INTO "isthmus_old".history_2020_05 SELECT * FROM moved;

-- make
ALTER TABLE "isthmus_old".history ATTACH PARTITION "isthmus_old".history_2020_05 FOR VALUES FROM ('2020-05-01') TO ('2020-06-01');

-- run lock
SELECT pg_advisory_xact_lock(%s, lane) FROM unnest(%s::integer[]) AS lane;

-- run fences
SELECT source, lane, epoch FROM "isthmus_old".fence WHERE source = ANY (%s::text[]);

-- run guards
SELECT key, version, txn, rowhash, deleted, entity FROM "isthmus_old".guard WHERE key = ANY (%s::text[]);

-- run ledger
SELECT txn, rowhash FROM "isthmus_old".ledger WHERE txn = ANY (%s::text[]);

-- run settled
SELECT txn FROM "isthmus_old".settled WHERE txn = ANY (%s::text[]);

-- run newest_parked
SELECT key, entity, max(version) FROM "isthmus_old".parked WHERE key = ANY (%s::text[])
        GROUP BY key, entity;

-- run parked
SELECT p.key, p.txn, p.rowhash FROM "isthmus_old".parked p
        JOIN unnest(%s::text[], %s::text[]) AS j (key, txn) ON p.key = j.key AND p.txn = j.txn;

-- run told
SELECT key, txn, outcome FROM "isthmus_old".history WHERE key = ANY (%s::text[]) AND txn = ANY (%s::text[]);

-- run plain
SELECT NOT (EXISTS (SELECT 1 FROM "isthmus_old".fence WHERE source = ANY (%s::text[]) AND epoch > %s)
        OR EXISTS (SELECT 1 FROM "isthmus_old".parked WHERE key = ANY (%s::text[]))
        OR EXISTS (SELECT 1 FROM "isthmus_old".settled WHERE txn = ANY (%s::text[]))
        OR EXISTS (SELECT 1 FROM "isthmus_old".ledger WHERE txn = ANY (%s::text[])));

-- run claim
INSERT INTO "isthmus_old".guard AS g (decided, key, version, txn, rowhash, entity, deleted)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[])
    ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, txn = EXCLUDED.txn, rowhash = EXCLUDED.rowhash, deleted = EXCLUDED.deleted, entity = EXCLUDED.entity, decided = EXCLUDED.decided WHERE g.version < EXCLUDED.version AND g.txn <> EXCLUDED.txn AND g.entity = EXCLUDED.entity AND left(g.version, 8) = left(EXCLUDED.version, 8);

-- run save_guard
INSERT INTO "isthmus_old".guard AS g (decided, key, version, txn, rowhash, entity, deleted)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[])
    ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, txn = EXCLUDED.txn, rowhash = EXCLUDED.rowhash, deleted = EXCLUDED.deleted, entity = EXCLUDED.entity, decided = EXCLUDED.decided;

-- run save_ledger
INSERT INTO "isthmus_old".ledger (decided, txn, month, key, version, rowhash)
        SELECT %s, * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[], %s::text[]);

-- run tell_freed
INSERT INTO "isthmus_old".history (month, key, version, txn, outcome, source, epoch, detected, arrived, decided, shard, sequence)
        SELECT CASE WHEN p.detected ~ '^[0-9]{4}-(0[1-9]|1[0-2])' AND left(p.detected, 4) <> '0000'
                THEN (left(p.detected, 7) || '-01')::date ELSE '0001-01-01' END,
            p.key, p.version, p.txn, 'superseded', p.source, p.epoch, p.detected, p.arrived, %s, p.shard, p.sequence
        FROM "isthmus_old".parked p JOIN unnest(%s::text[], %s::text[], %s::text[]) AS f (key, entity, version)
            ON p.key = f.key AND p.entity = f.entity AND p.version < f.version
        ORDER BY p.key, p.version, p.place RETURNING key, txn;

-- run free
DELETE FROM "isthmus_old".parked p USING unnest(%s::text[], %s::text[], %s::text[]) AS f (key, entity, version)
        WHERE p.key = f.key AND p.entity = f.entity AND p.version < f.version;

-- run save_parked
INSERT INTO "isthmus_old".parked (key, txn, version, rowhash, source, entity, epoch, detected, arrived, reason, message, stage, event, decodable, shard, sequence, first_at, last_at)
        SELECT *, %s, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::boolean[],
            %s::text[], %s::text[]);

-- run save_outbox
INSERT INTO "isthmus_old".outbox (key, txn, source, reason, shard, sequence, event, written)
        SELECT *, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bytea[]);

-- run save_fence
INSERT INTO "isthmus_old".fence AS f (source, lane, epoch)
        SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]) ORDER BY 1, 2
        ON CONFLICT (source, lane) DO UPDATE SET epoch = greatest(f.epoch, EXCLUDED.epoch);

-- run save_history
INSERT INTO "isthmus_old".history (decided, month, key, version, txn, outcome, source, epoch, detected, arrived, shard, sequence)
        SELECT %s, * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[]);
