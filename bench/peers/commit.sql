-- For pgbench: the commit that st8 makes of one document, as one statement. Each client has a branch of its own, so nobody waits for a head.
\set key random(0, 999)
\set salt random(0, 1000000000)
with sent as (  -- The document comes from the client, as it does to st8.
  select 'services/service-' || :key || '/config.json' as key, :salt || :pad as content),
given as materialized (  -- Its hash, made once.
  select key, content, sha256(convert_to(content, 'UTF8')) as hash from sent),
moved as (  -- The head moves. The revision's hash covers its parent's hash and what is new, so that history can be verified.
  update head set revision = head.revision + 1, operation = head.operation + 1,
    hash = sha256(head.hash || given.hash || int8send(head.revision + 1) || timestamptz_send(now()) || convert_to(given.key || 'bench' || 'bench', 'UTF8'))
  from given where head.branch = :client_id
  returning head.branch, head.revision, head.operation, head.hash, given.key, given.content, given.hash as content_hash),
logged as (  -- The operation (number, kind, branch, before and after, who, when) and the revision (number, parent, hash, author, message, time).
  insert into log (branch, kind, operation, revision, before, at, hash, author, message)
  select branch, 0, operation, revision, revision - 1, now(), hash, 'bench', 'bench' from moved),
stored as (  -- The document's version, with its hash.
  insert into document (branch, revision, key, hash, content) select branch, revision, key, content_hash, content from moved)
-- The answer: the revision's number and hash, its parent, and the document before and after, each with its hash.
select moved.revision, moved.revision - 1 as parent, moved.hash, before.content as before, before.hash as before_hash, moved.content as after,
  moved.content_hash as after_hash
from moved left join lateral (
  select content, hash from document where branch = moved.branch and key = moved.key order by revision desc limit 1) as before on true;
