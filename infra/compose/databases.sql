-- Makes the two offices when the PostgreSQL of docker-compose.yml starts for the first time. psql runs it.
-- Both are databases of one server here, which shares nothing between them. In real life they are far apart.

CREATE ROLE producer LOGIN;
CREATE ROLE consumer LOGIN;
CREATE DATABASE back_office;
CREATE DATABASE front_office;
REVOKE CONNECT, TEMPORARY ON DATABASE back_office, front_office FROM PUBLIC;
GRANT CONNECT ON DATABASE back_office TO producer;
-- Isthmus makes a schema for its own tables.
GRANT CONNECT, CREATE ON DATABASE front_office TO consumer;

\connect back_office

CREATE TABLE "COUNTRY" ("CODE" text PRIMARY KEY, "NAME" text NOT NULL);
CREATE TABLE "CUST" (
    "CUSTNO" integer PRIMARY KEY, "NAM1" text, "CTRY" text, "CLS" text, "STAT" text, "TYP" text,
    "CHGNO" bigint NOT NULL UNIQUE
);

-- Each change of a row takes the next number inside its own transaction, and holds the counter's row until it commits:
-- so the numbers are in the order of the commits, and none appears behind one that was read.
CREATE TABLE "CHANGES" ("LAST" bigint NOT NULL);
INSERT INTO "CHANGES" VALUES (0);
CREATE FUNCTION next_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE "CHANGES" SET "LAST" = "LAST" + 1 RETURNING "LAST" INTO NEW."CHGNO";
    RETURN NEW;
END $$;
CREATE TRIGGER cust_changed BEFORE INSERT OR UPDATE ON "CUST" FOR EACH ROW EXECUTE FUNCTION next_change();

INSERT INTO "COUNTRY" VALUES ('DE', 'Germany'), ('FR', 'France');
INSERT INTO "CUST" ("CUSTNO", "NAM1", "CTRY", "CLS", "STAT", "TYP") VALUES
    (1, 'ADA LOVELACE  ', 'FR', 'A', 'L', 'PRIV'),
    (2, 'EMMY NOETHER', 'DE', 'B', 'L', 'PRIV'),
    (3, 'NOBODY AT ALL', 'DE', 'B', 'L', 'TEST'),
    (4, 'MARIE CURIE', 'PL', 'A', 'L', 'PRIV');

-- The back office is only read.
GRANT SELECT ON "CUST", "COUNTRY" TO producer;

\connect front_office

CREATE TABLE customer (key text PRIMARY KEY, name text NOT NULL, country text NOT NULL, vip boolean NOT NULL);
CREATE TABLE welcome (customer text NOT NULL);
GRANT SELECT, INSERT, UPDATE, DELETE ON customer, welcome TO consumer;
