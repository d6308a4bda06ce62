"""A client that never repeats a request: what is asked for while something changes must be answered."""

import http.client
import threading


class StrictClient:
    """GETs one path without a pause, in turn over a connection that is kept and over a new one, until it is stopped."""

    def __init__(self, address, path):
        self.address = address
        self.path = path
        self.answered = 0
        self.failures = []  # of the first failures, what happened
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()

    def stop(self):
        self._ending.set()
        self._thread.join(30)

    def _run(self):
        kept = http.client.HTTPConnection(self.address, timeout=10)
        while not self._ending.is_set():
            fresh = http.client.HTTPConnection(self.address, timeout=10)
            for connection in (kept, fresh):
                self._get(connection)
            fresh.close()
            self._ending.wait(0.01)  # the rate, not a condition
        kept.close()

    def _get(self, connection):
        try:
            connection.request("GET", self.path)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                self.answered += 1
                return
            failure = f"{answer.status} {body[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            failure = repr(error)
        if len(self.failures) < 20:
            self.failures.append(failure)
