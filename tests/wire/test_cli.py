"""The command `reprise` and the demo, as a person types them: what is printed, and which exit code comes back."""
import json
import os
import pathlib
import re
import subprocess
import unittest

from support import BIN, FOLDER, SOURCE, Server

HIT, ERROR, USAGE, MISS, UNAVAILABLE = 0, 1, 2, 3, 4
RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"


def environment(**more):
    return {**{name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}, **more}


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def run_it(self, *arguments, code=HIT, stdin=None):
        result = subprocess.run([str(BIN / "reprise"), "--timeout", "60s", *arguments], capture_output=True, text=True, timeout=120, input=stdin,
                                env=environment(REPRISE_ENDPOINT=self.server.address), cwd=FOLDER)
        self.assertEqual(result.returncode, code, f"{arguments}\n{result.stdout}\n{result.stderr}")
        return result.stdout + result.stderr

    def verb(self, name, *arguments, **more):
        return self.run_it(name, "--namespace", self._testMethodName, "--model", "m", *arguments, **more)

    def json(self, name, *arguments, **more):
        return json.loads(self.verb(name, "-o", "json", *arguments, **more))

    def test_a_miss_a_set_both_hits_and_feedback(self):
        self.verb("get", RESET, code=MISS)
        self.assertTrue(self.json("set", RESET, "--content", "Under Settings.", "--ttl", "10min", "--tag", "faq")["stored"])
        exact = self.json("get", RESET)
        self.assertEqual((exact["hit"], exact["tier"], exact["content"]), (True, "TIER_EXACT", "Under Settings."))
        near = self.json("get", RESET_AGAIN)
        self.assertEqual(near["tier"], "TIER_SEMANTIC")
        self.assertIn("Under Settings.", self.verb("get", RESET_AGAIN))
        self.assertIn("ACCEPTED", self.run_it("feedback", near["decision"]["token"], "correct").upper())
        self.assertIn("DUPLICATE", self.run_it("feedback", near["decision"]["token"], "wrong", code=ERROR).upper())

    def test_standard_input_and_files_bring_answers(self):
        self.verb("set", "from stdin", "--content", "-", stdin="piped ä\n")
        self.assertEqual(self.json("get", "from stdin")["content"], "piped ä\n")
        path = FOLDER / "answer.txt"
        path.write_text("from a file")
        self.verb("set", "from file", "--file", str(path))
        self.assertEqual(self.json("get", "from file")["content"], "from a file")
        self.assertIn("nosuch", self.verb("set", "x", "--file", "nosuch", code=ERROR))

    def test_lines_of_a_file_go_many_a_call(self):
        pairs = "".join(f"tell me all about the {chr(97 + n % 26)}{chr(97 + n // 26)}x\tanswer {n}\n" for n in range(600))
        self.assertIn("600 stored, 600 indexed, 0 not stored, 0 failed", self.verb("set", "--batch", "-", "--tag", "faq", stdin=pairs))
        self.assertEqual(self.json("get", "tell me all about the bax")["content"], "answer 1")
        path = FOLDER / "questions.txt"
        path.write_text(f"\r\ntell me all about the bax\r\n\nwhat is it like where nobody has been?\ntell me all about the cax")
        asked = self.verb("get", "--batch", str(path), code=MISS)
        self.assertIn("exact\ttell me all about the bax\n", asked)
        self.assertRegex(asked, r"miss: .*\twhat is it like")
        self.assertIn("3 asked, 2 hits, 0 failed", asked)
        lines = self.verb("get", "-o", "json", "--batch", "-", stdin="tell me all about the bax\ntell me all about the cax\n").splitlines()
        self.assertEqual([json.loads(line)["content"] for line in lines[:2]], ["answer 1", "answer 2"])
        stored = json.loads(self.verb("set", "-o", "json", "--batch", "-", stdin="a question\tits answer\n"))
        self.assertEqual(stored, {"stored": 1, "indexed": 1, "notStored": 0, "failed": 0})

    def test_what_lines_of_a_file_may_not_be(self):
        self.assertIn("line 2 has no tab", self.verb("set", "--batch", "-", stdin="a question\tits answer\nno answer\n", code=ERROR))
        self.assertEqual(self.json("get", "a question")["content"], "its answer")  # what stands above it is stored
        self.assertIn("90 stored", self.verb("set", "--batch", "-", stdin="".join(f"{chr(97 + n % 26)}{n // 26} " + "w" * 60_000 + "\tx\n" for n in range(90))))
        self.verb("get", "--batch", "-", "--batch-size", "257", stdin="a\n", code=USAGE)
        self.assertIn("2 asked, 0 hits", self.verb("get", "--batch", "-", "--batch-size", "1", stdin="e?\nf?\n", code=MISS))
        refused = self.verb("set", "--batch", "-", stdin="b\tx\n" + "q" * 300_000 + "\tx\nc\tx\n", code=ERROR)
        self.assertRegex(refused, r"line 2: \w+: .*prompt")
        self.assertIn("2 stored, 2 indexed, 0 not stored, 1 failed", refused)
        self.assertIn("nosuch", self.verb("get", "--batch", "nosuch", code=ERROR))
        for words in (["get", "a question", "--batch", "-"], ["get", "--batch", "-", "--lease", "first"], ["set", "--batch", "-", "--content", "x"],
                      ["get", "--batch", "-", "--stream"]):
            self.verb(*words, code=USAGE)
        self.run_it("get", "--batch", "-", code=USAGE)  # no model

    def test_del_and_invalidate(self):
        for n in range(3):
            self.verb("set", f"question {n}", "--content", "x", "--tag", "t")
        entry_id = self.json("get", "question 0")["entry"]["entryId"]
        self.verb("del", "question 1")
        self.run_it("del", "--namespace", self._testMethodName, "--id", entry_id)
        self.verb("get", "question 0", code=MISS)
        self.run_it("invalidate", "--namespace", self._testMethodName, "--tag", "t", "--dry-run")
        self.verb("get", "question 2")
        self.run_it("invalidate", "--namespace", self._testMethodName, code=ERROR)
        self.run_it("invalidate", "--namespace", self._testMethodName, "--confirm", self._testMethodName)
        self.verb("get", "question 2", code=MISS)

    def test_key_and_encode_work_without_a_server(self):
        keys = json.loads(self.run_it("-o", "json", "key", "--model", "m", "hi"))
        self.assertEqual(keys["exact"], "5d27568e4bdd58c93bf0db86cf5f5ae4678f6ae123eb553c944601d6eef1061a")
        import hashlib
        canonical = bytes.fromhex(self.run_it("encode", "--model", "m", "hi").strip())
        self.assertEqual(hashlib.sha256(canonical).hexdigest(), keys["exact"])
        frame = FOLDER / "frame.bin"
        self.run_it("encode", "--model", "m", "hi", "--grpc-frame", str(frame))
        data = frame.read_bytes()
        self.assertEqual((data[0], int.from_bytes(data[1:5], "big")), (0, len(data) - 5))
        from support import cache_pb2
        self.assertEqual(cache_pb2.GetRequest.FromString(data[5:]).identity.prompt, "hi")

    def test_print_json_is_the_body_of_the_call(self):
        from google.protobuf import json_format
        from support import cache_pb2
        body = self.verb("get", RESET, "--temperature", "0", "--min-similarity", "0", "--print-json")
        request = json_format.Parse(body, cache_pb2.GetRequest())
        self.assertEqual(request.identity.prompt, RESET)
        self.assertTrue(request.HasField("min_similarity"))
        self.assertTrue(request.identity.params.HasField("temperature"))

    def test_mistakes_are_named_with_the_nearest_right_word(self):
        self.assertIn("did you mean get", self.run_it("gte", code=USAGE))
        self.assertIn("--model", self.run_it("get", "--modle", "m", "x", code=USAGE))
        self.assertIn("--model", self.run_it("get", "x", code=USAGE))
        self.assertIn("ttl", self.verb("set", "x", "--content", "y", "--ttl", "10parsecs", code=USAGE))
        self.assertIn("min_similarity", self.verb("get", "x", "--min-similarity", "1.5", code=ERROR).replace("-", "_"))

    def test_the_servers_refusal_names_field_and_reason(self):
        output = self.verb("set", "x", "--content", "y", "--ttl", "60d", code=ERROR)
        self.assertIn("LIMIT_EXCEEDED", output)
        self.assertIn("ttl_ms", output)

    def test_stats_and_health(self):
        self.verb("get", "counted", code=MISS)
        table = self.run_it("stats")
        for word in ("requests", "exact", "semantic", "lexical"):
            self.assertIn(word, table)
        self.assertGreater(int(json.loads(self.run_it("stats", "-o", "json"))["totalRequests"]), 0)
        self.assertIn("SERVING", self.run_it("health").upper())
        self.run_it("--endpoint", "127.0.0.1:1", "health", code=UNAVAILABLE)
        self.run_it("--endpoint", "127.0.0.1:1", "get", "--model", "m", "x", code=UNAVAILABLE)

    def replay(self, rows, *arguments, **more):
        path = FOLDER / f"{self._testMethodName}.tsv"
        path.write_text("seq\tanswer_group\ttext\n" + "".join(f"{n}\t{group}\t{text}\n" for n, (group, text) in enumerate(rows)))
        return self.run_it("replay", str(path), "--namespace", self._testMethodName, *arguments, **more)

    def test_replay_counts_hits_misses_and_wrong_answers(self):
        rows = [("reset", RESET), ("reset", RESET), ("reset", RESET_AGAIN), ("other", RESET), ("invoice", "Where is my last invoice?")]
        output = self.replay(rows, "-o", "json")
        figures = json.loads(output[output.index("{"):output.rindex("}") + 1])
        self.assertEqual((figures["requests"], figures["exact"], figures["semantic"], figures["misses"], figures["wrong"]), (5, 2, 1, 2, 1))
        self.assertAlmostEqual(figures["hit_rate"], 0.6)
        self.assertAlmostEqual(figures["err_hit"], 1 / 3, places=4)

    def test_replay_names_the_line_it_cannot_read(self):
        path = FOLDER / "broken.tsv"
        path.write_text("seq\tanswer_group\ttext\n0\tg\tfine\n1\tonly two\n")
        output = self.run_it("replay", str(path), code=ERROR)
        self.assertRegex(output, r"broken\.tsv:3\b|line 3\b")

    def test_the_demo_ends_with_its_figures(self):
        result = subprocess.run([str(SOURCE / "scripts/demo"), str(BIN)], capture_output=True, text=True, timeout=240, env=environment())
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        last = result.stdout.splitlines()[-1]
        match = re.fullmatch(r"demo: requests=(\d+) exact=(\d+) semantic=(\d+) wrong=(\d+) hit_rate=([\d.]+) err_hit=([\d.]+)", last)
        self.assertTrue(match, last)
        requests, exact, semantic, wrong = map(int, match.groups()[:4])
        rows = len(pathlib.Path(SOURCE / "examples/support.tsv").read_text().splitlines()) - 1
        self.assertEqual(requests, rows)
        self.assertGreaterEqual(rows, 300)
        self.assertAlmostEqual(float(match.group(5)), (exact + semantic) / requests, places=3)
        self.assertAlmostEqual(float(match.group(6)), wrong / (exact + semantic), places=3)
        self.assertGreater(semantic, 20)
        self.assertIn("opposite", result.stdout)
        self.assertIn("miss: the same question is stored, with another system_prompt", result.stdout)


if __name__ == "__main__":
    unittest.main()
