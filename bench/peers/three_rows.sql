-- For pgbench: less than a commit of st8. Three rows are written, and nothing is answered: no chain of hashes, no operation, no index to find a
-- revision by its hash, no document before; the content is made by the server in place of being sent.
\set key random(0, 999)
\set salt random(0, 1000000000)
with moved as (update head set revision = revision + 1 where branch = :client_id returning revision),
logged as (insert into revision (branch, revision, parent, author, message) select :client_id, revision, revision - 1, 'bench', 'bench' from moved),
content as (select :salt::text || repeat('x', 1000) as text)
insert into document (branch, key, revision, content, hash)
select :client_id, 'services/service-' || :key || '/config.json', moved.revision, content.text, sha256(content.text::bytea) from moved, content;
