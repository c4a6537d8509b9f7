"""Goal: what is replayed comes to the stored answer, at the pace that was asked for; what is captured is stored at its finish and never before;
and neither outlives its caller, its deadline or a drain.
Method: calls of the generated stubs; streams are cut by cancelling them at random places.
"""
import json
import queue
import random
import subprocess
import time
import unittest

import grpc
from support import BIN, Server, WireTest, admin_pb2, cache_pb2, common_pb2, error_details, in_threads

EXACT, SEMANTIC = common_pb2.TIER_EXACT, common_pb2.TIER_SEMANTIC
WAIT, FIRST = common_pb2.LEASE_MODE_WAIT, common_pb2.LEASE_MODE_FIRST


def head(identity, **fields):
    return cache_pb2.SetStreamRequest(head=cache_pb2.SetRequest(identity=identity, **fields))


def delta(content="", **fields):
    return cache_pb2.SetStreamRequest(delta=cache_pb2.Delta(content=content, **fields))


def finish(**fields):
    return cache_pb2.SetStreamRequest(finish=cache_pb2.Finish(**fields))


class Feed:
    """The messages of a SetStream, given one by one while the call is open."""

    def __init__(self, stub, *first, timeout=30):
        self.queue = queue.Queue()
        self.put(*first)
        self.call = stub.SetStream.future(iter(self.queue.get, None), timeout=timeout)

    def put(self, *messages):
        for message in messages:
            self.queue.put(message)

    def end(self):
        self.queue.put(None)

    def result(self):
        self.end()
        return self.call.result().response


class StreamTest(WireTest):
    def replay(self, prompt="", timeout=30, chunk_bytes=0, tokens_per_second=0, **fields):
        request = cache_pb2.GetRequest(identity=self.identity(prompt), **fields)
        return self.cache.GetStream(cache_pb2.GetStreamRequest(request=request, chunk_bytes=chunk_bytes, tokens_per_second=tokens_per_second), timeout=timeout)

    def parts(self, *arguments, **fields):
        """(head, texts, finish or None)"""
        messages = list(self.replay(*arguments, **fields))
        kinds = [message.WhichOneof("part") for message in messages]
        self.assertEqual(kinds[0], "head")
        texts = [message.delta.content for message in messages if message.HasField("delta")]
        self.assertEqual(kinds[1:], ["delta"] * len(texts) + ["finish"] * (kinds[-1] == "finish"))
        return messages[0].head, texts, messages[-1].finish if kinds[-1] == "finish" else None

    def stream(self, *messages, timeout=30):
        return self.cache.SetStream(iter(messages), timeout=timeout).response


class Replay(StreamTest):
    def test_a_replay_comes_to_the_stored_answer(self):
        info = common_pb2.AnswerInfo(finish_reason="stop", reasoning="because", usage=common_pb2.Usage(output_tokens=7))
        for length in (1, 15, 16, 17, 4096, 4097, 300_000):
            content = "".join(random.choice("aä€😀 ") for _ in range(length))
            self.set("q", content, info=info)
            for chunk in (0, 16, 17, 5000):
                answer, texts, end = self.parts("q", chunk_bytes=chunk)
                self.assertEqual("".join(texts), content)
                self.assertTrue(all(0 < len(text.encode()) <= (chunk or 4096) for text in texts))
                self.assertEqual((answer.hit, answer.tier, answer.content, answer.info), (True, EXACT, "", info))
                self.assertEqual((end.finish_reason, end.usage), ("stop", info.usage))

    def test_the_head_brings_the_decision(self):
        self.set("How do I reset my password?", "Under Settings.")
        answer, texts, _ = self.parts("How can I reset my password?")
        self.assertEqual((answer.tier, "".join(texts)), (SEMANTIC, "Under Settings."))
        self.assertEqual(len(answer.decision.token), 86)
        answer, texts, end = self.parts("Where is the nearest bank branch?")
        self.assertEqual((answer.hit, texts, end), (False, [], None))
        self.assertNotEqual(answer.miss_reason, 0)

    def test_opaque_answers_come_with_the_head(self):
        blob = bytes(range(256)) * 40
        self.set("q", "", blob=blob, info=common_pb2.AnswerInfo(content_type="image/png"))
        answer, texts, end = self.parts("q")
        self.assertEqual((answer.blob, texts, end is not None), (blob, [], True))

    def test_the_pace_is_kept(self):
        content = "x" * 400
        self.set("q", content)
        begin = time.monotonic()
        times = []
        for message in self.replay("q", tokens_per_second=100):  # 400 bytes a second
            if message.HasField("delta"):
                times.append((time.monotonic() - begin, len(message.delta.content)))
        self.assertEqual(sum(length for _, length in times), 400)
        self.assertEqual(len(times), 20)
        self.assertLess(times[0][0], 0.3)
        sent = 0
        for moment, length in times:
            self.assertGreaterEqual(moment, sent / 400 - 0.01)  # never ahead of its time
            sent += length
        self.assertLess(times[-1][0], 0.95 + 0.4)

    def test_a_caller_that_leaves_ends_its_stream(self):
        self.set("q", "x" * 100_000)
        calls = [self.replay("q", tokens_per_second=1) for _ in range(50)]
        for call in calls:
            next(call)
            next(call)
        for call in calls:
            call.cancel()
        begin = time.monotonic()
        self.assertEqual("".join(self.parts("q")[1]), "x" * 100_000)
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_deadline_ends_a_stream(self):
        self.set("q", "x" * 100_000)
        begin = time.monotonic()
        with self.assertRaises(grpc.RpcError) as caught:
            list(self.replay("q", tokens_per_second=1, timeout=0.5))
        self.assertEqual(caught.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.assertLess(time.monotonic() - begin, 2)

    def test_a_stream_waits_for_a_lease(self):
        token = self.parts("q", lease=cache_pb2.LeaseRequest(mode=FIRST))[0].lease.token
        self.assertEqual(len(token), 22)
        waiting = self.replay("q", lease=cache_pb2.LeaseRequest(mode=WAIT))
        time.sleep(0.1)
        self.set("q", "the answer", lease_token=token)
        messages = list(waiting)
        self.assertEqual((messages[0].head.hit, messages[1].delta.content), (True, "the answer"))
        token = self.parts("r", lease=cache_pb2.LeaseRequest(mode=FIRST))[0].lease.token
        gone = self.replay("r", lease=cache_pb2.LeaseRequest(mode=WAIT))
        time.sleep(0.1)
        gone.cancel()
        time.sleep(0.1)
        reply = self.cache.ReleaseLease(cache_pb2.ReleaseLeaseRequest(token=token), timeout=30)
        self.assertEqual((reply.released, reply.waiters), (True, 0))

    def test_what_is_not_allowed_is_said(self):
        bad = lambda reason, field, **fields: self.refused(lambda: list(self.replay(**fields)), grpc.StatusCode.INVALID_ARGUMENT, reason, field)
        bad("LIMIT_EXCEEDED", "chunk_bytes", prompt="q", chunk_bytes=15)
        bad("LIMIT_EXCEEDED", "chunk_bytes", prompt="q", chunk_bytes=2**20 + 1)
        bad("BAD_THRESHOLD", "request.min_similarity", prompt="q", min_similarity=2)
        bad("EMPTY_PROMPT", "identity.prompt", prompt="")
        self.refused(lambda: list(self.cache.GetStream(cache_pb2.GetStreamRequest(), timeout=30)), grpc.StatusCode.INVALID_ARGUMENT, "EMPTY_PROMPT", "request")


class Capture(StreamTest):
    def test_a_stream_is_a_set_at_its_finish(self):
        text = ["Under ", "Settings, ", "Sécurité.", "😀" * 20_000]
        reply = self.stream(head(self.identity("How do I reset my password?"), tags=["faq"], info=common_pb2.AnswerInfo(upstream_id="u-1")),
                            delta(reasoning="be"), delta(reasoning="cause", tool_calls_json="["), *map(delta, text), delta(tool_calls_json="]"),
                            finish(finish_reason="stop", usage=common_pb2.Usage(output_tokens=9)))
        self.assertEqual((reply.stored, reply.indexed), (True, True))
        hit = self.get("How do I reset my password?")
        self.assertEqual((hit.content, hit.entry.entry_id), ("".join(text), reply.entry_id))
        self.assertEqual(hit.info, common_pb2.AnswerInfo(upstream_id="u-1", reasoning="because", tool_calls_json="[]", finish_reason="stop",
                                                        usage=common_pb2.Usage(output_tokens=9)))
        self.assertEqual(self.get("How can I reset my password?").tier, SEMANTIC)
        self.assertEqual(self.cache.Invalidate(cache_pb2.InvalidateRequest(selector=cache_pb2.Selector(namespace=self.namespace, tags=["faq"])), timeout=30).matched, 1)

    def test_nothing_is_stored_before_the_finish(self):
        feed = Feed(self.cache, head(self.identity("q")), delta("half an "))
        time.sleep(0.1)
        self.assertFalse(self.get("q").hit)
        feed.put(delta("answer"), finish())
        self.assertTrue(feed.result().stored)
        self.assertEqual(self.get("q").content, "half an answer")

    def test_what_a_set_skips_a_stream_skips(self):
        reply = self.stream(head(self.identity("q")), delta("cut o"), finish(finish_reason="length"))
        self.assertEqual((reply.stored, reply.skip), (False, cache_pb2.SET_SKIP_FINISH_REASON))
        reply = self.stream(head(self.identity("q")), delta(refusal="I can't"), finish())
        self.assertEqual((reply.stored, reply.skip), (False, cache_pb2.SET_SKIP_FINISH_REASON))
        reply = self.stream(head(self.identity("q")), finish(finish_reason="stop"))
        self.assertEqual((reply.stored, reply.skip), (False, cache_pb2.SET_SKIP_ADMISSION))
        self.assertFalse(self.get("q").hit)

    def test_an_order_of_its_own_is_refused(self):
        bad = lambda reason, field, *messages: self.refused(lambda: self.stream(*messages), grpc.StatusCode.INVALID_ARGUMENT, reason, field)
        good = head(self.identity("q"))
        bad("BAD_MESSAGE", "finish")
        bad("BAD_MESSAGE", "finish", good, delta("a"))
        bad("BAD_MESSAGE", "head", delta("a"), good, finish())
        bad("BAD_MESSAGE", "head", finish())
        bad("BAD_MESSAGE", "head", good, good, finish())
        bad("BAD_MESSAGE", None, good, cache_pb2.SetStreamRequest(), finish())
        bad("AMBIGUOUS_INPUT", "head.content", head(self.identity("q"), content="a"), finish())
        bad("LIMIT_EXCEEDED", "head.tags", head(self.identity("q"), tags=["t"] * 100), finish())
        bad("EMPTY_PROMPT", "head.identity", cache_pb2.SetStreamRequest(head=cache_pb2.SetRequest()), finish())
        bad("BAD_NAME", "identity.model", head(common_pb2.Identity(prompt="q")), delta("a"), finish())
        self.assertFalse(self.get("q").hit)

    def test_streams_cut_at_random_leave_nothing(self):
        kept = {}

        def cut(number):
            chance = random.Random(number)
            whole = chance.random() < 0.2
            feed = Feed(self.cache, head(self.identity(f"q {number}")))
            for piece in range(chance.randrange(8)):
                feed.put(delta(f"{piece} " * chance.choice([1, 10, 5000, 40_000])))
                time.sleep(chance.random() / 200)
            if whole:
                feed.put(delta("."), finish())
                kept[number] = feed.result().stored
            elif chance.random() < 0.3:
                feed.end()
                self.assertEqual(feed.call.code(), grpc.StatusCode.INVALID_ARGUMENT)
            else:
                feed.call.cancel()
                feed.end()

        in_threads(8, lambda thread: [cut(number) for number in range(thread, 200, 8)])
        for number in range(200):
            hit = self.get(f"q {number}")
            self.assertEqual(hit.hit, kept.get(number, False))
            self.assertTrue(not hit.hit or hit.content.endswith("."))
        stats = self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace), timeout=30)
        self.assertEqual(stats.entries, len(kept))

    def test_a_cut_stream_passes_its_lease_on(self):
        for how in ("cancel", "end"):
            token = self.get(how, lease=cache_pb2.LeaseRequest(mode=FIRST)).lease.token
            feed = Feed(self.cache, head(self.identity(how), lease_token=token), delta("half"))
            waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity(how), lease=cache_pb2.LeaseRequest(mode=WAIT)), timeout=20)
            time.sleep(0.2)
            begin = time.monotonic()
            if how == "cancel":
                feed.call.cancel()
            feed.end()
            self.assertEqual(len(waiting.result().lease.token), 22)
            self.assertLess(time.monotonic() - begin, 2)  # of the 30 s for which it was held

    def test_a_stream_that_is_refused_at_its_finish_passes_its_lease_on(self):
        for number, wrong in enumerate(({"ttl_ms": 2**62}, {"sliding": True, "sliding_max_ms": 2**62}, {"negative": True, "pinned": True})):
            prompt = f"refused {number}"
            token = self.get(prompt, lease=cache_pb2.LeaseRequest(mode=FIRST)).lease.token
            feed = Feed(self.cache, head(self.identity(prompt), lease_token=token, **wrong), delta("whole"))
            waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity(prompt), lease=cache_pb2.LeaseRequest(mode=WAIT)), timeout=20)
            time.sleep(0.2)
            feed.put(finish())
            with self.assertRaises(grpc.RpcError):
                feed.result()
            self.assertEqual(len(waiting.result().lease.token), 22)  # within the 20 s that it has; the lease was held for 30
            self.assertFalse(self.get(prompt).hit)

    def test_a_holder_that_is_killed_is_followed(self):
        """kill -9 of a process that streams its answer: the end of its connection passes the lease on, long before its time is over."""
        token = self.get("q", lease=cache_pb2.LeaseRequest(mode=FIRST)).lease.token
        holder = subprocess.Popen([str(BIN / "reprise"), "set", "--model", "m", "--namespace", self.namespace, "q", "--stream", "--content", "-",
                                   "--lease", token, "--endpoint", self.server.address], stdin=subprocess.PIPE)
        holder.stdin.write(b"half an ")
        holder.stdin.flush()
        waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=cache_pb2.LeaseRequest(mode=WAIT)), timeout=20)
        time.sleep(0.5)
        self.assertFalse(waiting.done())
        begin = time.monotonic()
        holder.kill()
        holder.wait()
        holder.stdin.close()
        self.assertEqual(len(waiting.result().lease.token), 22)
        self.assertLess(time.monotonic() - begin, 3)
        self.assertFalse(self.get("q").hit)

    def test_deltas_renew_the_lease_and_the_finish_fills_it(self):
        lease = self.get("q", lease=cache_pb2.LeaseRequest(mode=FIRST, hold_ms=600)).lease
        feed = Feed(self.cache, head(self.identity("q"), lease_token=lease.token))
        waiting = self.cache.Get.future(cache_pb2.GetRequest(identity=self.identity("q"), lease=cache_pb2.LeaseRequest(mode=WAIT)), timeout=20)
        for piece in range(6):  # 1.2 s
            feed.put(delta(f"{piece}"))
            time.sleep(0.2)
            self.assertFalse(waiting.done())
        feed.put(finish())
        self.assertTrue(feed.result().stored)
        self.assertEqual(waiting.result().content, "012345")


class Limits(StreamTest):
    options = {"limits_answer": "1KiB", "server_stream_timeout": "1s"}

    def test_an_answer_over_the_limit_is_refused_as_it_comes(self):
        for fields in ({"content": "x" * 300}, {"reasoning": "x" * 150, "refusal": "y" * 150}):
            feed = Feed(self.cache, head(self.identity("q")))
            for _ in range(5):  # never ended by us
                feed.put(delta(**fields))
            with self.assertRaises(grpc.RpcError) as caught:
                feed.call.result(timeout=10)
            feed.end()
            self.assertEqual(error_details(caught.exception)["reason"], "ENTRY_TOO_LARGE")
        self.assertTrue(self.stream(head(self.identity("q")), delta("x" * 512), delta("x" * 512), finish()).stored)

    def test_a_silent_stream_is_ended(self):
        feed = Feed(self.cache, head(self.identity("r")), delta("x"))
        begin = time.monotonic()
        with self.assertRaises(grpc.RpcError):
            feed.call.result(timeout=10)
        self.assertLess(time.monotonic() - begin, 4)
        feed.end()
        self.assertFalse(self.get("r").hit)


class Command(unittest.TestCase):
    def test_the_command_streams_both_ways(self):
        server = Server()
        run = lambda *arguments, **more: subprocess.run([str(BIN / "reprise"), *arguments, "--endpoint", server.address], capture_output=True, text=True,
                                                        timeout=60, **more)
        text = "Grüße " * 10_000
        stored = run("set", "--model", "m", "q", "--content", "-", "--stream", "-o", "json", input=text)
        self.assertTrue(json.loads(stored.stdout)["stored"], stored.stderr)
        self.assertEqual(run("get", "--model", "m", "q", "--stream").stdout, text + "\n")
        lines = [json.loads(line) for line in run("get", "--model", "m", "q", "--stream", "-o", "json").stdout.splitlines()]
        self.assertEqual([list(line) for line in (lines[0], lines[1], lines[-1])], [["head"], ["delta"], ["finish"]])
        self.assertEqual("".join(line["delta"]["content"] for line in lines[1:-1]), text)
        self.assertEqual(run("get", "--model", "m", "r", "--stream").returncode, 3)
        self.assertEqual(run("get", "--model", "m", "r", "--pace", "5").returncode, 2)
        self.assertEqual(run("set", "--model", "m", "q", "--content", "a", "--stream").returncode, 2)
        run("set", "--model", "m", "s", "--content", "x" * 400)
        begin = time.monotonic()
        self.assertEqual(run("get", "--model", "m", "s", "--stream", "--pace", "200").stdout, "x" * 400 + "\n")
        self.assertGreater(time.monotonic() - begin, 0.4)
        refused = run("set", "--model", "", "q", "--content", "-", "--stream", input="a")
        self.assertEqual((refused.returncode, "BAD_NAME" in refused.stderr), (1, True), refused.stderr)
        server.stop()
        self.assertEqual(run("get", "--model", "m", "q", "--stream").returncode, 4)
        self.assertEqual(run("set", "--model", "m", "q", "--content", "-", "--stream", input="a").returncode, 4)


class Drain(unittest.TestCase):
    IDENTITY = common_pb2.Identity(model="m", prompt="q")

    def test_paced_replies_are_completed_at_once(self):
        server = Server()
        server.cache.Set(cache_pb2.SetRequest(identity=self.IDENTITY, content="x" * 50_000), timeout=30)
        request = cache_pb2.GetStreamRequest(request=cache_pb2.GetRequest(identity=self.IDENTITY), tokens_per_second=1)
        calls = [server.cache.GetStream(request, timeout=60) for _ in range(20)]  # at their pace they would take hours
        for call in calls:
            next(call)
        server.signal()
        for call in calls:
            self.assertEqual(sum(len(message.delta.content) for message in call), 50_000)
        server.stop()

    def test_a_capture_may_finish(self):
        server = Server()
        feed = Feed(server.cache, head(self.IDENTITY), delta("half an "))
        time.sleep(0.2)
        server.signal()
        time.sleep(1)
        feed.put(delta("answer"), finish())
        self.assertTrue(feed.result().stored)
        server.stop()

    def test_a_capture_that_does_not_finish_is_cut_in_the_end(self):
        server = Server(server_drain_timeout="1s")
        feed = Feed(server.cache, head(self.IDENTITY), delta("half an "))
        time.sleep(0.2)
        begin = time.monotonic()
        server.signal()
        with self.assertRaises(grpc.RpcError):
            feed.call.result(timeout=20)
        feed.end()
        server.stop()
        self.assertLess(time.monotonic() - begin, 10)


if __name__ == "__main__":
    unittest.main()
