"""Search and Explain over the wire and from the command line: what is found, what is said, and that neither leaves a trace."""
import json
import os
import subprocess
import unittest

import grpc
from support import BIN, FOLDER, Server, WireTest, cache_pb2, common_pb2, admin_pb2

RESET = "How do I reset my password?"
RESET_AGAIN = "How can I reset my password?"
C, M = cache_pb2, common_pb2


class Looking(WireTest):
    def identity(self, prompt, **more):
        return M.Identity(namespace=self.namespace, model="m", prompt=prompt, **more)

    def search(self, prompt, identity=None, **more):
        return self.cache.Search(C.SearchRequest(identity=identity or self.identity(prompt), **more))

    def explain(self, prompt, against="", **more):
        get = C.GetRequest(identity=self.identity(prompt, **more), include=[C.INCLUDE_MATCHED_PROMPT])
        return self.cache.Explain(C.ExplainRequest(request=get, against_entry_id=against))

    def test_a_search_finds_the_nearest_and_shows_what_is_asked_for(self):
        self.set(RESET, "Under Settings.", info=M.AnswerInfo(finish_reason="stop"))
        self.set("How do I reset my router?", "Hold the button.")
        plain = self.search(RESET_AGAIN)
        self.assertEqual([round(c.similarity, 2) for c in plain.candidates], sorted((round(c.similarity, 2) for c in plain.candidates), reverse=True))
        self.assertEqual((len(plain.candidates), plain.scanned), (2, 2))
        self.assertEqual((plain.candidates[0].prompt, plain.candidates[0].content), ("", ""))
        full = self.search(RESET_AGAIN, top_k=1, include=[C.INCLUDE_MATCHED_PROMPT, C.INCLUDE_ANSWER], exhaustive=True)
        self.assertEqual(len(full.candidates), 1)
        first = full.candidates[0]
        self.assertEqual((first.prompt, first.content, first.info.finish_reason), (RESET, "Under Settings.", "stop"))
        self.assertFalse(first.other_compatibility)

    def test_a_long_prompt_is_shown_by_its_beginning(self):
        prompt = "Erkläre bitte die Überschrift " + "ä" * 400
        self.set(prompt, "x")
        shown = self.search(prompt, include=[C.INCLUDE_MATCHED_PROMPT]).candidates[0].prompt
        self.assertTrue(prompt.startswith(shown))
        self.assertTrue(250 < len(shown.encode()) <= 256)

    def test_any_compatibility_reaches_other_system_prompts(self):
        self.set(RESET, "brief", system_prompt="Be brief.")
        self.assertEqual(len(self.search(RESET).candidates), 0)
        found = self.search(RESET, any_compatibility=True).candidates
        self.assertEqual([c.other_compatibility for c in found], [True])

    def test_what_a_search_refuses(self):
        for field, request in (("top_k", dict(top_k=101)), ("min_similarity", dict(min_similarity=1.5)), ("include[0]", dict(include=[0])),
                               ("vector", dict(vector=M.Vector(f32=[0, 0])))):
            with self.assertRaises(grpc.RpcError) as caught:
                self.search(RESET, **request)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
            self.assertIn(field, caught.exception.details())

    def test_explain_says_the_field_that_parts(self):
        stored = self.set(RESET, "Under Settings.")
        changed = {"system_prompt": dict(system_prompt="Be brief."), "params.temperature": dict(params=M.Params(temperature=0.5)),
                   "params.max_tokens": dict(params=M.Params(max_tokens=5)), "attributes": dict(attributes=[M.Attribute(name="region", value="eu")]),
                   "tools_json": dict(tools_json='[{"name": "f"}]'), "context_ids": dict(context_ids=["doc@1"])}
        for field, mutation in changed.items():
            reply = self.explain(RESET, **mutation)
            self.assertFalse(reply.would_be.hit)
            self.assertIn(f"another {field}", reply.reason)
            self.assertEqual([f.field for f in reply.fields if not f.equal], [field])
            self.assertEqual(reply.against_entry_id, stored.entry_id)
        differs = next(f for f in reply.fields if not f.equal)
        self.assertRegex(differs.request_digest, "^[0-9a-f]{8}$")
        self.assertEqual(differs.entry_digest, "")

    def test_explain_says_what_get_says_and_changes_nothing(self):
        import hashlib
        self.set(RESET, "Under Settings.")
        before = self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace))
        questions = [RESET, RESET_AGAIN, "How do I reset my microwave oven?"]
        explained = [self.explain(question) for question in questions for _ in range(3)][::3]
        after = self.admin.Stats(admin_pb2.StatsRequest(namespace=self.namespace))
        self.assertEqual((after.total_requests, list(after.tiers), list(after.policies)), (0, list(before.tiers), list(before.policies)))
        for question, said in zip(questions, explained):
            reply = self.get(question)
            self.assertEqual((said.would_be.hit, said.would_be.tier, said.would_be.miss_reason, said.would_be.content),
                             (reply.hit, reply.tier, reply.miss_reason, reply.content))
            self.assertEqual(said.would_be.decision.token, "")
            self.assertEqual(hashlib.sha256(said.canonical).hexdigest(), said.exact_key)
            self.assertEqual(said.candidates[0].prompt, RESET)
            self.assertNotIn("password", said.reason + " ".join(said.steps))
        self.assertEqual(self.get(RESET).entry.hit_count, 3)  # two Gets served it, and this one
        self.assertIn("below the threshold", explained[2].reason)

    def test_explain_against_an_entry_of_ones_choice(self):
        far = self.set("What is the weather like?", "Fine.", system_prompt="Weather.")
        reply = self.explain(RESET, against=far.entry_id)
        self.assertEqual([f.field for f in reply.fields if not f.equal], ["system_prompt", "prompt"])
        for identifier, code in (("0" * 64, grpc.StatusCode.NOT_FOUND), ("xyz", grpc.StatusCode.INVALID_ARGUMENT)):
            with self.assertRaises(grpc.RpcError) as caught:
                self.explain(RESET, against=identifier)
            self.assertEqual(caught.exception.code(), code)

    def test_explain_compares_after_a_restart(self):
        folder = FOLDER / "explain-data"
        server = Server(storage_path=str(folder))
        identity = M.Identity(model="m", prompt=RESET)
        server.cache.Set(C.SetRequest(identity=M.Identity(model="m", prompt=RESET, system_prompt="Be brief."), content="x", ack=M.ACK_LOGGED))
        server.stop()
        server = Server(storage_path=str(folder))
        reply = server.cache.Explain(C.ExplainRequest(request=C.GetRequest(identity=identity)))
        server.stop()
        self.assertIn("another system_prompt", reply.reason)

    def run_it(self, verb, *words, code=0):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
        result = subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", verb, "--model", "m", "--namespace",
                                 self.namespace, *words], capture_output=True, text=True, timeout=120, env=environment, cwd=FOLDER)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def test_the_command_explains_in_its_first_line(self):
        self.set(RESET, "Under Settings.")
        lines = self.run_it("explain", RESET, "--system", "Be brief.").splitlines()
        self.assertEqual(lines[0], "miss: the same question is stored, with another system_prompt")
        self.assertTrue(lines[2].startswith("1. key: "))
        self.assertIn("  system_prompt          only the request has it", lines)
        said = json.loads(self.run_it("explain", RESET_AGAIN, "-o", "json"))
        self.assertEqual((said["wouldBe"]["tier"], said["candidates"][0]["prompt"]), ("TIER_SEMANTIC", RESET))
        self.run_it("explain", RESET, "--against", "nonsense", code=1)

    def test_the_command_searches(self):
        self.set(RESET, "Under Settings.")
        out = self.run_it("search", "password reset", "--answers", "--any-compatibility")
        self.assertIn(RESET, out)
        self.assertIn("Under Settings.", out)
        self.assertIn("1 found, 1 row looked at", out)
        found = json.loads(self.run_it("search", "password reset", "--top-k", "1", "-o", "json"))
        self.assertEqual([c["prompt"] for c in found["candidates"]], [RESET])
        self.run_it("search", "x", "--top-k", "many", code=2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
