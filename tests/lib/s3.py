"""A small S3 client for tests, apart from the product's own: to set up and to look behind its back."""
import datetime
import hashlib
import hmac
import http.client
import urllib.parse
import xml.etree.ElementTree


def quote(text):
    return urllib.parse.quote(text, safe="/-_.~")


class S3:
    """Requests to one endpoint, path style, signed by Signature Version 4."""

    def __init__(self, endpoint, access_key, secret_key, region="us-east-1", timeout_s=60):
        self.host = urllib.parse.urlsplit(endpoint).netloc
        self.access_key, self.secret_key, self.region = access_key, secret_key, region
        self.timeout_s = timeout_s

    def _sign(self, method, path, query, headers, body_hash):
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers.update({"host": self.host, "x-amz-date": stamp, "x-amz-content-sha256": body_hash})
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, path, query,
                               *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
                               "", names, body_hash])
        scope = f"{day}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                                    f"SignedHeaders={names}, Signature={signature}")

    def request(self, method, path, body=b"", query=None, headers=None):
        """(status, headers in lower case, body); path is /BUCKET[/KEY], not encoded."""
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        path = quote(path)
        query = "&".join(f"{urllib.parse.quote(k, safe='-_.~')}={urllib.parse.quote(v, safe='-_.~')}"
                         for k, v in sorted((query or {}).items()))
        self._sign(method, path, query, headers, hashlib.sha256(body).hexdigest())
        connection = http.client.HTTPConnection(self.host, timeout=self.timeout_s)
        try:
            connection.request(method, path + ("?" + query if query else ""), body, headers)
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def keys(self, bucket, prefix=""):
        """All keys that begin so."""
        found, query = [], {"list-type": "2", "prefix": prefix}
        while True:
            status, _, body = self.request("GET", "/" + bucket, query=query)
            if status != 200:
                raise RuntimeError(f"listing {bucket}: {status} {body!r}")
            tree = xml.etree.ElementTree.fromstring(body)
            space = tree.tag[:tree.tag.index("}") + 1] if "}" in tree.tag else ""
            found += [key.text for key in tree.iter(space + "Key")]
            token = tree.find(space + "NextContinuationToken")
            if token is None:
                return found
            query["continuation-token"] = token.text
