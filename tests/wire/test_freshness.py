"""How long an answer serves, over the wire: cache control, stale and sliding answers, pins, errors of an upstream, Touch, what answers
were made from; and that a restart knows all of it."""
import json
import subprocess
import tempfile
import time
import unittest

import grpc

from support import BIN, FOLDER, Server, WireTest, admin_pb2, cache_pb2, common_pb2

C, M, A = cache_pb2, common_pb2, admin_pb2
MINUTE = 60_000


class Verbs(WireTest):
    def ask(self, prompt, **control):
        return self.get(prompt, cache_control=M.CacheControl(**control))

    def test_cache_control_of_a_get(self):
        self.set("controlled", "x", ttl_ms=MINUTE)
        self.assertTrue(self.ask("controlled").hit)
        self.assertEqual(self.ask("controlled", bypass=True).miss_reason, M.MISS_REASON_BYPASSED)
        self.assertEqual(self.ask("controlled", no_cache=True).miss_reason, M.MISS_REASON_BYPASSED)
        self.assertTrue(self.ask("controlled", only_if_cached=True, no_store=True).hit)
        self.assertEqual(self.ask("controlled", max_age_ms=0).miss_reason, M.MISS_REASON_TOO_OLD)
        self.assertTrue(self.ask("controlled", max_age_ms=MINUTE).hit)
        self.assertEqual(self.ask("controlled", min_fresh_ms=MINUTE + 1).miss_reason, M.MISS_REASON_TOO_OLD)
        batch = self.cache.BatchGet(C.BatchGetRequest(items=[
            C.GetRequest(identity=M.Identity(model="m", prompt="controlled"), cache_control=M.CacheControl(bypass=True))]))
        self.assertEqual(batch.results[0].response.miss_reason, M.MISS_REASON_BYPASSED)

    def test_a_set_that_is_not_stored(self):
        for control in (M.CacheControl(no_store=True), M.CacheControl(bypass=True)):
            reply = self.set("unstored", "x", cache_control=control)
            self.assertEqual((reply.stored, reply.skip), (False, C.SET_SKIP_NO_STORE))
        self.assertFalse(self.get("unstored").hit)
        self.assertTrue(self.set("first", "1", if_absent=True).stored)
        self.assertEqual(self.set("first", "2", if_absent=True).skip, C.SET_SKIP_EXISTS)
        self.assertEqual(self.get("first").content, "1")

    def test_a_stale_hit_says_so(self):
        now = int(time.time() * 1000)
        stored = self.set("soon stale", "x", ttl_ms=100, stale_while_revalidate_ms=MINUTE)
        self.assertLess(stored.expires_unix_ms, now + 5000)
        time.sleep(0.15)
        reply = self.get("soon stale")
        self.assertEqual((reply.hit, reply.stale, reply.content), (True, True, "x"))
        self.assertLess(reply.entry.ttl_remaining_ms, 0)
        self.assertGreaterEqual(reply.entry.age_ms, 100)
        self.set("if error", "x", ttl_ms=100, stale_if_error_ms=MINUTE)
        time.sleep(0.15)
        self.assertEqual(self.get("if error").miss_reason, M.MISS_REASON_EXPIRED)
        self.assertTrue(self.ask("if error", max_stale_ms=MINUTE).stale)

    def test_an_upstreams_error(self):
        stored = self.set("failing", "503", negative=True, info=M.AnswerInfo(finish_reason="error"))
        self.assertEqual((stored.stored, stored.indexed), (True, False))
        reply = self.get("failing")
        self.assertEqual((reply.hit, reply.entry.negative, reply.content), (True, True, "503"))
        tiers = {tier.tier: tier for tier in self.admin.Stats(A.StatsRequest()).tiers}
        self.assertGreaterEqual(tiers[M.TIER_EXACT].negative_hits, 1)

    def test_touch(self):
        stored = self.set("touched", "x", ttl_ms=400)
        reply = self.cache.Touch(C.TouchRequest(namespace=self.namespace, entry_ids=[stored.entry_id, "0" * 64], ttl_ms=MINUTE))
        self.assertEqual((reply.touched, reply.missing), (1, 1))
        self.assertGreater(self.get("touched").entry.ttl_remaining_ms, 1000)
        self.assertEqual(self.cache.Touch(C.TouchRequest(entry_ids=[stored.entry_id])).missing, 1)  # of another namespace
        self.refused(lambda: self.cache.Touch(C.TouchRequest(entry_ids=["x"])), grpc.StatusCode.INVALID_ARGUMENT, "BAD_ID", "entry_ids[0]")
        self.refused(lambda: self.cache.Touch(C.TouchRequest()), grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "entry_ids")

    def test_dependencies(self):
        def made_from(version):
            return [M.Dependency(id="prices", version=version)]
        self.set("old price", "6", depends_on=made_from("6"))
        self.set("new price", "7", depends_on=made_from("7"))
        selector = C.Selector(depends_on_id="prices", depends_on_version_not="7")
        self.assertEqual(self.cache.Invalidate(C.InvalidateRequest(selector=selector)).matched, 1)
        self.assertEqual((self.get("old price").hit, self.get("new price").hit), (False, True))
        stale = C.InvalidateRequest(selector=C.Selector(depends_on_id="prices"), make_stale=True)
        self.assertEqual(self.cache.Invalidate(stale).matched, 1)
        self.assertEqual(self.get("new price").miss_reason, M.MISS_REASON_EXPIRED)

    def reprise(self, *arguments):
        done = subprocess.run([BIN / "reprise", *arguments, "--endpoint", self.server.address, "-o", "json"], capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    def test_the_commands_flags(self):
        question = ["--model", "m", "by the command"]
        code, stored = self.reprise("set", *question, "--content", "x", "--ttl", "10min", "--sliding", "--pinned", "--if-absent",
                                    "--stale-while-revalidate", "1h", "--stale-if-error", "2h", "--depends-on", "terms@3")
        self.assertEqual((code, stored["stored"]), (0, True))
        self.assertEqual(self.reprise("get", *question, "--max-age", "1h", "--min-fresh", "1min")[0], 0)
        code, reply = self.reprise("get", *question, "--max-age", "0")
        self.assertEqual((code, reply["missReason"]), (3, "MISS_REASON_TOO_OLD"))
        self.assertEqual(self.reprise("touch", stored["entryId"], "--ttl", "1h"), (0, {"touched": 1, "missing": 0}))
        self.assertEqual(self.reprise("invalidate", "--depends-on", "terms", "--version-not", "3")[1]["matched"], 0)
        self.assertEqual(self.reprise("invalidate", "--depends-on", "terms", "--make-stale")[1]["matched"], 1)
        code, reply = self.reprise("get", *question)
        self.assertEqual((code, reply["hit"], reply["stale"]), (0, True, True))
        self.assertEqual(self.reprise("touch", "0" * 64)[0], 3)


class Restarts(unittest.TestCase):
    def test_a_restart_knows_times_pins_touches_and_dependencies(self):
        folder = tempfile.mkdtemp(prefix="data-", dir=FOLDER)
        server = Server(storage_path=folder)

        def set_(prompt, **fields):
            return server.cache.Set(C.SetRequest(identity=M.Identity(model="m", prompt=prompt), content=prompt, ack=M.ACK_LOGGED, **fields))

        def get(prompt, **fields):
            return server.cache.Get(C.GetRequest(identity=M.Identity(model="m", prompt=prompt), **fields))
        try:
            touched = set_("How do I reset my password?", ttl_ms=5000)
            set_("sliding", ttl_ms=5000, sliding=True)
            set_("stale", ttl_ms=100, stale_while_revalidate_ms=MINUTE, depends_on=[M.Dependency(id="d", version="1")])
            set_("made stale", ttl_ms=MINUTE, stale_while_revalidate_ms=MINUTE, tags=["t"])
            set_("pinned", ttl_ms=MINUTE, pinned=True)
            set_("negative", negative=True)
            time.sleep(3.5)
            self.assertTrue(get("sliding").hit)
            server.cache.Touch(C.TouchRequest(entry_ids=[touched.entry_id], ttl_ms=MINUTE))
            stale = C.InvalidateRequest(selector=C.Selector(tags=["t"]), make_stale=True)
            self.assertEqual(server.cache.Invalidate(stale).matched, 1)
            server.kill()
            time.sleep(2)  # past what the first records say, and 3 s before what the renewal says
            server = Server(storage_path=folder)
            self.assertTrue(get("How do I reset my password?").hit)
            self.assertEqual(get("How can I reset my password?").tier, M.TIER_SEMANTIC)
            self.assertTrue(get("sliding").hit)
            self.assertTrue(get("stale").stale)
            self.assertTrue(get("made stale").stale)
            self.assertTrue(get("negative").entry.negative)
            self.assertTrue(get("pinned").hit)
            selector = C.Selector(depends_on_id="d", depends_on_version_not="2")
            self.assertEqual(server.cache.Invalidate(C.InvalidateRequest(selector=selector)).matched, 1)
        finally:
            server.kill()


if __name__ == "__main__":
    unittest.main()
