"""The servers a benchmark runs: each starts on loopback ports that the system picks, on its own new directory, and is stopped by its pid."""
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time


def free_ports(count):
    """Ports that were free a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_for(what, probe, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if probe():
            return
        time.sleep(0.005)
    raise RuntimeError(f"{what} did not get ready within {seconds} s")


class Server:
    """A child process and its directory."""

    def __init__(self, name, directory):
        self.name = name
        self.directory = directory
        self.process = None

    def spawn(self, command, env=None):
        os.makedirs(self.directory, exist_ok=True)
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})})

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def remove(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def resident_mb(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.remove()


class St8d(Server):
    """st8d as a user starts it: a token, a state directory, nothing tuned."""

    token = "bench-token-0123456789abcdef"

    def __init__(self, binary, directory, tls=False):
        super().__init__("st8d", directory)
        self.binary = binary
        self.tls = tls
        self.port = None

    def start(self, wait=True):
        if self.port is None:
            self.port = free_ports(1)[0]
        command = [self.binary, "--listen", f"127.0.0.1:{self.port}", "--state-dir", os.path.join(self.directory, "state")]
        os.makedirs(self.directory, exist_ok=True)
        if self.tls:
            key, certificate = os.path.join(self.directory, "key.pem"), os.path.join(self.directory, "cert.pem")
            if not os.path.exists(key):
                subprocess.run(
                    ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                     "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
            command += ["--tls-cert", certificate, "--tls-key", key]
        self.spawn(command, {"ST8D_TOKEN": self.token})
        if wait:
            wait_for("st8d", self.ready)
        return self

    def ready(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.directory, "log")) as log:
                raise RuntimeError("st8d ended: " + log.read()[-2000:])
        try:
            if self.tls:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def call(self, method, path, body=None, timeout=600):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        headers = {"Authorization": "Bearer " + self.token}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:500]!r}")
        return json.loads(data) if data[:1] in (b"{", b"[") else data


class Wire:
    """One kept connection to an st8d, for timing a single call: the answer is taken whole and looked at later."""

    def __init__(self, server):
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Answers are received where they stay: making and joining new buffers took two of the eleven milliseconds that an answer of a megabyte
        # was seen to take. Written once, so that its pages are there.
        self.buffer = bytearray(b"\1") * (4 << 20)

    def timed(self, method, path, body=None):
        """(milliseconds, the parsed answer)."""
        data = b"" if body is None else json.dumps(body).encode()
        request = (f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.server.token}\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(data)}\r\n\r\n").encode() + data
        began = time.perf_counter()
        self.socket.sendall(request)
        room = memoryview(self.buffer)
        size = 0
        head_end = -1
        length = 0
        while head_end < 0 or size < head_end + length:
            received = self.socket.recv_into(room[size:])
            if not received:
                raise RuntimeError(f"{method} {path}: the connection ended, or the answer is longer than {len(room)} bytes")
            size += received
            if head_end < 0 and (found := self.buffer.find(b"\r\n\r\n", 0, size)) >= 0:
                head_end = found + 4
                head = bytes(room[:found]).decode().lower().split("\r\n")
                length = int(next((line.split(":")[1] for line in head if line.startswith("content-length:")), "0"))
        took = (time.perf_counter() - began) * 1000
        answer = bytes(room[:head_end + length])
        status = int(answer[9:12])
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {answer[head_end:head_end + 500]!r}")
        return took, json.loads(answer[head_end:]) if length else None

    def close(self):
        self.socket.close()


class Etcd(Server):
    def __init__(self, directory):
        super().__init__("etcd", directory)

    def start(self):
        self.port, peer = free_ports(2)
        client_url, peer_url = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{peer}"
        self.spawn(["etcd", "--data-dir", os.path.join(self.directory, "data"), "--listen-client-urls", client_url,
                    "--advertise-client-urls", client_url, "--listen-peer-urls", peer_url,
                    "--initial-advertise-peer-urls", peer_url, "--initial-cluster", "default=" + peer_url,
                    "--quota-backend-bytes", str(8 << 30), "--log-level", "error"])

        def ready():
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
                connection.request("GET", "/health")
                return b"true" in connection.getresponse().read()
            except OSError:
                return False

        wait_for("etcd", ready)
        return self


class Postgres(Server):
    """PostgreSQL 15 with its defaults: fsync and synchronous_commit on."""

    binaries = "/usr/lib/postgresql/15/bin"

    def __init__(self, directory):
        super().__init__("postgres", directory)

    def as_user(self, command, **options):
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        return subprocess.run(command, check=True, capture_output=True, text=True, **options)

    def start(self):
        data = os.path.join(self.directory, "data")
        os.makedirs(self.directory, exist_ok=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self.as_user([f"{self.binaries}/initdb", "-D", data, "-U", "bench", "--auth=trust", "-E", "UTF8"], cwd="/")

        def settled():
            return self.process.poll() is not None or subprocess.run(
                [f"{self.binaries}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

        for _ in range(5):  # Who binds port 0 at this moment may be given the port that was free: then it ends, and takes another.
            self.port = free_ports(1)[0]
            command = [f"{self.binaries}/postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                       "-c", f"unix_socket_directories={self.directory}", "-c", "max_connections=100"]
            if os.geteuid() == 0:
                command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
            self.spawn(command)
            wait_for("PostgreSQL", settled)
            if self.process.poll() is None:
                return self
        with open(os.path.join(self.directory, "log")) as log:
            raise RuntimeError("PostgreSQL ended: " + log.read()[-2000:])

    def sql(self, text):
        """What it answers: rows as lines, columns apart by tabs."""
        return subprocess.run(["psql", "-q", "-A", "-t", "-F", "\t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", "-d", "postgres", "-v", "ON_ERROR_STOP=1"],
                              input=text, text=True, check=True, capture_output=True).stdout

    def stop(self, how=signal.SIGINT):
        super().stop(how)


class Pgbench:
    """A transaction of bench/peers/, by prepared statements over loopback; its schema is made at once."""

    peers = os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers")
    pad = "x" * 1000  # What clients send of each document, behind some digits that differ.

    def __init__(self, server, name):
        self.server = server
        self.script = os.path.join(self.peers, name + ".sql")
        self.transactions = 0
        with open(os.path.join(self.peers, name + "_schema.sql")) as schema:
            server.sql(schema.read())

    def run(self, clients, seconds=None, each=None):
        """So many seconds, or so many transactions of each client."""
        length = ["-t", str(each)] if each else ["-T", str(max(1, round(seconds)))]
        done = subprocess.run(
            ["pgbench", "-h", "127.0.0.1", "-p", str(self.server.port), "-U", "bench", "-n", "-M", "prepared", "-c", str(clients), "-j", str(min(2, clients)),
             "-D", "pad=" + self.pad, *length, "-f", self.script, "postgres"], capture_output=True, text=True, check=True).stdout
        lines = {name.strip(): value.strip() for name, _, value in (line.replace("=", ":", 1).partition(":") for line in done.splitlines())}
        self.transactions += int(lines["number of transactions actually processed"].split("/")[0])
        if "tps" not in lines or not lines["number of failed transactions"].startswith("0 "):  # Without a rate where the disk stood still.
            raise RuntimeError("pgbench: " + done)
        return {"per_second": float(lines["tps"].split()[0]), "p50_us": float(lines["latency average"].split()[0]) * 1000, "p99_us": float("nan")}

    def verified(self):
        """(operations whose revision's hash is right, transactions there were). The database looks: this is a million rows in some seconds."""
        with open(os.path.join(self.peers, "commit_check.sql")) as check:
            return int(self.server.sql(check.read())), self.transactions


class Sshd(Server):
    """OpenSSH's server for one key, on loopback, as the user who runs the benchmark; whose .bashrc is not part of it."""

    def __init__(self, directory):
        super().__init__("sshd", directory)
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.key = os.path.join(directory, "key")
        self.known_hosts = os.path.join(directory, "known_hosts")

    def start(self):
        self.port = free_ports(1)[0]
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o700)
        host = os.path.join(self.directory, "host")
        for key in (self.key, host):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        authorized = os.path.join(self.directory, "authorized_keys")
        shutil.copy(self.key + ".pub", authorized)
        with open(host + ".pub") as public, open(self.known_hosts, "w") as out:
            out.write(f"[127.0.0.1]:{self.port} {public.read()}")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        settings = os.path.join(self.directory, "sshd_config")
        with open(settings, "w") as out:
            out.write(f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {authorized}\nPidFile none\nUsePAM no\nStrictModes no\n"
                      f"SetEnv HOME={self.directory}\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 1000\nMaxSessions 1000\nSubsystem sftp internal-sftp\n")
        self.spawn(["/usr/sbin/sshd", "-D", "-e", "-f", settings])
        wait_for("sshd", lambda: socket.socket().connect_ex(("127.0.0.1", self.port)) == 0)
        return self
