-- What the commit of commit.sql needs. Nothing is here that st8 does not keep, and no index that it does not look things up by.
-- A branch's head. Few rows a page, so that clients who move different heads do not wait for the same page: 1.1 times the rate at 64 clients.
create table head (branch int primary key, revision bigint not null, operation bigint not null, hash bytea not null) with (fillfactor = 10);
-- The log of operations. A commit's row is its revision, too: one table gave 1.1 times the rate of two that say the same. The parent's hash is in the
-- parent's row, and this one's hash covers it.
create table log (
  branch int not null, kind smallint not null, operation bigint not null, revision bigint, before bigint, at timestamptz not null,
  hash bytea, author text not null, message text not null, primary key (branch, operation));
create index log_by_revision on log (branch, revision);
create index log_by_hash on log (hash);
-- Every version of every document. Keys are compared by their bytes.
create table document (
  branch int not null, revision bigint not null, key text collate "C" not null, hash bytea not null, content text not null,
  primary key (branch, key, revision));
insert into head select branch, 0, 0, sha256(int4send(branch)) from generate_series(0, 255) as branch;
