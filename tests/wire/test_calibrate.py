#!/usr/bin/python3
"""Goal: labelled pairs become a curve and a threshold over the wire, whatever the messages that carry them, and change nothing; a stream that
breaks off, is empty or contradicts itself is refused by name. Method: the real server, vectors of the client and the lexical embedder, the
generated stubs."""
import json
import math
import subprocess
import unittest

import grpc

from support import BIN, Server, admin_pb2 as A, common_pb2 as M, error_details, feedback_pb2 as F


def pair(angle, same):
    return F.LabelledPair(vectors=[M.Vector(f32=[1, 0]), M.Vector(f32=[math.cos(angle), math.sin(angle)])], same=same)


def messages(pairs, size, **first):
    yield F.CalibrateRequest(pairs=pairs[:size], **first)
    for i in range(size, len(pairs), size):
        yield F.CalibrateRequest(pairs=pairs[i:i + size])


class Calibrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(limits_calibrate="2000")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def calibrate(self, requests):
        return self.server.feedback.Calibrate(requests, timeout=60)

    def refused(self, reason, field, requests):
        with self.assertRaises(grpc.RpcError) as caught:
            self.calibrate(requests)
        details = error_details(caught.exception)
        self.assertEqual((details["reason"], details["field"]), (reason, field))

    def test_the_curve_counts_and_the_lowest_proven_threshold_is_chosen(self):
        pairs = [pair(0.2, True)] * 500 + [pair(0.5, True)] * 300 + [pair(0.6, False)] * 200  # cosines 0.980, 0.878, 0.825
        one, many = self.calibrate(messages(pairs, 250)), self.calibrate(messages(pairs, 7))
        self.assertEqual(one, many)
        self.assertEqual((one.pairs, one.same, one.guard_blocked, len(one.curve)), (1000, 800, 0, 50))
        self.assertAlmostEqual(one.chosen_threshold, 0.87, 6)
        self.assertAlmostEqual(one.error_max, 0.02)
        at = {round(100 * point.threshold): point for point in one.curve}
        self.assertEqual((at[82].hits, at[82].wrong, at[82].hit_rate, at[82].err_all, at[82].err_hit), (1000, 200, 1, 0.2, 0.2))
        self.assertEqual((at[87].hits, at[87].wrong, at[88].hits, at[99].hits), (800, 0, 500, 0))
        self.assertAlmostEqual(at[82].precision.low, 0.7738406, 6)  # 1 - scipy.stats.beta.ppf(0.975, 201, 800), scipy 1.17.1
        self.assertAlmostEqual(at[82].precision.high, 0.8243794, 6)  # 1 - scipy.stats.beta.ppf(0.025, 200, 801)
        self.assertEqual((one.embedder.dimension, one.hits_needed), (2, 342))
        self.assertAlmostEqual(one.threshold_in_force, 0.95, 6)

    def test_without_proof_none_is_chosen(self):
        reply = self.calibrate(messages([pair(0.1, True)] * 100, 100))
        self.assertFalse(reply.HasField("chosen_threshold"))
        reply = self.calibrate(messages([pair(0.1, True)] * 100, 100, error_max=0.1))
        self.assertTrue(reply.HasField("chosen_threshold"))

    def test_texts_are_embedded_and_guarded_as_a_get_would_be(self):
        pairs = [F.LabelledPair(prompt_a=f"how do i reset password {word}", prompt_b=f"How do I reset password {word}?", same=True)
                 for word in ("today", "here", "quickly")]
        pairs.append(F.LabelledPair(prompt_a="turn on dark mode", prompt_b="turn off dark mode", same=False))
        pairs.append(F.LabelledPair(prompt_a="???", prompt_b="???", same=True))
        reply = self.calibrate(messages(pairs, 2))
        self.assertEqual((reply.pairs, reply.guard_blocked, reply.guard_blocked_same, reply.without_vector), (5, 1, 0, 1))
        self.assertEqual((reply.curve[-1].hits, reply.embedder.name), (3, "lexical"))

    def test_it_changes_nothing(self):
        before = self.server.admin.Stats(A.StatsRequest(), timeout=60)
        self.calibrate(messages([pair(0.1, True)] * 50, 50, scope=A.PolicyScope(namespace="never-made")))
        after = self.server.admin.Stats(A.StatsRequest(), timeout=60)
        self.assertEqual((before.entries, before.total_requests), (after.entries, after.total_requests))
        self.assertEqual(after.calibrated_pairs, before.calibrated_pairs + 50)
        with self.assertRaises(grpc.RpcError):
            self.server.feedback.GetPolicy(F.GetPolicyRequest(scope=A.PolicyScope(namespace="never-made")), timeout=60)

    def test_what_is_wrong_is_named(self):
        good = pair(0, True)
        text = F.LabelledPair(prompt_a="a", prompt_b="b")
        self.refused("BAD_MESSAGE", "pairs", iter([]))
        self.refused("BAD_MESSAGE", "pairs", messages([], 1))
        self.refused("LIMIT_EXCEEDED", "error_max", messages([good], 1, error_max=1))
        self.refused("LIMIT_EXCEEDED", "scope.model", messages([good], 1, scope=A.PolicyScope(model="m")))
        self.refused("BAD_VECTOR", "pairs[1].vectors", messages([good, F.LabelledPair(vectors=good.vectors[:1])], 2))
        self.refused("BAD_VECTOR", "pairs[0].vectors", messages([text], 1, scope=A.PolicyScope(embedder="mine")))
        self.refused("AMBIGUOUS_INPUT", "pairs[1].vectors", messages([good, text], 2))
        self.refused("EMPTY_PROMPT", "pairs[0].prompt_a", messages([F.LabelledPair(prompt_b="b")], 1))
        self.refused("LIMIT_EXCEEDED", "pairs", messages([good] * 257, 257))
        self.refused("LIMIT_EXCEEDED", "pairs", messages([good] * 2001, 200))
        self.refused("BAD_MESSAGE", "error_max", iter([F.CalibrateRequest(pairs=[good]), F.CalibrateRequest(pairs=[good], error_max=0.1)]))

    def test_both_vectors_of_a_pair_may_be_of_the_largest_size(self):
        vector = M.Vector(f32=[1] * 4096)
        reply = self.calibrate(messages([F.LabelledPair(vectors=[vector, vector], same=True)] * 3, 3))
        self.assertEqual((reply.pairs, reply.curve[-1].hits), (3, 3))

    def test_a_caller_that_leaves_costs_nothing(self):
        def endless():
            while True:
                yield F.CalibrateRequest(pairs=[pair(0, True)])
        call = self.server.feedback.Calibrate.future(endless(), timeout=60)
        call.cancel()
        self.assertEqual(self.calibrate(messages([pair(0, True)], 1)).pairs, 1)

    def command(self, text, *flags):
        return subprocess.run([BIN / "reprise", "calibrate", "-", *flags, "--endpoint", self.server.address], input=text, capture_output=True,
                              text=True, timeout=60)

    def test_the_command_prints_the_curve_and_applies_the_threshold(self):
        lines = [f"1\thow do i reset password {i}\tHow do I reset password {i}?\n" for i in range(400)] + ["0\tturn on dark mode\tturn off dark mode\n"]
        lines[7] = json.dumps({"prompt_a": "reset\tit", "prompt_b": "Reset it?", "same": True}) + "\n"
        run = self.command("same\ta\tb\n" + "".join(lines))
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex(run.stdout, r"recommended +0\.99, of whose hits at most 2 % are wrong")
        self.assertRegex(run.stdout, r"pairs +401, 400 of them with the same answer")
        self.assertRegex(run.stdout, r"guard +1 blocked, 0 of them")
        self.assertRegex(run.stdout, r" 0\.99 +400 +99\.8% +0 +0\.00% +0\.00% and 0\.92% +<- recommended")
        before = self.server.feedback.GetPolicy(F.GetPolicyRequest(), timeout=60)
        self.server.feedback.SetPolicy(F.SetPolicyRequest(policy=A.Policy(guards_off=[M.GUARD_NAMES])), timeout=60)
        self.addCleanup(self.server.feedback.SetPolicy, F.SetPolicyRequest(policy=A.Policy()), timeout=60)
        found = json.loads(self.command("".join(lines), "--apply", "-o", "json").stdout)
        self.assertEqual((found["chosenThreshold"], found["applied"], found["pairs"], found["embedder"], len(found["curve"])), (0.99, True, 401, "lexical", 50))
        after = self.server.feedback.GetPolicy(F.GetPolicyRequest(), timeout=60)
        self.assertEqual(after.version, before.version + 2)
        self.assertAlmostEqual(after.set.static_threshold, 0.99, 6)
        self.assertEqual(list(after.set.guards_off), [M.GUARD_NAMES])

    def test_the_command_says_that_nothing_is_proven_and_which_line_is_wrong(self):
        run = self.command("1\ta b\ta b\n", "--apply")
        self.assertEqual(run.returncode, 3)
        self.assertRegex(run.stdout, r"recommended +none: .*\n +it takes 342 hits")
        for line, word in (("1\tonly one", "three columns"), ("yes\ta\tb", "0 or 1"), ('{"prompt_a": "a"}', "prompt_b"), ("{", "no JSON"),
                           ('{"prompt_a": "a", "prompt_b": "b"}', "same is true or false")):
            run = self.command("1\ta b\ta b\n" + line + "\n")
            self.assertEqual(run.returncode, 1)
            self.assertRegex(run.stderr, f"-:2: .*{word}")
        run = self.command("1\t\tb\n")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, r"EMPTY_PROMPT: pairs\[0\]\.prompt_a: ")
        self.assertEqual(self.command("", "--bound", "2").returncode, 2)


if __name__ == "__main__":
    unittest.main()
