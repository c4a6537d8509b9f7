"""Goal: of 1,000 equal misses one computes and 999 are served from its one Set; whoever is lost is followed; deadlines, cancels and
a drain leave nobody waiting.
Method: one asynchronous client with many calls in flight on a few connections; the server's own Stats say what it counted.
"""
import asyncio
import json
import os
import subprocess
import time
import unittest

import grpc
from support import BIN, Server, WireTest, cache_pb2, cache_pb2_grpc, admin_pb2, common_pb2

FIRST, WAIT = common_pb2.LEASE_MODE_FIRST, common_pb2.LEASE_MODE_WAIT
TIMEOUT, FAILED = common_pb2.MISS_REASON_WAIT_TIMEOUT, common_pb2.MISS_REASON_LEADER_FAILED
LOCAL = [("grpc.use_local_subchannel_pool", 1)]


def lease(mode, **fields):
    return cache_pb2.LeaseRequest(mode=mode, **fields)


async def crowd(address, count, request, then, timeout=60):
    """`count` equal Gets over 4 connections; `then(replies, stub)` goes on as soon as one has answered; returns all replies."""
    channels = [grpc.aio.insecure_channel(address, options=LOCAL) for _ in range(4)]
    stubs = [cache_pb2_grpc.CacheStub(channel) for channel in channels]
    calls = [asyncio.ensure_future(stubs[number % 4].Get(request, timeout=timeout)) for number in range(count)]
    done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    await then([call.result() for call in done], stubs[0])
    replies = await asyncio.gather(*calls)
    for channel in channels:
        await channel.close()
    return replies


class Leases(WireTest):
    def stats(self):
        return self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace), timeout=30)

    def await_waiters(self, count, lookups):
        """Until so many exact lookups of this namespace have missed: its callers are parked, but for a moment."""
        for _ in range(400):
            tiers = {tier.tier: tier for tier in self.stats().tiers}
            if tiers[common_pb2.TIER_EXACT].misses >= lookups:
                break
            time.sleep(0.01)
        time.sleep(0.05)

    def threads(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/task"))

    def test_of_a_thousand_equal_misses_one_computes(self):
        request = cache_pb2.GetRequest(identity=self.identity("the same"), lease=lease(WAIT))
        self.server.cache.Set(cache_pb2.SetRequest(identity=self.identity("another"), content="so that the namespace is there"), timeout=30)

        threads = self.threads()

        async def then(replies, stub):
            self.assertEqual(len([reply for reply in replies if reply.lease.token]), 1)
            await asyncio.sleep(0.5)
            self.assertEqual(self.threads(), threads)  # who waits costs none
            token = replies[0].lease.token
            await stub.Set(cache_pb2.SetRequest(identity=request.identity, content="one answer", lease_token=token), timeout=30)

        replies = asyncio.run(crowd(self.server.address, 1000, request, then))
        held = [reply for reply in replies if reply.lease.token]
        served = [reply for reply in replies if reply.hit and reply.content == "one answer"]
        self.assertEqual((len(held), len(served)), (1, 999))
        self.assertTrue(all(reply.tier == common_pb2.TIER_EXACT for reply in served))
        stats = self.stats()
        self.assertEqual((stats.leases, stats.sets, stats.total_requests, stats.cached_requests), (1, 2, 1000, 999))
        self.assertGreaterEqual(stats.lease_waits, 900)  # who came after the Set had no need to

    def test_first_does_not_wait(self):
        holder = self.get("q", lease=lease(FIRST))
        self.assertEqual((holder.hit, len(holder.lease.token), holder.lease.held_by_other), (False, 22, False))
        self.assertEqual(holder.lease.hold_ms, 30000)
        other = self.get("q", lease=lease(FIRST))
        self.assertEqual((other.hit, other.lease.token, other.lease.held_by_other), (False, "", True))
        self.assertFalse(self.get("q").HasField("lease"))

    def test_a_lost_holder_is_followed_in_time(self):
        """The holder's time is over, whether it died or dawdles: nothing more is known of it."""
        holder = self.get("q", lease=lease(FIRST, hold_ms=400))
        begin = time.monotonic()
        heir = self.get("q", lease=lease(WAIT, hold_ms=10000))
        waited = time.monotonic() - begin
        self.assertEqual((heir.hit, heir.miss_reason, len(heir.lease.token)), (False, FAILED, 22))
        self.assertGreater(waited, 0.3)
        self.set("q", "the heir's", lease_token=heir.lease.token)
        self.refused(lambda: self.set("q", "late", lease_token=holder.lease.token), grpc.StatusCode.ABORTED, "LEASE_LOST", "lease_token")
        self.assertEqual(self.get("q").content, "the heir's")

    def test_a_released_lease_goes_to_the_next(self):
        holder = self.get("q", lease=lease(FIRST))
        waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(WAIT)), timeout=30)
        self.await_waiters(1, 2)
        reply = self.cache.ReleaseLease(cache_pb2.ReleaseLeaseRequest(token=holder.lease.token), timeout=30)
        self.assertTrue(reply.released)
        heir = waiting.result()
        self.assertEqual((heir.miss_reason, len(heir.lease.token)), (FAILED, 22))
        for token in (holder.lease.token, "", "x" * 22, "x" * 3000):
            self.assertFalse(self.cache.ReleaseLease(cache_pb2.ReleaseLeaseRequest(token=token), timeout=30).released)
        self.assertTrue(self.cache.ReleaseLease(cache_pb2.ReleaseLeaseRequest(token=heir.lease.token), timeout=30).released)

    def test_a_waiter_that_cancels_does_not_inherit(self):
        holder = self.get("q", lease=lease(FIRST))
        gone = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(WAIT)), timeout=30)
        self.await_waiters(1, 2)
        stays = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(WAIT)), timeout=30)
        self.await_waiters(2, 3)
        gone.cancel()
        time.sleep(0.1)
        reply = self.cache.ReleaseLease(cache_pb2.ReleaseLeaseRequest(token=holder.lease.token), timeout=30)
        self.assertEqual((reply.released, reply.waiters), (True, 0))
        self.assertEqual(len(stays.result().lease.token), 22)

    def test_a_waiter_is_told_before_its_deadline(self):
        self.get("q", lease=lease(FIRST))
        reply = self.get("q", lease=lease(WAIT), timeout=1)
        self.assertEqual((reply.miss_reason, reply.lease.held_by_other), (TIMEOUT, True))
        reply = self.get("q", lease=lease(WAIT, wait_ms=200), timeout=30)
        self.assertEqual(reply.miss_reason, TIMEOUT)

    def test_a_deadline_that_is_too_near_ends_the_wait(self):
        self.get("q", lease=lease(FIRST))
        for _ in range(20):
            try:
                self.assertEqual(self.get("q", lease=lease(WAIT), timeout=0.02).miss_reason, TIMEOUT)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)

    def test_what_is_not_allowed_is_said(self):
        bad = lambda call, field: self.refused(call, grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", field)
        bad(lambda: self.get("q", lease=lease(7)), "lease.mode")
        bad(lambda: self.get("q", lease=lease(FIRST), tiers=[common_pb2.TIER_SEMANTIC]), "lease")
        item = cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(FIRST))
        result = self.cache.BatchGet(cache_pb2.BatchGetRequest(items=[item]), timeout=30).results[0]
        self.assertEqual((result.error.reason, result.error.message.split(":")[0]), ("LIMIT_EXCEEDED", "lease"))

    def test_a_semantic_miss_is_answered_by_the_exact_set(self):
        self.set("How do I reset my password?", "Under Settings.")
        holder = self.get("Where is the nearest bank branch?", lease=lease(WAIT))
        self.assertEqual((holder.hit, len(holder.lease.token)), (False, 22))
        waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("Where is the nearest bank branch?"), lease=lease(WAIT)), timeout=30)
        self.await_waiters(1, 2)
        self.set("Where is the nearest bank branch?", "Around the corner.", lease_token=holder.lease.token)
        reply = waiting.result()
        self.assertEqual((reply.content, reply.tier, reply.miss_reason), ("Around the corner.", common_pb2.TIER_EXACT, 0))
        self.assertFalse(reply.HasField("decision"))


class Limits(WireTest):
    options = {"lease_waiters_max": 2, "lease_count_max": 2}

    def test_beyond_the_limits_a_get_is_told_at_once(self):
        self.get("q", lease=lease(FIRST))
        waiting = [self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(WAIT)), timeout=30) for _ in range(2)]
        time.sleep(0.2)
        self.assertTrue(self.get("q", lease=lease(WAIT)).lease.held_by_other)
        self.assertEqual(len(self.get("r", lease=lease(FIRST)).lease.token), 22)
        self.assertTrue(self.get("s", lease=lease(FIRST)).lease.held_by_other)  # the third key
        self.set("q", "a")
        self.assertEqual([call.result().content for call in waiting], ["a", "a"])


class Room(WireTest):
    options = {"server_inflight_max": 8}

    def test_those_who_wait_leave_room_for_the_set(self):
        self.get("q", lease=lease(FIRST))
        waiting = [self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=lease(WAIT)), timeout=30) for _ in range(4)]
        time.sleep(0.2)
        for _ in range(8):
            self.assertTrue(self.get("q", lease=lease(WAIT)).lease.held_by_other)
        self.set("q", "a")
        self.assertEqual([call.result().content for call in waiting], ["a"] * 4)


class Command(unittest.TestCase):
    def test_the_command_asks_sets_and_gives_back(self):
        server = Server()
        run = lambda *arguments: subprocess.run([str(BIN / "reprise"), *arguments, "--endpoint", server.address, "--timeout", "60s", "-o", "json"],
                                                capture_output=True, text=True, timeout=60)
        ask = lambda *flags: json.loads(run("get", "--model", "m", "q", *flags).stdout)
        token = ask("--lease", "first", "--hold", "20s")["lease"]["token"]
        self.assertEqual(ask("--lease", "wait", "--wait", "200ms")["missReason"], "MISS_REASON_WAIT_TIMEOUT")
        self.assertEqual(json.loads(run("lease", "release", token).stdout), {"released": True, "waiters": 0})
        self.assertEqual(run("lease", "release", token).returncode, 1)
        token = ask("--lease", "wait")["lease"]["token"]
        self.assertEqual(run("set", "--model", "m", "q", "--content", "a", "--lease", token).returncode, 0)
        self.assertEqual(ask("--lease", "wait")["content"], "a")
        self.assertEqual(run("get", "--model", "m", "q", "--lease", "maybe").returncode, 2)
        self.assertEqual(run("get", "--model", "m", "q", "--wait", "1s").returncode, 2)
        server.stop()


class Drain(unittest.TestCase):
    def test_a_drain_tells_all_who_wait(self):
        server = Server()
        identity = common_pb2.Identity(model="m", prompt="q")
        self.assertEqual(len(server.cache.Get(cache_pb2.GetRequest(identity=identity, lease=lease(FIRST)), timeout=30).lease.token), 22)
        waiting = [server.cache.Get.future(cache_pb2.GetRequest(identity=identity, lease=lease(WAIT)), timeout=30) for _ in range(50)]
        time.sleep(0.3)
        server.signal()
        for call in waiting:
            self.assertEqual(call.result().miss_reason, TIMEOUT)
        server.stop()


if __name__ == "__main__":
    unittest.main()
