"""Texts into vectors behind Get, Set and their batches: a model inside the server, an embedding service that answers, fails, is slow or goes away.

The service is scripted: a small HTTP server in this process whose vectors depend on the first two words of a text alone, so that a test knows which
texts are near. The model's tests are skipped, and say so, where there are no weights ($REPRISE_MODELS, else build/models; make weights).
"""
import hashlib
import http.server
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time
import unittest

import grpc

from support import BIN, FOLDER, SOURCE, Server, WireTest, admin_pb2, cache_pb2, common_pb2, error_details, in_threads

C, M = cache_pb2, common_pb2
MODELS = pathlib.Path(os.environ.get("REPRISE_MODELS", SOURCE / "build/models"))
DIMENSION = 32
RESET, RESET_AGAIN = "How do I reset my password?", "What is the way to reset my password?"


def stats(server):
    return server.admin.Stats(admin_pb2.StatsRequest(), timeout=30)


def start(test, **options):
    """A server that does not outlive a test that fails."""
    server = Server(**options)
    test.addCleanup(lambda: server.process.poll() is None and server.process.kill())
    return server


def identity(prompt, **fields):
    return M.Identity(model="m", prompt=prompt, **fields)


def get(server, prompt, timeout=30, **fields):
    return server.cache.Get(C.GetRequest(identity=identity(prompt), **fields), timeout=timeout)


def put(server, prompt, timeout=30, **fields):
    return server.cache.Set(C.SetRequest(identity=identity(prompt), content=f"about {prompt[:40]}", **fields), timeout=timeout)


def wait_until(condition, what):
    """However busy the machine is; what never happens ends the test all the same."""
    until = time.monotonic() + 60
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"never: {what}")
        time.sleep(0.05)


def in_time(call):
    """What the server says just before a deadline arrives after it when the machine is busy: then the call is made again. call(n): the n-th try."""
    for n in range(20):
        try:
            return call(n)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
    raise AssertionError("no answer before any of 20 deadlines")


def word(number):
    """One for each number, and no number to the guard."""
    return "x" * number + "y"


def outcome(reply):
    """What two replies to one question must agree on."""
    return (reply.hit, reply.tier, reply.miss_reason, round(reply.similarity, 5), reply.content, list(reply.decision.guards), list(reply.degraded))


@unittest.skipUnless((MODELS / "minilm-l6/manifest.json").exists(), f"no minilm-l6 in {MODELS}: set REPRISE_MODELS or run make weights")
class Local(WireTest):
    options = {"embed_provider": "local", "embed_folder": str(MODELS)}

    def test_other_words_hit_that_lexical_misses(self):
        self.assertTrue(self.set(RESET, "like this").indexed)
        hit = self.get(RESET_AGAIN, include=[C.INCLUDE_TIMING])
        self.assertEqual((hit.tier, hit.content, list(hit.degraded)), (M.TIER_SEMANTIC, "like this", []), hit)
        self.assertGreater(hit.similarity, 0.9)
        self.assertGreater(hit.debug.timing.embed_us, 0)
        self.assertGreaterEqual(hit.debug.timing.total_us, hit.debug.timing.embed_us)
        lexical = start(self)
        put(lexical, RESET)
        self.assertEqual(get(lexical, RESET_AGAIN).miss_reason, M.MISS_REASON_BELOW_CUT)
        lexical.stop()

    def test_an_opposite_is_near_and_blocked(self):
        self.set("How do I turn on dark mode?", "on")
        reply = self.get("How do I turn off dark mode?")
        self.assertEqual((reply.hit, reply.miss_reason, list(reply.decision.guards)), (False, M.MISS_REASON_GUARD_BLOCKED, [M.GUARD_ANTONYM]))
        self.assertGreater(reply.similarity, 0.9)

    def test_a_text_that_is_too_long_is_for_the_exact_tier(self):
        self.set("a short one")
        long = "word " * 300
        stored = self.set(long, "long")
        self.assertEqual((stored.stored, stored.indexed, list(stored.degraded)), (True, False, ["text_too_long"]))
        self.assertEqual(self.get(long).content, "long")
        reply = self.get(long + "more")
        self.assertEqual((reply.hit, reply.miss_reason, list(reply.degraded)), (False, M.MISS_REASON_TEXT_TOO_LONG, []))
        counted = {count.reason: count.count for count in self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace), timeout=30).misses}
        self.assertEqual(counted, {M.MISS_REASON_TEXT_TOO_LONG: 1})

    def test_a_text_without_a_word_is_not_eligible(self):
        self.set("a question")
        self.assertEqual(self.get("\U0001F600 \U0001F680").miss_reason, M.MISS_REASON_NOT_ELIGIBLE)
        stored = self.set("\U0001F680")
        self.assertEqual((stored.stored, stored.indexed, list(stored.degraded)), (True, False, []))

    def test_a_batch_answers_as_the_same_gets_one_by_one(self):
        vector = M.Vector(f32=[3, 4])
        for prompt in (RESET, "How do I turn on dark mode?", "What is the capital of France?"):
            self.set(prompt)
        self.set("by a vector", vector=vector)
        prompts = [RESET, RESET_AGAIN, "How do I turn off dark mode?", "Who won?", "word " * 300, "\U0001F600", "Which city is the capital of France?"] * 4
        requests = [C.GetRequest(identity=self.identity(prompt)) for prompt in prompts]
        requests += [C.GetRequest(identity=self.identity("another"), vector=vector), C.GetRequest(identity=self.identity(""))]
        results = self.cache.BatchGet(C.BatchGetRequest(items=requests), timeout=60).results
        for request, result in zip(requests[:-1], results):
            self.assertEqual(outcome(result.response), outcome(self.cache.Get(request, timeout=30)))
        self.assertEqual(results[-1].error.reason, "EMPTY_PROMPT")
        self.assertEqual([result.response.tier for result in results[:2]], [M.TIER_EXACT, M.TIER_SEMANTIC])

    def test_a_batch_stores_as_the_same_sets_one_by_one(self):
        prompts = [RESET, "word " * 300, "\U0001F600", RESET, ""]
        items = [C.SetRequest(identity=self.identity(prompt), content=str(n)) for n, prompt in enumerate(prompts)]
        results = self.cache.BatchSet(C.BatchSetRequest(items=items), timeout=60).results
        self.assertEqual([(result.response.stored, result.response.indexed, list(result.response.degraded)) for result in results],
                         [(True, True, []), (True, False, ["text_too_long"]), (True, False, []), (True, True, []), (False, False, [])])
        self.assertEqual(results[-1].error.reason, "EMPTY_PROMPT")
        self.assertGreater(results[3].response.sequence, results[0].response.sequence)
        self.assertEqual(self.get(RESET).content, "3", "of two with one key the later stays")
        self.assertEqual(self.get(RESET_AGAIN).content, "3")

    def test_sixteen_callers_of_every_kind(self):
        self.set(RESET, "like this")

        def work(number):
            for turn in range(12):
                name = f"question {number} of turn {turn} about topic {number * turn}"
                if turn % 3 == 0:
                    self.assertTrue(self.set(name, name).indexed)
                    self.assertEqual(self.get(name).content, name)
                elif turn % 3 == 1:
                    self.assertEqual(self.get(RESET_AGAIN).content, "like this")
                else:
                    items = [C.GetRequest(identity=self.identity(prompt)) for prompt in (RESET, RESET_AGAIN, name)]
                    replies = [result.response for result in self.cache.BatchGet(C.BatchGetRequest(items=items), timeout=60).results]
                    self.assertEqual([reply.content for reply in replies[:2]], ["like this", "like this"])
                    sets = [C.SetRequest(identity=self.identity(f"{name} {n}"), content="x") for n in range(5)]
                    stored = self.cache.BatchSet(C.BatchSetRequest(items=sets), timeout=60).results
                    self.assertTrue(all(result.response.indexed for result in stored))

        in_threads(16, work)

    def test_stats_name_the_model(self):
        reply = stats(self.server)
        self.assertTrue(reply.embedders[0].name.startswith("minilm-l6"), reply.embedders)
        self.assertEqual((reply.embedders[0].dimension, list(reply.degraded)), (384, []))


class WithoutWeights(unittest.TestCase):
    def test_auto_says_so_and_works(self):
        with tempfile.TemporaryDirectory() as folder:
            server = start(self, embed_provider="auto", embed_folder=folder)
            self.assertTrue(put(server, RESET).indexed)
            self.assertEqual(get(server, "How can I reset my password?").tier, M.TIER_SEMANTIC)
            reply = stats(server)
            self.assertEqual((list(reply.degraded), reply.embedders[0].name), (["no_weights"], "lexical"))
            server.stop()
            self.assertIn("run make weights", server.final_log)


class Service:
    """An embedding service of all three shapes. `code` is what it answers; `size` of its vectors. While it is held it answers nothing."""

    def __init__(self, test):
        self.code, self.error, self.size, self.texts, self.requests = 200, "scripted", DIMENSION, [], 0
        self.nothing = False  # vectors of zeros
        self.tokens = None  # of each text; None: it does not count them
        self.open = threading.Event()
        self.open.set()
        test.addCleanup(self.open.set)
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                service.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        test.addCleanup(self.http.server_close)
        test.addCleanup(self.http.shutdown)

    def hold(self):
        self.open.clear()

    def release(self):
        self.open.set()

    @staticmethod
    def vector(text):
        digest = hashlib.sha256(" ".join(text.split()[:2]).encode()).digest()
        return [byte - 127.5 for byte in digest]

    def answer(self, handler):
        asked = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        texts = asked.get("input") or asked.get("inputs")
        texts = [texts] if isinstance(texts, str) else texts
        self.requests += 1
        self.texts += texts
        self.open.wait()
        vectors = [[0.0] * self.size if self.nothing else (self.vector(text) * 2)[:self.size] for text in texts]
        shapes = {"/v1/embeddings": {"data": [{"index": n, "embedding": vector} for n, vector in enumerate(vectors)]},
                  "/embed": vectors, "/api/embed": {"embeddings": vectors}}
        if self.tokens is not None:
            shapes["/v1/embeddings"]["usage"] = {"prompt_tokens": self.tokens * len(texts), "total_tokens": self.tokens * len(texts)}
            shapes["/api/embed"]["prompt_eval_count"] = self.tokens * len(texts)
        body = json.dumps(shapes[handler.path] if self.code == 200 else {"error": self.error}).encode()
        try:
            handler.send_response(self.code)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # the server has given up on us, or has stopped


class Remote(unittest.TestCase):
    def start(self, provider="tei", **options):
        self.service = Service(self)
        options.setdefault("embed_timeout", "60s")  # nothing fails because the machine is busy
        return start(self, embed_provider=provider, embed_model="known", embed_url=self.service.url, embed_dimensions=DIMENSION, **options)

    def test_every_shape(self):
        for provider in ("openai", "tei", "ollama"):
            with self.subTest(provider):
                server = self.start(provider)
                self.assertTrue(put(server, "green apples are good").indexed)
                hit = get(server, "green apples taste well", include=[C.INCLUDE_TIMING])
                self.assertEqual((hit.tier, hit.content, list(hit.degraded)), (M.TIER_SEMANTIC, "about green apples are good", []))
                self.assertGreater(hit.debug.timing.embed_us, 0)
                self.assertEqual(get(server, "blue pears taste well").tier, M.TIER_UNSPECIFIED)
                self.assertEqual((stats(server).embedders[0].dimension, list(stats(server).degraded)), (DIMENSION, []))
                server.stop()

    def test_tokens_are_what_the_service_says_and_unknown_is_not_none(self):
        for provider in ("openai", "ollama", "tei"):
            with self.subTest(provider):
                server = self.start(provider)  # the known text of the start is not counted
                about = stats(server).embedders[0]
                self.assertEqual((about.HasField("tokens"), about.uncounted), (False, 1))
                self.service.tokens = 5
                self.assertTrue(put(server, "green apples are good").indexed)
                about = stats(server).embedders[0]
                self.assertEqual((about.HasField("tokens"), about.tokens, about.uncounted), (False, 0, 2) if provider == "tei" else (True, 5, 1))
                server.stop()

    def test_a_batch_goes_out_together(self):
        server = self.start()
        sets = [C.SetRequest(identity=identity(f"topic{n} word stored"), content=str(n)) for n in range(64)]
        stored = server.cache.BatchSet(C.BatchSetRequest(items=sets), timeout=30).results
        self.assertTrue(all(result.response.indexed for result in stored))
        before = self.service.requests
        gets = [C.GetRequest(identity=identity(f"topic{n} word asked")) for n in range(64)]
        replies = [result.response for result in server.cache.BatchGet(C.BatchGetRequest(items=gets), timeout=30).results]
        self.assertEqual([(reply.tier, reply.content) for reply in replies], [(M.TIER_SEMANTIC, str(n)) for n in range(64)])
        self.assertLess(self.service.requests - before, 32)
        server.stop()

    def test_an_import_gets_its_vectors_from_it_and_counts_those_that_it_does_not_get(self):
        source = start(self)  # lexical: none of its vectors is of use here
        for n in range(40):
            self.assertTrue(put(source, f"topic{n} word stored").indexed)
        A = admin_pb2
        entries = source.admin.Scroll(A.ScrollRequest(limit=100, answers=True), timeout=60).entries
        source.stop()
        server = self.start()
        run = lambda **more: server.admin.Import(A.ImportRequest(entries=entries, **more), timeout=60)
        self.service.code = 500
        before = self.service.requests
        self.assertEqual(run(dry_run=True), A.ImportResponse(imported=40))
        self.assertEqual(self.service.requests, before)
        self.assertEqual(run(), A.ImportResponse(imported=40, unindexed=40))
        self.assertEqual(get(server, "topic7 word stored").tier, M.TIER_EXACT)
        self.service.code = 200
        wait_until(lambda: put(server, "blue pears are good").indexed, "it comes back by itself")
        asked, before = len(self.service.texts), self.service.requests
        self.assertEqual(run(), A.ImportResponse(kept=40))
        self.assertEqual(run(overwrite=True), A.ImportResponse(imported=40, indexed=40))
        self.assertEqual(sorted(self.service.texts[asked:]), sorted(f"topic{n} word stored" for n in range(40)))
        self.assertLess(self.service.requests - before, 20, "they go out together")
        hit = get(server, "topic7 word asked")
        self.assertEqual((hit.tier, hit.content), (M.TIER_SEMANTIC, "about topic7 word stored"))
        server.stop()

    def test_the_exact_tier_goes_on_while_it_is_down_and_it_comes_back_by_itself(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.code = 500
        stored = put(server, "blue pears are good")
        self.assertEqual((stored.stored, stored.indexed, list(stored.degraded)), (True, False, ["embedder_down"]))
        reply = get(server, "green apples taste well")
        self.assertEqual((reply.hit, reply.miss_reason, list(reply.degraded)), (False, M.MISS_REASON_EMBEDDER_DOWN, ["embedder_down"]))
        hit = get(server, "blue pears are good")
        self.assertEqual((hit.tier, list(hit.degraded)), (M.TIER_EXACT, []))
        for n in range(4):  # until the circuit opens
            get(server, f"green apples for {word(n)}")
        self.assertEqual(list(stats(server).degraded), ["embedder_down"])
        asked = self.service.requests
        started = time.monotonic()
        batch = [C.GetRequest(identity=identity(text)) for text in ("blue pears are good", "green apples again", "red plums again")]
        replies = [result.response for result in server.cache.BatchGet(C.BatchGetRequest(items=batch), timeout=30).results]
        self.assertEqual([(reply.tier, reply.miss_reason) for reply in replies], [(M.TIER_EXACT, 0)] + [(0, M.MISS_REASON_EMBEDDER_DOWN)] * 2)
        sets = [C.SetRequest(identity=identity(f"red plums {n}"), content="x") for n in range(3)]
        stored = [result.response for result in server.cache.BatchSet(C.BatchSetRequest(items=sets), timeout=30).results]
        self.assertEqual([(reply.stored, reply.indexed, list(reply.degraded)) for reply in stored], [(True, False, ["embedder_down"])] * 3)
        spent = time.monotonic() - started
        self.assertLessEqual(self.service.requests - asked, spent + 2, "a dead embedder is asked by the probes alone, one a second")
        self.service.code = 200
        wait_until(lambda: get(server, "green apples taste well").tier == M.TIER_SEMANTIC, "it comes back by itself")
        self.assertEqual(list(stats(server).degraded), [])
        self.assertTrue(put(server, "blue pears are good").indexed)
        server.stop()

    def command(self, server, verb, *words, code=0, stdin=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
        done = subprocess.run([BIN / "reprise", "--endpoint", server.address, "--timeout", "60s", verb, "--model", "m", *words], capture_output=True, text=True,
                              timeout=120, input=stdin, env=clean, cwd=FOLDER)
        self.assertEqual(done.returncode, code, (verb, words, done.stdout, done.stderr))
        return done.stdout

    def test_the_command_says_what_did_not_work(self):
        server = self.start()
        store, ask, miss = ["set", "green apples are good", "--content", "so they say"], ["get", "green apples are what?"], 3
        self.assertNotIn("degraded", self.command(server, *store) + self.command(server, *ask, code=0))
        self.assertEqual(json.loads(self.command(server, *ask, "-o", "json")).get("degraded", []), [])
        self.service.code = 500
        line, words = "\ndegraded     embedder_down\n", ["embedder_down"]
        other_store, other_ask = ["set", "blue pears are good"], ["get", "red plums are good"]
        self.assertIn(line, self.command(server, *other_store, "--content", "x"))
        self.assertIn(line, self.command(server, *other_store, "--stream", "--content", "-", stdin="as it comes"))
        self.assertIn(line, self.command(server, *other_ask, code=miss))
        self.assertIn(line, self.command(server, *other_ask, "--stream", code=miss))
        self.assertEqual(json.loads(self.command(server, *other_store, "--content", "x", "-o", "json"))["degraded"], words)
        self.assertEqual(json.loads(self.command(server, *other_ask, "-o", "json", code=miss))["degraded"], words)
        head = self.command(server, *other_ask, "-o", "json", "--stream", code=miss).splitlines()[0]
        self.assertEqual(json.loads(head)["head"]["degraded"], words)
        exact = self.command(server, "get", "blue pears are good")  # needs no vector
        self.assertNotIn("degraded", exact)
        server.stop()

    def test_no_thread_waits_for_a_slow_one(self):
        """One compute thread and two for the network: exact hits and vectors of the clients' are answered while 40 calls wait."""
        server = self.start(server_compute_threads=1, server_io_threads=2)
        put(server, "green apples are good")
        put(server, "by a vector", vector=M.Vector(f32=[1, 2]))
        self.service.hold()
        waiting = [server.cache.Get.future(C.GetRequest(identity=identity(f"green apples {word(n)}")), timeout=60) for n in range(20)]
        waiting += [server.cache.Set.future(C.SetRequest(identity=identity(f"blue pears {word(n)}"), content="x"), timeout=60) for n in range(20)]
        wait_until(lambda: len(self.service.texts) > 1, "the first of them are with the service")
        for _ in range(20):
            self.assertEqual(get(server, "green apples are good").tier, M.TIER_EXACT)
            self.assertEqual(get(server, "near it", vector=M.Vector(f32=[1, 2])).tier, M.TIER_SEMANTIC)
        self.assertFalse(any(future.done() for future in waiting))
        self.service.release()
        self.assertTrue(all(future.result(60).tier == M.TIER_SEMANTIC for future in waiting[:20]))
        self.assertTrue(all(future.result(60).indexed for future in waiting[20:]))
        server.stop()

    def test_who_has_no_time_for_it_does_without(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.hold()
        reply = in_time(lambda n: get(server, f"green apples taste {word(n)}", timeout=1))
        self.assertEqual((reply.hit, reply.miss_reason), (False, M.MISS_REASON_OVERLOADED))
        stored = in_time(lambda n: put(server, f"blue pears are {word(n)}", timeout=1))
        self.assertEqual((stored.stored, stored.indexed, list(stored.degraded)), (True, False, ["overloaded"]))

        def ask(n):
            items = [C.GetRequest(identity=identity(text)) for text in ("green apples are good", f"green apples batch {word(n)}")]
            return [result.response for result in server.cache.BatchGet(C.BatchGetRequest(items=items), timeout=1).results]
        self.assertEqual([(reply.tier, reply.miss_reason) for reply in in_time(ask)], [(M.TIER_EXACT, 0), (0, M.MISS_REASON_OVERLOADED)])
        self.service.release()
        self.assertEqual(get(server, "green apples have time").tier, M.TIER_SEMANTIC)
        counted = stats(server).embedders[0]
        self.assertGreaterEqual(counted.late, 3)
        self.assertEqual((counted.overloaded, counted.failed), (0, 0))
        server.stop()
        self.assertRegex(server.final_log, "shed_queue=0 shed_late=[1-9]")

    def test_who_has_no_time_is_refused_if_the_operator_wants_it_so(self):
        server = self.start(server_overload="refuse")
        put(server, "green apples are good")
        self.service.hold()
        with self.assertRaises(grpc.RpcError) as caught:
            in_time(lambda n: get(server, f"green apples taste {word(n)}", timeout=1))
        self.assertEqual(error_details(caught.exception)["reason"], "OVERLOADED")
        request = lambda n: C.BatchGetRequest(items=[C.GetRequest(identity=identity(f"green apples too {word(n)}"))])
        item = in_time(lambda n: server.cache.BatchGet(request(n), timeout=1)).results[0]
        self.assertEqual(item.error.reason, "OVERLOADED")
        self.service.release()
        server.stop()

    def test_a_full_queue_of_the_embedder_degrades(self):
        server = self.start(embed_queue_max=1, embed_batch_max=1)
        put(server, "green apples are good")
        self.service.hold()
        waiting = [server.cache.Get.future(C.GetRequest(identity=identity(f"green apples {word(n)}")), timeout=60) for n in range(40)]
        wait_until(lambda: any(future.done() for future in waiting), "one of them is refused")
        self.service.release()
        reasons = {(future.result(60).tier, future.result(60).miss_reason) for future in waiting}
        self.assertEqual(reasons, {(M.TIER_SEMANTIC, 0), (0, M.MISS_REASON_OVERLOADED)})
        counted = stats(server).embedders[0]
        self.assertGreater(counted.overloaded, 0)
        self.assertEqual(counted.late, 0)
        server.stop()
        self.assertIn(f"shed_queue={counted.overloaded} shed_late=0 ", server.final_log)

    def in_flight(self, server, count=10):
        """Every kind of call, each waiting for the service, which is held. One thread for the network takes what arrives in its order: so when
        Stats is answered, all that was sent before it is with the embedder."""
        def items(kind, word, n, **fields):
            return [kind(identity=identity(f"green apples {word} {n} {i}"), **fields) for i in range(4)]
        futures = []
        for n in range(count):
            futures += [server.cache.Get.future(C.GetRequest(identity=identity(f"green apples get {n}")), timeout=60),
                        server.cache.Set.future(C.SetRequest(identity=identity(f"green apples set {n}"), content="x"), timeout=60),
                        server.cache.BatchGet.future(C.BatchGetRequest(items=items(C.GetRequest, "gets", n)), timeout=60),
                        server.cache.BatchSet.future(C.BatchSetRequest(items=items(C.SetRequest, "sets", n, content="x")), timeout=60)]
        stats(server)
        self.assertFalse(any(future.done() for future in futures))
        return futures

    def test_callers_who_leave_are_dropped_when_the_vector_comes(self):
        server = self.start(server_io_threads=1)
        put(server, "green apples are good")
        self.service.hold()
        futures = self.in_flight(server)
        for future in futures:
            future.cancel()
        stats(server)  # the server has heard of it
        self.service.release()
        wait_until(lambda: len(set(self.service.texts)) > 100, "every vector has been asked for")
        self.assertEqual(stats(server).sets, 1, "a dropped Set has stored")
        server.stop()
        self.assertIn(f"dropped_cancelled={len(futures)}", server.final_log)

    def test_a_drain_answers_what_is_with_the_embedder(self):
        server = self.start(server_io_threads=1)
        put(server, "green apples are good")
        self.service.hold()
        futures = self.in_flight(server)
        server.signal()
        wait_until(lambda: "no new calls" in server.read_log(), "the drain has begun")
        self.service.release()
        for future in futures:
            future.result(60)
        server.stop()
        self.assertIn(f"inflight={len(futures)}", server.final_log)

    def assert_cut_off(self, errors, server):
        """A call that a drain cancels ends as UNAVAILABLE if the core closes it before the server does, else as CANCELLED; one that was not yet
        accepted when it began is told to go elsewhere. None ends with an error unless the drain has counted it, or its connection has been reset: the
        core closes that with the last reply, and what a busy client sends meanwhile (a ping) makes the kernel reset it."""
        self.assertLessEqual({error.code() for error in errors}, {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, errors)
        errors = [error for error in errors if "reset" not in error.details()]
        counts = re.findall(r"(?:closing connections.* cancelled|refused_draining)=(\d+)", server.final_log)
        self.assertLessEqual(len(errors), sum(map(int, counts)), errors)

    def drain_of_a_silent_service(self, drain_timeout):
        """How every call that was in flight ended: (gets, sets), or None where the machine was too busy to answer them all in half of the drain.
        The rest is cancelled then, and the log says how many."""
        server = self.start(server_io_threads=1, server_drain_timeout=drain_timeout, embed_timeout="60s")
        put(server, "green apples are good")
        self.service.hold()  # to the end
        futures = self.in_flight(server)
        server.signal()
        errors = [future.exception(120) for future in futures]
        server.stop()
        self.assert_cut_off([error for error in errors if error], server)
        if any(errors):
            return None
        self.assertIn(f"embedding ends calls={len(futures)}", server.final_log)
        replies = [future.result() for future in futures]
        gets = replies[0::4] + [item.response for reply in replies[2::4] for item in reply.results]
        sets = replies[1::4] + [item.response for reply in replies[3::4] for item in reply.results]
        return gets, sets

    def test_a_drain_answers_without_the_vectors_of_a_silent_service(self):
        """Half of drain_timeout before its end, 5 s at most: Gets are misses that say why, Sets are stored for the exact tier."""
        for drain_timeout in ("2s", "10s", "60s"):
            ended = self.drain_of_a_silent_service(drain_timeout)
            if ended:
                break
        else:
            self.fail("in no drain was every call answered")
        gets, sets = ended
        self.assertEqual({(reply.hit, reply.miss_reason, tuple(reply.degraded)) for reply in gets}, {(False, M.MISS_REASON_EMBEDDER_DOWN, ("embedder_down",))})
        self.assertEqual({(reply.stored, reply.indexed, tuple(reply.degraded)) for reply in sets}, {(True, False, ("embedder_down",))})

    def test_a_drain_does_not_wait_for_a_silent_service(self):
        """One that has no time even to answer without vectors: what is in flight is cancelled."""
        server = self.start(server_io_threads=1, server_drain_timeout="10ms", embed_timeout="60s")
        put(server, "green apples are good")
        self.service.hold()  # to the end
        futures = self.in_flight(server, count=3)
        server.signal()
        errors = [future.exception(60) for future in futures]
        server.stop()
        self.assert_cut_off([error for error in errors if error], server)

    def until(self, server, expected):
        deadline = time.monotonic() + 20
        while list(stats(server).degraded) != expected and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual(list(stats(server).degraded), expected)

    def test_a_service_that_refuses_everything_is_not_taken_for_long_texts(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.code, self.service.error = 422, "inputs must have less than 512 tokens"
        for n in range(5):
            reply = get(server, f"green apples {word(n)}")
            self.assertEqual((reply.miss_reason, list(reply.degraded)), (M.MISS_REASON_TEXT_TOO_LONG, []))
        self.until(server, ["embedder_down"])
        reply = get(server, "green apples now")
        self.assertEqual((reply.miss_reason, list(reply.degraded)), (M.MISS_REASON_EMBEDDER_DOWN, ["embedder_down"]))
        self.service.code = 200
        self.until(server, [])
        self.assertEqual(get(server, "green apples again").tier, M.TIER_SEMANTIC)
        server.stop()

    def test_a_text_that_is_refused_for_another_reason_is_no_long_one(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.code, self.service.error = 422, "unknown field"
        reply = get(server, "green apples again")
        self.assertEqual((reply.miss_reason, list(reply.degraded)), (M.MISS_REASON_EMBEDDER_DOWN, ["embedder_down"]))
        about = stats(server).embedders[0]
        self.assertEqual((about.provider, about.circuit, about.too_long, about.failed), ("tei", "closed", 0, 1))
        self.assertEqual([(error.reason, error.count) for error in about.errors], [("rejected", 1)])
        server.stop()

    def test_vectors_that_cannot_be_used_are_a_state_until_they_can(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.nothing = True
        self.assertEqual(get(server, "green apples again").hit, False)
        self.assertIn("embedder_bad_vectors", stats(server).degraded)
        self.assertGreaterEqual(stats(server).embedders[0].bad_vectors, 1)
        self.service.nothing = False
        self.until(server, [])
        self.assertEqual(get(server, "green apples are back").tier, M.TIER_SEMANTIC)
        server.stop()
        self.assertIn("the embedder's vectors cannot be used", server.final_log)
        self.assertIn("the embedder's vectors can be used again", server.final_log)

    def test_a_service_of_another_dimension_has_changed(self):
        server = self.start()
        put(server, "green apples are good")
        self.service.size = DIMENSION + 8
        self.assertEqual(get(server, "green apples changed").miss_reason, M.MISS_REASON_EMBEDDER_DOWN)
        self.assertIn("embedder_changed", stats(server).degraded)
        self.until(server, ["embedder_down", "embedder_changed", "embedder_bad_vectors"])
        self.service.size = DIMENSION
        self.until(server, [])
        self.assertEqual(get(server, "green apples are back").tier, M.TIER_SEMANTIC)
        server.stop()
        self.assertIn("the embedder's vectors have changed", server.final_log)
        self.assertIn("the embedder's vectors are the first ones again", server.final_log)

    def test_a_search_cannot_do_without_a_vector_and_says_why_there_is_none(self):
        server = self.start()
        put(server, "green apples are good")
        search = lambda text: server.cache.Search(C.SearchRequest(identity=identity(text)), timeout=30).candidates[0].entry_id
        found = search("green apples taste well")
        for code, size, reason, expected in ((413, DIMENSION, "TEXT_TOO_LONG", grpc.StatusCode.INVALID_ARGUMENT),
                                             (200, DIMENSION + 8, "EMBEDDER_MISMATCH", grpc.StatusCode.FAILED_PRECONDITION),
                                             (503, DIMENSION, "EMBEDDER_DOWN", grpc.StatusCode.UNAVAILABLE)):
            with self.subTest(reason):
                self.service.code, self.service.size = code, size
                with self.assertRaises(grpc.RpcError) as caught:
                    search(f"green apples {reason}")
                self.assertEqual((caught.exception.code(), error_details(caught.exception)["reason"]), (expected, reason))
                self.service.code, self.service.size = 200, DIMENSION
                self.until(server, [])
        self.assertEqual(search("green apples again"), found)
        server.stop()

    def test_a_service_that_is_gone_at_start_is_only_a_state(self):
        service = Service(self)
        service.code = 503
        server = start(self, embed_provider="tei", embed_url=service.url, embed_dimensions=DIMENSION, embed_timeout="200ms")
        self.assertEqual(list(stats(server).degraded), ["embedder_down"])
        self.assertTrue(put(server, "green apples are good").stored)
        server.stop()


if __name__ == "__main__":
    unittest.main()
