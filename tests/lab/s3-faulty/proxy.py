#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""proxy.py - a test double: an S3 server that misbehaves on request, in front of a real one.

usage: proxy.py TARGET_URL [--tls CERT_AND_KEY.pem]     prints its port (and that for TLS), serves until stdin closes
       TARGET_URL is http://host:port; the keys are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION.

Control, unsigned:  POST /_fault   kind=KIND [method=GET] [match=PATH-PART] [skip=N] [times=N] [status=N] [code=TEXT]
                    POST /_clear   forgets all faults, answers how many requests were served since the last clear
A fault applies to the next `times` requests that match, after `skip` that matched. Kinds:
  reset        the connection closes before the request is passed on
  lost         passed on, then the connection closes: it happened, nobody says so
  status       not passed on; answered `status` with <Error><Code>`code`
  late-status  passed on, then answered `status`
  truncate     half of the body, then the connection closes
  short        half of the body, with headers that fit
  flip         one bit of the answer's body is wrong        flip-up   one bit of the request's body is
  shift        another range than the one asked for is told
  junk         200 with an HTML page                        error-200 200 with <Error> inside
  hang         no answer, until the client goes away        drip      a byte a second
  skew         (times=-1) the server's clock is `status` seconds off: requests 15 minutes away from it are refused
  date         the Date header alone is `status` seconds off
  chaos        (times=-1) each request meets one of the recoverable kinds with a probability of `status` percent
"""
import hashlib, hmac, http.client, http.server, os, random, ssl, sys, threading, time, urllib.parse
from email.utils import formatdate

TARGET = urllib.parse.urlsplit(sys.argv[1])
LOCK = threading.Lock()
FAULTS = []
SERVED = 0
RANDOM = random.Random(7)
CHAOS = ["reset", "lost", "status", "late-status", "truncate", "short", "shift", "junk"]


def sign(method, path, query, headers):
    """Signs anew, as of now: what the client signed is by the fake clock."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    headers["x-amz-date"] = stamp
    names = sorted(n for n in headers if n == "host" or n.startswith(("x-amz-", "if-", "range")))
    canonical = "\n".join([method, path, query] + [f"{n}:{headers[n]}" for n in names]
                          + ["", ";".join(names), headers["x-amz-content-sha256"]])
    scope = f"{stamp[:8]}/{os.environ['AWS_REGION']}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={os.environ['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={';'.join(names)}, Signature={signature}")


def flip(body):
    if not body:
        return body
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 4]) + body[at + 1:]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, headers, body, head=False):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if not head:
            self.wfile.write(body)

    def refuse(self, status, code, message="by the test double", offset=0):
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode() if code else b""
        self.answer(status, [("Content-Length", len(body)), ("Date", formatdate(time.time() + offset, usegmt=True))],
                    body, self.command == "HEAD")

    def control(self, body):
        global SERVED
        if self.path == "/_clear":
            with LOCK:
                FAULTS.clear()
                served, SERVED = SERVED, 0
        else:
            fault = dict(pair.split("=", 1) for pair in body.decode().split())
            for name, default in (("times", 1), ("skip", 0), ("status", 0)):
                fault[name] = int(fault.get(name, default))
            with LOCK:
                FAULTS.append(fault)
            served = 0
        self.answer(200, [("Content-Length", len(str(served)))], str(served).encode())

    def pick(self):
        global SERVED
        with LOCK:
            SERVED += 1
            for fault in FAULTS:
                if fault.get("method", self.command) != self.command or fault.get("match", "") not in self.path:
                    continue
                if fault["skip"]:
                    fault["skip"] -= 1
                    continue
                if not fault["times"]:
                    continue
                fault["times"] -= 1
                if fault["kind"] != "chaos":
                    return fault
                if RANDOM.randrange(100) < fault["status"]:
                    return {"kind": RANDOM.choice(CHAOS), "status": RANDOM.choice([500, 503]), "code": "SlowDown"}
        return {"kind": "none", "status": 0}

    def drop(self):
        self.close_connection = True
        self.connection.close()

    def forward(self, body, resign):
        headers = {n.lower(): v for n, v in self.headers.items() if n.lower() not in ("connection", "accept")}
        path, _, query = self.path.partition("?")
        headers["host"] = TARGET.netloc  # the client signed for our port
        if resign is not None and resign != body:
            body = resign
        sign(self.command, path, query, headers)
        conn = http.client.HTTPConnection(TARGET.hostname, TARGET.port, timeout=120)
        conn.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            conn.putheader(name, value)
        conn.endheaders(body)
        reply = conn.getresponse()
        data = reply.read()
        conn.close()
        headers = [(n, v) for n, v in reply.getheaders() if n.lower() not in ("connection", "transfer-encoding")]
        if not any(n.lower() == "content-length" for n, _ in headers) and reply.status != 204:
            headers.append(("Content-Length", str(len(data))))
        return reply.status, headers, data

    def serve(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if self.path.startswith("/_"):
            return self.control(body)
        fault = self.pick()
        kind, status, code = fault["kind"], fault["status"], fault.get("code", "")
        if kind == "reset":
            return self.drop()
        if kind == "status":
            return self.refuse(status, code)
        if kind == "hang":
            self.rfile.read(1)
            return self.drop()
        if kind == "skew":
            signed = time.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
            if abs(time.mktime(signed) - time.timezone - time.time() - status) > 900:
                return self.refuse(403, "RequestTimeTooSkewed", "the times differ", status)
        got, headers, data = self.forward(body, flip(body) if kind == "flip-up" else None)
        replace = {}
        if kind == "lost":
            return self.drop()
        if kind == "late-status":
            return self.refuse(status, code)
        if kind in ("skew", "date"):
            replace["date"] = formatdate(time.time() + status, usegmt=True)
        if kind == "shift":
            replace["content-range"] = "bytes 1-%d/%d" % (len(data), len(data) + 1)
        if kind == "junk":
            got, data = 200, b"<html><body>Please log in</body></html>"
        if kind == "error-200":
            got, data = 200, b"<Error><Code>InternalError</Code><Message>later</Message></Error>"
        if kind == "flip":
            data = flip(data)
        full = len(data)
        if kind in ("truncate", "short"):
            data = data[:full // 2]
        if self.command != "HEAD" and got != 204:
            replace["content-length"] = str(full if kind == "truncate" else len(data))
        headers = [(n, replace.get(n.lower(), v)) for n, v in headers]
        if kind == "drip":
            self.answer(got, headers, b"")
            for at in range(len(data)):
                self.wfile.write(data[at:at + 1])
                time.sleep(1)
            return
        self.answer(got, headers, data, self.command == "HEAD")
        if kind == "truncate":
            self.drop()

    def handle(self):
        try:
            super().handle()
        except (OSError, ValueError):
            pass  # the client went away, or we closed under ourselves: both are what a fault asks for

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *args):
        pass

    tls = None

    def finish_request(self, request, address):
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, address)


os.environ["TZ"] = "UTC"
time.tzset()
servers = [Server(("127.0.0.1", 0), Handler)]
if "--tls" in sys.argv:
    servers.append(Server(("127.0.0.1", 0), Handler))
    servers[1].tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    servers[1].tls.load_cert_chain(sys.argv[sys.argv.index("--tls") + 1])
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(*(server.server_address[1] for server in servers), flush=True)
sys.stdin.read()
