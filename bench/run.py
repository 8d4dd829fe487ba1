#!/usr/bin/env python3
"""Runs every workload in turn with its peer and writes docs/benchmarks.md and docs/benchmarks.svg. `./dev bench` builds and calls it."""
import argparse
import datetime
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import quiet  # noqa: E402
import report  # noqa: E402
import rollouts  # noqa: E402
import servers  # noqa: E402

ROOT = os.path.dirname(HERE)


class Bench:
    def __init__(self, options):
        self.options = options
        self.quick = options.quick
        self.bin = os.path.join(ROOT, "build/release/bin")
        self.tools = os.path.join(ROOT, "build/release/bench")
        if options.scratch:
            os.makedirs(options.scratch, exist_ok=True)
        self.scratch = tempfile.mkdtemp(prefix="st8-bench-", dir=options.scratch)
        os.chmod(self.scratch, 0o711)  # PostgreSQL runs as a user of its own.
        self.rounds = 1 if self.quick else 12
        self.seconds = 0.8 if self.quick else 2.0
        self.rows = []
        self.taken = quiet.Log()

    # -- tools ------------------------------------------------------------------------------------------------------
    def directory(self, name):
        return os.path.join(self.scratch, name)

    def st8d(self, name="st8d", tls=False):
        return servers.St8d(os.path.join(self.bin, "st8d"), self.directory(name), tls)

    def tool(self, name, *arguments):
        return self.tool_beside(None, name, *arguments)

    def tool_beside(self, work, name, *arguments):
        """Runs a tool; with `work`, a load that goes on until that is done."""
        with subprocess.Popen([os.path.join(self.tools, name), *map(str, arguments)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            if work:
                work()
            out, err = process.communicate()  # Ends its standard input.
        if not out.strip():
            raise RuntimeError(f"{name} {arguments}: exit {process.returncode}: {err[-1000:]}")
        result = json.loads(out.strip().splitlines()[-1])
        if result.get("errors"):
            raise RuntimeError(f"{name} {arguments}: {result['errors']} errors, the first: {result['first_error']}")
        if result.get("least_answers") == 0:
            raise RuntimeError(f"{name} {arguments}: a connection got no answer at all (starved)")
        return result

    def http(self, server, workload, connections, seconds=None, beside=None, **more):
        """A load of so many seconds, or until `beside` is done."""
        if beside:
            more["until_eof"] = True
        arguments = ["--port", server.port, "--token", server.token, "--workload", workload, "--connections", connections,
                     "--seconds", seconds or self.seconds, "--seed", random.randrange(1 << 40)]
        for name, value in more.items():
            arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
        return self.tool_beside(beside, "http_load", *arguments)

    def etcd(self, server, workload, clients, **more):
        arguments = ["--port", server.port, "--workload", workload, "--clients", clients, "--connections", clients, "--seconds", self.seconds]
        for name, value in more.items():
            arguments += [f"--{name}", value]
        return self.tool("etcd_load", *arguments)

    def turns(self, one, rounds=None):
        """What `one` gives, again and again; of many turns the half in which the host gave least of the processors' time to others (bench/quiet.py)."""
        return quiet.half(self.taken, [quiet.watched(one) for _ in range(rounds or self.rounds)])

    def interleave(self, ours, theirs, rounds=None):
        """Both in turn; each gives a run (dict)."""
        return self.turns(lambda: (ours(), theirs()), rounds)

    def add(self, workload, against, pairs, must=None, reach=None, value="per_second", unit="/s", lower_is_better=False, invert=False, note=None):
        """A row from pairs of runs. `invert`: the value is a time, and the ratio says how many times sooner we are."""
        ours = [pair[0][value] for pair in pairs]
        theirs = [pair[1][value] for pair in pairs]
        ratios = [(b / a if invert else a / b) for a, b in zip(ours, theirs)]
        middle = sorted(range(len(ratios)), key=lambda index: ratios[index])[len(ratios) // 2]
        self.rows.append({
            "workload": workload, "against": against, "ours": statistics.median(ours), "theirs": statistics.median(theirs), "unit": unit,
            "ratio": statistics.median(ratios), "spread": (min(ratios), max(ratios)), "must": must, "reach": reach,
            "lower_is_better": lower_is_better, "ours_run": pairs[middle][0], "theirs_run": pairs[middle][1], "note": note})
        row = self.rows[-1]
        print(f"  {workload} / {against}: {report.number(row['ours'])} vs {report.number(row['theirs'])} {unit}: "
              f"ratio {report.number(row['ratio'])} ({report.verdict(row)})", flush=True)

    def load_documents(self, server, name_space, count, batch=20000, content=lambda i: f'{{"index": {i}, "value": {i * 7}}}\n'):
        for first in range(0, count, batch):
            documents = [{"key": key_name(i), "content": content(i)} for i in range(first, min(count, first + batch))]
            server.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": name_space, "branch": "main"}, "documents": documents, "message": "load"})

    # -- workloads ----------------------------------------------------------------------------------------------------
    def apply_against_peers(self):
        with self.st8d() as st8, servers.Etcd(self.directory("etcd")) as etcd, \
                servers.Postgres(self.directory("postgres")) as commits, servers.Postgres(self.directory("postgres-rows")) as rows:
            commit = servers.Pgbench(commits, "commit")
            three_rows = servers.Pgbench(rows, "three_rows")
            apply64 = lambda: self.http(st8, "apply", 64)  # noqa: E731
            self.add("apply of one 1 KiB document, 64 clients", "etcd txn of compare and 3 puts",
                     self.interleave(apply64, lambda: self.etcd(etcd, "txn", 64)), 3, 5)
            self.add("apply of one 1 KiB document, 64 clients", "etcd put by gRPC",
                     self.interleave(apply64, lambda: self.etcd(etcd, "put", 64)), 1.3, 2)
            # One load of ours for both: the store grows no further for a row without a goal. Both are written to by turns for seconds at a time, with
            # merging and checkpoints of their own, so single ratios were 1.4 to 2.4 within a run: more of them.
            rounds = self.rounds if self.quick else 2 * self.rounds
            runs = self.turns(lambda: (apply64(), commit.run(64, self.seconds), three_rows.run(64, self.seconds)), rounds)
            expect("operations in PostgreSQL's log whose chain of hashes is right", *commit.verified())
            self.add("apply of one 1 KiB document, 64 clients", "PostgreSQL 15, the same commit as one CTE", [(ours, whole) for ours, whole, _ in runs], 2, 3,
                     note="bench/peers/commit.sql; pgbench gives the mean, not the median, of its latency")
            self.add("apply of one 1 KiB document, 64 clients", "PostgreSQL 15, three rows as one CTE, nothing answered", [(ours, less) for ours, _, less in runs],
                     note="bench/peers/three_rows.sql, which does less than an apply")
            self.add("apply of one 1 KiB document, 1 client", "etcd put, 1 client",
                     self.interleave(lambda: self.http(st8, "apply", 1), lambda: self.etcd(etcd, "put", 1)), 1.3, 2)
            self.add("apply, 256 clients on one branch", "itself, 64 clients on one branch",
                     self.interleave(lambda: self.http(st8, "apply", 256), apply64), 1.0, 1.3)

    def namespaces(self):
        """What it costs that clients have namespaces of their own: against one branch, and against one branch of as many documents.

        Every document has been written once by an apply before anything is measured. Turns are short: RocksDB merges for some seconds every ten
        or twenty, and with turns as long as that a ratio tells whose they fell on."""
        seconds, turns, keys = (0.6, 1, 100) if self.quick else (1.5, 24, 1000)

        def applies(server, **more):
            return lambda: self.http(server, "apply", 64, seconds, **more)

        def begin(server, documents, **more):
            self.http(server, "apply", 64, seconds=600, warmup=0, operations=documents * 2, **more)

        def fill(server, prefix, each):
            for index in range(64):
                self.load_documents(server, f"{prefix}-{index}", each)
            begin(server, 64 * each, namespace=prefix, namespaces=64, keys=each)

        with self.st8d("st8d-small") as small, self.st8d("st8d-large") as large, self.st8d("st8d-wide") as wide:
            begin(small, 1000)
            fill(small, "few", 16)
            self.add("apply, 64 clients over 64 namespaces of 16 keys", "itself, 64 clients on one branch of 1,000 keys: as many documents",
                     self.interleave(applies(small, namespace="few", namespaces=64, keys=16), applies(small), turns), 1.0, 1.3)
            begin(large, keys, keys=keys)
            fill(large, "many", keys)
            many = applies(large, namespace="many", namespaces=64, keys=keys)
            self.load_documents(wide, "bench", 64 * keys)
            begin(wide, 64 * keys, keys=64 * keys)
            self.add(f"apply, 64 clients over 64 namespaces of {keys:,} keys", f"itself, 64 clients on one branch of {64 * keys:,} keys: as many documents",
                     self.interleave(many, applies(wide, keys=64 * keys), turns), note="the same with 64 times the documents on both sides; two st8d in turn, so that each has its memory for itself")
            self.add(f"apply, 64 clients over 64 namespaces of {keys:,} keys", f"itself, 64 clients on one branch of {keys:,} keys: a 64th of the documents",
                     self.interleave(many, applies(large, keys=keys), turns), note="what namespaces and 64 times the documents cost together")
            self.add(f"apply, 64 clients on one branch of {64 * keys:,} keys", f"itself, 64 clients on one branch of {keys:,} keys",
                     self.interleave(applies(wide, keys=64 * keys), applies(large, keys=keys), turns), note="what the number of documents costs without namespaces")

    def reads(self):
        with self.st8d() as st8, servers.Etcd(self.directory("etcd")) as etcd:
            self.load_documents(st8, "bench", 1000)
            self.etcd(etcd, "put", 64)
            get = lambda: self.http(st8, "get", 64)  # noqa: E731
            self.add("read of one document at head, 64 clients", "etcd linearizable range",
                     self.interleave(get, lambda: self.etcd(etcd, "range", 64)), 3, 8)
            # Those in flight when the count is full are answered, too: some more than 10,000, of which the first are read.
            self.http(st8, "apply", 64, seconds=600, warmup=0, operations=10000)
            self.add("read at a random revision of 10,000", "at head",
                     self.interleave(lambda: self.http(st8, "get-at", 64, revisions=10000), get), 0.5, 0.9)

    def bulk_apply(self):
        with self.st8d() as st8:
            repository = self.directory("libgit2")
            self.add("apply of 1,000 documents in one request", "libgit2 commit of the same, synced",
                     self.interleave(lambda: self.http(st8, "apply", 1, documents=1000),
                                     lambda: self.tool("git2_bench", "--directory", repository, "--files", 1000, "--changed", 1000, "--commits", 4)), 2, 10)

    def watch(self):
        connections = 1000
        with self.st8d() as st8, servers.Etcd(self.directory("etcd")) as etcd:
            self.load_documents(st8, "bench", 10)
            watchers = Watchers(st8, connections)
            rounds = 5 if self.quick else 30
            memory = [0.0, 0.0]

            def ours():
                samples = [watchers.publish() for _ in range(rounds)]
                memory[0] = st8.resident_mb()
                return {"last_ms": statistics.median(samples), "p50_us": statistics.median(samples) * 1000, "p99_us": max(samples) * 1000}

            def theirs():
                run = self.tool("etcd_load", "--port", etcd.port, "--workload", "watch", "--connections", connections, "--rounds", rounds)
                memory[1] = max(memory[1], etcd.resident_mb())
                return {"last_ms": run["p50_us"] / 1000, **run}

            pairs = self.interleave(ours, theirs)
            self.add("watch, 1,000 connections: publish to last delivery", "etcd, 1,000 connections", pairs, 1.5, 2.5, "last_ms", "ms", invert=True)
            self.add("watch, 1,000 connections: resident memory", "etcd, 1,000 connections", [({"mb": memory[0]}, {"mb": memory[1]})], 0.5, 0.25, "mb", "MB",
                     lower_is_better=True)
            watchers.close()

    def crowd(self):
        with self.st8d() as st8:
            self.load_documents(st8, "bench", 1000)

            def alone():
                return self.http(st8, "get", 1)

            def beside():
                crowd = Crowd(st8, idle=2000, streams=500, slow=50)
                try:
                    return alone()
                finally:
                    crowd.close()

            self.add("p99 of a working client beside 2,000 idle connections, 500 streams, 50 one-byte-a-second clients", "without them",
                     self.interleave(beside, alone), 2, 1.2, "p99_us", "µs", lower_is_better=True)

    def million(self):
        count = 50_000 if self.quick else 1_000_000
        label = f"{count:,}"
        with self.st8d() as st8:
            self.load_documents(st8, "small", 1000)
            self.load_documents(st8, "large", count)
            apply_to = lambda name, keys: self.http(st8, "apply", 1, namespace=name, keys=keys)  # noqa: E731
            self.add(f"apply of one key in a namespace of {label} keys", "the same at 1,000 keys",
                     self.interleave(lambda: apply_to("large", count), lambda: apply_to("small", 1000)), 3, 1.5, "p50_us", "µs", lower_is_better=True)
            repository = self.directory("libgit2-large")
            self.add(f"apply of one key in a namespace of {label} keys", f"libgit2 commit, synced, {label} files nested",
                     self.interleave(lambda: apply_to("large", count),
                                     lambda: self.tool("git2_bench", "--directory", repository, "--files", count, "--commits", 30)),
                     8, 10, "p50_us", "µs", invert=True)
            self.git_rows(st8, repository, count, label)

    def git_rows(self, st8, repository, count, label):
        env = {**os.environ, "GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@x", "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@x"}

        def git(*arguments):
            began = time.perf_counter()
            done = subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True, text=True, env=env)
            return (time.perf_counter() - began) * 1000, done.stdout.strip()

        wire = servers.Wire(st8)
        timed = wire.timed
        scope = {"namespace": "large", "branch": "main"}
        head = lambda: st8.call("GET", "/v1/resolve?namespace=large&branch=main&at=@")["revision"]  # noqa: E731
        for changed, must, reach in ((1, 3, 8), (1000, 10, 50)):
            self.diff_rows(st8, timed, git, repository, count, label, changed, must, reach)
        counter = iter(range(1_000_000))

        def rollback():
            source = head() - 1
            return {"ms": timed("POST", "/v1/rollback?changes=none", {"scope": scope, "revision_id": source, "message": "back"})[0]}

        def commit_tree():
            tree, parent = git("rev-parse", "main~1^{tree}")[1], git("rev-parse", "main")[1]
            began = time.perf_counter()
            commit = git("-c", "core.fsync=all", "commit-tree", tree, "-p", parent, "-m", "back")[1]
            git("-c", "core.fsync=all", "update-ref", "refs/heads/main", commit)
            return {"ms": (time.perf_counter() - began) * 1000}

        self.add(f"branch create at {label} keys", "git branch", self.interleave(
            lambda: {"ms": timed("POST", "/v1/branches", {"scope": scope, "name": f"b{next(counter)}"})[0]},
            lambda: {"ms": git("-c", "core.fsync=all", "branch", f"b{next(counter)}", "main")[0]}), 1, 1, "ms", "ms", invert=True)
        self.add(f"rollback at {label} keys", "git commit-tree of an old tree", self.interleave(rollback, commit_tree), 1, 8, "ms", "ms", invert=True)
        clone = self.directory("worktree")
        subprocess.run(["git", "clone", "-q", "--shared", "-b", "main", repository, clone], check=True, env=env)

        def revert():
            began = time.perf_counter()
            done = subprocess.run(["git", "-C", clone, "-c", "core.fsync=all", "revert", "--no-edit", "HEAD"], capture_output=True, text=True, env=env)
            if done.returncode != 0:
                raise RuntimeError(f"git revert: {done.stdout[-500:]} {done.stderr[-500:]}")
            return {"ms": (time.perf_counter() - began) * 1000}

        self.add(f"rollback at {label} keys", "git revert", self.interleave(rollback, revert, 3), 1, 300, "ms", "ms", invert=True)
        wire.close()

    def diff_rows(self, st8, timed, git, repository, count, label, changed, must, reach):
        """Each round compares two revisions that nobody has compared before; then the same two once more."""
        scope = {"namespace": "large", "branch": "main"}
        head = lambda: st8.call("GET", "/v1/resolve?namespace=large&branch=main&at=@")["revision"]  # noqa: E731
        rows = ("contents of both sides", "keys and hashes", "contents of both sides, asked for again")
        numbers = iter(range(1_000_000))

        def once():
            number = next(numbers)
            before = head()
            st8.call("POST", "/v1/apply?changes=none", {"scope": scope, "message": "changed", "documents": [
                {"key": key_name((i * 97 + number * 31) % count), "content": kibibyte(time.time_ns() + i)} for i in range(changed)]})
            after = head()
            self.tool("git2_bench", "--directory", repository, "--files", count, "--changed", changed, "--commits", 1)

            def ours(mode):
                took, answer = timed("POST", f"/v1/diff?changes={mode}", {"scope": scope, "from": str(before), "to": str(after), "limit": 10000})
                expect(f"changes of st8's diff ({mode})", len(answer["changes"]), changed)
                return {"ms": took}

            def theirs():
                took, out = git("diff", "--stat", "main~1", "main")
                expect("files of git diff --stat", len(out.splitlines()) - 1, changed)
                return {"ms": took}

            return {what: (ours("keys" if what.startswith("keys") else "full"), theirs()) for what in rows}

        measured = self.turns(once)
        for what in rows:
            self.add(f"diff, {changed:,} changed key(s) of {label}: {what}", "git diff --stat", [turn[what] for turn in measured], must, reach, "ms", "ms", invert=True)

    def disk(self):
        revisions, files = (800, 100) if self.quick else (10000, 1000)
        maker = ConfigFiles(files)
        with self.st8d() as st8:
            repository = self.directory("git-disk")
            subprocess.run(["git", "init", "-q", "-b", "main", repository], check=True)
            importer = subprocess.Popen(["git", "-C", repository, "fast-import", "--quiet"], stdin=subprocess.PIPE)
            st8.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": "disk", "branch": "main"}, "message": "begin", "documents": [
                {"key": name, "content": text} for name, text in maker.files.items()]})
            fast_import_commit(importer.stdin, maker.files, "begin", 0)
            for number in range(revisions):
                name, text = maker.change()
                st8.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": "disk", "branch": "main"}, "message": f"change {number}",
                                                            "documents": [{"key": name, "content": text}]})
                fast_import_commit(importer.stdin, {name: text}, f"change {number}", number + 1)
            importer.stdin.close()
            importer.wait()
            subprocess.run(["git", "-C", repository, "gc", "-q", "--aggressive", "--prune=now"], check=True)
            theirs = tree_bytes(os.path.join(repository, ".git/objects"))
            st8.call("POST", "/v1/gc", {"keep": revisions * 2})
            st8.stop()
            ours = tree_bytes(os.path.join(st8.directory, "state"))
            self.add(f"disk, {revisions:,} revisions over {files:,} JSON files of 1 KiB, a line changed each, after gc", "git gc --aggressive",
                     [({"mb": ours / 1e6}, {"mb": theirs / 1e6})], 1.0, 0.33, "mb", "MB", lower_is_better=True)
        self.gc_beside_writers(revisions, files)

    def gc_beside_writers(self, revisions, files):
        """Each round has a namespace of its own to collect: only the first gc of one has work.

        A round measures writers for as long as a gc takes, from its first moment to its last: before it, beside it, after it. Where the disk or
        the machine is shared, the p99 of some seconds changes by several times within a minute; so a gc is compared with both of its neighbours,
        by the geometric mean of theirs."""
        warmup = 0.5
        took = 3 if self.quick else 5
        notes = []

        def writers(**more):
            return self.http(st8, "apply", 16, namespace="writers", warmup=warmup, **more)

        def collect():
            nonlocal took
            time.sleep(warmup)
            began = time.perf_counter()
            done = st8.call("POST", "/v1/gc", {"keep": 10, "namespace": name})
            took = time.perf_counter() - began
            notes.append(f"{done['pruned']:,} in {took:.1f} s")

        with self.st8d("st8d-gc") as st8:
            pairs = []
            for number in range(1 if self.quick else 5):
                name = f"history-{number}"
                self.load_documents(st8, name, files)
                self.http(st8, "apply", 64, seconds=600, warmup=0, operations=revisions, keys=files, namespace=name)
                before = writers(seconds=took)
                beside = writers(seconds=600, beside=collect)
                after = writers(seconds=took)
                pairs.append((beside, {what: (before[what] * after[what]) ** 0.5 for what in ("p50_us", "p99_us", "per_second")}))
            expect("runs of gc", len(notes), len(pairs))
            self.add(f"gc of {revisions:,} revisions to 10, beside 16 writers: writers' p99", "without gc", pairs, 2, 1.2, "p99_us", "µs",
                     lower_is_better=True, note="gc pruned " + ", ".join(notes))

    def restart(self):
        target = (128 if self.quick else 1024) * (1 << 20)
        with self.st8d() as st8:
            written = 0
            while written < target:
                run = self.http(st8, "apply", 64, seconds=2, documents=8, bytes=4096, keys=20000)
                written += int(run["operations"]) * 8 * 4096
            st8.stop(signal.SIGKILL)
            samples = []
            for _ in range(3):
                began = time.perf_counter()
                st8.start()
                samples.append(time.perf_counter() - began)
                self.http(st8, "apply", 16, seconds=1)
                st8.stop(signal.SIGKILL)
            self.limit(f"restart to ready after a kill with {target >> 20:,} MiB written", statistics.median(samples), 1.0, 0.3, "s")

    def limit(self, workload, value, must, reach, unit, note=None):
        self.rows.append({"workload": workload, "against": "—", "ours": value, "theirs": None, "unit": unit, "ratio": value, "must": must, "reach": reach,
                          "lower_is_better": True, "note": note})
        print(f"  {workload}: {report.number(value)} {unit} ({report.verdict(self.rows[-1])})", flush=True)

    def memory(self):
        count = 200_000 if self.quick else 10_000_000
        with self.st8d() as st8:
            self.load_documents(st8, "memory", count, batch=50000, content=lambda i: f'{{"v":{i}}}')
            st8.stop()
            st8.start()
            self.http(st8, "get", 1, namespace="memory", keys=count, seconds=1)
            self.limit(f"memory of st8d after opening {count:,} keys", st8.resident_mb(), 150, 64, "MB")
            minutes = 0.1 if self.quick else 10
            readings = []
            end = time.monotonic() + minutes * 60
            while time.monotonic() < end:
                self.http(st8, "apply", 16, seconds=3, namespace="mixed")
                self.http(st8, "get", 32, seconds=3, namespace="memory", keys=count)
                readings.append(st8.resident_mb())
            half = len(readings) // 2
            drift = max(readings[half:]) - max(readings[:half] or [0])
            self.limit(f"memory of st8d after {minutes:g} minutes of mixed load", max(readings[half:]), 150, 64, "MB", note=f"the second half's peak is {drift:+.1f} MB against the first's")

    def command_line(self):
        with self.st8d() as st8, servers.Etcd(self.directory("etcd")) as etcd:
            self.load_documents(st8, "default", 10)
            subprocess.run(["etcdctl", f"--endpoints=127.0.0.1:{etcd.port}", "put", "key", "value"], check=True, capture_output=True, env={**os.environ, "ETCDCTL_API": "3"})

            def timed(command, env=None):
                samples = []
                for _ in range(20):
                    began = time.perf_counter()
                    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **(env or {})})
                    samples.append((time.perf_counter() - began) * 1000)
                return {"ms": statistics.median(samples), "p50_us": statistics.median(samples) * 1000, "p99_us": max(samples) * 1000}

            ours = [os.path.join(self.bin, "st8ctl"), "--server", f"http://127.0.0.1:{st8.port}", "--token", st8.token, "get", key_name(1)]
            theirs = ["etcdctl", f"--endpoints=127.0.0.1:{etcd.port}", "get", "key"]
            self.add("st8ctl get of one key, whole process", "etcdctl get",
                     self.interleave(lambda: timed(ours), lambda: timed(theirs, {"ETCDCTL_API": "3"})), 5, 15, "ms", "ms", invert=True)

    def tls(self):
        with self.st8d("st8d-plain") as plain, self.st8d("st8d-tls", tls=True) as secure:
            for server in (plain, secure):
                self.http(server, "apply", 64, seconds=2, **({"tls": True} if server is secure else {}))
            self.add("TLS: apply, 64 clients", "without TLS",
                     self.interleave(lambda: self.http(secure, "apply", 64, tls=True), lambda: self.http(plain, "apply", 64)), 0.6, 0.8)
            self.add("TLS: read, 64 clients", "without TLS",
                     self.interleave(lambda: self.http(secure, "get", 64, tls=True), lambda: self.http(plain, "get", 64)), 0.6, 0.8)

    def rollouts(self):
        rollouts.run(self)

    def tax(self):
        """What the store costs over bare RocksDB. No goal: the row tells where the time of a commit or a read can go at most."""
        scratch = self.directory("tax")
        os.makedirs(scratch)

        def side(name, workload, threads, keys):
            return self.tool("store_tax", "--side", name, "--workload", workload, "--threads", threads, "--keys", keys, "--seconds", self.seconds, "--dir", scratch)

        for what, workload, threads, keys in (("commit of one 1 KiB document, 64 threads", "apply", 64, 1000), ("commit of one 1 KiB document, 1 thread", "apply", 1, 1000),
                                              ("read of one document, 4 threads", "get", 4, 1000), ("walk of 20,000 documents, 1 thread", "scan", 1, 20000)):
            self.add(f"store alone: {what}", "bare RocksDB: the document alone",
                     self.interleave(lambda: side("store", workload, threads, keys), lambda: side("rocksdb", workload, threads, keys)))

    # -- all ------------------------------------------------------------------------------------------------------------
    WORKLOADS = ("apply_against_peers", "namespaces", "reads", "bulk_apply", "watch", "crowd", "million", "disk", "restart", "memory", "command_line", "tls", "tax", "rollouts")

    def run(self, names):
        sync = self.tool("sync_probe", self.scratch)
        failed = []
        for name in names:
            print(name, flush=True)
            sync = self.tool("sync_probe", self.scratch)  # Of this group: a disk changes within minutes where it is shared.
            self.taken = quiet.Log()
            began = time.monotonic()
            try:
                getattr(self, name)()
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed.append(name)
                print(f"  failed: {error}", flush=True)
            for row in self.rows:
                row.setdefault("group", name)
            keep(self, sync)
            print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
        shutil.rmtree(self.scratch, ignore_errors=True)
        return sync, failed


def key_name(index):
    return f"services/team-{index % 37}/service-{index}/config.json"


def kibibyte(salt):
    """1 KiB of lines, as git2_bench makes them."""
    lines = [f'"option_{line}": {salt * 31 + line},' for line in range(27)]
    return "\n".join([f'{{"salt": {salt},', *lines, '"last": null}', ""])


def expect(what, found, wanted):
    """A workload that does not do what its row says fails the run."""
    if found != wanted:
        raise RuntimeError(f"{what}: {found} where {wanted} were to be")


def tree_bytes(path):
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


class ConfigFiles:
    """Files of about 1 KiB of JSON, one line of one of them changed at a time; the same sequence at every run."""

    def __init__(self, count):
        self.random = random.Random(20)
        self.lines = {}
        for index in range(count):
            self.lines[key_name(index)] = [f'  "option_{line}": "{self.random.randrange(1 << 32):08x} of service {index}",' for line in range(20)]
        self.names = list(self.lines)

    def text(self, name):
        return "{\n" + "\n".join(self.lines[name]) + '\n  "end": null\n}\n'

    @property
    def files(self):
        return {name: self.text(name) for name in self.names}

    def change(self):
        name = self.random.choice(self.names)
        line = self.random.randrange(20)
        self.lines[name][line] = f'  "option_{line}": "{self.random.randrange(1 << 32):08x} of change",'
        return name, self.text(name)


def fast_import_commit(pipe, files, message, number):
    out = [f"commit refs/heads/main\ncommitter b <b@x> {1700000000 + number} +0000\ndata {len(message)}\n{message}\n"]
    for name, text in files.items():
        out.append(f"M 644 inline {name}\ndata {len(text.encode())}\n{text}\n")
    pipe.write("".join(out).encode())


class Watchers:
    """SSE connections on the watch route; publish() gives the time from a write's start until every one has its event, in ms."""

    def __init__(self, server, count):
        import selectors
        self.server = server
        self.selector = selectors.DefaultSelector()
        self.sockets = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", server.port))
            one.sendall((f"GET /v1/watch?namespace=bench&branch=main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n").encode())
            self.sockets.append(one)
        for one in self.sockets:
            data = b""
            while b"event: ready" not in data or not data.endswith(b"\n\n"):
                piece = one.recv(65536)
                if not piece:
                    raise RuntimeError(f"a watch ended: {data[:300]!r}")
                data += piece
            one.setblocking(False)
            self.selector.register(one, selectors.EVENT_READ, one)
        self.version = 0

    def publish(self):
        self.version += 1
        waiting = set(self.sockets)
        body = {"scope": {"namespace": "bench", "branch": "main"}, "documents": [{"key": "watched.json", "content": f'{{"v": {time.time_ns()}}}'}], "message": "publish"}
        began = time.perf_counter()
        publisher = threading.Thread(target=self.server.call, args=("POST", "/v1/apply?changes=none", body))
        publisher.start()
        end = time.monotonic() + 30
        while waiting:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(waiting)} watchers got no event in 30 s")
            for key, _ in self.selector.select(1):
                data = key.data.recv(65536)
                if not data:
                    raise RuntimeError("a watch ended")
                if b"event: revision" in data:
                    waiting.discard(key.data)
        took = (time.perf_counter() - began) * 1000
        publisher.join()
        return took

    def close(self):
        for one in self.sockets:
            one.close()


class Crowd:
    """Connections that wait, streams that stay open, and clients that send a byte a second."""

    def __init__(self, server, idle, streams, slow):
        self.stopping = threading.Event()
        self.connect = lambda: socket.create_connection(("127.0.0.1", server.port))
        head = f"GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        self.idle = []
        for _ in range(idle):
            one = self.connect()
            one.sendall((head + "\r\n").encode())
            one.recv(65536)
            self.idle.append(one)
        self.streams = [self.connect() for _ in range(streams)]
        for one in self.streams:
            one.sendall((f"GET /v1/watch?namespace=bench&branch=main HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n\r\n").encode())
            one.recv(65536)
        self.slow = [self.connect() for _ in range(slow)]
        self.thread = threading.Thread(target=self.drip, args=(head.encode(),))
        self.thread.start()

    def drip(self, head):
        position = 0
        while not self.stopping.wait(1.0):
            for index, one in enumerate(self.slow):
                try:
                    one.sendall(head[position % len(head):position % len(head) + 1])
                except OSError:
                    one.close()  # The server gave up on it, as it should; another takes its place.
                    self.slow[index] = self.connect()
            position += 1

    def close(self):
        self.stopping.set()
        self.thread.join()
        for one in self.idle + self.streams + self.slow:
            one.close()


def machine(bench, sync):
    def read(path, default=""):
        try:
            with open(path) as file:
                return file.read()
        except OSError:
            return default

    cpu = next((line.split(":")[1].strip() for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "unknown CPU")
    memory = int(read("/proc/meminfo", "MemTotal: 0 kB").split()[1]) // (1 << 20)
    filesystem = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", bench.options.scratch], capture_output=True, text=True).stdout.strip()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"
    return {"cpu": cpu, "cores": os.cpu_count(), "memory": memory, "filesystem": filesystem, "date": datetime.date.today().isoformat(),
            "mode": "quick" if bench.quick else "full", "commit": commit, "load": os.getloadavg()[0], "taken": bench.taken.summary(), **sync}


def keep(bench, sync):
    """Puts the rows into the file of results, in the place of older rows of the same groups."""
    path = bench.options.results
    if not path:
        return
    rows = []
    if os.path.exists(path):
        with open(path) as file:
            rows = json.load(file)
    here = machine(bench, sync)
    for row in bench.rows:
        row.setdefault("machine", here)
    groups = {row["group"] for row in bench.rows}
    rows = [row for row in rows if row["group"] not in groups] + bench.rows
    rows.sort(key=lambda row: Bench.WORKLOADS.index(row["group"]))
    with open(path, "w") as file:
        json.dump(rows, file, indent=1)


COMMANDS = [
    "`./dev bench` runs all of it, `./dev bench --quick` in under three minutes with smaller sizes, `./dev bench --only NAME` one group.",
    "Load: `bench/load/http_load.cpp` (closed loop, keep-alive, answers counted per connection; a connection without an answer fails the run) and "
    "`bench/peers/etcd_load.cpp` (gRPC, a connection per client), `pgbench -M prepared`, `bench/peers/git2_bench.cpp`, the `git` command.",
    "PostgreSQL's commit (`bench/peers/commit.sql`) is one statement that does what an apply does: the head moved; revision and operation logged; a hash over the parent's "
    "hash and what is new; an index by hash; the document's version with its hash; an answer with the revision's number, hash and parent and the document before and after. Each "
    "client has a branch of its own, where all clients of st8 share one. The row \"three rows\" (`bench/peers/three_rows.sql`) is beside it because it is what was measured "
    "before: it does less than an apply, so it has no goal.",
    "Every client and server shares the machine's cores, so the client's cost is in every figure, ours and the peers'.",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, shorter runs, one turn each: under three minutes")
    parser.add_argument("--only", action="append", choices=Bench.WORKLOADS, help="run this group alone (repeatable); writes no file")
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="where servers keep their data")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md even for a quick run or one group")
    parser.add_argument("--results", help="keep rows in this JSON file; what is written is made of all its rows, so that groups can be run one by one")
    parser.add_argument("--report", action="store_true", help="measure nothing: write docs/benchmarks.md from --results")
    options = parser.parse_args()
    if options.report and not options.results:
        parser.error("--report needs --results")
    bench = Bench(options)
    sync, failed = bench.run([] if options.report else options.only or Bench.WORKLOADS)
    here = machine(bench, sync)
    rows = bench.rows
    if options.results:
        with open(options.results) as file:
            rows = json.load(file)
    text = report.markdown(rows, here, COMMANDS)
    if options.write or options.report or not (options.quick or options.only):
        notes = os.path.join(HERE, "notes.md")
        if os.path.exists(notes):
            with open(notes) as file:
                text += "\n" + file.read()
        with open(os.path.join(ROOT, "docs/benchmarks.md"), "w") as out:
            out.write(text)
        with open(os.path.join(ROOT, "docs/benchmarks.svg"), "w") as out:
            out.write(report.svg(rows))
        with open(os.path.join(ROOT, "docs/benchmarks-latency.svg"), "w") as out:
            out.write(report.latency_svg(rows))
    else:
        print(text)
    if failed:
        print("failed: " + ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
