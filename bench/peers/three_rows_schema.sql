create table head (branch int primary key, revision bigint not null);
create table revision (branch int, revision bigint, parent bigint, author text, message text, created_at timestamptz default now(), primary key (branch, revision));
create table document (branch int, key text, revision bigint, content text, hash bytea, primary key (branch, key, revision));
insert into head select i, 0 from generate_series(0, 255) i;
