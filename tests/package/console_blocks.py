#!/usr/bin/env python3
"""Runs the ```console blocks of a document as given and compares what they print.

    console_blocks.py --bin DIRECTORY document.md

A line that begins with "$ " is a command (a following "> " continues it); the lines up to the next command are what it
must print, on stdout and stderr together. In expected lines "..." stands for anything within the line, and a line of
"..." alone for any number of lines. A command must end with status 0, or with N when it carries the comment "# exits N".

All blocks of a document share one shell, in a copy of the document's directory (only an empty directory for a document
at the top of the tree), with a home of its own. Ports of 127.0.0.1 are replaced by free ones, so that nothing collides.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

DEADLINE_SECONDS = 60


def blocks_of(text):
    """[(line number, command, [expected lines])] of every console block."""
    steps = []
    in_block = False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("```"):
            in_block = not in_block and line.strip() == "```console"
            continue
        if not in_block:
            continue
        if line.startswith("$ "):
            steps.append((number, line[2:], []))
        elif line.startswith("> ") and steps and not steps[-1][2]:
            steps[-1] = (steps[-1][0], steps[-1][1] + "\n" + line[2:], [])
        elif steps:
            steps[-1][2].append(line)
    return steps


def matches(expected, actual):
    if not expected:
        return not actual
    if expected[0] == "...":
        return any(matches(expected[1:], actual[i:]) for i in range(len(actual) + 1))
    if not actual:
        return False
    pattern = ".*".join(re.escape(part) for part in expected[0].split("..."))
    return re.fullmatch(pattern, actual[0]) is not None and matches(expected[1:], actual[1:])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Shell:
    """One bash, fed a command at a time; everything it starts is in one session and ends with it."""

    def __init__(self, directory, environment):
        self.mark = "end-of-step-" + os.urandom(8).hex()
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=directory, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def run(self, command):
        """(lines, status); the status is None when the deadline passed."""
        self.process.stdin.write(f"{command}\nprintf '\\n%s %d\\n' {self.mark} $?\n")
        self.process.stdin.flush()
        timer = threading.Timer(DEADLINE_SECONDS, self.close)
        timer.start()
        output = []
        status = None
        for line in self.process.stdout:
            if line.startswith(self.mark):
                status = int(line.split()[1])
                break
            output.append(line)
        timer.cancel()
        # The newline before the mark is ours; one at the end of what was printed is not a line of its own.
        text = "".join(output)[:-1] if output else ""
        return text.rstrip("\n").split("\n") if text.strip("\n") else [], status

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", required=True)
    parser.add_argument("--root", required=True, help="the top of the source tree")
    parser.add_argument("document")
    arguments = parser.parse_args()
    document = pathlib.Path(arguments.document).resolve()
    steps = blocks_of(document.read_text())
    if not steps:
        print(f"{document}: no console block: nothing would be tested")
        return 1
    ports = {}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="st8-doc-") as temporary:
        home = pathlib.Path(temporary) / "home"
        home.mkdir()
        work = pathlib.Path(temporary) / "work"
        if document.parent == pathlib.Path(arguments.root).resolve():
            work.mkdir()
        else:
            shutil.copytree(document.parent, work)
        environment = {"PATH": f"{pathlib.Path(arguments.bin).resolve()}:{os.environ['PATH']}", "HOME": str(home),
                       "LC_ALL": "C.UTF-8", "TMPDIR": temporary, "NO_COLOR": "1"}
        environment.update({name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")})
        shell = Shell(work, environment)
        try:
            for number, command, expected in steps:
                given = command
                for port in re.findall(r"127\.0\.0\.1:(\d+)", command):
                    ports.setdefault(port, str(free_port()))
                for port, free in ports.items():
                    command = re.sub(rf"(127\.0\.0\.1:){port}\b", rf"\g<1>{free}", command)
                wanted = re.search(r"# exits (\d+)\s*$", command)
                lines, status = shell.run(command)
                for port, free in ports.items():
                    lines = [re.sub(rf"\b{free}\b", port, line) for line in lines]
                if status is None:
                    print(f"{document}:{number}: no end within {DEADLINE_SECONDS} s: {given}")
                    return 1
                if status != (int(wanted.group(1)) if wanted else 0) or not matches(expected, lines):
                    failures += 1
                    print(f"{document}:{number}: $ {given}\n  status {status}; expected:")
                    print("".join(f"    {line}\n" for line in expected) + "  printed:")
                    print("".join(f"    {line}\n" for line in lines))
                else:
                    print(f"ok {number}: {given}")
        finally:
            shell.close()
    print(f"{len(steps) - failures} of {len(steps)} commands as documented")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
