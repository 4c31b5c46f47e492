"""A proxy between a client and an AWS endpoint that records all requests and answers."""

import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Headers of one connection, not of the message (RFC 9110, 7.6.1).
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `target` is the path and the query as sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int
    answer: bytes


class RecordingProxy:
    """Forwards plain HTTP/1.1 to a loopback port, keeping connections open on both sides.

    A context manager; `exchanges` are in the order of their answers.
    """

    def __init__(self, upstream: int):
        self.exchanges: list[Exchange] = []
        exchanges = self.exchanges

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.upstream = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)

            def finish(self):
                self.upstream.close()
                super().finish()

            def forward(self):
                if "transfer-encoding" in self.headers:
                    self.send_error(501, "the proxy takes no chunked requests")
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                response = self.ask(body, headers)
                answer = response.read()
                seen = {name.lower(): value for name, value in self.headers.items()}
                # Recorded before the answer is sent, so that a client with the answer finds the exchange.
                exchanges.append(Exchange(self.command, self.path, seen, body, response.status, answer))
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in HOP_BY_HOP | {"content-length"}:
                        self.send_header(name, value)
                if response.status != 204:
                    self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def ask(self, body, headers):
                try:
                    self.upstream.request(self.command, self.path, body, headers)
                    return self.upstream.getresponse()
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                    # The server closed an idle connection just before it was reused.
                    self.upstream.close()
                    self.upstream.request(self.command, self.path, body, headers)
                    return self.upstream.getresponse()

            do_DELETE = do_GET = do_HEAD = do_PATCH = do_POST = do_PUT = forward

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def take(self) -> list[Exchange]:
        """The exchanges since the last call."""
        taken = self.exchanges[:]
        del self.exchanges[: len(taken)]
        return taken
