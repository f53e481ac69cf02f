"""Servers on the loopback for the networking tests: each records what it was asked."""
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import types

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# What no output may ever show.
SECRET = "SECRETsecretSECRETsecretSECRETsecret0001"
TOKEN = "TOKENtokenTOKENtokenTOKEN0002=="


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status=200, body=b"", headers=()):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        with self.server.lock:
            self.connection_number = self.server.number_of(self.connection)
            # One handler serves all requests of a connection.
            self.server.seen.append(types.SimpleNamespace(
                command=self.command, path=self.path, headers=self.headers, body=self.body,
                connection_number=self.connection_number))
        self.server.respond(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any


class Server(http.server.ThreadingHTTPServer):
    """with Server(respond) as s: ... respond(request) answers; s.seen has the requests."""
    request_queue_size = 128
    daemon_threads = True

    def __init__(self, respond=None, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.lock = threading.Lock()
        self.seen = []
        self.connections = []
        self.respond = respond or (lambda request: request.answer(200, "hello"))
        self.scheme = "https" if context else "http"
        self.port = self.server_address[1]
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def number_of(self, connection):
        if connection not in self.connections:
            self.connections.append(connection)
        return self.connections.index(connection)

    def finish_request(self, request, client_address):
        # The handshake in the connection's own thread: one that fails holds up nobody.
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (ssl.SSLError, OSError):
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (OSError, ValueError)):
            super().handle_error(request, client_address)

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()

    def paths(self):
        return [f"{request.command} {request.path}" for request in self.seen]


class RawServer:
    """with RawServer(talk) as s: ... talk(connection, number) has the bare connection."""

    def __init__(self, talk):
        self.talk = talk
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.count = 0
        self.open = []

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.run, args=(connection, self.count), daemon=True).start()
            self.count += 1

    def run(self, connection, number):
        try:
            self.talk(connection, number)
        except OSError:
            pass

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
        for connection in self.open:
            connection.close()


def read_head(connection):
    """A request's head from a bare connection; empty when there is none."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = connection.recv(65536)
        if not more:
            return b""
        head += more
    return head


def run(driver, *arguments, env=None, home=None, timeout=60, command=None):
    """Lines of JSON that a driver prints (or the command given instead), and its standard error. Nothing
    secret may be among what it says or logs."""
    environment = {"PATH": os.environ["PATH"], "HOME": home or "/nonexistent", "GGFS_LOG": "debug",
                   "AWS_EC2_METADATA_DISABLED": "true"}
    environment.update({name: value for name, value in os.environ.items()
                        if name.endswith("SAN_OPTIONS") or name == "TMPDIR"})
    environment.update(env or {})
    done = subprocess.run([*(command or [os.environ[driver]]), *map(str, arguments)], stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          env={name: value for name, value in environment.items() if value is not None})
    said = (done.stdout + done.stderr).decode(errors="replace")
    for secret in (SECRET, TOKEN):
        if secret in said:
            raise AssertionError("a secret was shown: " + said.replace(secret, "<SECRET>"))
    if done.returncode not in (0, 1) or b"Sanitizer" in done.stderr:
        raise AssertionError(f"{driver} ended with {done.returncode}:\n{said}")
    return [json.loads(line) for line in done.stdout.decode().splitlines()], done.stderr.decode()


class Certificates:
    """A certificate authority of one test, and what it signs, in a directory of its own."""

    def __init__(self):
        self.place = tempfile.TemporaryDirectory(prefix="ggfs-certs-")
        self.ca = self.path("ca.pem")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.path("ca.key"),
                     "-out", self.ca, "-days", "2", "-subj", "/CN=ggfs test CA")

    def path(self, name):
        return os.path.join(self.place.name, name)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def context(self, name, names, days=2, signed=True):
        """A server's TLS context with a certificate for these names; days < 0: expired."""
        key, request, extra, certificate = (self.path(name + end) for end in (".key", ".csr", ".ext", ".pem"))
        with open(extra, "w", encoding="ascii") as f:
            f.write(f"subjectAltName={names}\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request,
                     "-subj", f"/CN={name}")
        signer = ["-CA", self.ca, "-CAkey", self.path("ca.key"), "-CAcreateserial"] if signed \
            else ["-signkey", key]
        self.openssl("x509", "-req", "-in", request, *signer, "-out", certificate, "-extfile", extra,
                     *(["-days", str(days)]))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    def close(self):
        self.place.cleanup()
