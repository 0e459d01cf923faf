"""A real HTTP server that keeps one owner per camera, as the API does, and shows who."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LeaseServer:
    """`owners`: camera to owner. `asked`: requests so far. `away`: answers 503."""

    def __init__(self):
        self.owners, self.asked, self.away = {}, 0, False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_PUT(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked += 1
                answer = json.dumps({"held": [], "refused": outer.take(**body)}).encode()
                self.send_response(503 if outer.away else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, owner, ttl_s, sources):
        """Give what others have; take the rest, or give it up."""
        if self.away:
            return []
        others = [name for name in sources if self.owners.get(name, owner) != owner]
        for name in set(sources) - set(others):
            if ttl_s:
                self.owners[name] = owner
            else:
                self.owners.pop(name, None)
        return [{"source_id": name, "owner": self.owners[name]} for name in others]

    def __enter__(self):
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
