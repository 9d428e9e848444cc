"""What stands between a client and a server: a recorder before Prism, which chooses Prism's answers and keeps what it
says about each request, and a listener, which only keeps what was asked."""

import dataclasses
import http.client
import http.server
import json
import threading
import urllib.parse

# Headers that belong to one connection and are not passed on.
OWN = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclasses.dataclass(frozen=True)
class Exchange:
    """One request, and what came of it."""

    method: str
    path: str
    query: dict
    body: object
    status: int
    violations: list
    operation: object
    answer: object = None

    def __str__(self):
        return f"{self.method} {self.path}?{urllib.parse.urlencode(self.query)} {json.dumps(self.body)}"


class Proxy:
    """A port of its own on which a handler answers, until it is closed."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

    def _serve(self, handler):
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Recorder(Proxy):
    """A proxy on a port of its own in front of Prism at `upstream`."""

    def __init__(self, contract, upstream):
        self.contract = contract
        self.exchanges = []
        self._upstream = upstream
        self._prefer = []
        self._alter = []
        self._lock = threading.Lock()
        recorder = self

        class Handler(self.Handler):
            def answer(self):
                recorder._pass_on(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        self._serve(Handler)

    def script(self, prefer=(), alter=()):
        """How requests are answered from now on; what was recorded until now is forgotten.

        `prefer` holds `(fits(operation, body, query), Prefer header)`: the first rule that fits chooses Prism's answer.
        `alter` holds `(fits, change(answer))`: every change that fits is made to the answer on its way back, for states
        that the description has no example of.
        """
        with self._lock:
            self._prefer, self._alter = list(prefer), list(alter)
            self.exchanges = []

    def violations(self):
        """Each exchange that the description forbids, with Prism's reasons, as lines."""
        bad = [exchange for exchange in self.exchanges if exchange.violations]
        return [f"{exchange} -> {exchange.status}\n    {exchange.violations}" for exchange in bad]

    def undeclared(self, allowed):
        """What requests named that the description has no word for, as lines, without what is `allowed` by operation."""
        return [
            f"{exchange}: the description does not have {what}"
            for exchange in self.exchanges
            for what in self.contract.undeclared(exchange.operation, exchange.query, exchange.body)
            if what not in allowed.get(str(exchange.operation), ())
        ]

    def _pass_on(self, request):
        target = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(target.query, keep_blank_values=True))
        raw = request.rfile.read(int(request.headers.get("content-length") or 0))
        body = json.loads(raw) if raw else None
        operation = self.contract.operation(request.command, target.path)

        headers = {name: value for name, value in request.headers.items() if name.lower() not in OWN}
        with self._lock:
            for fits, prefer in self._prefer:
                if operation and fits(operation, body, query):
                    headers["Prefer"] = prefer
                    break
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=30)
        connection.request(request.command, request.path, raw or None, headers)
        reply = connection.getresponse()
        payload = reply.read()
        violations = json.loads(reply.headers.get("sl-violations") or "[]")
        if operation is None:
            violations = [{"message": "the description has no such operation"}, *violations]
        try:
            answer = json.loads(payload)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and "/prism/errors" in str(answer.get("type")):
            violations = [answer, *violations]
        with self._lock:
            self.exchanges.append(
                Exchange(request.command, target.path, query, body, reply.status, violations, operation, answer)
            )
            changes = [change for fits, change in self._alter if operation and fits(operation, body, query)]
        connection.close()
        if answer is not None and not violations and reply.status < 300:
            for change in changes:
                change(answer)
            payload = json.dumps(answer).encode()

        request.send_response_only(reply.status)
        for name, value in reply.headers.items():
            # Prism's example headers tell of a rate limit that ran out long ago.
            if name.lower() not in OWN and not name.lower().startswith(("ratelimit-", "retry-after", "sl-")):
                request.send_header(name, value)
        if reply.status != 204:
            request.send_header("content-length", str(len(payload)))
        request.end_headers()
        request.wfile.write(payload if reply.status != 204 else b"")


@dataclasses.dataclass(frozen=True)
class Request:
    """One request as it came; the headers' names in lower case."""

    method: str
    path: str
    headers: dict
    body: bytes


class Listener(Proxy):
    """A proxy on a port of its own that hands requests on as they come, the signed host among them, and keeps them."""

    def __init__(self, upstream):
        self.asked = []
        host, asked = urllib.parse.urlsplit(upstream).netloc, self.asked

        class Handler(self.Handler):
            def hand_on(self):
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length") or 0))
                asked.append(Request(self.command, self.path, headers, body))
                connection = http.client.HTTPConnection(host, timeout=30)
                connection.request(self.command, self.path, body or None, headers)
                reply = connection.getresponse()
                payload = reply.read()
                connection.close()
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    if name.lower() not in OWN:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = hand_on

        self._serve(Handler)
