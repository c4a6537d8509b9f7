#!/usr/bin/python3
"""Goal: namespaces are created, changed, listed and dropped over the wire, keep what was asked of them over kill -9, and hold a dropped
one's nothing. Method: the real server with a data folder and without, the generated stubs, and the command."""
import json
import pathlib
import subprocess
import tempfile
import time
import unittest

import grpc

from support import BIN, FOLDER, Server, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, error_details


def identity(prompt, namespace="", **more):
    return M.Identity(namespace=namespace, model="m", prompt=prompt, **more)


class Namespaces(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER))
        self.server = None

    def tearDown(self):
        if self.server is not None and self.server.process.poll() is None:
            self.server.stop()

    def start(self, **options):
        self.server = Server(storage_path=str(self.folder), **options)
        return self.server

    def create(self, name, **settings):
        return self.server.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=A.Namespace(name=name, **settings)), timeout=60).namespace

    def look(self, name):
        return self.server.admin.GetNamespace(A.GetNamespaceRequest(name=name), timeout=60).namespace

    def set(self, prompt, namespace, **more):
        return self.server.cache.Set(C.SetRequest(identity=identity(prompt, namespace), content="x", **more), timeout=60)

    def get(self, prompt, namespace):
        return self.server.cache.Get(C.GetRequest(identity=identity(prompt, namespace)), timeout=60)

    def drop(self, name, confirm=None):
        return self.server.admin.DropNamespace(A.DropNamespaceRequest(name=name, confirm=name if confirm is None else confirm), timeout=60).removed

    def refused(self, reason, call, *arguments, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **more)
        self.assertEqual(error_details(caught.exception)["reason"], reason)

    def test_settings_come_back_as_they_were_given_and_outlive_kill_9(self):
        self.start()
        policy = A.Policy(mode=A.POLICY_MODE_ADAPTIVE, static_threshold=0.5, guards_off=[M.GUARD_NAMES],
                          adaptive=A.Adaptive(initial=0.75, min=0.5, max=0.875, step=0.0625))
        given = dict(tiers=[M.TIER_EXACT, M.TIER_SEMANTIC], policy=policy, ttl_ms=60_000, ttl_max_ms=120_000, bytes_max=1 << 20, entries_max=3,
                     temperature_max=0.5, user_turns_max=4, ack=M.ACK_SYNCED, index_kind=M.INDEX_KIND_FLAT, ef_search=20, nprobe=3,
                     eviction=A.EVICTION_LFU_AGING)
        wanted = A.Namespace(name="faq", version=1, **given)
        self.assertEqual(self.create("faq", **given), wanted)
        self.assertEqual(self.look("faq"), wanted)
        self.assertEqual(self.set("q", "faq").ack, M.ACK_SYNCED)
        self.create("gone")
        self.set("q", "gone", ack=M.ACK_SYNCED)
        self.assertEqual(self.drop("gone"), 1)
        self.server.kill()
        self.start()
        found = self.look("faq")
        self.assertEqual((found.entries, found.rows), (1, 1))
        found.ClearField("entries"), found.ClearField("rows"), found.ClearField("size_bytes")
        self.assertEqual(found, wanted)
        self.refused("NOT_FOUND", self.look, "gone")
        self.assertFalse(self.get("q", "gone").hit)
        for n in range(10):
            self.set(f"q{n}", "faq")
        self.assertEqual(self.look("faq").entries, 3)
        self.refused("LIMIT_EXCEEDED", self.set, "q", "faq", ttl_ms=120_001)

    def test_each_namespace_evicts_in_its_own_order_and_over_a_restart_within_its_budget(self):
        self.start()
        self.create("recent", entries_max=3, eviction=A.EVICTION_LRU)
        self.create("often", entries_max=3, eviction=A.EVICTION_LFU_AGING)
        for name in ("recent", "often"):
            for prompt in "abc":
                self.set(prompt, name)
            for prompt in "bbbcca":
                time.sleep(0.003)  # a use is known to the millisecond
                self.assertTrue(self.get(prompt, name).hit)
            time.sleep(0.003)
            self.set("d", name)
        self.assertEqual([self.get(prompt, "recent").hit for prompt in "abcd"], [True, False, True, True])
        self.assertEqual([self.get(prompt, "often").hit for prompt in "abcd"], [False, True, True, True])
        for n in range(20):
            self.set(f"more {n}", "recent", ack=M.ACK_SYNCED)
        self.server.kill()
        self.start()  # what was evicted is in the log still
        self.assertEqual(self.look("recent").entries, 3)
        self.assertTrue(self.get("more 19", "recent").hit)

    def test_only_what_was_read_may_be_changed(self):
        self.start()
        self.create("faq")
        update = lambda version: self.server.admin.UpdateNamespace(
            A.UpdateNamespaceRequest(namespace=A.Namespace(name="faq", ttl_ms=1000), fields=["ttl_ms"], if_version=version), timeout=60)
        self.assertEqual(update(1).namespace.version, 2)
        self.refused("VERSION_MISMATCH", update, 1)
        self.refused("ALREADY_EXISTS", self.create, "faq")
        self.refused("LIMIT_EXCEEDED", self.create, "b", temperature_max=11)
        self.refused("BAD_THRESHOLD", self.create, "b", policy=A.Policy(static_threshold=1.5))
        self.refused("BAD_THRESHOLD", self.create, "b", policy=A.Policy(static_threshold=float("nan")))
        self.refused("LIMIT_EXCEEDED", self.create, "b", policy=A.Policy(guards_off=[M.GUARD_NEGATION]))
        self.refused("LIMIT_EXCEEDED", self.create, "b", eviction=9)
        self.refused("LIMIT_EXCEEDED", self.create, "b", embedder=9)
        self.refused("BAD_NAME", self.create, "a b")
        self.refused("NOT_FOUND", self.look, "b")

    def test_a_drop_is_effective_when_it_answers_and_needs_its_name(self):
        self.start()
        self.set("how do I begin", "a")
        self.set("how do I begin", "b")
        self.refused("UNCONFIRMED", self.drop, "a", "b")
        self.assertEqual(self.drop("a"), 1)
        self.assertFalse(self.get("how do I begin", "a").hit)
        self.assertFalse(self.get("how can I begin", "a").hit)
        self.assertTrue(self.get("how do I begin", "b").hit)
        self.refused("NOT_FOUND", self.drop, "a")
        listed = self.server.admin.ListNamespaces(A.ListNamespacesRequest(), timeout=60)
        self.assertEqual([n.name for n in listed.namespaces], ["b", "default"])

    def test_strict(self):
        self.start(cache_strict_namespaces="true")
        self.refused("NAMESPACE_UNKNOWN", self.get, "q", "a")
        self.refused("NAMESPACE_UNKNOWN", self.set, "q", "a")
        self.create("a")
        self.set("q", "a")
        self.set("q", "default")
        self.assertTrue(self.get("q", "a").hit)

    def test_ten_thousand_names_that_are_only_asked_for_leave_room(self):
        self.start(cache_namespaces_max=3)
        for first in range(0, 10_000, 250):
            items = [C.GetRequest(identity=identity("q", f"n{n}")) for n in range(first, first + 250)]
            for result in self.server.cache.BatchGet(C.BatchGetRequest(items=items), timeout=60).results:
                self.assertFalse(result.HasField("error"))
        self.create("a")
        self.set("q", "b")
        self.refused("LIMIT_EXCEEDED", self.set, "q", "c")

    def test_a_list_goes_on(self):
        self.start()
        for n in range(25):
            self.create(f"n{n:02}")
        names, after, more = [], "", True
        while more:
            page = self.server.admin.ListNamespaces(A.ListNamespacesRequest(limit=10, after=after), timeout=60)
            names += [n.name for n in page.namespaces]
            after, more = names[-1], page.more
        self.assertEqual(names, ["default"] + [f"n{n:02}" for n in range(25)])

    def test_the_command(self):
        self.start()
        run = lambda *arguments: subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", *arguments], capture_output=True, text=True,
                                                timeout=60, cwd=FOLDER)
        result = run("namespace", "create", "faq", "--ttl", "7d", "--entries-max", "1000", "--policy", "static", "--threshold", "0.92", "--tier", "semantic",
                     "--bytes-max", "64MiB", "--temperature-max", "0.7", "--user-turns-max", "3", "--ack", "logged", "--eviction", "lru", "--embedder", "lexical")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(json.loads(run("-o", "json", "namespace", "get", "faq").stdout),
                         {"name": "faq", "tiers": ["TIER_SEMANTIC"], "policy": {"mode": "POLICY_MODE_STATIC", "staticThreshold": 0.92}, "ttlMs": 604800000,
                          "bytesMax": 67108864, "entriesMax": 1000, "temperatureMax": 0.7, "userTurnsMax": 3, "ack": "ACK_LOGGED", "eviction": "EVICTION_LRU",
                          "embedder": "NAMESPACE_EMBEDDER_LEXICAL", "version": 1})
        self.assertIn("0.92", run("namespace", "update", "faq", "--ttl", "default").stdout)
        self.assertRegex(run("namespace", "update", "faq", "--eviction", "lfu_aging").stdout, r"eviction +lfu aging")
        self.assertRegex(run("namespace", "update", "faq", "--embedder", "client").stdout, r"embedder +client")
        self.assertNotRegex(run("namespace", "update", "faq", "--embedder", "default").stdout, r"embedder")
        self.assertIn("faq", run("namespace", "list").stdout)
        self.assertEqual(run("namespace", "drop", "faq").returncode, 1)
        self.assertEqual(run("namespace", "drop", "faq", "--confirm", "faq").stdout.split(), ["removed", "0", "entries"])
        for words in (["create"], ["create", "a", "--policy", "strict"], ["create", "a", "--eviction", "fifo"], ["create", "a", "--embedder", "mine"], ["create", "a", "--ttl", "soon"], ["list", "a"], ["get", "a", "--ttl", "1h"],
                      ["update", "a"], ["tidy", "a"]):
            self.assertEqual(run("namespace", *words).returncode, 2, words)


if __name__ == "__main__":
    unittest.main()
