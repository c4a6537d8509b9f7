"""Goal: a live namespace is searched in another way without a failed or a wrong lookup. Method: thousands of rows of known vectors; while readers
look for them and a writer adds, finds and deletes its own, the kind goes from flat through graph, lists and auto back to flat, by the API and by
the command, each time until Stats says that most rows are searched so."""
import random
import subprocess
import threading
import time
import unittest

from support import BIN, FOLDER, WireTest, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, gauss, word

ROWS, DIMENSION, BATCH = 6000, 32, 200
SEARCHED_ENOUGH = 200  # by each reader, under each kind
KINDS = {"flat": M.INDEX_KIND_FLAT, "hnsw": M.INDEX_KIND_HNSW, "ivf": M.INDEX_KIND_IVF, "auto": M.INDEX_KIND_AUTO}


def near(number, chance):
    return [value + chance.gauss(0, 0.02) for value in gauss(number, DIMENSION)]


class IndexKind(WireTest):
    options = {"index_builders": 1}

    def put_many(self, first):
        items = [C.SetRequest(identity=self.identity(f"tell me about {word(n)}"), content=word(n), vector=M.Vector(f32=gauss(n, DIMENSION)))
                 for n in range(first, first + BATCH)]
        results = self.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results
        self.assertTrue(all(result.response.indexed for result in results))

    def ask(self, number, chance):
        return self.get(f"please tell me about {word(number)}", vector=M.Vector(f32=near(number, chance)), timeout=60)

    def read(self, reader):
        chance = random.Random(reader)
        while not self.ends.is_set():
            number = chance.randrange(ROWS)
            reply = self.ask(number, chance)
            if reply.hit:
                self.assertEqual((reply.tier, reply.content), (M.TIER_SEMANTIC, word(number)))
            exact = self.get(f"tell me about {word(number)}", timeout=60)
            self.assertEqual((exact.tier, exact.content), (M.TIER_EXACT, word(number)))
            self.asked[reader] += 1
            self.missed[reader] += not reply.hit

    def write(self):
        chance, number = random.Random("writer"), ROWS
        while not self.ends.is_set():
            number += 1
            identity = self.identity(f"tell me about {word(number)}")
            self.assertTrue(self.set(identity=identity, content=word(number), vector=M.Vector(f32=gauss(number, DIMENSION))).indexed)
            found = self.ask(number, chance)
            self.assertEqual((found.tier, found.content), (M.TIER_SEMANTIC, word(number)))
            self.assertEqual(self.cache.Delete(C.DeleteRequest(identity=identity), timeout=60).deleted, 1)
            self.assertFalse(self.ask(number, chance).hit)
            self.written += 1

    def scope(self):
        stats = self.admin.Stats(A.StatsRequest(namespace=self.namespace), timeout=60)
        return next(scope for scope in stats.policies if scope.scope.namespace == self.namespace)

    def change(self, kind):
        if kind in ("hnsw", "auto"):
            wanted = A.Namespace(name=self.namespace, index_kind=KINDS[kind])
            self.admin.UpdateNamespace(A.UpdateNamespaceRequest(namespace=wanted, fields=["index_kind"]), timeout=60)
            return
        command = [str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", "namespace", "update", self.namespace, "--index-kind", kind]
        subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=FOLDER)

    def await_kind(self, kind):
        wanted = [KINDS[kind]] if kind != "auto" else [M.INDEX_KIND_FLAT, M.INDEX_KIND_HNSW]
        until = time.monotonic() + 120
        while True:
            self.assertEqual(self.failures, [])
            scope = self.scope()
            if scope.index_kind in wanted and scope.index_state in ("rests", "watched"):
                return
            self.assertLess(time.monotonic(), until, f"never {kind}: {scope}")
            time.sleep(0.05)

    def await_lookups(self):
        """The kind is looked at by everybody for a while."""
        until = time.monotonic() + 120
        asked, written = list(self.asked), self.written
        while min(now - before for now, before in zip(self.asked, asked)) < SEARCHED_ENOUGH or self.written < written + SEARCHED_ENOUGH / 4:
            self.assertEqual(self.failures, [])
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)

    def watched(self, work, *arguments):
        try:
            work(*arguments)
        except BaseException as failure:  # noqa: BLE001 - the test's thread shows it
            self.failures.append(failure)

    def test_it_changes_under_readers_and_a_writer(self):
        self.ends, self.failures = threading.Event(), []
        self.asked, self.missed, self.written = [0, 0], [0, 0], 0
        self.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=A.Namespace(name=self.namespace, index_kind=M.INDEX_KIND_FLAT)), timeout=60)
        for first in range(0, ROWS, BATCH):
            self.put_many(first)
        threads = [threading.Thread(target=self.watched, args=(self.read, reader)) for reader in range(2)]
        threads.append(threading.Thread(target=self.watched, args=(self.write,)))
        for thread in threads:
            thread.start()
        try:
            for kind in ("flat", "hnsw", "ivf", "auto", "hnsw", "flat"):
                self.change(kind)
                self.await_kind(kind)
                self.await_lookups()
        finally:
            self.ends.set()
            for thread in threads:
                thread.join()
        self.assertEqual(self.failures, [])
        self.assertLessEqual(sum(self.missed), 0.002 * sum(self.asked))  # the recall of graphs and lists
        self.assertEqual(self.scope().rows, ROWS)


if __name__ == "__main__":
    unittest.main()
