"""What outlives the process: acks at each level, restarts clean and not, snapshots, a second process, a start that takes its time."""
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import grpc

from support import (BIN, FOLDER, Server, WireTest, admin_pb2, cache_pb2, common_pb2, error_details, feedback_pb2, health_pb2,
                     in_threads)

C, M, A, F = cache_pb2, common_pb2, admin_pb2, feedback_pb2
MEMORY, LOGGED, SYNCED = M.ACK_MEMORY, M.ACK_LOGGED, M.ACK_SYNCED
RESET, RESET_AGAIN = "How do I reset my password?", "How can I reset my password?"


def identity(prompt, **fields):
    return M.Identity(model="m", prompt=prompt, **fields)


class Folders(unittest.TestCase):
    """Each test has a data folder of its own and ends its servers itself."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER))
        self.server = None

    def tearDown(self):
        if self.server is not None and self.server.process.poll() is None:
            self.server.kill()

    def start(self, **options):
        self.server = Server(storage_path=str(self.folder), **options)
        return self.server

    def set(self, prompt, content="answer", ack=MEMORY, timeout=60, **fields):
        names = {name: fields.pop(name) for name in list(fields) if name in M.Identity.DESCRIPTOR.fields_by_name}
        return self.server.cache.Set(C.SetRequest(identity=identity(prompt, **names), content=content, ack=ack, **fields), timeout=timeout)

    def get(self, prompt, timeout=60, **names):
        return self.server.cache.Get(C.GetRequest(identity=identity(prompt, **names)), timeout=timeout)

    def stats(self):
        return self.server.admin.Stats(A.StatsRequest(), timeout=60)


class Acks(Folders):
    def test_each_level_says_what_it_gave(self):
        self.start()
        for ack in (MEMORY, LOGGED, SYNCED):
            reply = self.set(f"level {ack}", ack=ack)
            self.assertTrue(reply.stored)
            self.assertEqual(reply.ack, ack)
        self.assertEqual(self.set("none", ack=M.ACK_UNSPECIFIED).ack, MEMORY)
        stats = self.stats()
        self.assertEqual(stats.storage_state, "durable")
        self.assertIn(stats.io_backend, ("io_uring", "posix"))
        self.assertEqual(stats.loading_done, 1)
        self.assertGreater(stats.journal.size_bytes, 0)
        self.assertGreater(stats.journal.syncs, 0)
        self.assertNotEqual(stats.journal.io_reason, "")
        self.server.stop()

    def test_always_makes_synced_the_standard(self):
        self.start(journal_durability="always")
        reply = self.set("standard", ack=M.ACK_UNSPECIFIED)
        self.assertEqual(reply.ack, SYNCED)
        self.assertGreaterEqual(self.stats().journal.durable_sequence, reply.sequence)
        self.server.stop()

    def test_the_operator_sets_the_standard(self):
        self.start(journal_ack_default="logged")
        self.assertEqual(self.set("standard", ack=M.ACK_UNSPECIFIED).ack, LOGGED)
        self.server.stop()

    def test_a_batch_waits_for_all_its_items(self):
        self.start()
        items = [C.SetRequest(identity=identity(f"item {n}"), content=str(n), ack=ack)
                 for n, ack in enumerate([MEMORY, LOGGED, SYNCED, M.ACK_UNSPECIFIED] * 8)]
        items.append(C.SetRequest(identity=identity("bad"), content="x", ack=9))
        items.append(C.SetRequest(identity=identity("skipped"), content="", ack=SYNCED))
        results = self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results
        for n, result in enumerate(results[:32]):
            self.assertEqual(result.response.ack, [MEMORY, LOGGED, SYNCED, MEMORY][n % 4])
        self.assertEqual(results[32].error.reason, "LIMIT_EXCEEDED")
        self.assertEqual((results[33].response.stored, results[33].response.ack), (False, M.ACK_UNSPECIFIED))
        self.server.kill()
        self.start()
        for n in range(32):
            if n % 4 in (1, 2):
                self.assertEqual(self.get(f"item {n}").content, str(n))
        self.server.stop()

    def test_many_waiting_callers_share_the_disk(self):
        self.start()
        in_threads(16, lambda number: [self.set(f"{number} {n}", ack=SYNCED) for n in range(20)])
        journal = self.stats().journal
        self.assertGreaterEqual(journal.records, 320)
        self.assertLess(journal.batches, journal.records)
        self.server.stop()

    def test_a_caller_who_leaves_harms_nobody(self):
        self.start()
        calls = [self.server.cache.Set.future(C.SetRequest(identity=identity(f"gone {n}"), content="x", ack=SYNCED), timeout=30)
                 for n in range(50)]
        for call in calls:
            call.cancel()
        self.assertTrue(self.set("stays", ack=SYNCED).stored)
        self.server.stop()

    def test_a_drain_waits_for_acks_and_loses_none(self):
        self.start()
        calls = [(n, self.server.cache.Set.future(C.SetRequest(identity=identity(f"drained {n}"), content=str(n), ack=SYNCED), timeout=30))
                 for n in range(200)]
        calls[0][1].result()
        self.server.signal()
        acknowledged = []
        for n, call in calls:
            try:
                call.result()
                acknowledged.append(n)
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.UNAVAILABLE, error.details())
        self.server.stop()
        self.start()
        for n in acknowledged:
            self.assertEqual(self.get(f"drained {n}").content, str(n))
        self.server.stop()


class Degraded(Folders):
    def test_who_waits_for_a_disk_that_has_failed_is_told_so(self):
        """No file can be opened any more, so the first segment that is full has none after it."""
        server = self.start()
        self.set("before", "kept", ack=SYNCED)
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        with self.assertRaises(grpc.RpcError) as caught:
            for n in range(64):  # four segments' worth
                self.set(f"large {n}", "a" * 1_000_000, ack=SYNCED)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(error_details(caught.exception)["reason"], "STORAGE_DEGRADED")
        self.assertEqual(self.get("before").content, "kept")
        self.assertEqual(list(self.stats().degraded), ["memory_only"])
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)  # sanitizers open files at the end
        server.stop()


class WithoutFolder(WireTest):
    def test_the_disk_cannot_be_waited_for(self):
        for ack in (LOGGED, SYNCED):
            self.refused(lambda: self.set("q", ack=ack), grpc.StatusCode.FAILED_PRECONDITION, "NO_JOURNAL", "ack")
        self.assertFalse(self.get("q").hit)
        self.assertEqual(self.set("q").ack, MEMORY)
        self.assertEqual(self.set("q", ack=MEMORY).ack, MEMORY)

    def test_an_ack_that_does_not_exist(self):
        self.refused(lambda: self.set("q", ack=7), grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "ack")

    def test_one_item_of_a_batch_fails_alone(self):
        items = [C.SetRequest(identity=self.identity("a"), content="x", ack=LOGGED), C.SetRequest(identity=self.identity("b"), content="x")]
        results = self.cache.BatchSet(C.BatchSetRequest(items=items), timeout=30).results
        self.assertEqual((results[0].error.code, results[0].error.reason), (9, "NO_JOURNAL"))
        self.assertTrue(results[1].response.stored)

    def test_what_needs_a_folder_says_so(self):
        for call in (lambda: self.admin.CreateSnapshot(A.CreateSnapshotRequest(), timeout=30),
                     lambda: self.admin.ListSnapshots(A.ListSnapshotsRequest(), timeout=30),
                     lambda: self.admin.DeleteSnapshot(A.DeleteSnapshotRequest(name="x"), timeout=30),
                     lambda: self.admin.Compact(A.CompactRequest(), timeout=30)):
            self.refused(call, grpc.StatusCode.FAILED_PRECONDITION, "NO_JOURNAL")

    def test_stats_say_that_there_is_none(self):
        stats = self.admin.Stats(A.StatsRequest(), timeout=30)
        self.assertEqual((stats.storage_state, stats.io_backend, stats.loading_done), ("none", "", 1))
        self.assertFalse(stats.HasField("journal"))


class Restarts(Folders):
    def both_ends(self):
        """A clean end, then kill -9: yields how the server is ended."""
        return (("clean", lambda: self.server.stop()), ("kill", lambda: self.server.kill()))

    def test_exact_and_semantic_answers_come_back(self):
        for name, end in self.both_ends():
            with self.subTest(name):
                self.start()
                scope = {"namespace": name, "attributes": [M.Attribute(name="region", value="eu")]}
                sent = self.set(RESET, "Under Settings.", ack=LOGGED, tags=["faq"], metadata=[M.Attribute(name="doc", value="7")], **scope)
                self.assertEqual(self.get(RESET_AGAIN, **scope).tier, M.TIER_SEMANTIC)
                end()
                self.start()
                exact = self.get(RESET, **scope)
                self.assertEqual((exact.tier, exact.content), (M.TIER_EXACT, "Under Settings."))
                self.assertEqual(exact.entry.entry_id, sent.entry_id)
                self.assertEqual([(pair.name, pair.value) for pair in exact.entry.metadata], [("doc", "7")])
                near = self.get(RESET_AGAIN, **scope)
                self.assertEqual((near.tier, near.content), (M.TIER_SEMANTIC, "Under Settings."))
                self.assertFalse(self.get("How do I not reset my password?", **scope).hit, "the guard's signature is made anew")
                self.assertFalse(self.get(RESET_AGAIN, namespace=name).hit, "scopes stay apart")
                stats = self.stats()
                policy = next(p for p in stats.policies if p.scope.namespace == name)
                self.assertEqual([(pair.name, pair.value) for pair in policy.scope.attributes], [("region", "eu")])
                self.assertGreater(self.set("later", ack=LOGGED, **scope).sequence, sent.sequence)
                self.server.stop()

    def test_counts_are_right_at_once(self):
        self.start()
        for n in range(20):
            self.set(f"question number {n}", str(n))
        self.set("only exact", vector=None, params=M.Params(temperature=1))
        before = self.stats()
        self.server.stop()
        self.start()
        after = self.stats()
        self.assertEqual(after.entries, before.entries)
        # The allocator's part differs from block to block: by less than 32 bytes an entry.
        self.assertLess(abs(after.size_bytes - before.size_bytes), 32 * before.entries)
        self.assertEqual([tier.entries for tier in after.tiers], [21, 20])
        self.assertEqual(after.journal.recovered_entries, 21)
        self.assertEqual(after.journal.recovered_rows, 20)
        self.assertEqual(after.journal.rows_without_space, 0)
        self.assertEqual(after.journal.damaged_bytes, 0)
        self.server.stop()

    def test_vectors_of_clients_come_back_and_keep_their_dimension(self):
        self.start()
        vector = lambda *numbers: M.Vector(f32=numbers)
        self.set("theirs", "x", vector=vector(1, 0, 0), embedder="bge")
        self.set("unnamed", "y", vector=vector(0, 1))
        self.server.stop()
        self.start()
        get = lambda prompt, numbers, **names: self.server.cache.Get(
            C.GetRequest(identity=identity(prompt, **names), vector=vector(*numbers)), timeout=30)
        self.assertEqual(get("other", (1, 0, 0), embedder="bge").content, "x")
        self.assertEqual(get("other", (0, 1)).content, "y")
        with self.assertRaises(grpc.RpcError) as caught:
            self.set("z", vector=vector(1, 0, 0, 0), embedder="bge")
        self.assertEqual(error_details(caught.exception)["reason"], "DIM_MISMATCH")
        self.server.stop()

    def test_removals_stay_removed(self):
        for name, end in self.both_ends():
            with self.subTest(name):
                self.start()
                for n in range(6):
                    self.set(f"removed {n}", ack=SYNCED, namespace=name, tags=["odd" if n % 2 else "even"])
                self.server.cache.Delete(C.DeleteRequest(identity=identity("removed 0", namespace=name)), timeout=30)
                entry_id = self.get("removed 2", namespace=name).entry.entry_id
                self.server.cache.Delete(C.DeleteRequest(namespace=name, entry_ids=[entry_id]), timeout=30)
                reply = self.server.cache.Invalidate(C.InvalidateRequest(selector=C.Selector(namespace=name, tags=["odd"])), timeout=30)
                self.assertEqual(reply.matched, 3)
                end()
                self.start()
                self.assertEqual([n for n in range(6) if self.get(f"removed {n}", namespace=name).hit], [4])
                self.server.stop()

    def test_what_expires_meanwhile_is_not_served(self):
        self.start()
        self.set("short", ttl_ms=300, ack=SYNCED)
        self.set("long", ttl_ms=3_600_000, ack=SYNCED)
        self.server.stop()
        time.sleep(0.4)
        self.start()
        self.assertFalse(self.get("short").hit)
        self.assertTrue(self.get("long").hit)
        self.server.stop()

    def test_the_last_answer_of_a_key_comes_back(self):
        self.start()
        for n in range(50):
            self.set("the same", str(n), ack=LOGGED)
        self.server.kill()
        self.start()
        self.assertEqual(self.get("the same").content, "49")
        self.assertEqual(self.stats().entries, 1)
        self.server.stop()

    def test_a_token_of_before_brings_its_verdict_after(self):
        self.start(semantic_policy="adaptive")
        self.set(RESET, "Under Settings.", ack=LOGGED)
        used, fresh = self.get(RESET_AGAIN).decision.token, None
        report = lambda token, verdict=F.VERDICT_CORRECT: self.server.feedback.Report(
            F.ReportRequest(decision_token=token, verdict=verdict), timeout=30).outcome
        self.assertEqual(report(used), F.REPORT_OUTCOME_ACCEPTED)
        time.sleep(1.1)  # the grain of a token's time
        fresh = self.get(RESET_AGAIN).decision.token
        self.server.stop()
        self.start(semantic_policy="adaptive")
        self.assertNotEqual(report(used), F.REPORT_OUTCOME_ACCEPTED, "one verdict a token, over restarts too")
        self.assertEqual(report(fresh), F.REPORT_OUTCOME_ACCEPTED)
        self.assertEqual(report(fresh), F.REPORT_OUTCOME_DUPLICATE)
        self.server.stop()

    def test_policies_go_on_where_they_stopped(self):
        self.start(semantic_policy="adaptive")
        self.set(RESET, "Under Settings.", ack=LOGGED)
        for n in range(14):
            token = self.get(RESET_AGAIN).decision.token
            verdict = F.VERDICT_WRONG if n < 4 else F.VERDICT_CORRECT
            self.server.feedback.Report(F.ReportRequest(decision_token=token, verdict=verdict, reporter=str(n)), timeout=30)
        before = self.stats().policies[0]
        self.server.stop()
        self.start(semantic_policy="adaptive")
        after = self.stats().policies[0]
        self.assertEqual(after.threshold, before.threshold)
        self.assertEqual(after.feedback_count, before.feedback_count)
        self.assertEqual(after.recent_accuracy, before.recent_accuracy)
        self.server.stop()

    def test_the_budget_holds_at_a_restart(self):
        self.start()
        for n in range(300):
            self.set(f"n {n}", "x" * 100)
        self.server.stop()
        self.start(storage_entries_max=100)
        self.assertLessEqual(self.stats().entries, 100)
        self.assertGreater(self.stats().entries, 0)
        self.assertTrue(self.set("more", ack=SYNCED).stored)
        self.server.stop()

    def test_another_embedders_vectors_are_not_indexed(self):
        self.start()
        self.set(RESET, "Under Settings.", ack=LOGGED)
        self.server.stop()
        self.start(embed_provider="none")
        self.assertEqual(self.get(RESET).tier, M.TIER_EXACT)
        stats = self.stats()
        self.assertEqual((stats.journal.recovered_rows, stats.journal.rows_without_space), (0, 1))
        self.assertEqual(stats.tiers[1].entries, 0)
        self.server.stop()
        self.start()
        self.assertEqual(self.get(RESET_AGAIN).tier, M.TIER_SEMANTIC, "nothing was thrown away")
        self.server.stop()


class OneFolder(Folders):
    def test_a_second_process_ends_at_once_and_says_why(self):
        self.start()
        started = time.monotonic()
        second = subprocess.run([str(BIN / "reprise-server"), "--grpc-listen=127.0.0.1:0", "--http-listen=", f"--storage-path={self.folder}",
                                 "--embed-provider=lexical"], capture_output=True, text=True, timeout=60, cwd=FOLDER)
        self.assertLess(time.monotonic() - started, 5)  # under a second where nothing slows it down
        self.assertNotEqual(second.returncode, 0)
        self.assertIn(str(self.server.process.pid), second.stderr)
        self.assertIn(str(self.folder), second.stderr)
        self.assertTrue(self.set("still here", ack=SYNCED).stored)
        self.server.stop()

    def test_a_path_that_is_no_folder(self):
        path = self.folder / "file"
        path.write_text("x")
        result = subprocess.run([str(BIN / "reprise-server"), "--grpc-listen=127.0.0.1:0", "--http-listen=", f"--storage-path={path}", "--embed-provider=lexical"],
                                capture_output=True, text=True, timeout=60, cwd=FOLDER)
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(path), result.stderr)

    def fill_with_thousands(self):
        self.start()
        for first in range(0, 20_000, 250):
            items = [C.SetRequest(identity=identity(f"question number {n} about things"), content=f"answer {n}", ack=MEMORY)
                     for n in range(first, first + 250)]
            self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60)

    def test_a_signal_ends_it_while_it_loads_and_nothing_is_lost(self):
        self.fill_with_thousands()
        entries = self.stats().entries
        self.server.stop()
        names = lambda: sorted(path.name for path in self.folder.glob("[0-9a-f]*.journal"))
        files = names()
        server = self.start(serving=False)
        server.process.send_signal(signal.SIGTERM)
        self.assertEqual(server.process.wait(timeout=60), 0)
        log = server.read_log()
        self.assertIn("stopped while the data folder was read", log)
        self.assertNotIn("the data folder is open", log)
        self.assertEqual(names(), files)
        server.kill()
        self.start()
        self.assertEqual(self.stats().entries, entries)
        self.assertEqual(self.get("question number 19999 about things").content, "answer 19999")
        self.server.stop()

    def test_while_it_loads_it_says_so(self):
        self.fill_with_thousands()
        entries = self.stats().entries
        self.server.stop()
        server = self.start(serving=False)
        check = lambda: server.health.Check(health_pb2.HealthCheckRequest(), timeout=30, wait_for_ready=True).status
        liveness = server.health.Check(health_pb2.HealthCheckRequest(service="liveness"), timeout=30, wait_for_ready=True).status
        self.assertEqual(liveness, 1)
        self.assertEqual(check(), 2, "it was too fast to be seen loading")
        for call in (lambda: self.get("x"), lambda: self.set("x"),
                     lambda: server.cache.Delete(C.DeleteRequest(entry_ids=["0" * 64]), timeout=30),
                     lambda: server.cache.BatchGet(C.BatchGetRequest(items=[C.GetRequest(identity=identity("x"))]), timeout=30)):
            with self.assertRaises(grpc.RpcError) as caught:
                call()
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
            details = error_details(caught.exception)
            self.assertEqual(details["reason"], "LOADING")
            self.assertGreater(details["retry_ms"], 0)
        stats = self.stats()
        self.assertEqual(stats.storage_state, "loading")
        self.assertIn("loading", stats.degraded)
        self.assertLess(stats.loading_done, 1)
        server.await_serving()
        self.assertEqual(self.stats().entries, entries)
        self.assertEqual(self.stats().loading_done, 1)
        self.assertEqual(self.get("question number 19999 about things").content, "answer 19999")
        server.stop()


class FullDisk(Folders):
    """A file system of 256 MiB, of its own: root only."""

    def setUp(self):
        super().setUp()
        self.folder.mkdir(exist_ok=True)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "none", str(self.folder)], capture_output=True).returncode != 0:
            self.skipTest("no tmpfs can be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.folder)], check=True)

    def await_state(self, state):
        end = time.monotonic() + 120  # or the file system would stay mounted
        while self.stats().storage_state != state:
            self.assertLess(time.monotonic(), end, self.server.read_log()[-4000:])
            time.sleep(0.1)

    def test_it_serves_on_says_so_and_comes_back_by_itself(self):
        filler = self.folder / "filler"
        self.start(journal_segment_size="16MiB", journal_spares="1", journal_durability="always")
        self.set("kept", "from before", ack=SYNCED)
        with filler.open("wb") as file:
            while True:
                try:
                    file.write(bytes(1 << 16))
                    file.flush()
                except OSError:
                    break
        n = 0
        while self.stats().storage_state == "durable":
            self.set(f"question {n}", "x" * 500_000, ack=MEMORY)
            n += 1
        stats = self.stats()
        self.assertEqual(stats.storage_state, "memory_only")
        self.assertIn("memory_only", stats.degraded)
        self.assertIn("No space left", stats.journal.cause)
        self.assertEqual(list(self.set("meanwhile", "in memory", ack=MEMORY).degraded), ["memory_only"])
        with self.assertRaises(grpc.RpcError) as caught:
            self.set("asked for more", "than there is", ack=SYNCED)
        self.assertEqual(error_details(caught.exception)["reason"], "STORAGE_DEGRADED")
        self.assertEqual(self.get("kept").content, "from before")
        filler.unlink()
        self.await_state("durable")
        self.assertEqual(list(self.set("after", "on the disk", ack=SYNCED).degraded), [])
        log = self.server.read_log()
        self.assertEqual(log.count("the disk is in use again"), 1)
        self.server.kill()
        self.start(journal_segment_size="16MiB", journal_spares="1")
        for prompt, content in (("kept", "from before"), ("meanwhile", "in memory"), ("after", "on the disk"), (f"question {n - 1}", "x" * 500_000)):
            self.assertEqual(self.get(prompt).content, content)
        self.assertEqual(self.stats().journal.damaged_bytes, 0)
        self.server.stop()


class Snapshots(Folders):
    def command(self, *arguments, code=0):
        result = subprocess.run([str(BIN / "reprise"), "--timeout", "60s", *arguments], capture_output=True, text=True, timeout=120, cwd=FOLDER,
                                env={"REPRISE_ENDPOINT": self.server.address, "PATH": "/usr/bin:/bin"})
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def is_refused(self, call, code, reason):
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        self.assertEqual(error_details(caught.exception)["reason"], reason, caught.exception.details())

    def test_a_snapshot_is_what_was_there_and_a_start_goes_back_to_it(self):
        self.start()
        self.set(RESET, "Under Settings.", ack=LOGGED)
        for n in range(50):
            self.set(f"kept {n}", str(n))
        taken = self.server.admin.CreateSnapshot(A.CreateSnapshotRequest(name="before"), timeout=60).snapshot
        self.assertEqual((taken.name, taken.entries), ("before", 51))
        self.assertGreater(taken.size_bytes, 0)
        self.set("kept 0", "changed", ack=LOGGED)
        self.set("new", "x", ack=LOGGED)
        self.server.cache.Delete(C.DeleteRequest(identity=identity("kept 1")), timeout=30)
        self.assertEqual([s.name for s in self.server.admin.ListSnapshots(A.ListSnapshotsRequest(), timeout=30).snapshots], ["before"])
        self.server.stop()
        self.start()
        self.assertEqual(self.get("kept 0").content, "changed")
        self.assertEqual(self.get(RESET_AGAIN).tier, M.TIER_SEMANTIC, "vectors are in a snapshot's files too")
        self.server.stop()
        self.start(restore="before")
        self.assertEqual([self.get(f"kept {n}").content for n in range(50)], [str(n) for n in range(50)])
        self.assertFalse(self.get("new").hit)
        self.assertEqual(self.get(RESET_AGAIN).content, "Under Settings.")
        self.assertEqual(self.stats().journal.recovered_entries, 51)
        self.assertTrue(self.set("goes on", ack=SYNCED).stored)
        self.server.stop()
        self.start()
        self.assertTrue(self.get("goes on").hit)
        self.assertTrue(self.get("kept 1").hit)
        self.server.stop()

    def test_sets_go_on_during_a_snapshot(self):
        self.start()
        for n in range(2000):
            self.set(f"first {n}", "x" * 200, params=M.Params(temperature=1))
        stopped, count = threading.Event(), [0]

        def write():
            while not stopped.is_set():
                self.set(f"more {count[0]}", str(count[0]), ack=LOGGED, params=M.Params(temperature=1))
                count[0] += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for n in range(3):
                self.server.admin.CreateSnapshot(A.CreateSnapshotRequest(name=f"s{n}"), timeout=60)
            self.server.admin.Compact(A.CompactRequest(), timeout=60)
        finally:
            stopped.set()
            writer.join()
        self.assertGreater(count[0], 10)
        self.server.kill()
        self.start()
        for n in range(count[0]):
            self.assertEqual(self.get(f"more {n}", params=M.Params(temperature=1)).content, str(n))
        self.assertEqual(self.stats().entries, 2000 + count[0])
        self.server.stop()

    def test_compaction_frees_what_is_dead_and_keeps_the_rest(self):
        self.start()
        self.set(RESET, "Under Settings.", ack=LOGGED)
        for n in range(400):
            self.set("the same", f"{n}" + "x" * 100_000, ack=SYNCED if n == 399 else MEMORY)
        before = self.stats().journal
        reply = self.server.admin.Compact(A.CompactRequest(), timeout=60)
        self.assertLess(reply.size_bytes_after, reply.size_bytes_before)
        self.assertLess(self.stats().journal.size_bytes, before.size_bytes)
        self.server.kill()
        self.start()
        self.assertTrue(self.get("the same").content.startswith("399x"))
        self.assertEqual(self.get(RESET_AGAIN).tier, M.TIER_SEMANTIC)
        self.server.stop()

    def test_names_are_checked(self):
        self.start()
        admin = self.server.admin
        for name in ("..", "a/b", "a" * 32, "a.b", "ä"):
            self.is_refused(lambda: admin.CreateSnapshot(A.CreateSnapshotRequest(name=name), timeout=30), grpc.StatusCode.INVALID_ARGUMENT, "BAD_NAME")
        self.is_refused(lambda: admin.DeleteSnapshot(A.DeleteSnapshotRequest(), timeout=30), grpc.StatusCode.INVALID_ARGUMENT, "BAD_NAME")
        self.is_refused(lambda: admin.DeleteSnapshot(A.DeleteSnapshotRequest(name="no-such"), timeout=30), grpc.StatusCode.NOT_FOUND, "NOT_FOUND")
        self.server.stop()
        result = subprocess.run([str(BIN / "reprise-server"), "--grpc-listen=127.0.0.1:0", "--http-listen=", f"--storage-path={self.folder}", "--embed-provider=lexical",
                                 "--restore", "no-such"], capture_output=True, text=True, timeout=60, cwd=FOLDER)
        self.assertEqual(result.returncode, 1)
        self.assertIn("no-such", result.stderr)

    def test_the_command(self):
        self.start()
        self.set("x", ack=LOGGED)
        self.assertIn("before", self.command("snapshot", "create", "before"))
        self.command("snapshot", "create")
        self.assertEqual(len(self.command("snapshot", "list").splitlines()), 3)
        self.command("snapshot", "delete", "before")
        self.assertNotIn("before", self.command("snapshot", "list"))
        self.command("snapshot", "delete", "before", code=1)
        self.assertIn("now", self.command("compact"))
        self.command("snapshot", "steal", code=2)
        stats = self.command("stats")
        self.assertIn("storage durable", stats)
        self.assertIn("i/o:", stats)
        self.server.stop()


class AtRest(Folders):
    def command(self, *arguments, code=0):
        result = subprocess.run([str(BIN / "reprise"), *arguments], capture_output=True, text=True, timeout=120, cwd=FOLDER)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout

    def fill(self):
        self.start()
        for n in range(20):
            self.set(f"question {n}", f"answer {n}", ack=LOGGED)
        self.server.cache.Delete(C.DeleteRequest(identity=identity("question 3")), timeout=30)
        self.server.stop()

    def test_a_clean_folder_is_clean_and_its_records_can_be_read(self):
        self.fill()
        files = {path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()}
        self.assertIn("strict", self.command("fsck", str(self.folder)))
        report = json.loads(self.command("-o", "json", "fsck", str(self.folder)))
        self.assertEqual(report["filesDamaged"], 0)
        self.assertTrue(report["starts"]["strict"]["starts"])
        lines = [json.loads(line) for line in self.command("dump", str(self.folder)).splitlines()]
        text = json.dumps(lines)
        for n in range(20):
            self.assertIn(f"answer {n}", text)
        self.assertEqual({path.name: path.stat().st_mtime_ns for path in self.folder.iterdir()}, files, "nothing was changed")

    def test_damage_is_found_and_survived(self):
        self.fill()
        log = max(self.folder.glob("*.journal"), key=lambda path: path.read_bytes().find(b"answer 5"))
        data = bytearray(log.read_bytes())
        data[data.find(b"answer 5")] ^= 1
        log.write_bytes(data)
        report = json.loads(self.command("-o", "json", "fsck", str(self.folder), code=1))
        self.assertGreater(report["filesDamaged"], 0)
        self.assertFalse(report["starts"]["strict"]["starts"])
        self.start()
        self.assertEqual([n for n in range(20) if not self.get(f"question {n}").hit], [3, 5])
        self.assertGreater(self.stats().journal.damaged_bytes, 0)
        self.assertGreater(self.stats().journal.read_errors, 0)
        self.assertEqual(self.stats().journal.segments_set_aside, 1)
        self.server.admin.CreateSnapshot(A.CreateSnapshotRequest(name="anew"), timeout=60)
        self.assertEqual(self.stats().journal.segments_set_aside, 0)
        self.server.stop()

    def test_strict_refuses_damage(self):
        self.fill()
        log = max(self.folder.glob("*.journal"), key=lambda path: path.read_bytes().find(b"answer 5"))
        data = bytearray(log.read_bytes())
        data[data.find(b"answer 5")] ^= 1
        log.write_bytes(data)
        result = subprocess.run([str(BIN / "reprise-server"), "--grpc-listen=127.0.0.1:0", "--http-listen=", f"--storage-path={self.folder}", "--embed-provider=lexical",
                                 "--journal-recovery=strict"], capture_output=True, text=True, timeout=60, cwd=FOLDER)
        self.assertEqual(result.returncode, 1, result.stderr)

    def test_what_is_no_folder(self):
        for verb in ("fsck", "dump"):
            self.command(verb, str(self.folder / "nothing"), code=1)
            self.command(verb, code=2)


def vector(n):
    chance = random.Random(n)
    return M.Vector(f32=[chance.gauss(0, 1) for _ in range(24)])


class Namespaces(Folders):
    def update(self, name, fields, **settings):
        return self.server.admin.UpdateNamespace(A.UpdateNamespaceRequest(namespace=A.Namespace(name=name, **settings), fields=fields),
                                                 timeout=60).namespace

    def kind(self, name):
        return next((p.index_kind, p.rows) for p in self.stats().policies if p.scope.namespace == name)

    def fill(self, name, count=6000):
        for first in range(0, count, 250):
            items = [C.SetRequest(identity=identity(f"q {n}", namespace=name), content=f"answer {n}", vector=vector(n))
                     for n in range(first, first + 250)]
            for result in self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results:
                self.assertTrue(result.response.indexed)

    def wait_for(self, name, kind):
        end = time.monotonic() + 60
        while self.kind(name)[0] != kind and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.kind(name)[0], kind)

    def test_a_namespace_is_searched_as_it_wants_and_stays_so(self):
        self.start()
        self.fill("chosen")  # which makes it
        self.assertEqual(self.kind("chosen"), (M.INDEX_KIND_FLAT, 6000))
        stopped, failures, counts = threading.Event(), [], [0, 0]

        def look(number):
            """Asks for the vector of one row under another text: that row's answer is the only right one."""
            while not stopped.is_set():
                n = counts[number] * 37 % 6000
                request = C.GetRequest(identity=identity(f"q {n} again", namespace="chosen"), vector=vector(n))
                try:
                    reply = self.server.cache.Get(request, timeout=30)
                    if reply.content != f"answer {n}":
                        failures.append((n, reply))
                except grpc.RpcError as error:
                    failures.append((n, error))
                counts[number] += 1

        lookers = [threading.Thread(target=look, args=(number,)) for number in (0, 1)]
        for looker in lookers:
            looker.start()
        try:
            reply = self.update("chosen", ["index_kind", "ef_search"], index_kind=M.INDEX_KIND_HNSW, ef_search=64)
            self.wait_for("chosen", M.INDEX_KIND_HNSW)
            so_far = sum(counts)
            end = time.monotonic() + 30
            while sum(counts) < so_far + 100 and time.monotonic() < end:
                time.sleep(0.01)
        finally:
            stopped.set()
            for looker in lookers:
                looker.join()
        self.assertEqual((reply.name, reply.index_kind, reply.ef_search, reply.HasField("nprobe")), ("chosen", M.INDEX_KIND_HNSW, 64, False))
        self.assertEqual(failures, [])
        self.assertEqual(self.kind("chosen")[1], 6000)
        self.server.kill()
        self.start()
        self.wait_for("chosen", M.INDEX_KIND_HNSW)
        reply = self.update("chosen", ["nprobe"], nprobe=4)
        self.assertEqual((reply.index_kind, reply.ef_search, reply.nprobe), (M.INDEX_KIND_HNSW, 64, 4))
        reply = self.update("chosen", ["index_kind", "ef_search", "nprobe"])
        self.assertEqual((reply.index_kind, reply.HasField("ef_search"), reply.HasField("nprobe")), (0, False, False))
        self.server.stop()

    def test_what_cannot_be_wanted(self):
        self.start()
        for name, fields, settings, reason in (("", ["nprobe"], {}, "BAD_NAME"), ("a b", ["nprobe"], {}, "BAD_NAME"), ("a", [], {}, "BAD_NAME"),
                                               ("a", ["colour"], {}, "BAD_NAME"), ("a", ["index_kind"], {"index_kind": 9}, "LIMIT_EXCEEDED"),
                                               ("default", ["ef_search"], {"ef_search": 100_000}, "LIMIT_EXCEEDED"),
                                               ("default", ["nprobe"], {"nprobe": 100_000}, "LIMIT_EXCEEDED"),
                                               ("a", ["nprobe"], {"nprobe": 4}, "NOT_FOUND")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.update(name, fields, **settings)
            self.assertEqual(error_details(caught.exception)["reason"], reason, (name, fields, settings))
        self.server.stop()

    def test_the_command(self):
        self.start()
        run = lambda *arguments: subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", *arguments], capture_output=True, text=True,
                                                timeout=60, cwd=FOLDER)
        self.assertEqual(run("namespace", "update", "faq", "--nprobe", "16").returncode, 1)
        self.assertEqual(run("namespace", "create", "faq").returncode, 0)
        result = run("namespace", "update", "faq", "--index-kind", "ivf", "--nprobe", "16")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("ivf", result.stdout.lower())
        self.assertEqual(json.loads(run("-o", "json", "namespace", "update", "faq", "--nprobe", "default").stdout),
                         {"name": "faq", "indexKind": "INDEX_KIND_IVF", "version": 3})
        self.assertEqual(run("namespace", "update", "faq", "--index-kind", "tree").returncode, 2)
        self.assertEqual(run("namespace", "update", "faq").returncode, 2)
        self.server.stop()


class Removal(Folders):
    """What is removed leaves the disk, and Stats says so."""

    def holds(self, canary):
        return any(canary in path.read_bytes() for path in self.folder.rglob("*") if path.is_file())

    def await_settled(self, times):
        while self.stats().journal.purges_settled < times:
            time.sleep(0.05)

    def test_what_is_removed_is_off_the_disk_within_the_deadline(self):
        self.start(storage_purge_deadline="1s")
        for namespace in ("kept", "dropped", "emptied"):
            for i in range(20):
                self.set(f"{namespace} {i}", content=f"canary-{namespace}-{i}-" + "x" * 200, ack=LOGGED, namespace=namespace)
        self.assertTrue(self.holds(b"canary-dropped-7-"))
        self.assertEqual(self.stats().journal.purge_pending_ms, 0)
        self.server.admin.DropNamespace(A.DropNamespaceRequest(name="dropped", confirm="dropped"), timeout=60)
        self.await_settled(1)
        self.assertFalse(self.holds(b"canary-dropped-"))
        self.assertFalse(self.holds(b"dropped 7"))
        self.server.cache.Invalidate(C.InvalidateRequest(selector=C.Selector(namespace="emptied"), confirm="emptied"), timeout=60)
        self.await_settled(2)
        self.assertFalse(self.holds(b"canary-emptied-"))
        self.assertTrue(self.holds(b"canary-kept-7-"))
        journal = self.stats().journal
        self.assertEqual(journal.purge_pending_ms, 0)
        self.assertGreaterEqual(journal.purge_ms_last, 500)
        stats = subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "stats"], capture_output=True, text=True, timeout=120,
                               cwd=FOLDER)
        self.assertIn("what was removed is off the disk", stats.stdout)


if __name__ == "__main__":
    unittest.main()
