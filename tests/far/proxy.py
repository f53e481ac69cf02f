"""A proxy in front of an S3 server, or a server of its own, that fails on order."""
import http.client
import http.server
import random
import socketserver
import threading
import time
import urllib.parse


class Proxy:
    """fault(request) is asked for each request, and returns None or one of

        ("status", 503, {headers}, body)   an answer of its own
        "before"      the connection is cut before the request is passed on
        "after"       ... when it was passed on, and before the answer
        "middle"      ... half-way through the answer's body
        "short"       half of the body, as if it were all
        "flip"        one byte of the body is another
        "hang"        half of the body, and then nothing, on an open connection

    request has method, path (with query), headers and number (from 0). requests lists them all.
    """

    def __init__(self, upstream, fault=lambda request: None):
        self.upstream = urllib.parse.urlsplit(upstream).netloc if upstream else None
        self.fault = fault
        self.requests = []
        self.active = 0  # requests that are being answered, this one included
        self.lock = threading.Lock()
        self.closing = threading.Event()
        proxy = self

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_):
                pass  # the client went away, as it may

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def count(self, method=None, containing=""):
        with self.lock:
            return sum(method in (None, r.method) and containing in r.path for r in self.requests)

    def note(self, request):
        with self.lock:
            self.active += 1
            request.number = len(self.requests)
            self.requests.append(request)

    def answered(self):
        with self.lock:
            self.active -= 1


class Request:
    def __init__(self, method, path, headers):
        self.method, self.path, self.headers = method, path, headers
        self.when = time.monotonic()
        self.number = None


class Cut(Exception):
    pass


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = None

    def log_message(self, *_):
        pass

    def serve(self):
        request = Request(self.command, self.path, self.headers)
        self.proxy.note(request)
        try:
            self.answer(request, self.proxy.fault(request))
        except Cut:
            self.close_connection = True
        finally:
            self.proxy.answered()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve

    def answer(self, request, fault):
        if fault == "before":
            raise Cut
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if isinstance(fault, tuple):
            _, status, headers, text = fault
            self.reply(status, headers, text)
            return
        status, headers, text = self.pass_on(request, body)
        if fault == "after":
            raise Cut
        # What went well is what is spoilt: an error's text is nobody's bytes.
        if fault == "flip" and text and status < 300:
            at = len(text) // 2
            text = text[:at] + bytes([text[at] ^ 1]) + text[at + 1:]
        if fault == "short" and status < 300:
            text = text[:len(text) // 2]
        self.reply(status, headers, text, fault)

    def pass_on(self, request, body):
        if self.upstream is None:
            self.upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "expect"}
        self.upstream.request(request.method, self.path, body, headers)
        response = self.upstream.getresponse()
        text = response.read()
        dropped = ("transfer-encoding", "content-length", "connection")
        return response.status, [h for h in response.getheaders() if h[0].lower() not in dropped], text

    def reply(self, status, headers, text, fault=None):
        self.send_response_only(status)
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if fault == "middle" and status < 300:
            self.wfile.write(text[:len(text) // 2])
            raise Cut
        if fault == "hang" and status < 300:
            self.wfile.write(text[:len(text) // 2])
            self.proxy.closing.wait(60)
            raise Cut
        if self.command != "HEAD":
            self.wfile.write(text)

    def finish(self):
        super().finish()
        if self.upstream is not None:
            self.upstream.close()


def error(status, code, message="as ordered", more="", headers=None):
    """An answer as S3 gives it."""
    text = (f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>'
            f"<Message>{message}</Message>{more}</Error>")
    return ("status", status, {"Content-Type": "application/xml", **(headers or {})}, text.encode())


def at_random(seed, share, kinds):
    """A fault that picks one of kinds for that share of requests; the same for the same seed."""
    chance, lock = random.Random(seed), threading.Lock()

    def fault(_):
        with lock:
            return chance.choice(kinds) if chance.random() < share else None
    return fault
