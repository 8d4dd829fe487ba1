"""PostgreSQL's side of the row with a goal: that its transaction is the commit that bench/README.md says it is. Run by ctest where PostgreSQL 15 is."""
import hashlib
import os
import re
import socket
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers  # noqa: E402


def sha256(data):
    return hashlib.sha256(data).digest()


class Commit(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="st8-commit-")
        self.addCleanup(directory.cleanup)
        os.chmod(directory.name, 0o711)  # PostgreSQL runs as a user of its own.
        self.server = servers.Postgres(os.path.join(directory.name, "postgres"))
        self.addCleanup(self.server.remove)
        self.server.start()
        self.commit = servers.Pgbench(self.server, "commit")

    def rows(self, sql):
        return [line.split("\t") for line in self.server.sql(sql).splitlines()]

    def apply(self, client, key, salt):
        """The very statement, with these values in the place of pgbench's variables."""
        with open(self.commit.script) as script:
            text = "".join(line for line in script if not line.startswith("\\"))
        values = {"client_id": str(client), "key": f"{key}::text", "salt": f"'{salt}'::text", "pad": f"'{self.commit.pad}'"}
        rows = self.rows(re.sub(r"(?<!:):([a-z_]+)", lambda name: values[name.group(1)], re.sub("--.*", "", text)))
        self.assertEqual(len(rows), 1)
        revision, parent, digest, before, before_hash, after, after_hash = rows[0]
        return {"revision": int(revision), "parent": int(parent), "hash": digest, "before": before, "before_hash": before_hash, "after": after, "after_hash": after_hash}

    def test_every_transaction_of_every_client_is_in_a_chain_that_can_be_verified(self):
        clients, each = 4, 50
        self.commit.run(clients, each=each)
        self.assertEqual(self.commit.verified(), (clients * each, clients * each))
        for branch in range(clients):
            rows = self.rows(f"""select log.kind, log.operation, log.revision, log.before, encode(log.hash, 'hex'), encode(timestamptz_send(log.at), 'hex'), log.author, log.message,
                                 document.key, encode(document.hash, 'hex'), document.content from log join document using (branch, revision) where branch = {branch} order by operation""")
            self.assertEqual(len(rows), each)
            parent = sha256(branch.to_bytes(4, "big"))
            for number, (kind, operation, revision, before, digest, at, author, message, key, content_hash, content) in enumerate(rows, 1):
                self.assertEqual((kind, operation, revision, before), ("0", str(number), str(number), str(number - 1)))
                self.assertEqual(content_hash, sha256(content.encode()).hex())
                self.assertTrue(1000 < len(content) <= 1024, len(content))
                parent = sha256(parent + bytes.fromhex(content_hash) + number.to_bytes(8, "big") + bytes.fromhex(at) + (key + author + message).encode())
                self.assertEqual(digest, parent.hex())
            self.assertEqual(self.rows(f"select revision, operation, encode(hash, 'hex') from head where branch = {branch}"), [[str(each), str(each), parent.hex()]])

    def test_the_answer_tells_revision_and_document_before_and_after(self):
        first, other, second = self.apply(3, 7, "one"), self.apply(3, 8, "two"), self.apply(3, 7, "three")
        for number, answer in enumerate((first, other, second), 1):
            self.assertEqual((answer["revision"], answer["parent"]), (number, number - 1))
            self.assertEqual(answer["after_hash"], "\\x" + sha256(answer["after"].encode()).hex())
            # A revision is found by its hash.
            self.assertEqual(self.rows(f"select branch, revision from log where hash = '{answer['hash']}'"), [["3", str(number)]])
        self.assertEqual([first["before"], first["before_hash"], other["before"]], ["", "", ""])
        self.assertEqual((second["before"], second["before_hash"]), (first["after"], first["after_hash"]))
        self.assertEqual(second["after"], "three" + self.commit.pad)
        for what, index in (("hash = '\\x00'", "log_by_hash"), ("branch = 3 and revision = 1", "log_by_revision"), ("branch = 3 and operation = 1", "log_pkey")):
            self.assertIn(index, self.server.sql(f"set enable_seqscan = off; explain select * from log where {what}"))

    def test_a_chain_that_was_tampered_with_is_found(self):
        self.commit.run(2, each=10)
        for change in ("update document set content = content || '!' where (branch, revision) = (1, 5)", "update log set author = 'another' where (branch, revision) = (0, 3)",
                       "delete from log where (branch, revision) = (1, 9)"):
            before = self.commit.verified()[0]
            self.server.sql(change)
            self.assertLess(self.commit.verified()[0], before, change)

    def test_the_row_beside_it_writes_its_three_rows(self):
        self.server.sql("drop table head, log, document")
        rows = servers.Pgbench(self.server, "three_rows")
        rows.run(2, each=10)
        self.assertEqual(self.rows("select (select sum(revision) from head), (select count(*) from revision), (select count(*) from document)"), [["20", "20", "20"]])

    def test_a_server_whose_port_was_taken_meanwhile_takes_another(self):
        self.server.stop()
        found = servers.free_ports
        with socket.create_server(("127.0.0.1", 0)) as taken:
            first = [taken.getsockname()[1]]
            with unittest.mock.patch.object(servers, "free_ports", lambda count: [first.pop()] if first else found(count)):
                again = servers.Postgres(self.server.directory + "-2")
                self.addCleanup(again.remove)
                again.start()
                self.assertNotEqual(again.port, taken.getsockname()[1])
        self.assertEqual(again.sql("select 1").strip(), "1")


if __name__ == "__main__":
    unittest.main()
