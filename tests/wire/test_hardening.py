"""What one hostile caller can hold: memory by bombs and long messages, places by not reading. Each test looks at the process from outside: its resident
memory, and whether others are served meanwhile. Python's client always reads, so the hostile ones are HTTP/2 by hand (RFC 9113, RFC 7541)."""
import socket
import struct
import time
import unittest
import zlib

import grpc

from support import Server, cache_pb2, common_pb2, error_details, health_pb2

C, M = cache_pb2, common_pb2
MIB = 1 << 20
HEADERS, RESET, SETTINGS, PING, WINDOW = 1, 3, 4, 6, 8
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
GET = "/reprise.v1.Cache/Get"


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def message(payload, compressed=False):
    return bytes([compressed]) + len(payload).to_bytes(4, "big") + payload


class Caller:
    """A connection; `window` is what it lets the server send on each call (None: as usual)."""

    def __init__(self, server, window=None):
        host, port = server.address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received, self.next, self.credit, self.credits = b"", 1, 65535, {}
        self.replies, self.resets = {}, set()
        settings = b"" if window is None else struct.pack(">HI", 4, window)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings))

    def open(self, path, **more):
        stream, self.next = self.next, self.next + 2
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "t", "content-type": "application/grpc", "te": "trailers", **more}
        self.socket.sendall(frame(HEADERS, 4, stream, b"".join(literal(*item) for item in fields.items())))
        self.credits[stream] = 65535
        return stream

    def send(self, stream, payload, end=True, timeout=60):
        """As fast as the server lets us; stops when it has ended the call."""
        until, sent = time.monotonic() + timeout, 0
        while sent < len(payload) and stream not in self.resets and time.monotonic() < until:
            size = min(16384, len(payload) - sent, self.credit, self.credits[stream])
            if size > 0:
                self.socket.sendall(frame(0, int(end and sent + size == len(payload)), stream, payload[sent:sent + size]))
                sent, self.credit, self.credits[stream] = sent + size, self.credit - size, self.credits[stream] - size
            else:
                self.take(0.05)

    def take(self, seconds):
        self.socket.settimeout(seconds)
        try:
            self.received += self.socket.recv(1 << 16)
        except TimeoutError:
            pass
        self.socket.settimeout(30)
        while len(self.received) >= 9 and len(self.received) >= 9 + int.from_bytes(self.received[:3], "big"):
            length, kind, flags = int.from_bytes(self.received[:3], "big"), self.received[3], self.received[4]
            stream, payload = int.from_bytes(self.received[5:9], "big"), self.received[9:9 + length]
            self.received = self.received[9 + length:]
            self.handle(kind, flags, stream, payload)

    def handle(self, kind, flags, stream, payload):
        if kind in (SETTINGS, PING) and not flags & 1:
            self.socket.sendall(frame(kind, 1, 0, payload if kind == PING else b""))
        elif kind == WINDOW and stream == 0:
            self.credit += int.from_bytes(payload, "big")
        elif kind == WINDOW:
            self.credits[stream] += int.from_bytes(payload, "big")
        elif kind == HEADERS:
            self.replies[stream] = self.replies.get(stream, b"") + payload
        elif kind == RESET:
            self.resets.add(stream)

    def take_until(self, done, timeout=30):
        until = time.monotonic() + timeout
        while not done():
            if time.monotonic() > until:
                raise AssertionError(f"nothing came: replies {self.replies}, resets {self.resets}")
            self.take(0.05)

    def close(self):
        self.socket.close()


def resident_mib(server, kind="VmRSS"):
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) // 1024


class Hardening(unittest.TestCase):
    def start(self, **options):
        server = Server(**options)
        self.addCleanup(self.end, server)
        return server

    def end(self, server):
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(30)
            server.close()

    def caller(self, server, **more):
        caller = Caller(server, **more)
        self.addCleanup(caller.close)
        return caller

    def get(self, server, timeout=30):
        return server.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt="p")), timeout=timeout)

    def count(self, server, name):
        line = next(line for line in server.final_log.splitlines() if " grpc counted " in line)
        return int(line.split(f" {name}=")[1].split()[0])

    def test_a_gzip_bomb_is_not_unpacked(self):
        server, packer = self.start(), zlib.compressobj(9, zlib.DEFLATED, 31)
        zeros = bytes(MIB)
        bomb = b"".join(packer.compress(zeros) for _ in range(256)) + packer.flush()
        before = resident_mib(server)
        for path in (GET, "/reprise.v1.Cache/Delete", REFLECTION):
            caller = self.caller(server)
            stream = caller.open(path, **{"grpc-encoding": "gzip"})
            caller.send(stream, message(bomb, compressed=True))
            caller.take_until(lambda: stream in caller.resets or b"grpc-status" in caller.replies.get(stream, b""))
            self.assertIn(b"grpc-status\x0212", caller.replies[stream])  # UNIMPLEMENTED
        self.assertLess(resident_mib(server, "VmHWM") - before, 64)
        self.get(server)
        server.stop()

    def test_reflection_and_health_read_short_messages_only(self):
        server = self.start()
        unknown = lambda size: b"\xfa\x3f" + bytes([size & 127 | 128, size >> 7]) + bytes(size)  # field 1023
        stub = server.channel.stream_stream(REFLECTION)
        list_services = b"\x3a\x01*"
        self.assertEqual(len(list(stub(iter([list_services + unknown(3900)] * 3), timeout=30))), 3)
        for path, many in ((REFLECTION, True), ("/grpc.health.v1.Health/Watch", True), ("/grpc.health.v1.Health/Check", False)):
            call = server.channel.stream_stream(path)(iter([(list_services if many else b"") + unknown(8000)]), timeout=30)
            with self.assertRaises(grpc.RpcError) as caught:
                list(call)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, path)
            self.assertEqual(error_details(caught.exception)["reason"], "LIMIT_EXCEEDED", path)
        self.assertEqual(server.health.Check(health_pb2.HealthCheckRequest(), timeout=30).status, 1)
        server.stop()

    def test_two_hundred_streams_that_do_not_read_hold_little(self):
        """Half of them ask with 3 MiB more than the question needs, which would be more than 1 GiB if it were kept and sent back."""
        server = self.start()
        self.get(server)
        before, callers = resident_mib(server), []
        size = 3 * MIB
        padding = b"\xfa\x3f" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14 & 127 | 128, size >> 21]) + bytes(size)
        for _ in range(10):
            caller = self.caller(server, window=0)
            callers.append(caller)
            for number in range(20):
                stream = caller.open(REFLECTION)
                caller.send(stream, message(b"\x3a\x01*" + (padding if number % 2 else b"")), end=False)
        self.get(server)
        self.assertLess(resident_mib(server) - before, 500)
        for caller in callers:
            caller.close()
        server.stop()

    def test_who_does_not_read_loses_its_place(self):
        server = self.start(server_inflight_max=8, server_send_timeout="1s")
        request = C.GetRequest(identity=M.Identity(model="m", prompt="p")).SerializeToString()
        caller = self.caller(server, window=0)
        streams = [caller.open(GET) for _ in range(8)]
        for stream in streams:
            caller.send(stream, message(request))
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in range(60):  # until all eight are in
                caller.take(0.01)
                self.get(server)
        self.assertEqual(error_details(caught.exception)["reason"], "OVERLOADED")
        caller.take_until(lambda: caller.resets.issuperset(streams))
        self.assertFalse(self.get(server).hit)
        server.stop()
        self.assertEqual(self.count(server, "send_timeouts"), 8)
        self.assertEqual(self.count(server, "read_timeouts"), 0)

    def test_a_stream_that_does_not_read_ends_and_one_that_rests_does_not(self):
        server = self.start(server_send_timeout="1s")
        deaf, resting = self.caller(server, window=0), self.caller(server)
        asked = [deaf.open(REFLECTION), deaf.open("/grpc.health.v1.Health/Watch")]
        deaf.send(asked[0], message(b"\x3a\x01*"), end=False)
        deaf.send(asked[1], message(b""))
        rests = [resting.open(REFLECTION), resting.open("/grpc.health.v1.Health/Watch")]
        resting.send(rests[0], message(b"\x3a\x01*"), end=False)
        resting.send(rests[1], message(b""))
        deaf.take_until(lambda: deaf.resets.issuperset(asked))
        resting.take(0.5)
        self.assertEqual((set(resting.replies), resting.resets), (set(rests), set()))
        server.stop()
        self.assertEqual(self.count(server, "send_timeouts"), 2)

    def test_as_many_threads_as_the_options_allow(self):
        server = self.start(server_compute_threads=160, server_io_threads=64)
        self.get(server)
        server.stop()
        with self.assertRaises(RuntimeError) as caught:
            self.start(server_compute_threads=161)
        self.assertIn("server.compute_threads", str(caught.exception))


if __name__ == "__main__":
    unittest.main()
