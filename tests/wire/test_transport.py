"""The door itself: broken bytes, limits, health, reflection, drain. Nothing a client sends may take it down. What it counts and how it closes: test_doors."""
import signal
import socket
import threading
import time
import unittest

import grpc

from support import (Server, WireTest, admin_pb2, cache_pb2, common_pb2, error_details, health_pb2, in_threads, reflection_pb2,
                     reflection_pb2_grpc)

C, M = cache_pb2, common_pb2
INVALID = grpc.StatusCode.INVALID_ARGUMENT
GET = "/reprise.v1.Cache/Get"


def field(number, payload):
    """One length-delimited protobuf field."""
    out, length = bytearray([number << 3 | 2]) if number < 16 else bytearray(varint(number << 3 | 2)), len(payload)
    return bytes(out) + varint(length) + payload


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Transport(WireTest):
    def raw(self, path, payload, timeout=30, **more):
        return self.server.channel.unary_unary(path)(payload, timeout=timeout, **more)

    def identity_bytes(self, extra=b""):
        return self.identity("raw").SerializeToString() + extra

    def assert_alive(self):
        self.assertEqual(self.server.health.Check(health_pb2.HealthCheckRequest(), timeout=30).status, 1)

    def test_unknown_methods_are_unimplemented(self):
        for path in ("/reprise.v1.Cache/Steal", "/no.such.Service/Call", "/reprise.v1.Cache/"):
            with self.assertRaises(grpc.RpcError) as caught:
                self.raw(path, b"")
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
        self.assert_alive()

    def test_nesting_of_twenty_thousand_levels(self):
        deep = b""
        for _ in range(20_000):
            deep = field(1, deep)
        for path in (GET, "/reprise.v1.Cache/Set", "/reprise.v1.Admin/Stats", "/reprise.v1.Cache/Invalidate", "/reprise.v1.Feedback/Report"):
            with self.assertRaises(grpc.RpcError) as caught:
                self.raw(path, deep)
            self.assertEqual(caught.exception.code(), INVALID, path)
        item = C.BatchGetResponse.FromString(self.raw("/reprise.v1.Cache/BatchGet", deep)).results[0]
        self.assertEqual(item.error.code, INVALID.value[0])
        self.assert_alive()

    def test_a_thousand_unknown_fields_are_refused_and_sixty_are_not(self):
        unknown = lambda count: b"".join(varint((900 + n) << 3) + b"\x01" for n in range(count))
        request = field(1, self.identity_bytes())
        self.refused(lambda: self.raw(GET, request + unknown(1000)), INVALID, "LIMIT_EXCEEDED")
        self.assertFalse(C.GetResponse.FromString(self.raw(GET, request + unknown(60))).hit)

    def test_empty_elements_by_the_hundred_thousand(self):
        bomb = field(1, field(2, b"m") + b"\x22\x00" * 100_000)
        self.refused(lambda: self.raw(GET, bomb), INVALID, "LIMIT_EXCEEDED", "identity.messages")

    def test_bytes_that_are_no_message(self):
        for payload in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0b", b"\x0a\x05ab", b"\x08" + b"\xff" * 11):
            self.refused(lambda: self.raw(GET, payload), INVALID, "BAD_MESSAGE")
        self.assert_alive()

    def test_a_truncated_request_never_answers_with_a_hit(self):
        whole = C.SetRequest(identity=self.identity("cut"), content="x" * 50, tags=["a", "b"]).SerializeToString()
        for length in range(len(whole)):
            try:
                self.raw("/reprise.v1.Cache/Set", whole[:length])
            except grpc.RpcError as error:
                self.assertIn(error.code(), (INVALID,))
        self.assert_alive()

    def test_a_half_close_without_a_message(self):
        """Python's client always sends one, so this one writes HTTP/2 frames itself."""
        host, port = self.server.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            headers = b""
            for name, value in ((b":method", b"POST"), (b":scheme", b"http"), (b":path", GET.encode()), (b":authority", b"t"),
                                (b"te", b"trailers"), (b"content-type", b"application/grpc")):
                headers += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
            connection.sendall(len(headers).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + headers)
            data = b""
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and b"grpc-status" not in data:
                try:
                    chunk = connection.recv(65536)
                except TimeoutError:
                    break
                if not chunk:
                    break
                data += chunk
        self.assertTrue(data, "the server said nothing to a call without a message")
        self.assert_alive()

    def test_an_oversize_message_is_refused_by_the_transport(self):
        """The one refusal without details: no message of it ever reaches the door."""
        big = C.SetRequest(identity=self.identity("x"), content="a" * (5 * 1024 * 1024))
        with self.assertRaises(grpc.RpcError) as caught:
            self.cache.Set(big, timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIsNone(error_details(caught.exception)["reason"])
        self.assertIn("larger than max", caught.exception.details())
        self.assert_alive()

    def test_garbage_on_the_socket(self):
        host, port = self.server.address.rsplit(":", 1)
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 1000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500):
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(garbage)
        self.assert_alive()

    def test_many_calls_at_once_over_one_connection(self):
        self.set("busy", "answer")
        def work(number):
            futures = [self.cache.Get.future(C.GetRequest(identity=self.identity("busy"))) for _ in range(200)]
            for future in futures:
                self.assertEqual(future.result(30).content, "answer")
        in_threads(8, work)

    def test_health_check_and_watch(self):
        for name in ("", "reprise.v1.Cache", "reprise.v1.Feedback", "reprise.v1.Admin", "readiness", "liveness"):
            reply = self.server.health.Check(health_pb2.HealthCheckRequest(service=name))
            self.assertEqual(reply.status, health_pb2.HealthCheckResponse.SERVING, name)
        with self.assertRaises(grpc.RpcError) as caught:
            self.server.health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)
        watch = self.server.health.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
        watch.cancel()
        watch = self.server.health.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()
        self.assert_alive()

    def reflect(self, version, *requests):
        """Sends the requests over one stream of that version; both versions share their bytes."""
        call = self.server.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
        return list(call(iter(requests), timeout=30))

    def test_reflection_lists_every_service_and_finds_every_symbol(self):
        request = reflection_pb2.ServerReflectionRequest
        for version in ("v1", "v1alpha"):
            replies = self.reflect(version, request(host="h", list_services=""), request(file_containing_symbol="reprise.v1.Cache.Get"),
                                   request(file_by_filename="reprise/v1/common.proto"), request(file_containing_symbol="no.Such"),
                                   request(file_containing_symbol="reprise.v1.TIER_EXACT"))
            names = {service.name for service in replies[0].list_services_response.service}
            self.assertEqual(names, {"reprise.v1.Cache", "reprise.v1.Feedback", "reprise.v1.Admin", "grpc.health.v1.Health",
                                     "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"})
            self.assertEqual((replies[0].valid_host, replies[0].original_request.host), ("h", "h"))
            self.assertEqual(len(replies[1].file_descriptor_response.file_descriptor_proto), 2)
            self.assertEqual(len(replies[2].file_descriptor_response.file_descriptor_proto), 1)
            self.assertEqual(replies[3].error_response.error_code, grpc.StatusCode.NOT_FOUND.value[0])

    def test_every_reflected_method_answers(self):
        """Nothing that reflection lists is UNIMPLEMENTED."""
        from google.protobuf import descriptor_pb2
        request = reflection_pb2.ServerReflectionRequest
        names = [service.name for service in self.reflect("v1", request(list_services=""))[0].list_services_response.service]
        for name in names:
            files = self.reflect("v1", request(file_containing_symbol=name))[0].file_descriptor_response.file_descriptor_proto
            for file in map(descriptor_pb2.FileDescriptorProto.FromString, files):
                for service in file.service:
                    for method in service.method:
                        path = f"/{file.package}.{service.name}/{method.name}"
                        call = (self.server.channel.stream_stream(path)(iter([]), timeout=10) if method.client_streaming
                                else self.server.channel.unary_stream(path)(b"", timeout=3))
                        try:
                            next(iter(call), None)
                            code = grpc.StatusCode.OK
                        except grpc.RpcError as error:
                            code = error.code()
                        self.assertNotEqual(code, grpc.StatusCode.UNIMPLEMENTED, path)
                        call.cancel()


class InFlight(unittest.TestCase):
    def test_calls_over_the_limit_are_pushed_back_with_a_time(self):
        server = Server(server_inflight_max=2, server_compute_threads=1)
        try:
            text = "word " * 20_000
            identity = lambda n: M.Identity(model="m", prompt=f"{n} {text}")
            pushed, stored, failures = [], 0, []
            for _ in range(10):
                futures = [server.cache.Set.future(C.SetRequest(identity=identity(n), content="x")) for n in range(60)]
                for future in futures:
                    try:
                        stored += future.result(60).stored
                    except grpc.RpcError as error:
                        failures.append(error)
                pushed = [error for error in failures if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED]
                if pushed:
                    break
            self.assertEqual(len(pushed), len(failures), [error.code() for error in failures])
            self.assertGreater(len(pushed), 0)
            self.assertGreater(stored, 0)
            details = error_details(pushed[0])
            self.assertEqual(details["reason"], "OVERLOADED")
            self.assertTrue(50 <= details["retry_ms"] <= 500, details)
            pushback = dict(pushed[0].trailing_metadata())["grpc-retry-pushback-ms"]
            self.assertTrue(50 <= int(pushback) <= 500, pushback)
        finally:
            server.stop()


class Drain(unittest.TestCase):
    def test_calls_in_flight_finish_and_the_exit_code_is_zero(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = Server()
            identity = lambda n: M.Identity(model="m", prompt=f"{n} " + "word " * 2000)
            stop, codes, lock = threading.Event(), [], threading.Lock()

            def work(seed):
                n = 0
                while not stop.is_set():
                    n += 1
                    try:
                        server.cache.Set(C.SetRequest(identity=identity(seed * 1_000_000 + n), content="x"), timeout=30)
                        code = grpc.StatusCode.OK
                    except grpc.RpcError as error:
                        code = error.code()
                    with lock:
                        codes.append(code)
                    if code != grpc.StatusCode.OK:
                        return

            threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
            for thread in threads:
                thread.start()
            while len(codes) < 40:
                time.sleep(0.01)
            server.signal(number)
            code = server.wait()
            stop.set()
            for thread in threads:
                thread.join()
            server.close()
            self.assertEqual(code, 0)
            self.assertLessEqual(set(codes), {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE})

    def test_watchers_hear_of_it_and_do_not_hold_it_up(self):
        server = Server()
        watch = server.health.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        server.signal()
        statuses = []
        try:
            for reply in watch:
                statuses.append(reply.status)
        except grpc.RpcError as error:
            self.assertIn(error.code(), (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE))
        self.assertEqual(statuses, [health_pb2.HealthCheckResponse.NOT_SERVING])
        self.assertEqual(server.wait(15), 0)
        server.close()

    def test_a_second_server_on_the_port_is_told_so(self):
        server = Server()
        try:
            with self.assertRaises(RuntimeError) as caught:
                Server(grpc_listen=server.address)
            self.assertIn("grpc.listen", str(caught.exception))
        finally:
            server.stop()


if __name__ == "__main__":
    unittest.main()
