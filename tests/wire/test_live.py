"""Options that change while the server runs: GetConfig, SetConfig, SIGHUP. Each row that is marked live has one test that proves its *effect*, named
after it; a test finds the row that has none."""
import json
import os
import signal
import subprocess
import threading
import time
import unittest

import grpc

from support import BIN, FOLDER, Server, WireTest, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, feedback_pb2 as F
from test_doors import Busy, check, identity
from test_hardening import GET, Caller, message

INVALID = grpc.StatusCode.INVALID_ARGUMENT
ANGLE = {0.90: [0.90, 0.43588989], 0.97: [0.97, 0.24310492]}  # a vector at this cosine from [1, 0]


def until(test, done, what, seconds=30):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            test.fail(f"it did not happen: {what}")
        time.sleep(0.01)


def change(server, dry_run=False, **values):
    """change(server, lease_hold="1s"): the first underscore is the dot; None resets."""
    changes = [A.ConfigChange(name=name.replace("_", ".", 1), value=value or "", reset=value is None) for name, value in values.items()]
    return server.admin.SetConfig(A.SetConfigRequest(changes=changes, dry_run=dry_run), timeout=30).options


def look(server, prefix=""):
    return {option.name: option for option in server.admin.GetConfig(A.GetConfigRequest(prefix=prefix), timeout=30).options}


class Unfinished:
    """A Delete whose message does not come until it is told to: it holds its place meanwhile."""

    def __init__(self, server):
        self.told = threading.Event()
        call = server.channel.stream_unary("/reprise.v1.Cache/Delete", request_serializer=lambda request: request.SerializeToString(),
                                           response_deserializer=C.DeleteResponse.FromString)
        self.future = call.future(self.message(), timeout=45)

    def message(self):
        self.told.wait(60)
        yield C.DeleteRequest(identity=M.Identity(model="m", prompt="nobody stored this"))

    def end(self):
        self.told.set()


class Live(WireTest):
    """The rows, one test each."""

    options = {"server_read_timeout": "60s", "server_stream_timeout": "1h"}

    def live(self, **values):
        self.addCleanup(change, self.server, **{name: None for name in values})
        return change(self.server, **values)

    def get_at(self, cosine, **fields):
        return self.get("a question that is near", vector=M.Vector(f32=ANGLE[cosine]), **fields)

    def set_at_one(self, prompt="at one"):
        self.set(prompt, vector=M.Vector(f32=[1, 0]))

    def hit_ids(self):
        return self.get("another question", vector=M.Vector(f32=[1, 0]))

    def verdicts(self, verdict, count=10):
        for _ in range(count):
            token = self.hit_ids().decision.token
            self.feedback.Report(F.ReportRequest(decision_token=token, verdict=verdict), timeout=30)
        return self.get_at(0.90).threshold

    def test_each_live_row_has_a_test_here(self):
        rows = {name for name, option in look(self.server).items() if option.live}
        tests = {name for case in (Live, LiveAtTheEnd) for name in dir(case)}
        missing = [name for name in sorted(rows) if "test_" + name.replace(".", "_") not in tests]
        self.assertEqual(missing, [])

    # ---- log, server ----

    def test_log_level(self):
        self.live(log_level="error")
        change(self.server, lease_hold="31s")
        change(self.server, log_level="info")
        change(self.server, lease_hold="32s")
        until(self, lambda: "name=lease.hold value=32s" in self.server.read_log(), "the line at level info")
        self.assertNotIn("name=lease.hold value=31s", self.server.read_log())
        change(self.server, lease_hold=None)

    def refusal_of_a_get(self):
        try:
            self.get("is there room?")
        except grpc.RpcError as error:
            return error.code()
        return None

    def test_server_inflight_max(self):
        held = Unfinished(self.server)
        self.addCleanup(held.end)
        self.assertIsNone(self.refusal_of_a_get())
        change(self.server, server_inflight_max="1")
        until(self, lambda: self.refusal_of_a_get() == grpc.StatusCode.RESOURCE_EXHAUSTED, "a Get over the limit")
        held.end()
        held.future.result(30)
        until(self, lambda: self.refusal_of_a_get() is None, "a Get within the limit")
        until(self, lambda: not self.fails(lambda: change(self.server, server_inflight_max=None)), "the reset")

    def fails(self, call):
        try:
            call()
        except grpc.RpcError:
            return True
        return False

    def test_server_read_timeout(self):
        self.live(server_read_timeout="1s")
        held = Unfinished(self.server)
        self.addCleanup(held.end)
        self.assertIn("server.read_timeout", held.future.exception(40).details())

    def test_server_stream_timeout(self):
        self.live(server_stream_timeout="1s")
        told = threading.Event()
        self.addCleanup(told.set)

        def head():
            yield C.SetStreamRequest(head=C.SetRequest(identity=self.identity("a talk that stops")))
            told.wait(60)

        with self.assertRaises(grpc.RpcError) as caught:
            self.cache.SetStream(head(), timeout=40)
        self.assertIn("server.stream_timeout", caught.exception.details())

    def test_server_send_timeout(self):
        change(self.server, server_send_timeout="10min")
        self.live(server_send_timeout="1s")
        caller = Caller(self.server, window=0)
        self.addCleanup(caller.close)
        stream = caller.open(GET)
        caller.send(stream, message(C.GetRequest(identity=self.identity("who does not read")).SerializeToString()))
        caller.take_until(lambda: stream in caller.resets)

    def test_server_reply_max(self):
        self.set("a long answer", content="x" * 100_000)
        self.assertTrue(self.get("a long answer").hit)
        self.live(server_reply_max="64KiB")
        said = self.refused(lambda: self.get("a long answer"), grpc.StatusCode.RESOURCE_EXHAUSTED, "REPLY_TOO_LARGE")
        self.assertIn("65536", said)

    # ---- cache, lease, metrics ----

    def life_of(self, reply):
        return reply.expires_unix_ms - time.time() * 1000

    def test_cache_ttl_default(self):
        self.assertGreater(self.life_of(self.set("a day")), 3_600_000 * 23)
        self.live(cache_ttl_default="1h")
        self.assertLess(self.life_of(self.set("an hour")), 3_600_000 * 2)

    def test_cache_ttl_max(self):
        self.set("before", ttl_ms=3_600_000 * 3)
        self.live(cache_ttl_max="2h", cache_ttl_default="1h")
        said = self.refused(lambda: self.set("after", ttl_ms=3_600_000 * 3), INVALID, "LIMIT_EXCEEDED", "ttl_ms")
        self.assertIn("7200000", said)

    def test_cache_stale_max(self):
        self.set("before", stale_while_revalidate_ms=2000)
        self.live(cache_stale_max="1s")
        self.refused(lambda: self.set("after", stale_while_revalidate_ms=2000), INVALID, "LIMIT_EXCEEDED", "stale_while_revalidate_ms")

    def test_cache_strict_namespaces(self):
        self.live(cache_strict_namespaces="true")
        self.refused(lambda: self.set("nobody made it"), grpc.StatusCode.FAILED_PRECONDITION, "NAMESPACE_UNKNOWN")
        change(self.server, cache_strict_namespaces="false")
        self.assertTrue(self.set("the Set makes it").stored)

    def test_metrics_scopes_max(self):
        self.set_at_one()
        self.hit_ids()
        stats = lambda: len(self.admin.Stats(A.StatsRequest(namespace=self.namespace), timeout=30).policies)
        self.assertEqual(stats(), 1)
        self.live(metrics_scopes_max="0")
        self.assertEqual(stats(), 0)

    def lease_of(self, prompt, **fields):
        return self.get(prompt, lease=C.LeaseRequest(mode=M.LEASE_MODE_FIRST, **fields)).lease

    def test_lease_hold(self):
        self.live(lease_hold="2s")
        self.assertEqual(self.lease_of("who computes?").hold_ms, 2000)

    def test_lease_hold_max(self):
        self.live(lease_hold_max="1s")
        self.assertEqual(self.lease_of("who computes?", hold_ms=5000).hold_ms, 1000)

    def test_lease_wait_max(self):
        self.live(lease_wait_max="100ms")
        self.assertNotEqual(self.lease_of("who computes?").token, "")
        reply = self.get("who computes?", lease=C.LeaseRequest(mode=M.LEASE_MODE_WAIT), timeout=30)
        self.assertEqual(reply.miss_reason, M.MISS_REASON_WAIT_TIMEOUT)

    def test_monitor_prompts(self):
        told = self.admin.Monitor(A.MonitorRequest(namespace=self.namespace))
        self.addCleanup(told.cancel)
        next(told)  # from here on nothing is missed
        self.get("a secret question")
        self.assertEqual(next(told).decisions[0].prompt, "")
        self.live(monitor_prompts="true")
        self.get("an open question")
        self.assertEqual(next(told).decisions[0].prompt, "an open question")

    def test_lease_waiters_max(self):
        self.live(lease_waiters_max="1")
        self.assertNotEqual(self.lease_of("who computes?").token, "")
        wait = C.GetRequest(identity=self.identity("who computes?"), lease=C.LeaseRequest(mode=M.LEASE_MODE_WAIT))
        first = self.cache.Get.future(wait, timeout=45)
        self.addCleanup(first.cancel)
        until(self, lambda: self.is_told_at_once(wait), "a second that is told at once")

    def is_told_at_once(self, wait):
        """Another waits already: this one would wait for a minute if it could."""
        try:
            return self.cache.Get(wait, timeout=2).lease.held_by_other
        except grpc.RpcError:
            return False

    # ---- semantic, adaptive, guard ----

    def test_semantic_policy(self):
        self.set_at_one()
        self.assertEqual(self.hit_ids().tier, M.TIER_SEMANTIC)
        self.live(semantic_policy="off")
        self.assertEqual(self.hit_ids().miss_reason, M.MISS_REASON_DISABLED)
        change(self.server, semantic_policy="shadow")
        self.assertTrue(self.hit_ids().decision.HasField("near_miss"))

    def test_semantic_static_threshold(self):
        self.set_at_one()
        self.assertEqual(self.get_at(0.90).miss_reason, M.MISS_REASON_BELOW_CUT)
        self.live(semantic_static_threshold="0.85")
        self.assertEqual(self.get_at(0.90).tier, M.TIER_SEMANTIC)
        change(self.server, semantic_static_threshold="0.99")
        reply = self.get_at(0.97)
        self.assertEqual((reply.miss_reason, round(reply.threshold, 4)), (M.MISS_REASON_BELOW_CUT, 0.99))

    def test_semantic_min_similarity(self):
        self.set_at_one()
        self.assertEqual(self.get_at(0.97).tier, M.TIER_SEMANTIC)
        self.live(semantic_min_similarity="0.98")
        self.assertEqual(self.get_at(0.97).miss_reason, M.MISS_REASON_NO_CANDIDATE)

    def test_adaptive_initial(self):
        self.set_at_one()
        self.live(semantic_policy="adaptive", adaptive_initial="0.97")
        self.assertAlmostEqual(self.get_at(0.90).threshold, 0.97, 4)

    def test_adaptive_min(self):
        self.set_at_one()
        self.live(semantic_policy="adaptive", adaptive_initial="0.93", adaptive_min="0.92", adaptive_step="0.1")
        self.assertAlmostEqual(self.verdicts(F.VERDICT_CORRECT), 0.92, 4)

    def test_adaptive_max(self):
        self.set_at_one()
        self.live(semantic_policy="adaptive", adaptive_initial="0.93", adaptive_max="0.96", adaptive_step="0.1")
        self.assertAlmostEqual(self.verdicts(F.VERDICT_WRONG), 0.96, 4)

    def test_adaptive_step(self):
        self.set_at_one()
        self.live(semantic_policy="adaptive", adaptive_initial="0.95", adaptive_min="0.5", adaptive_step="0.05")
        self.assertAlmostEqual(self.verdicts(F.VERDICT_CORRECT), 0.90, 4)

    def test_guard_names(self):
        self.set("When was the office in Berlin opened?", vector=M.Vector(f32=[1, 0]))
        other = lambda: self.get("When was the office in Madrid opened?", vector=M.Vector(f32=[1, 0]))
        self.assertEqual(other().miss_reason, M.MISS_REASON_GUARD_BLOCKED)
        self.live(guard_names="false")
        self.assertEqual(other().tier, M.TIER_SEMANTIC)

    # ---- several at once, or none ----

    def test_a_new_scope_follows_too(self):
        self.live(semantic_static_threshold="0.85")
        self.set_at_one()
        self.assertEqual(self.get_at(0.90).tier, M.TIER_SEMANTIC)

    def test_all_change_or_none(self):
        before = look(self.server)
        said = self.refused(lambda: change(self.server, lease_hold="1s", lease_wait_max="1us"), INVALID, "BAD_OPTION", "lease.wait_max")
        self.assertIn("100ms to 1h", said)
        self.assertEqual(look(self.server), before)

    def test_options_that_contradict_each_other_are_refused(self):
        before = look(self.server)
        self.refused(lambda: change(self.server, cache_ttl_max="1h"), INVALID, "BAD_OPTION", "cache.ttl_default")
        self.refused(lambda: change(self.server, adaptive_min="0.9", adaptive_max="0.8"), INVALID, "BAD_OPTION", "adaptive.min")
        self.assertEqual(look(self.server), before)

    def test_an_unknown_name_is_refused_with_its_nearest(self):
        said = self.refused(lambda: change(self.server, lease_hodl="1s"), INVALID, "BAD_OPTION", "lease.hodl")
        self.assertIn("lease.hold", said)

    def test_what_needs_a_restart_is_refused(self):
        said = self.refused(lambda: change(self.server, storage_path="elsewhere"), INVALID, "BAD_OPTION", "storage.path")
        self.assertIn("restart", said)

    def test_a_request_that_is_none_is_refused(self):
        send = lambda *changes: lambda: self.admin.SetConfig(A.SetConfigRequest(changes=changes), timeout=30)
        hold = A.ConfigChange(name="lease.hold", value="1s")
        self.refused(send(), INVALID, "LIMIT_EXCEEDED", "changes")
        self.refused(send(hold, hold), INVALID, "BAD_NAME", "changes[1]")
        self.refused(send(A.ConfigChange(name="lease.hold", value="1s", reset=True)), INVALID, "AMBIGUOUS_INPUT", "changes[0]")
        self.refused(send(*[hold] * 65), INVALID, "LIMIT_EXCEEDED", "changes")
        with self.assertRaises(grpc.RpcError) as caught:
            look(self.server, "no.such")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_a_dry_run_says_what_would_be_and_changes_nothing(self):
        before = look(self.server)
        would, = change(self.server, dry_run=True, lease_hold="1s")
        self.assertEqual((would.value, would.source, would.start_value), ("1s", A.CONFIG_SOURCE_RUN_TIME, "30s"))
        self.assertEqual(look(self.server), before)

    def test_a_reset_goes_back_to_the_start(self):
        is_, = change(self.server, server_read_timeout="5s")
        self.assertEqual((is_.value, is_.source, is_.live, is_.start_value), ("5s", A.CONFIG_SOURCE_RUN_TIME, True, "60s"))
        is_, = change(self.server, server_read_timeout=None)
        self.assertEqual((is_.value, is_.source), ("60s", A.CONFIG_SOURCE_FLAG))

    def test_a_namespace_keeps_what_it_wants(self):
        wanted = A.Namespace(name=self.namespace, policy=A.Policy(mode=A.POLICY_MODE_STATIC, static_threshold=0.96))
        self.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=wanted), timeout=30)
        self.set_at_one()
        self.live(semantic_policy="off", semantic_static_threshold="0.5")
        reply = self.get_at(0.90)
        self.assertEqual((reply.miss_reason, round(reply.threshold, 4)), (M.MISS_REASON_BELOW_CUT, 0.96))

    def test_the_command_line(self):
        def run(*words):
            return subprocess.run([str(BIN / "reprise"), *words, "--endpoint", self.server.address, "--timeout", "30s"], capture_output=True, text=True, timeout=60)
        self.addCleanup(change, self.server, lease_hold=None, lease_wait_max=None)
        result = run("config", "set", "lease.hold=1min", "lease.wait_max=2s")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("run time", result.stdout)
        found = json.loads(run("config", "get", "lease.hold", "-o", "json").stdout)["options"]
        self.assertEqual([(row["name"], row["value"], row["source"], row["live"]) for row in found],
                         [("lease.hold", "1min", "CONFIG_SOURCE_RUN_TIME", True), ("lease.hold_max", "10min", "CONFIG_SOURCE_DEFAULT", True)])
        self.assertEqual(run("config", "set", "lease.hold=9h", "--dry-run").returncode, 1)
        self.assertIn("100ms to 1h", run("config", "set", "lease.hold=9h").stderr)
        self.assertEqual(run("config", "set", "lease.hold").returncode, 2)
        self.assertEqual(run("config", "reset", "lease.hold", "lease.wait_max").returncode, 0)
        self.assertEqual(look(self.server)["lease.hold"].source, A.CONFIG_SOURCE_DEFAULT)
        self.assertIn("at a restart", run("config", "get").stdout)


class LiveAtTheEnd(unittest.TestCase):
    """Rows whose effect is seen when a server ends, or that want one of their own."""

    def start(self, **options):
        server = Server(**options)
        self.addCleanup(lambda: server.process.poll() is None and server.kill())
        return server

    def test_server_overload(self):
        busy = Busy(self, server_compute_queue_max=1)
        server = busy.server
        server.cache.Set(C.SetRequest(identity=identity("stored"), content="here"), timeout=30)
        change(server, server_overload="refuse")
        futures = [busy.keep_busy(2), server.cache.Set.future(C.SetRequest(identity=identity("waits"), content="x"), timeout=120)]
        check(server)
        with self.assertRaises(grpc.RpcError) as caught:
            server.cache.Get(C.GetRequest(identity=identity("missed")), timeout=30)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertFalse(futures[0].done(), "compute was free too early for this test to mean anything")
        for future in futures:
            future.result(120)
        server.stop()

    def test_server_compute_queue_max(self):
        busy = Busy(self)
        server = busy.server
        server.cache.Set(C.SetRequest(identity=identity("stored"), content="here"), timeout=30)
        change(server, server_compute_queue_max="1")
        futures = [busy.keep_busy(2), server.cache.Set.future(C.SetRequest(identity=identity("waits"), content="x"), timeout=120)]
        check(server)
        reply = server.cache.Get(C.GetRequest(identity=identity("missed")), timeout=30)
        self.assertEqual(reply.miss_reason, M.MISS_REASON_OVERLOADED)
        self.assertFalse(futures[0].done(), "compute was free too early for this test to mean anything")
        for future in futures:
            future.result(120)
        server.stop()

    def test_server_drain_delay(self):
        server = self.start(server_drain_delay="0s")
        change(server, server_drain_delay="5min")
        server.signal()
        until(self, lambda: not server.is_serving(), "health that says NOT_SERVING")
        for _ in range(5):  # without a delay it would be told to go elsewhere
            server.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt="still there?")), timeout=30)
        server.stop()  # a second signal skips the wait

    def test_server_drain_timeout(self):
        server = self.start(server_drain_timeout="10min", server_read_timeout="60s")
        held = Unfinished(server)
        self.addCleanup(held.end)
        change(server, server_drain_timeout="0s")
        server.signal()
        self.assertEqual(server.wait(timeout=40), 0)
        self.assertIsNotNone(held.future.exception(30))
        server.close()


class Hangup(unittest.TestCase):
    """SIGHUP reads the file again."""

    def start(self, text, **options):
        self.path = FOLDER / f"{self._testMethodName}.yaml"
        self.path.write_text(text)
        server = Server(config=self.path, **options)
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        return server

    def hang_up(self, server, text, event):
        said = server.read_log().count(event)
        self.path.write_text(text)
        server.signal(signal.SIGHUP)
        until(self, lambda: server.read_log().count(event) > said, f"{event} in the log")

    def degraded(self, server):
        return list(server.admin.Stats(A.StatsRequest(), timeout=30).degraded)

    def test_it_brings_what_the_file_says_now(self):
        server = self.start("lease: {hold: 5s}\n")
        self.assertEqual(look(server)["lease.hold"].source, A.CONFIG_SOURCE_FILE)
        self.hang_up(server, "lease: {hold: 7s}\n", "read again")
        option = look(server)["lease.hold"]
        self.assertEqual((option.value, option.source), ("7s", A.CONFIG_SOURCE_FILE))
        lease = server.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt="q"), lease=C.LeaseRequest(mode=M.LEASE_MODE_FIRST)), timeout=30).lease
        self.assertEqual(lease.hold_ms, 7000)
        self.hang_up(server, "lease: {}\n", "read again")
        self.assertEqual(look(server)["lease.hold"].value, "30s")

    def test_a_bad_file_changes_nothing_until_a_good_one_comes(self):
        server = self.start("lease: {hold: 5s}\n")
        self.hang_up(server, "lease: {hold: 5parsecs, wait_max: 2s}\n", "config_rejected")
        self.assertIn("5parsecs", server.read_log())
        self.assertEqual((look(server)["lease.hold"].value, look(server)["lease.wait_max"].value), ("5s", "60s"))
        self.assertIn("config_rejected", self.degraded(server))
        self.hang_up(server, "cache: {ttl_max: 1h}\n", "config_rejected")  # contradicts cache.ttl_default
        self.assertIn("cache.ttl_default", server.read_log())
        self.hang_up(server, "lease: {hold: 6s}\n", "read again")
        self.assertEqual(look(server)["lease.hold"].value, "6s")
        self.assertNotIn("config_rejected", self.degraded(server))

    def test_what_was_given_at_run_time_stays_above_the_file(self):
        server = self.start("lease: {hold: 5s}\n")
        change(server, lease_hold="9s")
        self.hang_up(server, "lease: {hold: 7s}\n", "read again")
        option = look(server)["lease.hold"]
        self.assertEqual((option.value, option.source, option.start_value), ("9s", A.CONFIG_SOURCE_RUN_TIME, "7s"))
        self.assertEqual(change(server, lease_hold=None)[0].value, "7s")

    def test_a_row_that_needs_a_restart_is_named(self):
        server = self.start("limits: {batch: 100}\n")
        self.hang_up(server, "limits: {batch: 200}\n", "needs a restart")
        self.assertIn("name=limits.batch", server.read_log())
        self.assertEqual(look(server)["limits.batch"].value, "100")

    def test_a_flag_stays_above_the_file(self):
        server = self.start("lease: {hold: 5s}\n", lease_hold="3s")
        self.hang_up(server, "lease: {hold: 7s}\n", "read again")
        self.assertEqual((look(server)["lease.hold"].value, look(server)["lease.hold"].source), ("3s", A.CONFIG_SOURCE_FLAG))


class Secrets(unittest.TestCase):
    def test_a_login_and_a_key_in_a_url_are_not_shown(self):
        url = "--embed-url=http://joe:hunter2@127.0.0.1:1/v1?api-version=7&api_key=s3cret"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
        printed = subprocess.run([str(BIN / "reprise-server"), "--print-config", url], capture_output=True, text=True, timeout=60, env=clean).stdout
        self.assertIn("embed.url = http://***@127.0.0.1:1/v1?api-version=7&api_key=*** (flag)", printed)
        server = Server(embed_url=url.split("=", 1)[1])
        shown = look(server, "embed.url")["embed.url"]
        server.stop()
        self.assertNotIn("hunter2", str(shown))
        self.assertNotIn("s3cret", str(shown))


if __name__ == "__main__":
    unittest.main()
