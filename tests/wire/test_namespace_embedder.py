"""Goal: a namespace chooses who makes its vectors, while it runs and over kill -9, and no vector of one maker ever meets another's. Method: a
server whose own embedder is a scripted service that knows two texts apart by their first two words, the generated stubs."""
import pathlib
import tempfile
import unittest

import grpc
from support import FOLDER, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, feedback_pb2 as F
from test_embedder import DIMENSION, Service, start

RESET, RESET_AGAIN = "How do I reset my password?", "In what way do I reset my password?"
LEXICAL, CLIENT = A.NAMESPACE_EMBEDDER_LEXICAL, A.NAMESPACE_EMBEDDER_CLIENT
VECTOR = M.Vector(f32=[1, 2, 3])


class NamespaceEmbedder(unittest.TestCase):
    def start(self, **options):
        """Similarities of lexical vectors decide here: those that both embedders are sure of."""
        return start(self, embed_provider="tei", embed_model="known", embed_url=self.service.url, embed_dimensions=DIMENSION, embed_timeout="60s",
                     embed_recent=0, semantic_static_threshold="0.6", **options)

    def setUp(self):
        self.service = Service(self)
        self.server = self.start()

    def create(self, name, embedder=0):
        self.server.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=A.Namespace(name=name, embedder=embedder)), timeout=60)

    def update(self, name, embedder):
        self.server.admin.UpdateNamespace(A.UpdateNamespaceRequest(namespace=A.Namespace(name=name, embedder=embedder), fields=["embedder"]), timeout=60)

    def put(self, name, prompt=RESET, **more):
        reply = self.server.cache.Set(C.SetRequest(identity=M.Identity(namespace=name, model="m", prompt=prompt), content=f"about {prompt}", **more),
                                      timeout=60)
        self.assertTrue(reply.stored)
        return reply

    def get(self, name, prompt=RESET_AGAIN, **more):
        return self.server.cache.Get(C.GetRequest(identity=M.Identity(namespace=name, model="m", prompt=prompt), **more), timeout=60)

    def search(self, name, prompt=RESET_AGAIN, **more):
        return self.server.cache.Search(C.SearchRequest(identity=M.Identity(namespace=name, model="m", prompt=prompt), **more), timeout=60)

    def explain(self, name, prompt=RESET_AGAIN):
        get = C.GetRequest(identity=M.Identity(namespace=name, model="m", prompt=prompt))
        return self.server.cache.Explain(C.ExplainRequest(request=get), timeout=60)

    def texts_asked(self, work):
        before = len(self.service.texts)
        work()
        return self.service.texts[before:]

    def test_lexical_beside_a_server_that_embeds_elsewhere(self):
        self.create("words", LEXICAL)

        def both():
            self.assertTrue(self.put("words").indexed)
            self.assertEqual(self.get("words").tier, M.TIER_SEMANTIC)
        self.assertEqual(self.texts_asked(both), [])
        self.assertTrue(self.put("plain").indexed)
        self.assertEqual(self.get("plain").tier, M.TIER_UNSPECIFIED)  # other first words
        self.assertEqual(self.get("plain", "How do you like it?").tier, M.TIER_SEMANTIC)
        self.assertEqual(self.get("words", "How do you like it?").tier, M.TIER_UNSPECIFIED)

    def test_a_batch_goes_the_same_way(self):
        self.create("words", LEXICAL)
        items = [C.SetRequest(identity=M.Identity(namespace=name, model="m", prompt=RESET), content=name) for name in ("words", "plain")]
        self.assertTrue(all(result.response.indexed for result in self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results))
        asked = [C.GetRequest(identity=M.Identity(namespace=name, model="m", prompt=RESET_AGAIN)) for name in ("words", "plain")]
        replies = [result.response for result in self.server.cache.BatchGet(C.BatchGetRequest(items=asked), timeout=60).results]
        self.assertEqual([reply.content for reply in replies], ["words", ""])

    def test_the_service_being_down_does_not_touch_it(self):
        self.create("words", LEXICAL)
        self.service.code = 500
        self.assertEqual((self.put("words").indexed, list(self.put("words").degraded)), (True, []))
        self.assertEqual(self.get("words").tier, M.TIER_SEMANTIC)
        self.assertEqual(len(self.search("words").candidates), 1)

    def test_where_only_clients_bring_vectors(self):
        self.create("own", CLIENT)

        def bare():
            self.assertFalse(self.put("own").indexed)
            self.assertEqual(self.get("own").miss_reason, M.MISS_REASON_NOT_ELIGIBLE)
            with self.assertRaises(grpc.RpcError) as caught:
                self.search("own")
            self.assertIn("vector", caught.exception.details())
            self.assertIn("nobody makes a vector", self.explain("own").reason)
        self.assertEqual(self.texts_asked(bare), [])
        self.assertTrue(self.put("own", vector=VECTOR).indexed)
        self.assertEqual(self.get("own", vector=VECTOR).tier, M.TIER_SEMANTIC)

    def test_a_clients_vector_is_taken_whoever_makes_the_others(self):
        self.create("words", LEXICAL)
        self.put("words", vector=VECTOR)
        self.assertEqual(self.get("words", vector=VECTOR).tier, M.TIER_SEMANTIC)
        self.assertEqual(self.get("words").tier, M.TIER_UNSPECIFIED)

    def test_a_change_is_live_and_what_is_set_again_is_found_again(self):
        self.put("a")
        self.update("a", LEXICAL)
        self.assertEqual(self.get("a").miss_reason, M.MISS_REASON_NO_CANDIDATE)
        self.assertEqual(self.get("a", RESET).tier, M.TIER_EXACT)
        self.put("a")
        self.assertEqual(self.get("a").tier, M.TIER_SEMANTIC)
        self.update("a", 0)
        self.assertEqual(self.get("a").tier, M.TIER_UNSPECIFIED)
        self.put("a")
        self.assertEqual(self.get("a", "How do you like it?").tier, M.TIER_SEMANTIC)

    def test_who_looks_compares_as_a_get_does(self):
        self.create("words", LEXICAL)
        self.put("words")

        def look():
            hit = self.get("words")
            self.assertAlmostEqual(self.search("words").candidates[0].similarity, hit.similarity, 5)
            would_be = self.explain("words").would_be
            self.assertEqual((would_be.tier, round(would_be.similarity, 5)), (M.TIER_SEMANTIC, round(hit.similarity, 5)))
            scope = A.PolicyScope(namespace="words")
            self.assertEqual(self.server.feedback.DescribePolicy(F.DescribePolicyRequest(scope=scope), timeout=60).embedder.name, "lexical")
            pairs = [F.LabelledPair(prompt_a=RESET, prompt_b=RESET_AGAIN, same=True)]
            reply = self.server.feedback.Calibrate(iter([F.CalibrateRequest(scope=scope, pairs=pairs)]), timeout=60)
            self.assertEqual((reply.embedder.name, reply.without_vector), ("lexical", 0))
            self.assertEqual([round(point.threshold, 2) for point in reply.curve if point.hits][-1], int(hit.similarity * 100) / 100)
        self.assertEqual(self.texts_asked(look), [])

    def restart(self, folder):
        self.server.kill()
        self.server = self.start(storage_path=folder)

    def rows(self, name):
        return self.server.admin.GetNamespace(A.GetNamespaceRequest(name=name), timeout=60).namespace.rows

    def scopes(self, name):
        return self.describe(name).scopes

    def describe(self, name):
        request = F.DescribePolicyRequest(scope=A.PolicyScope(namespace=name))
        return self.server.feedback.DescribePolicy(request, timeout=60)

    def reopen(self):
        folder = str(pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER)))
        self.server.stop()
        self.server = self.start(storage_path=folder)
        return folder

    def test_rows_and_scopes_outlive_kill_9_and_a_compaction(self):
        folder = self.reopen()
        self.create("words", LEXICAL)
        self.put("words", ack=M.ACK_SYNCED)
        self.put("plain", ack=M.ACK_SYNCED)
        for _ in range(3):
            self.restart(folder)
            self.assertEqual([(self.rows(name), self.scopes(name)) for name in ("words", "plain")], [(1, 1), (1, 1)])
            self.assertEqual((self.get("words").tier, self.get("plain").tier), (M.TIER_SEMANTIC, M.TIER_UNSPECIFIED))
            self.server.admin.Compact(A.CompactRequest(), timeout=60)

    def test_what_is_not_wanted_any_more_goes_at_the_next_start(self):
        folder = self.reopen()
        self.create("words", LEXICAL)
        self.put("words", ack=M.ACK_SYNCED)
        self.update("words", 0)
        self.restart(folder)
        self.assertEqual((self.rows("words"), self.scopes("words")), (0, 0))
        journal = self.server.admin.Stats(A.StatsRequest(), timeout=60).journal
        self.assertEqual((journal.rows_without_space, self.get("words", RESET).tier), (1, M.TIER_EXACT))

    def test_what_is_described_is_of_the_maker_of_today(self):
        self.put("a")
        for _ in range(5):
            self.get("a", "How do you like it?")
        self.update("a", LEXICAL)
        self.assertEqual((self.describe("a").scopes, self.describe("a").embedder.name), (0, "lexical"))
        self.put("a")
        self.get("a")
        described = self.describe("a")
        self.assertEqual((described.scopes, described.live.scope.embedder, described.live.lookups), (1, "lexical-1", 1))
        report = self.server.feedback.GetShadowReport(F.GetShadowReportRequest(scope=A.PolicyScope(namespace="a")), timeout=60)
        self.assertEqual((len(report.scopes), report.total.policy.lookups), (1, 1))

    def test_a_stream_goes_the_same_way(self):
        self.create("words", LEXICAL)

        def stream():
            head = C.SetStreamRequest(head=C.SetRequest(identity=M.Identity(namespace="words", model="m", prompt=RESET)))
            parts = [head, C.SetStreamRequest(delta=C.Delta(content="it")), C.SetStreamRequest(finish=C.Finish())]
            self.assertTrue(self.server.cache.SetStream(iter(parts), timeout=60).response.indexed)
            get = C.GetStreamRequest(request=C.GetRequest(identity=M.Identity(namespace="words", model="m", prompt=RESET_AGAIN)))
            self.assertIn("it", str(list(self.server.cache.GetStream(get, timeout=60))))
        self.assertEqual(self.texts_asked(stream), [])


if __name__ == "__main__":
    unittest.main()
