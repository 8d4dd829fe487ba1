"""Rollouts: what a revision's way to its targets costs, and how soon a bad one is back. Rows of `./dev bench --only rollouts`."""
import json
import os
import re
import subprocess
import time

SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs")


class FileFleet:
    """Targets of kind file under one st8d, each a directory of its own; a value is well when it begins with "good"."""

    def __init__(self, st8, count, policy):
        self.st8, self.count, self.number = st8, count, 0
        self.root = os.path.join(st8.directory, "live")
        os.makedirs(self.root, exist_ok=True)
        documents = [{"key": f"targets/t{i}.yaml", "content": f"kind: file\nlabels: {{role: web}}\nspec: {{root: {self.root}/t{i}}}\n"} for i in range(count)]
        st8.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": "st8/system", "branch": "main"}, "documents": documents, "message": "targets"})
        self.policy = "branches: [main]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\n" + policy
        self.change("good", {".st8/rollout.yaml": self.policy})

    def change(self, word, more=None):
        """Commits 1 KiB, waits for the end of its rollout, and answers that: with phase and times in µs."""
        self.number += 1
        text = (f"{word} {self.number} " + "x" * 1024)[:1024]
        documents = [{"key": "app/value", "content": text}] + [{"key": key, "content": content} for key, content in (more or {}).items()]
        began = time.perf_counter()
        revision = self.st8.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": "fleet", "branch": "main"}, "documents": documents,
                                                                    "message": "change"})["revision"]
        while True:
            found = self.st8.call("GET", "/v1/rollouts?namespace=fleet&limit=5")["rollouts"]
            mine = [rollout for rollout in found if rollout["revision"] == revision]
            if mine and "ended_at" in mine[0]:
                return {"ms": (time.perf_counter() - began) * 1000, "text": text, **mine[0]}
            time.sleep(0.002)

    def verify(self, text):
        """Reads every target itself: a figure of something that did not happen is none."""
        for i in range(self.count):
            with open(os.path.join(self.root, f"t{i}", "current/app/value")) as file:
                if file.read() != text:
                    raise RuntimeError(f"target t{i} does not hold what was rolled out")

    def promoted(self, more=None):
        run = self.change("good", more)
        if run["phase"] != "promoted":
            raise RuntimeError(f"{run['id']} ended as {run['phase']}: {run.get('reason')}")
        self.verify(run["text"])
        return run


def counted(st8, work):
    """Sync calls of st8d while `work` runs, and bytes that it gave the disk; work's time is not to be used, strace slows it."""
    out = os.path.join(st8.directory, "strace")
    tracer = subprocess.Popen(["strace", "-f", "-c", "-e", "trace=" + ",".join(SYNCS), "-o", out, "-p", str(st8.process.pid)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    tracer.stderr.readline()  # "attached"
    before = written_bytes(st8)
    work()
    bytes_written = written_bytes(st8) - before
    tracer.terminate()
    tracer.wait()
    calls = 0
    with open(out) as table:
        for line in table:
            fields = line.split()
            if fields and fields[-1] in SYNCS:
                calls += int(fields[3])
    return calls, bytes_written


def written_bytes(st8):
    with open(f"/proc/{st8.process.pid}/io") as io:
        return int(re.search(r"^write_bytes: (\d+)", io.read(), re.M).group(1))


def micros(text):
    """Of an RFC 3339 time with microseconds."""
    clock = re.search(r"T(\d+):(\d+):(\d+)(?:\.(\d{1,6}))?", text)
    hours, minutes, seconds = (int(clock.group(i)) for i in (1, 2, 3))
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + int((clock.group(4) or "0").ljust(6, "0"))


def waves(bench):
    count = 100 if bench.quick else 500
    with bench.st8d() as st8:
        fleet = FileFleet(st8, count, "strategy: {type: rolling, batchSize: 10%}\n"
                          "health:\n  - name: there\n    command: {argv: [/bin/true]}\n    interval: 10ms\n    successes: 1\n    deadline: 10s\n")
        syncs, size = counted(st8, fleet.promoted)

        def floor():
            probe = bench.tool("sync_probe", bench.scratch)
            return {"ms": syncs * probe["append_us"] / 1000}

        pairs = bench.interleave(fleet.promoted, floor)
        bench.add(f"a 1 KiB revision to {count} file targets, rolling in waves of 10% with a health check in each, read back",
                  "the sum of its syncs, one after another", pairs, 2, 1, "ms", "ms", lower_is_better=True,
                  note=f"{syncs} sync calls: {syncs / count:.1f} a target; {size / count / 1024:.1f} KiB written a target; "
                       f"{sorted(pair[0]['ms'] for pair in pairs)[len(pairs) // 2] / count:.2f} ms a target")


def rollback(bench):
    count = 100
    with bench.st8d() as st8:
        # A target fails when the check's deadline has passed; what is counted begins with the first that did.
        fleet = FileFleet(st8, count, "strategy: {type: parallel}\nmaxFailures: 99\n"
                          "health:\n  - name: good\n    command: {argv: [/bin/sh, -c, 'grep -q ^good " + os.path.join(st8.directory, "live")
                          + "/$ST8_TARGET/current/app/value']}\n    interval: 10ms\n    successes: 1\n    failures: 1\n    deadline: 300ms\n")
        good = fleet.promoted()

        def once():
            run = fleet.change("bad")
            if run["phase"] != "rolled-back" or run["targets_touched"] != count:
                raise RuntimeError(f"{run['id']} ended as {run['phase']} with {run['targets_touched']} targets touched")
            fleet.verify(good["text"])
            events = st8.call("GET", f"/v1/rollouts/{run['id']}")["events"]
            detected = next(event for event in events if event["kind"] == "target.failed")
            return {"ms": (micros(run["ended_at"]) - micros(detected["at"])) / 1000}

        goal = {"ms": 1000.0}
        bench.add(f"automatic rollback of {count} file targets: from the first that failed to all restored, read back and the revision appended", "one second",
                  [(once(), goal) for _ in range(bench.rounds)], 1.0, 0.2, "ms", "ms", lower_is_better=True)


def plan(bench):
    count = 2_000 if bench.quick else 10_000
    with bench.st8d() as st8:
        documents = [{"key": f"targets/t{i}.yaml", "content": f"kind: file\nlabels: {{role: web, zone: z{i % 7}}}\nspec: {{root: /srv/none/t{i}}}\n"} for i in range(count)]
        for first in range(0, count, 5000):
            st8.call("POST", "/v1/apply?changes=none", {"scope": {"namespace": "st8/system", "branch": "main"}, "documents": documents[first:first + 5000], "message": "targets"})
        policy = "branches: [none]\ntargets: {labels: {role: web}}\ndocuments: [{match: 'app/**', to: app/}]\nstrategy: {type: rolling, batchSize: 10%}\napproval: {required: true}\n"
        st8.call("POST", "/v1/apply", {"scope": {"namespace": "fleet", "branch": "none"}, "message": "policy", "documents": [
            {"key": ".st8/rollout.yaml", "content": policy}, {"key": "app/value", "content": "1"}]})

        def once():
            began = time.perf_counter()
            answer = st8.call("GET", "/v1/plan?namespace=fleet&branch=none")
            taken = (time.perf_counter() - began) * 1000
            planned = sum(len(wave["targets"]) for wave in answer["waves"] if wave["targets"])
            if planned < count:
                raise RuntimeError(f"planned {planned} targets of {count}: {json.dumps(answer)[:300]}")
            return {"ms": taken}

        goal = {"ms": 1000.0}
        bench.add(f"plan for {count:,} targets, over HTTP", "one second", [(once(), goal) for _ in range(bench.rounds)], 1.0, 0.5, "ms", "ms", lower_is_better=True)


def run(bench):
    waves(bench)
    rollback(bench)
    plan(bench)
