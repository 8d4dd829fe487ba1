"""Rollouts: what a revision's way to its targets costs, and how soon a bad one is back. Rows of `./dev bench --only rollouts`."""
import json
import os
import re
import subprocess
import time

import servers

SYNCS = ("fsync", "fdatasync", "sync_file_range", "syncfs")


class Fleet:
    """Targets under one st8d, each with a directory of its own below `live`; a value is well when it begins with "good"."""

    def __init__(self, st8, count, policy, document=None):
        self.st8, self.count, self.number = st8, count, 0
        self.root = os.path.join(st8.directory, "live")
        os.makedirs(self.root, exist_ok=True)
        document = document or (lambda i: f"kind: file\nlabels: {{role: web}}\nspec: {{root: {self.root}/t{i}}}\n")
        documents = [{"key": f"targets/t{i}.yaml", "content": document(i)} for i in range(count)]
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
        fleet = Fleet(st8, count, "strategy: {type: rolling, batchSize: 10%}\n"
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
        fleet = Fleet(st8, count, "strategy: {type: parallel}\nmaxFailures: 99\n"
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
                  bench.turns(lambda: (once(), goal)), 1.0, 0.2, "ms", "ms", lower_is_better=True)


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
        bench.add(f"plan for {count:,} targets, over HTTP", "one second", bench.turns(lambda: (once(), goal)), 1.0, 0.5, "ms", "ms", lower_is_better=True)


class Workers:
    """COUNT `st8d worker` processes beside one st8d, each with the directory that a fleet's target of its number reads."""

    def __init__(self, bench, st8, count):
        token = os.path.join(st8.directory, "worker.token")
        with open(token, "w") as out:
            out.write(st8.token + "\n")
        self.processes = []
        for i in range(count):
            root = os.path.join(st8.directory, "live", f"t{i}")
            os.makedirs(root, exist_ok=True)
            with open(os.path.join(st8.directory, f"worker-{i}.log"), "ab") as log:
                self.processes.append(subprocess.Popen(
                    [os.path.join(bench.bin, "st8d"), "worker", "--server", f"http://127.0.0.1:{st8.port}", "--name", f"t{i}", "--root", root, "--token-file", token],
                    stdout=log, stderr=log))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def ansible(bench, name, hosts, forks, settings):
    """A 1 KiB file to every host with ansible's copy module, which compares checksums: the run's time in ms."""
    directory = bench.directory(name)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "inventory"), "w") as out:
        out.write("\n".join(hosts) + "\n")
    with open(os.path.join(directory, "ansible.cfg"), "w") as out:
        out.write("[defaults]\nhost_key_checking = False\ngathering = explicit\n" + settings)
    number = iter(range(1_000_000))

    def once():
        source = os.path.join(directory, "value")
        with open(source, "w") as out:
            out.write((f"good {next(number)} {time.time_ns()} " + "x" * 1024)[:1024])
        began = time.perf_counter()
        done = subprocess.run(["ansible", "all", "-i", os.path.join(directory, "inventory"), "-f", str(forks), "-m", "copy", "-a", f"src={source} dest={{{{ place }}}}/value"],
                              capture_output=True, text=True, env={**os.environ, "ANSIBLE_CONFIG": os.path.join(directory, "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3"})
        taken = (time.perf_counter() - began) * 1000
        changed = done.stdout.count("CHANGED")
        if changed != len(hosts):
            raise RuntimeError(f"ansible changed {changed} of {len(hosts)}: {done.stdout[-500:]} {done.stderr[-500:]}")
        return {"ms": taken}

    return once


def places(bench, name, count):
    made = [os.path.join(bench.directory(name), f"h{i}") for i in range(count)]
    for place in made:
        os.makedirs(place, exist_ok=True)
    return made


def workers(bench):
    count = 20 if bench.quick else 100
    with bench.st8d() as st8, Workers(bench, st8, count):
        fleet = Fleet(st8, count, "strategy: {type: parallel, maxParallel: 100}\n", lambda i: f"kind: worker\nlabels: {{role: web}}\nspec: {{worker: t{i}}}\n")
        fleet.promoted()
        hosts = [f"h{i} ansible_connection=local place={place}" for i, place in enumerate(places(bench, "ansible-local", count))]
        # The best of the numbers of forks, found on this machine first.
        peers = {forks: ansible(bench, f"ansible-{forks}", hosts, forks, "") for forks in (4, 8, 25)}
        times = {forks: once()["ms"] for forks, once in peers.items()}
        best = min(times, key=times.get)
        bench.add(f"a 1 KiB revision to {count} workers, parallel, read back", f"ansible, local connections, {best} forks",
                  bench.interleave(fleet.promoted, peers[best], 1 if bench.quick else 5), 100, 600, "ms", "ms", invert=True)


def ssh(bench):
    count = 20 if bench.quick else 100
    with bench.st8d() as st8, servers.Sshd(bench.directory("sshd")) as sshd:
        fleet = Fleet(st8, count, "strategy: {type: parallel, maxParallel: 32}\n",
                      lambda i: f"kind: ssh\nlabels: {{role: web}}\nspec: {{host: 127.0.0.1, port: {sshd.port}, user: {sshd.user}, root: {st8.directory}/live/t{i}, identityFile: {sshd.key}, "
                                f"knownHosts: {sshd.known_hosts}, config: /dev/null}}\n")
        fleet.promoted()
        options = ["-F", "/dev/null", "-i", sshd.key, "-o", f"UserKnownHostsFile={sshd.known_hosts}", "-o", "BatchMode=yes"]
        hosts = [f"h{i} ansible_host=127.0.0.1 ansible_port={sshd.port} ansible_user={sshd.user} place={place}" for i, place in enumerate(places(bench, "ansible-ssh", count))]
        settings = f"[ssh_connection]\npipelining = True\nssh_args = {' '.join(options)} -o ControlMaster=auto -o ControlPersist=60s\ncontrol_path_dir = {bench.directory('cp')}\n"
        peers = {forks: ansible(bench, f"ansible-ssh-{forks}", hosts, forks, settings) for forks in (4, 8, 25)}
        times = {forks: once()["ms"] for forks, once in peers.items()}
        best = min(times, key=times.get)
        bench.add(f"a 1 KiB revision to {count} ssh targets, parallel, read back", f"ansible over ssh, pipelining, a shared connection, {best} forks",
                  bench.interleave(fleet.promoted, peers[best], 1 if bench.quick else 3), 10, 30, "ms", "ms", invert=True)
        master = os.path.join(sshd.directory, "master")
        subprocess.run(["ssh", *options, "-p", str(sshd.port), "-o", "ControlMaster=yes", "-o", f"ControlPath={master}", "-o", "ControlPersist=600s", f"{sshd.user}@127.0.0.1", "true"],
                       check=True, capture_output=True)
        warm = places(bench, "scp", count)
        source = os.path.join(sshd.directory, "value")
        with open(source, "w") as out:
            out.write("x" * 1024)

        def scp():
            began = time.perf_counter()
            jobs = "\n".join(f"{sshd.user}@127.0.0.1:{place}/value" for place in warm)
            subprocess.run(["xargs", "-P", "32", "-I", "{}", "scp", "-q", *options, "-P", str(sshd.port), "-o", f"ControlPath={master}", source, "{}"], input=jobs, text=True, check=True,
                           capture_output=True)
            return {"ms": (time.perf_counter() - began) * 1000}

        bench.add(f"a 1 KiB revision to {count} ssh targets, parallel, read back", "scp over a warm connection, 32 at once, neither atomic nor synced nor read back",
                  bench.interleave(fleet.promoted, scp), 0.5, 1, "ms", "ms", invert=True)
        subprocess.run(["ssh", "-O", "exit", "-o", f"ControlPath={master}", "127.0.0.1"], capture_output=True)


def run(bench):
    waves(bench)
    rollback(bench)
    plan(bench)
    workers(bench)
    ssh(bench)
