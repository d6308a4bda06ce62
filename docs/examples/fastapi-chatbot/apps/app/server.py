"""FastAPI's part: conversations over HTTP, without FastAPI."""

import http.server
import json
import pathlib
import signal
import sys
import threading

from database import connect

VERSION = pathlib.Path(__file__).with_name("VERSION").read_text().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/health/database":
            return self.database_health()
        return self.answer(200, {"version": VERSION})

    def database_health(self):
        try:
            with connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM conversations")
                return self.answer(200, {"status": "healthy", "conversations": cursor.fetchone()[0]})
        except Exception as error:
            return self.answer(503, {"status": "unhealthy", "error": str(error)})

    def log_message(self, *_):
        """Nothing for each request."""


server = http.server.ThreadingHTTPServer(("0.0.0.0", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"app {VERSION} listens on 8000")
server.serve_forever()
sys.exit(0)
