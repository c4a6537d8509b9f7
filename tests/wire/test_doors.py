"""What the door counts and how it closes: calls dropped, shed, timed out and refused, seen by their callers and in the server's last lines.

The compute pool has one thread here, and a batch of long prompts keeps it busy for as long as a test needs: they bring vectors, so that it is one job
that nothing interrupts. The size is measured first, so that slow machines take no longer. A call is held inside the door by not sending its message.
"""
import re
import signal
import socket
import threading
import time
import unittest

import grpc

from support import Server, admin_pb2, cache_pb2, common_pb2, error_details, health_pb2, reflection_pb2

C, M = cache_pb2, common_pb2
TEXT_BYTES = 200_000


def identity(prompt):
    return M.Identity(model="m", prompt=prompt)


def check(server):
    """A round trip on the same connection: what was sent before it has reached the server."""
    return server.health.Check(health_pb2.HealthCheckRequest(), timeout=30).status


def wait_for_line(server, words, timeout=30):
    """Reads through a file of its own: the server writes at the place where the other one stands."""
    until, text = time.monotonic() + timeout, ""
    while words not in text:
        if time.monotonic() > until:
            raise AssertionError(f"no line with {words!r}:\n{text}")
        time.sleep(0.01)
        with open(server.log.name) as log:
            text = log.read()


def counted(server):
    """{name: number} of the line with which the door ends; the server has stopped."""
    lines = [line for line in server.final_log.splitlines() if " grpc counted " in line]
    assert len(lines) == 1, server.final_log
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", lines[0])}


def start(test, **options):
    """A server that does not outlive a test that fails."""
    server = Server(**options)
    test.addCleanup(lambda: server.process.poll() is None and server.process.kill())
    return server


class Busy:
    """A server whose only compute thread can be kept busy."""

    def __init__(self, test, **options):
        self.server = start(test, server_compute_threads=1, server_message_max="64MiB", limits_batch=1024, **options)
        self.texts = 1  # one with a vector of the server's, so that a Get needs one too
        self.server.cache.Set(C.SetRequest(identity=identity("one that is short"), content="x"), timeout=30)
        self.sample()
        started = time.monotonic()
        self.sample()
        self.seconds_a_text = (time.monotonic() - started) / 4

    def batch(self, count):
        self.texts += count
        words = "a question that is long " * (TEXT_BYTES // 24)
        return C.BatchSetRequest(items=[C.SetRequest(identity=identity(f"busy {self.texts - n} {words}"), vector=M.Vector(f32=[1, 0]), content="x")
                                        for n in range(count)])

    def sample(self):
        self.server.cache.BatchSet(self.batch(4), timeout=60)

    def keep_busy(self, seconds):
        """One job of about so long; it is running when this returns. Its future."""
        future = self.server.cache.BatchSet.future(self.batch(min(300, int(seconds / self.seconds_a_text) + 1)), timeout=120)
        check(self.server)
        time.sleep(0.1)
        return future


def every_kind(server, timeout):
    """A future of each method that goes to compute."""
    return [server.cache.Set.future(C.SetRequest(identity=identity("q"), content="x"), timeout=timeout),
            server.cache.Get.future(C.GetRequest(identity=identity("q")), timeout=timeout),
            server.cache.BatchSet.future(C.BatchSetRequest(items=[C.SetRequest(identity=identity("q"), content="x")]), timeout=timeout),
            server.cache.BatchGet.future(C.BatchGetRequest(items=[C.GetRequest(identity=identity("q"))]), timeout=timeout),
            server.cache.Invalidate.future(C.InvalidateRequest(selector=C.Selector(model="m")), timeout=timeout),
            server.admin.Stats.future(admin_pb2.StatsRequest(), timeout=timeout)]


class Queued(unittest.TestCase):
    """Calls that wait for compute and are not wanted any more when their turn comes."""

    def expired(self, seconds):
        """The server and the calls that ran out of time behind a job of about so long; None: it was done too early for that to mean anything."""
        busy = Busy(self)
        job = busy.keep_busy(seconds)
        futures = every_kind(busy.server, timeout=0.3)
        errors = [future.exception(60) for future in futures]
        if job.done():
            busy.server.stop()
            return None
        self.assertEqual({error and error.code() for error in errors}, {grpc.StatusCode.DEADLINE_EXCEEDED})
        job.result(120)
        return busy.server, futures

    def test_a_deadline_that_passes_in_the_queue_drops_the_call(self):
        server, futures = self.expired(2) or self.expired(8) or self.expired(30)  # a busy neighbour while the speed is measured makes a job short
        self.assertFalse(server.cache.Get(C.GetRequest(identity=identity("q")), timeout=30).hit, "a dropped Set has stored")
        server.stop()
        counts = counted(server)
        self.assertEqual((counts["dropped_deadline"], counts["dropped_cancelled"]), (len(futures), 0), counts)

    def test_cancelled_calls_are_dropped_and_leave_nothing_behind(self):
        busy = Busy(self)
        server = busy.server
        job = busy.keep_busy(2)
        futures = [future for _ in range(30) for future in every_kind(server, timeout=120)]
        check(server)
        for future in futures:
            future.cancel()
        check(server)
        self.assertFalse(job.done(), "compute was free too early for this test to mean anything")
        job.result(120)
        stats = server.admin.Stats(admin_pb2.StatsRequest(), timeout=30)
        self.assertEqual(sum(tier.entries for tier in stats.tiers if tier.tier == M.TIER_EXACT), busy.texts)
        server.stop()
        counts = counted(server)
        # Get, Set and the batches come with their message. Invalidate and Stats are let in first and read then: one that is cancelled between
        # the two never waited for compute, and the round trip of check() does not tell.
        self.assertLessEqual(counts["dropped_cancelled"], len(futures), counts)
        self.assertGreaterEqual(counts["dropped_cancelled"], len(futures) * 4 // 6, counts)
        self.assertEqual(counts["dropped_deadline"], 0, counts)


class Overload(unittest.TestCase):
    """The compute thread is busy and its queue is full."""

    def overloaded(self, **options):
        busy = Busy(self, server_compute_queue_max=1, **options)
        busy.server.cache.Set(C.SetRequest(identity=identity("stored"), content="here"), timeout=30)
        futures = [busy.keep_busy(2), busy.server.cache.Set.future(C.SetRequest(identity=identity("waits"), content="x"), timeout=120)]
        check(busy.server)
        return busy.server, futures

    def assert_pushed_back(self, call):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        details = error_details(caught.exception)
        self.assertEqual(details["reason"], "OVERLOADED")
        self.assertTrue(50 <= details["retry_ms"] <= 500, details)

    def end(self, server, futures, shed):
        self.assertFalse(futures[0].done(), "compute was free too early for this test to mean anything")
        for future in futures:
            future.result(120)
        server.stop()
        counts = counted(server)
        self.assertEqual(counts["shed_queue"], shed, counts)
        self.assertEqual(counts["shed_inflight"], 0, counts)

    def test_a_get_is_refused_if_the_operator_wants_it_so(self):
        server, futures = self.overloaded(server_overload="refuse")
        self.assert_pushed_back(lambda: server.cache.Get(C.GetRequest(identity=identity("missed")), timeout=30))
        item = server.cache.BatchGet(C.BatchGetRequest(items=[C.GetRequest(identity=identity("missed"))]), timeout=30).results[0]
        self.assertEqual(item.error.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        self.assertEqual(server.cache.Get(C.GetRequest(identity=identity("stored")), timeout=30).content, "here")
        self.end(server, futures, shed=2)

    def test_a_get_is_a_miss_otherwise_and_writes_are_refused(self):
        server, futures = self.overloaded()
        reply = server.cache.Get(C.GetRequest(identity=identity("missed")), timeout=30)
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_OVERLOADED))
        self.assert_pushed_back(lambda: server.cache.Set(C.SetRequest(identity=identity("new"), content="x"), timeout=30))
        self.assert_pushed_back(lambda: server.admin.Stats(admin_pb2.StatsRequest(), timeout=30))
        self.end(server, futures, shed=3)

    def test_long_requests_are_refused_and_not_unpacked_here(self):
        server, futures = self.overloaded()
        long = identity("q" * 40_000)
        self.assert_pushed_back(lambda: server.cache.Get(C.GetRequest(identity=long), timeout=30))
        self.assert_pushed_back(lambda: server.cache.BatchGet(C.BatchGetRequest(items=[C.GetRequest(identity=long)]), timeout=30))
        self.assert_pushed_back(lambda: server.cache.Delete(C.DeleteRequest(identity=long), timeout=30))
        self.assertEqual(server.cache.Delete(C.DeleteRequest(identity=identity("stored")), timeout=30).deleted, 1)
        self.end(server, futures, shed=3)


class Held:
    """A call that has been opened and whose message is sent when told to."""

    def __init__(self, server, path, request):
        self.told = threading.Event()

        def messages():
            self.told.wait(120)
            yield request

        self.future = server.channel.stream_unary(path, request_serializer=lambda message: message.SerializeToString()).future(messages(), timeout=120)
        check(server)

    def tell(self):
        self.told.set()
        return self.future


def held_delete(server):
    return Held(server, "/reprise.v1.Cache/Delete", C.DeleteRequest(entry_ids=["0" * 64]))


def half_a_message(server, path):
    """Opens a call, sends 10 bytes of a message of 100 and returns what the server says then. Python's client cannot do that, so this is HTTP/2 by hand."""
    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    headers = b""
    for name, value in ((b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"t"),
                        (b"te", b"trailers"), (b"content-type", b"application/grpc")):
        headers += b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
    host, port = server.address.rsplit(":", 1)
    said = b""
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, headers)
                           + frame(0, 0, 1, b"\x00" + (100).to_bytes(4, "big") + b"\x0a" * 10))
        while b"grpc-status" not in said:
            chunk = connection.recv(65536)
            if not chunk:
                break
            said += chunk
    return said


class ReadTimeout(unittest.TestCase):
    def test_a_message_that_does_not_come_in_time(self):
        server = start(self, server_read_timeout="1s")
        unread = [held_delete(server), Held(server, "/reprise.v1.Admin/Stats", admin_pb2.StatsRequest()),
                  Held(server, "/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest())]
        for held in unread:
            error = held.future.exception(30)
            self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
            self.assertIn("server.read_timeout", error.details())
            held.tell()
        said = half_a_message(server, "/reprise.v1.Feedback/Report")
        self.assertIn(b"server.read_timeout", said)
        server.stop()
        self.assertEqual(counted(server)["read_timeouts"], len(unread) + 1)

    def test_a_get_is_let_in_with_its_message_and_a_stream_may_rest(self):
        """The other half of the option's meaning: the transport holds these, not the door."""
        server = start(self, server_read_timeout="1s")
        get = Held(server, "/reprise.v1.Cache/Get", C.GetRequest(identity=identity("late")))
        stream = server.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                              request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString)
        told = threading.Event()

        def requests():
            told.wait(120)
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        replies = stream(requests(), timeout=120)
        time.sleep(2.5)
        self.assertFalse(get.future.done())
        self.assertFalse(C.GetResponse.FromString(get.tell().result(30)).hit)
        told.set()
        self.assertEqual(len(list(replies)), 1)
        server.stop()
        self.assertEqual(counted(server)["read_timeouts"], 0)


class Closing(unittest.TestCase):
    def end(self, server, timeout=30):
        self.assertEqual(server.wait(timeout), 0)
        server.final_log = server.read_log()
        server.close()
        return counted(server)

    def test_new_calls_are_told_to_go_elsewhere_while_others_finish(self):
        server = start(self, server_read_timeout="60s")
        held = held_delete(server)
        server.signal()
        wait_for_line(server, "not serving")
        time.sleep(0.1)
        with self.assertRaises(grpc.RpcError) as caught:
            server.cache.Get(C.GetRequest(identity=identity("late")), timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        details = error_details(caught.exception)
        self.assertEqual((details["reason"], details["domain"]), ("DRAINING", "reprise"), caught.exception.details())
        self.assertTrue(50 <= details["retry_ms"] <= 500, details)
        self.assertNotIn("grpc-retry-pushback-ms", dict(caught.exception.trailing_metadata()))
        self.assertEqual(C.DeleteResponse.FromString(held.tell().result(30)).deleted, 0)
        counts = self.end(server)
        self.assertEqual((counts["refused_draining"], counts["calls"]), (1, 1), counts)

    def test_a_call_longer_than_the_refusing_still_finishes(self):
        server = start(self, server_read_timeout="60s")
        held = held_delete(server)
        server.signal()
        wait_for_line(server, "streams ended")
        time.sleep(0.5)
        self.assertIsNone(server.process.poll())
        held.tell().result(30)
        self.end(server)
        self.assertIn("no new calls refused=0 inflight=1", server.final_log)

    def test_the_delay_goes_on_serving_while_health_says_no(self):
        server = start(self, server_drain_delay="1s")
        server.signal()
        wait_for_line(server, "not serving")
        self.assertTrue(server.cache.Set(C.SetRequest(identity=identity("late"), content="x"), timeout=30).stored)
        self.assertEqual(check(server), health_pb2.HealthCheckResponse.NOT_SERVING)
        self.assertEqual(self.end(server)["calls"], 1)

    def test_a_second_signal_skips_the_delay(self):
        server = start(self, server_drain_delay="5min")
        server.signal()
        wait_for_line(server, "not serving delay_ms=300000")
        self.assertIsNone(server.process.poll())
        server.signal(signal.SIGINT)
        self.end(server)

    def test_a_second_signal_cancels_what_is_in_flight(self):
        server = start(self, server_drain_timeout="10min", server_read_timeout="60s")
        held = held_delete(server)
        server.signal()
        wait_for_line(server, "streams ended")
        time.sleep(0.3)
        self.assertFalse(held.future.done())
        server.signal()
        self.assertIn(held.future.exception(30).code(), (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE))
        held.tell()
        self.end(server)
        self.assertIn("closing connections cancelled=1", server.final_log)

    def test_the_time_limit_cancels_what_is_in_flight(self):
        server = start(self, server_drain_timeout="300ms", server_read_timeout="60s")
        held = held_delete(server)
        server.signal()
        self.assertIn(held.future.exception(30).code(), (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE))
        held.tell()
        self.end(server)

    def test_the_log_says_each_step_and_then_the_counts(self):
        server = start(self)
        server.cache.Set(C.SetRequest(identity=identity("one"), content="x"), timeout=30)
        server.stop()
        steps = ["server draining signal=TERM", "grpc not serving delay_ms=0", "grpc no new calls refused=0 inflight=0 streams=0", "grpc streams ended",
                 "grpc calls finished", "grpc threads ended", "grpc counted calls=1 ", "server stopped"]
        places = [server.final_log.find(step) for step in steps]
        self.assertNotIn(-1, places, server.final_log)
        self.assertEqual(places, sorted(places), server.final_log)
        self.assertEqual(counted(server), {"calls": 1, "shed_inflight": 0, "shed_queue": 0, "shed_late": 0, "shed_streams": 0,
                                           "dropped_cancelled": 0, "dropped_deadline": 0, "read_timeouts": 0, "send_timeouts": 0,
                                           "refused_draining": 0, "refused_loading": 0})

    def test_an_idle_server_ends_at_once(self):
        """The best of a few, because the machine may be busy."""
        took = []
        while len(took) < 5 and (not took or min(took) > 0.3):
            server = start(self)
            check(server)
            started = time.monotonic()
            server.signal(signal.SIGINT)
            self.end(server)
            took.append(time.monotonic() - started)
        self.assertLess(min(took), 0.5, took)


if __name__ == "__main__":
    unittest.main()
