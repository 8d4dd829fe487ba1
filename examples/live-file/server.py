#!/usr/bin/env python3
"""A small web server that answers with the greeting of the configuration that is live.

    server.py DIRECTORY [127.0.0.1:PORT]

It reads DIRECTORY/current/app/greeting.json for every request: `current` is the link that st8 moves atomically, so each answer comes from
one whole revision, the old or the new, never from something between. With port 0 the system chooses; the first line printed names it.
"""
import http.server
import json
import pathlib
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # Resolved once a request: all of what follows comes from one version, even when the link moves meanwhile.
        version = (self.server.directory / "current").resolve()
        try:
            settings = json.loads((version / "app/greeting.json").read_text())
            status, body = 200, f"{settings['greeting']}, {settings['whom']}! (from {version.name})\n"
        except (OSError, ValueError, KeyError) as error:
            status, body = 503, f"no usable configuration: {error}\n"
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *arguments):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2].rpartition(":")[2]) if len(sys.argv) > 2 else 0), Handler)
    server.directory = pathlib.Path(sys.argv[1])
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
