"""Streams that watch: WatchStats and Monitor. What they tell, what they leave out, and how they end."""
import json
import queue
import subprocess
import threading
import time
import unittest

import grpc

from support import BIN, Server, WireTest, admin_pb2 as A, cache_pb2 as C, common_pb2 as M
from test_hardening import WINDOW, Caller, message

INVALID = grpc.StatusCode.INVALID_ARGUMENT
MONITOR = "/reprise.v1.Admin/Monitor"


class Watched:
    """A stream whose messages are taken by a thread of its own."""

    def __init__(self, call):
        self.call, self.told, self.error = call, queue.Queue(), None
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        try:
            for told in self.call:
                self.told.put(told)
        except grpc.RpcError as error:
            self.error = error
        self.told.put(None)

    def next(self):
        return self.told.get(timeout=30)

    def end(self):
        """The error with which it ends by itself."""
        self.thread.join(30)
        return self.error


class WatchStats(WireTest):
    def watch(self, **fields):
        watched = Watched(self.admin.WatchStats(A.WatchStatsRequest(**fields)))
        self.addCleanup(watched.call.cancel)
        return watched

    def test_it_tells_at_once_and_again(self):
        watched = self.watch(namespace=self.namespace, interval_ms=100)
        self.assertEqual(watched.next().stats.sets, 0)
        self.set("one more")
        while watched.next().stats.sets != 1:
            pass

    def test_a_long_interval_begins_with_the_first(self):
        self.assertNotEqual(self.watch(interval_ms=3_600_000).next().stats.version, "")

    def test_an_interval_outside_its_limits_is_refused(self):
        for wrong in (1, 99, 3_600_001):
            said = self.refused(lambda: next(iter(self.admin.WatchStats(A.WatchStatsRequest(interval_ms=wrong)))), INVALID, "LIMIT_EXCEEDED", "interval_ms")
            self.assertIn("100 to 3600000", said)
        self.refused(lambda: next(iter(self.admin.WatchStats(A.WatchStatsRequest(namespace="no good")))), INVALID, "BAD_NAME", "namespace")

    def test_a_caller_that_leaves_frees_its_place(self):
        server = Server(server_streams_max=1)
        self.addCleanup(server.stop)
        for _ in range(20):
            watched = Watched(server.admin.WatchStats(A.WatchStatsRequest(interval_ms=3_600_000), wait_for_ready=True))
            told = watched.next()
            while told is None:  # the one before has not left yet
                self.assertEqual(watched.error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                watched = Watched(server.admin.WatchStats(A.WatchStatsRequest(interval_ms=3_600_000)))
                told = watched.next()
            watched.call.cancel()
            watched.end()

    def test_the_command_line(self):
        result = subprocess.run([str(BIN / "reprise"), "stats", "--watch", "--interval", "100ms", "--count", "3", "-o", "json", "--endpoint", self.server.address],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len([json.loads(line) for line in result.stdout.splitlines()]), 3)
        wrong = subprocess.run([str(BIN / "reprise"), "stats", "--count", "3"], capture_output=True, text=True, timeout=60)
        self.assertEqual(wrong.returncode, 2)

    def test_top_prints_rates(self):
        result = subprocess.run([str(BIN / "reprise"), "top", "--interval", "50ms", "--count", "2", "-o", "json", "--endpoint", self.server.address, "--timeout", "30s"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([sorted(json.loads(line))[:1] for line in result.stdout.splitlines()], [["entries"], ["entries"]])


class Monitor(WireTest):
    def monitor(self, **fields):
        fields.setdefault("namespace", self.namespace)
        watched = Watched(self.admin.Monitor(A.MonitorRequest(**fields)))
        self.addCleanup(watched.call.cancel)
        first = watched.next()
        self.assertEqual((len(first.decisions), first.dropped), (0, 0))
        return watched

    def decisions(self, watched, count):
        """So many, and what was dropped before the last."""
        found, dropped = [], 0
        while len(found) < count:
            told = watched.next()
            found += told.decisions
            dropped += told.dropped
        return found, dropped

    def test_each_decision_is_told_with_its_reason(self):
        watched = self.monitor()
        near = "a question that is near"
        self.get("how does it work")
        self.set("how does it work", vector=M.Vector(f32=[1, 0]))
        self.get("how does it work")
        self.get(near, vector=M.Vector(f32=[1, 0]))
        self.get(near, vector=M.Vector(f32=[0.6, 0.8]))
        self.get("how does it not work", vector=M.Vector(f32=[1, 0]))
        self.set("not this one", cache_control=M.CacheControl(no_store=True))
        found, dropped = self.decisions(watched, 7)
        self.assertEqual(dropped, 0)
        self.assertEqual([(d.result, d.tier, d.miss_reason, d.skip) for d in found], [
            (A.DECISION_RESULT_MISS, 0, M.MISS_REASON_NO_CANDIDATE, 0), (A.DECISION_RESULT_STORED, 0, 0, 0),
            (A.DECISION_RESULT_HIT, M.TIER_EXACT, 0, 0), (A.DECISION_RESULT_HIT, M.TIER_SEMANTIC, 0, 0),
            (A.DECISION_RESULT_MISS, 0, M.MISS_REASON_BELOW_CUT, 0), (A.DECISION_RESULT_MISS, 0, M.MISS_REASON_GUARD_BLOCKED, 0),
            (A.DECISION_RESULT_SKIPPED, 0, 0, C.SET_SKIP_NO_STORE)])
        below, blocked = found[4], found[5]
        self.assertAlmostEqual(below.similarity, 0.6, 2)
        self.assertAlmostEqual(below.threshold, 0.95, 4)
        self.assertEqual(list(blocked.guards), [M.GUARD_NEGATION])
        for decision in found:
            self.assertEqual((decision.namespace, decision.model, decision.prompt), (self.namespace, "m", ""))
            self.assertLess(abs(decision.at_unix_ms - time.time() * 1000), 60_000)

    def test_items_of_a_batch_and_streams_are_told_too(self):
        watched = self.monitor()
        self.cache.BatchGet(C.BatchGetRequest(items=[C.GetRequest(identity=self.identity(f"item {i}")) for i in range(3)]), timeout=30)
        list(self.cache.GetStream(C.GetStreamRequest(request=C.GetRequest(identity=self.identity("a stream"))), timeout=30))
        found, _ = self.decisions(watched, 4)
        self.assertEqual([d.result for d in found], [A.DECISION_RESULT_MISS] * 4)

    def test_stale_and_negative_answers_have_results_of_their_own(self):
        watched = self.monitor()
        self.set("an error", negative=True)
        self.get("an error")
        self.set("short of time", ttl_ms=1, stale_while_revalidate_ms=60_000)
        time.sleep(0.05)
        self.get("short of time")
        found, _ = self.decisions(watched, 4)
        self.assertEqual([d.result for d in found][1::2], [A.DECISION_RESULT_NEGATIVE, A.DECISION_RESULT_STALE])

    def test_an_explanation_is_no_decision(self):
        watched = self.monitor()
        self.cache.Explain(C.ExplainRequest(request=C.GetRequest(identity=self.identity("why?"))), timeout=30)
        self.get("a real one")
        found, _ = self.decisions(watched, 1)
        self.assertEqual(len(found), 1)
        self.assertEqual(watched.told.qsize(), 0)

    def test_a_filter_leaves_out_what_is_not_asked_for(self):
        other = self.monitor(namespace="somewhere-else")
        misses = self.monitor(results=[A.DECISION_RESULT_MISS, A.DECISION_RESULT_STALE])
        every = self.monitor(namespace="")
        self.set("a question")
        self.get("a question")
        self.get("another one entirely")
        found, dropped = self.decisions(misses, 1)
        self.assertEqual(([d.result for d in found], dropped), ([A.DECISION_RESULT_MISS], 0))
        found, _ = self.decisions(every, 3)
        self.assertEqual({d.namespace for d in found}, {self.namespace})
        self.assertEqual(other.told.qsize(), 0)

    def test_the_rate_is_kept_and_what_is_left_out_is_counted(self):
        watched = self.monitor(rate_max=10)
        for number in range(100):
            self.get(f"question {number}")
        shown, dropped = 0, 0
        while shown + dropped < 100:
            told = watched.next()
            shown, dropped = shown + len(told.decisions), dropped + told.dropped
        self.assertEqual(shown + dropped, 100)
        self.assertGreater(dropped, 0)

    def test_prompts_are_shown_only_when_the_operator_says_so(self):
        change = lambda value: self.admin.SetConfig(A.SetConfigRequest(changes=[A.ConfigChange(name="monitor.prompts", value=value)]), timeout=30)
        self.addCleanup(change, "false")
        watched = self.monitor()
        self.get("a secret question")
        change("true")
        self.get("an open question")
        self.get("ü" * 200)
        found, _ = self.decisions(watched, 3)
        self.assertEqual([d.prompt for d in found], ["", "an open question", "ü" * 128])

    def test_wrong_requests_are_refused(self):
        first = lambda **fields: lambda: next(iter(self.admin.Monitor(A.MonitorRequest(**fields))))
        self.assertIn("1 to 10000", self.refused(first(rate_max=10_001), INVALID, "LIMIT_EXCEEDED", "rate_max"))
        self.refused(first(namespace="no good"), INVALID, "BAD_NAME", "namespace")
        self.refused(first(results=[99]), INVALID, "LIMIT_EXCEEDED", "results")

    def test_sixteen_watch_and_a_place_comes_back(self):
        watching = [self.monitor() for _ in range(16)]
        self.refused(lambda: next(iter(self.admin.Monitor(A.MonitorRequest()))), INVALID, "LIMIT_EXCEEDED")
        watching[0].call.cancel()
        watching[0].end()
        for _ in range(500):
            again = Watched(self.admin.Monitor(A.MonitorRequest()))
            if again.next() is not None:
                break
            time.sleep(0.01)
        self.assertIsNone(again.error)
        again.call.cancel()
        for watched in watching:
            watched.call.cancel()
            watched.end()

    def test_the_command_line(self):
        process = subprocess.Popen([str(BIN / "reprise"), "monitor", "--result", "miss", "--namespace", self.namespace, "--count", "2", "-o", "json",
                                    "--endpoint", self.server.address], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        asking = threading.Event()

        def ask():
            number = 0
            while not asking.wait(0.05):
                self.get(f"is it watched? {number}")
                number += 1
        thread = threading.Thread(target=ask)
        thread.start()
        lines = process.stdout.read().splitlines()
        asking.set()
        thread.join()
        self.assertEqual(process.wait(30), 0)
        self.assertEqual([json.loads(line)["result"] for line in lines], ["DECISION_RESULT_MISS"] * 2)
        wrong = subprocess.run([str(BIN / "reprise"), "monitor", "--result", "mis"], capture_output=True, text=True, timeout=60)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("did you mean miss?", wrong.stderr)


class Reader(Caller):
    """Keeps what it is sent."""

    def __init__(self, server):
        super().__init__(server, window=0)
        self.data = b""

    def handle(self, kind, flags, stream, payload):
        if kind == 0:
            self.data += payload
        super().handle(kind, flags, stream, payload)

    def let(self, stream, size):
        for number in (0, stream):
            self.socket.sendall(b"\x00\x00\x04" + bytes([WINDOW, 0]) + number.to_bytes(4, "big") + size.to_bytes(4, "big"))

    def messages(self):
        at, found = 0, []
        while at + 5 <= len(self.data) and at + 5 + int.from_bytes(self.data[at + 1:at + 5], "big") <= len(self.data):
            length = int.from_bytes(self.data[at + 1:at + 5], "big")
            found.append(A.MonitorResponse.FromString(self.data[at + 5:at + 5 + length]))
            at += 5 + length
        return found


class Slow(unittest.TestCase):
    def test_a_reader_that_does_not_read_loses_decisions_and_is_told_how_many(self):
        server = Server()
        self.addCleanup(server.stop)
        reader = Reader(server)
        self.addCleanup(reader.close)
        stream = reader.open(MONITOR)
        reader.send(stream, message(A.MonitorRequest(rate_max=1000).SerializeToString()))
        reader.let(stream, 5 + 2)  # the first message, which is empty, and no other
        reader.take_until(lambda: len(reader.messages()) == 1)
        for number in range(400):  # room for 100, and for as many on their way
            server.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt=f"question {number}")), timeout=30)
        reader.let(stream, 1 << 20)
        count = lambda: sum(len(told.decisions) + told.dropped for told in reader.messages())
        reader.take_until(lambda: count() == 400)
        self.assertGreater(sum(told.dropped for told in reader.messages()), 0)


class Ends(unittest.TestCase):
    def test_a_drain_ends_those_who_watch(self):
        server = Server()
        watched = [Watched(server.admin.WatchStats(A.WatchStatsRequest(interval_ms=3_600_000))), Watched(server.admin.Monitor(A.MonitorRequest())),
                   Watched(server.admin.WatchStats(A.WatchStatsRequest(interval_ms=100)))]
        for one in watched:
            one.next()
        server.signal()
        for one in watched:
            self.assertEqual(one.end().code(), grpc.StatusCode.UNAVAILABLE)
        server.stop()
        self.assertIn("calls finished", server.final_log)

    def test_a_deadline_ends_them(self):
        server = Server()
        self.addCleanup(server.stop)
        watched = Watched(server.admin.Monitor(A.MonitorRequest(), timeout=0.5))
        self.assertEqual(watched.end().code(), grpc.StatusCode.DEADLINE_EXCEEDED)


if __name__ == "__main__":
    unittest.main()
