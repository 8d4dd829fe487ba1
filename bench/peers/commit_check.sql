-- How many operations have a revision whose hash is what its parent's hash and its document make it, and a document with its hash.
select count(*) from (
  select log.*, lag(hash, 1, sha256(int4send(branch))) over (partition by branch order by operation) as parent_hash from log) as log
join document using (branch, revision)
where log.kind = 0 and log.operation = log.revision and log.before = log.revision - 1
  and document.hash = sha256(convert_to(document.content, 'UTF8'))
  and log.hash = sha256(
    log.parent_hash || document.hash || int8send(log.revision) || timestamptz_send(log.at) || convert_to(document.key || log.author || log.message, 'UTF8'));
