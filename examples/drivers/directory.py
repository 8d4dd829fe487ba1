#!/usr/bin/env python3
"""A driver of the contract st8-driver/1 in Python: versions in a directory, and a link `current` that is swapped at once.

Its target names it so:

    kind: exec
    spec:
      program: /usr/local/lib/st8/directory.py
      config: {root: /srv/app, keep: "5"}

One request on standard input, one answer on standard output. It is what a driver for anything else looks like: replace the file
operations, keep the rules. Every operation may come twice, and may be cut short at any instant and come again.
"""
import base64
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import sys


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def write_durably(path, data, mode):
    with open(path, "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        file.flush()
        os.fsync(file.fileno())


def sync(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def listing(directory):
    """What lies there, from its bytes: never from what was sent."""
    files = []
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            files.append({"path": str(path.relative_to(directory)), "mode": 0, "sha256": "0" * 64})
        elif path.is_file():
            files.append({"path": str(path.relative_to(directory)), "mode": path.stat().st_mode & 0o7777,
                          "sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    return files


class Target:
    def __init__(self, request):
        self.request = request
        self.root = pathlib.Path(request["config"]["root"])
        if not self.root.is_dir():
            raise Refusal("unavailable", f"{self.root} is no directory")
        self.control = self.root / ".driver"
        self.versions = self.root / "revisions"
        self.current = self.root / "current"

    def hold(self):
        """The lock, and the fencing token compared under it: whoever comes with an older one has lost the target."""
        (self.control / "restore").mkdir(parents=True, exist_ok=True)
        self.versions.mkdir(exist_ok=True)
        self.lock = open(self.control / "lock", "a")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        fence = self.control / "fence"
        highest = int(fence.read_text()) if fence.exists() else 0
        token = self.request["fencing_token"]
        if token < highest:
            raise Refusal("stale_token", f"token {token} is older than {highest}")
        if token > highest:
            write_durably(self.control / "fence.new", str(token).encode(), 0o600)
            os.replace(self.control / "fence.new", fence)
            sync(self.control)

    def point(self):
        return self.control / "restore" / self.request["restore_point"]

    def switch(self, to):
        if to is None:
            self.current.unlink(missing_ok=True)
        else:
            new = self.root / "current.new"
            new.unlink(missing_ok=True)
            new.symlink_to(to)
            os.replace(new, self.current)
        sync(self.root)

    def check(self):
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise Refusal("unavailable", f"{self.root} cannot be written")
        return {}

    def stage(self):
        self.hold()
        building = self.root / ".driver" / "building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        for file in self.request["files"]:
            path = building / file["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_durably(path, base64.b64decode(file["content_base64"]), file["mode"])
            sync(path.parent)
        version = self.versions / self.request["label"]
        if version.exists() and listing(version) != listing(building):
            os.replace(version, self.control / "damaged")
        if not version.exists():
            os.replace(building, version)
        shutil.rmtree(self.control / "damaged", ignore_errors=True)
        sync(self.versions)
        return {}

    def version(self):
        version = self.versions / self.request["label"]
        if not version.is_dir():
            raise Refusal("not_found", f"version {self.request['label']} is not staged")
        return version

    def validate(self):
        return {"files": listing(self.version())}

    def activate(self):
        self.hold()
        self.version()
        if not self.point().exists():
            before = os.readlink(self.current) if self.current.is_symlink() else ""
            write_durably(self.control / "point.new", before.encode(), 0o600)
            os.replace(self.control / "point.new", self.point())
            sync(self.control / "restore")
        self.switch(f"revisions/{self.request['label']}")
        return {}

    def observe(self):
        if not self.current.is_symlink():
            return {"present": False}
        return {"present": True, "label": os.path.basename(os.readlink(self.current)), "files": listing(self.current.resolve())}

    def restore(self):
        self.hold()
        if self.point().exists():
            self.switch(self.point().read_text() or None)
        return {}

    def discard(self):
        self.hold()
        needed = {os.path.basename(os.readlink(self.current))} if self.current.is_symlink() else set()
        for point in (self.control / "restore").iterdir():
            if point == self.point():
                needed.add(os.path.basename(point.read_text()))
            else:
                point.unlink()
        old = sorted((path for path in self.versions.iterdir() if path.name not in needed), key=lambda path: int(path.name.split("-")[0]), reverse=True)
        for path in old[int(self.request["config"].get("keep", "5")):]:
            shutil.rmtree(path)
        return {}


def main():
    request = json.load(sys.stdin)
    if request["protocol"] != "st8-driver/1":
        raise Refusal("refused", f"protocol {request['protocol']} is not spoken here")
    if request["operation"] not in ("check", "stage", "validate", "activate", "observe", "restore", "discard"):
        raise Refusal("refused", f"operation {request['operation']} is not known here")
    return getattr(Target(request), request["operation"])()


if __name__ == "__main__":
    try:
        answer = {"ok": True, **main()}
    except Refusal as refusal:
        answer = {"ok": False, "code": refusal.code, "message": str(refusal)}
    except OSError as error:
        answer = {"ok": False, "code": "unavailable", "message": f"{error.strerror}: {error.filename}"}
    json.dump(answer, sys.stdout)
