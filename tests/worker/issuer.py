"""An OpenID Connect issuer on this machine's loopback: its configuration, its keys, its tokens.

    issuer = Issuer(); issuer.token(aud="https://worker.example")   -> a signed ID token
"""
import base64
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *arguments], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          check=True).stdout


class Key:
    """A private key in a file, by openssl; kind: RS256 or ES256."""

    def __init__(self, directory, kid, kind):
        self.kid, self.kind = kid, kind
        self.path = os.path.join(directory, kid + ".pem")
        if kind == "RS256":
            openssl("genrsa", "-out", self.path, "2048")
        else:
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.path)

    def jwk(self):
        common = {"kid": self.kid, "use": "sig", "alg": self.kind}
        if self.kind == "RS256":
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().split("=")[1]
            return {"kty": "RSA", "n": encode(bytes.fromhex(modulus)), "e": "AQAB", **common}
        point = openssl("ec", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "x": encode(point[:32]), "y": encode(point[32:]), **common}

    def sign(self, data):
        signature = openssl("dgst", "-sha256", "-sign", self.path, data=data)
        if self.kind == "RS256":
            return signature
        # SEQUENCE { INTEGER r, INTEGER s }, each below 2^256.
        first = 4 + signature[3]
        numbers = signature[4:first], signature[first + 2:]
        return b"".join(int.from_bytes(n, "big").to_bytes(32, "big") for n in numbers)


class Issuer(http.server.ThreadingHTTPServer):
    """keys: those it tells of; asked: paths, as they were asked for; status: of every answer."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.directory = tempfile.TemporaryDirectory(prefix="ggfs-issuer-")
        self.rsa, self.ec = self.key("r1", "RS256"), self.key("e1", "ES256")
        self.keys, self.asked, self.status = [self.rsa, self.ec], [], 200
        self.configuration = {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def key(self, kid, kind):
        return Key(self.directory.name, kid, kind)

    def token(self, key=None, header=None, **claims):
        key = key or self.rsa
        now = int(time.time())
        header = {"alg": key.kind, "typ": "JWT", "kid": key.kid, **(header or {})}
        claims = {"iss": self.url, "sub": "17", "iat": now, "exp": now + 3600, **claims}
        text = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        return text + "." + encode(key.sign(text.encode()))

    def close(self):
        self.shutdown()
        self.server_close()
        self.directory.cleanup()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        issuer = self.server
        issuer.asked.append(self.path)
        found = {"/.well-known/openid-configuration": issuer.configuration,
                 "/keys": {"keys": [k.jwk() for k in issuer.keys]}}.get(self.path)
        body = json.dumps(found).encode()
        self.send_response(issuer.status if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
