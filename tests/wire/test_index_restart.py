"""Goal: a server that was killed serves by the graph it had, without building it again; and a build shows how far it is. Method: rows enough for a graph;
Stats and the metrics page are read for as long as it is built; once its file is in the data folder the server is killed; the next one says what it took
up again, finds the rows by meaning, and has counted no build."""
import http.client
import pathlib
import tempfile
import time
import unittest

from support import FOLDER, Server, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, gauss, word
from test_metrics import parse

ROWS, DIMENSION, BATCH = 4200, 64, 200
OPTIONS = {"index_kind": "hnsw", "index_seal_rows": 4096, "http_listen": "127.0.0.1:0"}
SLOW = {"index_hnsw_links": 48, "index_ef_construction": 200}  # a build of seconds: many looks at it


def vector(number):
    return M.Vector(f32=gauss(number, DIMENSION))


def identity(number, words="tell me about"):
    return M.Identity(model="m", prompt=f"{words} {word(number)}")


class IndexRestart(unittest.TestCase):
    def start(self, **options):
        self.server = Server(storage_path=str(self.folder), **OPTIONS, **options)
        self.port = int(self.server.process.stdout.readline().split()[-1])

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER))

    def tearDown(self):
        if self.server.process.poll() is None:
            self.server.kill()

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/metrics")
            samples, _ = parse(connection.getresponse().read().decode())
        finally:
            connection.close()
        return samples[(name, frozenset())]

    def scope(self):
        return next(iter(self.server.admin.Stats(A.StatsRequest(), timeout=60).policies))

    def fill(self):
        for first in range(0, ROWS, BATCH):
            items = [C.SetRequest(identity=identity(n), content=word(n), vector=vector(n)) for n in range(first, first + BATCH)]
            results = self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results
            self.assertTrue(all(result.response.indexed for result in results))

    def await_true(self, what):
        until = time.monotonic() + 240  # of a machine that does other things
        while not what():
            self.assertIsNone(self.server.process.poll())
            self.assertLess(time.monotonic(), until)
            time.sleep(0.02)

    def find(self, number):
        request = C.GetRequest(identity=identity(number, "please tell me about"), vector=vector(number))
        return self.server.cache.Get(request, timeout=60)

    def test_a_build_shows_how_far_it_is(self):
        self.start(**SLOW)
        self.fill()
        looks, left = [], []
        while self.metric("reprise_index_builds_total") == 0:
            scope = self.scope()
            looks.append((scope.index_state, scope.index_done))
            left.append((self.metric("reprise_index_builds_running"), self.metric("reprise_index_build_rows_left")))
            self.assertIsNone(self.server.process.poll())
        states = [state for state, _ in looks]
        while_built = [done for state, done in looks if state == "builds"]
        self.assertTrue(set(states) <= {"rests", "waits", "watched", "builds"}, states)
        self.assertEqual(while_built, sorted(while_built))
        self.assertGreater(len(set(while_built)), 2, "it moves")
        self.assertTrue(all(0 <= done <= 1 for done in while_built))
        rows_left = [rows for running, rows in left if running == 1]
        self.assertGreater(len(set(rows_left)), 2, "it moves")
        self.assertEqual(rows_left, sorted(rows_left, reverse=True))
        self.assertLessEqual(rows_left[0], 4096)
        self.await_true(lambda: self.scope().index_state in ("rests", "watched"))
        for name in ("running", "queued"):
            self.assertEqual(self.metric(f"reprise_index_builds_{name}"), 0)
        self.assertEqual(self.metric("reprise_index_build_rows_left"), 0)
        self.assertEqual(self.scope().index_done, 0)
        self.server.stop()

    def test_the_graph_outlives_a_kill(self):
        self.start()
        self.fill()
        self.await_true(lambda: self.metric("reprise_index_kept_total") == 1)
        self.assertEqual(self.metric("reprise_index_not_kept_total"), 0)
        self.assertTrue((self.folder / "index.segments").is_file())
        self.server.kill()
        self.start()
        self.assertIn('kept graphs are in use again', self.server.read_log())
        self.assertEqual(self.scope().index_kind, M.INDEX_KIND_HNSW)
        self.assertEqual(self.metric("reprise_index_segments"), 1)
        self.assertEqual(self.metric("reprise_index_builds_total"), 0)
        for number in range(0, ROWS, 40):
            reply = self.find(number)
            self.assertEqual((reply.tier, reply.content), (M.TIER_SEMANTIC, word(number)))
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
