#!/usr/bin/python3
"""Goal: a policy is read, changed and described while the server runs, decides from the next lookup on, and outlives kill -9; `shadow` says
what it would have served and serves nothing. Method: the real server, vectors of the client, the generated stubs and the command."""
import json
import math
import pathlib
import subprocess
import tempfile
import unittest

import grpc

from support import BIN, FOLDER, Server, admin_pb2 as A, cache_pb2 as C, common_pb2 as M, error_details, feedback_pb2 as F


def vector(angle):
    return M.Vector(f32=[math.cos(angle), math.sin(angle)])


class Policies(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="data-", dir=FOLDER))
        self.start()

    def tearDown(self):
        if self.server.process.poll() is None:
            self.server.stop()

    def start(self):
        self.server = Server(storage_path=str(self.folder))

    def set(self, prompt, angle, namespace="a"):
        return self.server.cache.Set(C.SetRequest(identity=M.Identity(namespace=namespace, model="m", prompt=prompt), content="x", vector=vector(angle)),
                                     timeout=60)

    def get(self, prompt, angle, namespace="a"):
        return self.server.cache.Get(C.GetRequest(identity=M.Identity(namespace=namespace, model="m", prompt=prompt), vector=vector(angle)), timeout=60)

    def policy(self, name="a"):
        return self.server.feedback.GetPolicy(F.GetPolicyRequest(scope=A.PolicyScope(namespace=name)), timeout=60)

    def change(self, policy, version=0, **scope):
        return self.server.feedback.SetPolicy(F.SetPolicyRequest(scope=A.PolicyScope(**{"namespace": "a", **scope}), policy=policy, if_version=version),
                                              timeout=60)

    def describe(self, **scope):
        return self.server.feedback.DescribePolicy(F.DescribePolicyRequest(scope=A.PolicyScope(**{"namespace": "a", **scope})), timeout=60)

    def refused(self, reason, call, *arguments, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            call(*arguments, **more)
        self.assertEqual(error_details(caught.exception)["reason"], reason)

    def test_it_decides_from_the_next_lookup_on_and_outlives_kill_9(self):
        self.set("how does it work", 0)
        self.assertFalse(self.get("how does it run", 0.5).hit)  # cosine 0.88, and an unknown embedder's threshold is 0.95
        reply = self.change(A.Policy(mode=A.POLICY_MODE_STATIC, static_threshold=0.75))
        self.assertEqual((reply.version, reply.effective.static_threshold), (1, 0.75))
        self.assertTrue(self.get("how does it run", 0.5).hit)
        self.server.kill()
        self.start()
        self.assertEqual(self.policy().set, A.Policy(mode=A.POLICY_MODE_STATIC, static_threshold=0.75))
        self.assertTrue(self.get("how does it run", 0.5).hit)
        self.change(A.Policy())
        self.assertFalse(self.get("how does it run", 0.5).hit)

    def test_what_is_less_similar_than_the_floor_is_no_candidate_even_after_kill_9(self):
        self.set("how does it work", 0)
        self.change(A.Policy(static_threshold=0.75, min_similarity=0.875))
        self.assertTrue(self.get("how does it run", 0.5).hit)  # cosine 0.878
        reply = self.change(A.Policy(static_threshold=0.75, min_similarity=0.9375))
        self.assertEqual((reply.effective.static_threshold, reply.effective.min_similarity), (0.75, 0.9375))
        self.assertEqual(self.get("how does it run", 0.5).miss_reason, M.MISS_REASON_NO_CANDIDATE)
        self.server.kill()
        self.start()
        self.assertEqual(self.policy().set, A.Policy(static_threshold=0.75, min_similarity=0.9375))
        self.assertEqual(self.get("how does it run", 0.5).miss_reason, M.MISS_REASON_NO_CANDIDATE)
        self.refused("BAD_THRESHOLD", self.change, A.Policy(min_similarity=1.5))
        self.refused("BAD_THRESHOLD", self.change, A.Policy(min_similarity=float("nan")))

    def test_what_is_unset_comes_from_options_and_embedder(self):
        found = self.policy("default")
        self.assertEqual((found.set, found.version), (A.Policy(), 0))
        self.assertEqual(found.effective.mode, A.POLICY_MODE_STATIC)
        self.assertAlmostEqual(found.effective.static_threshold, 0.9, 6)  # lexical's
        self.assertAlmostEqual(found.effective.min_similarity, self.describe(namespace="default").embedder.min_similarity, 6)
        adaptive = found.effective.adaptive
        for number, wanted in ((adaptive.initial, 0.9), (adaptive.min, 0.85), (adaptive.max, 0.94), (adaptive.step, 0.01)):
            self.assertAlmostEqual(number, wanted, 6)

    def test_only_what_was_read_may_be_changed(self):
        self.set("q", 0)
        self.change(A.Policy(static_threshold=0.5))
        self.refused("VERSION_MISMATCH", self.change, A.Policy(), version=2)
        self.assertEqual(self.change(A.Policy(), version=1).version, 2)
        for field, value in (("model", "m"), ("attributes", [M.Attribute(name="team", value="x")]), ("embedder", "lexical-1")):
            with self.assertRaises(grpc.RpcError) as caught:
                self.change(A.Policy(), **{field: value})
            details = error_details(caught.exception)
            self.assertEqual((caught.exception.code(), details["reason"], details["field"]), (grpc.StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED", "scope." + field))
        self.assertEqual(self.policy().version, 2)  # and has changed nothing
        self.refused("BAD_THRESHOLD", self.change, A.Policy(adaptive=A.Adaptive(min=0.9, max=0.8)))
        self.refused("NOT_FOUND", self.change, A.Policy(), namespace="b")
        self.refused("NOT_FOUND", self.policy, "b")

    def test_the_live_state(self):
        self.assertFalse(self.describe(namespace="default").HasField("live"))
        self.set("how does it work", 0)
        self.change(A.Policy(mode=A.POLICY_MODE_ADAPTIVE, adaptive=A.Adaptive(initial=0.75, min=0.5, max=0.875, step=0.0625)))
        for number in range(12):
            reply = self.get("how does it run", 0.5)
            self.assertTrue(reply.hit, number)
            self.server.feedback.Report(F.ReportRequest(decision_token=reply.decision.token, verdict=F.VERDICT_WRONG if number == 0 else F.VERDICT_CORRECT),
                                        timeout=60)
        self.get("how does it not run", 0.5)
        live = self.describe(model="m").live
        self.assertEqual((live.mode, live.feedback_count, live.lookups, live.hits, live.guard_blocked), (A.POLICY_MODE_ADAPTIVE, 12, 13, 12, 1))
        self.assertAlmostEqual(live.recent_accuracy, 11 / 12, 6)
        self.assertAlmostEqual(live.threshold, 0.875, 6)  # 3 verdicts with less than 95 % right
        self.assertEqual(self.describe(model="other").scopes, 0)
        self.assertEqual(self.describe().embedder.name, "lexical")

    def test_shadow_serves_nothing_and_counts(self):
        self.set("how does it work", 0)
        self.change(A.Policy(mode=A.POLICY_MODE_SHADOW, static_threshold=0.75))
        reply = self.get("how does it run", 0.5)
        self.assertEqual((reply.hit, reply.miss_reason, reply.decision.HasField("near_miss")), (False, M.MISS_REASON_DISABLED, True))
        self.assertTrue(self.get("how does it work", 0).hit)  # the exact tier
        live = self.describe().live
        self.assertEqual((live.hits, live.would_hits, live.lookups), (0, 1, 1))

    def test_the_shadow_report_says_what_each_threshold_would_have_done(self):
        self.set("how does it work", 0)
        self.change(A.Policy(mode=A.POLICY_MODE_SHADOW, static_threshold=0.75))
        judge = lambda prompt, angle, verdict: self.server.feedback.Report(
            F.ReportRequest(decision_token=self.get(prompt, angle).decision.token, verdict=verdict), timeout=60).outcome
        for prompt, angle, verdict in (("how does it run", 0.1, F.VERDICT_CORRECT), ("how does it run", 0.5, F.VERDICT_CORRECT),
                                       ("how does it run", 0.7, F.VERDICT_WRONG), ("how does it not run", 0.5, F.VERDICT_WRONG)):
            self.assertEqual(judge(prompt, angle, verdict), F.REPORT_OUTCOME_COUNTED_ONLY)
        self.get("how does it run", 1.0)  # cosine 0.54, and nobody says whether it was right
        report = self.server.feedback.GetShadowReport(F.GetShadowReportRequest(scope=A.PolicyScope(namespace="a")), timeout=60)
        self.assertEqual((report.matching, len(report.scopes)), (1, 1))
        self.assertLess(0, report.since_unix_ms)
        total, scope = report.total, report.scopes[0]
        self.assertEqual((total.policy.scope.namespace, total.policy.mode, total.policy.lookups), ("a", A.POLICY_MODE_SHADOW, 5))
        self.assertEqual((scope.policy.scope.model, scope.policy.threshold, scope.policy.near_verdicts), ("m", 0.75, 4))
        self.assertEqual((total.verdicts, total.right, total.guard_blocked, total.guard_blocked_right), (4, 2, 1, 0))
        self.assertEqual(list(total.thresholds), list(scope.thresholds))
        at = {round(100 * point.threshold): point for point in total.thresholds}
        self.assertEqual(len(at), 50)
        self.assertEqual([(at[p].would_hits, at[p].verdicts, at[p].wrong) for p in (50, 76, 87, 88)], [(4, 3, 1), (3, 3, 1), (2, 2, 0), (1, 1, 0)])
        self.assertEqual((at[87].hit_rate, at[87].agreement, at[76].agreement, at[99].agreement), (0.4, 1, 0.75, 0.75))
        self.assertAlmostEqual(at[87].err_hit.high, 0.8418861, 6)  # 1 - 0.025 ** (1 / 2): none of two
        run = self.command("shadow", "a")
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        self.assertRegex(run.stdout, r"policy +shadow\nlookups +5, 0 of them hits, 3 more in shadow\nverdicts +4, 2 of them right\n")
        self.assertRegex(run.stdout, r"guard +forbids 1 of these pairs, 0 of them right\n")
        self.assertRegex(run.stdout, r" 0\.87 +2 +40\.0% +2 +0 +0\.00% +0\.00% and +84\.19% +100\.0%\n")
        self.assertRegex(run.stdout, r" 0\.75 +3 +60\.0% +3 +1 .* 75\.0%  <- in force\n")
        self.assertNotIn("model by", run.stdout)  # there is one scope alone
        self.server.cache.Set(C.SetRequest(identity=M.Identity(namespace="a", model="n", prompt="q"), content="x", vector=vector(0)), timeout=60)
        run = self.command("shadow", "a")
        self.assertRegex(run.stdout, r"\nm by [^\n]* 0\.75 +5 +3 +4 +2\nn by [^\n]* 0\.75 +0 +0 +0 +0\n$")
        found = json.loads(self.command("-o", "json", "shadow", "a", "--model", "m").stdout)
        self.assertEqual((found["matching"], found["total"]["verdicts"], len(found["scopes"][0]["thresholds"])), (1, 4, 50))
        self.assertEqual(self.command("shadow", "b").returncode, 1)
        none = self.server.feedback.GetShadowReport(F.GetShadowReportRequest(scope=A.PolicyScope(namespace="a", model="other")), timeout=60)
        self.assertEqual((none.matching, none.total.thresholds[0].would_hits), (0, 0))
        self.refused("NOT_FOUND", self.server.feedback.GetShadowReport, F.GetShadowReportRequest(scope=A.PolicyScope(namespace="b")), timeout=60)
        self.refused("BAD_NAME", self.server.feedback.GetShadowReport, F.GetShadowReportRequest(scope=A.PolicyScope(namespace="a b")), timeout=60)

    def test_many_verdicts_in_one_call(self):
        self.set("how does it work", 0)
        self.change(A.Policy(static_threshold=0.75))
        tokens = [self.get("how does it run", 0.5).decision.token for _ in range(5)]
        report = lambda items: self.server.feedback.BatchReport(F.BatchReportRequest(items=items), timeout=60)
        items = [F.ReportRequest(decision_token=token, verdict=F.VERDICT_CORRECT, feedback_id=str(n)) for n, token in enumerate(tokens)]
        self.refused("LIMIT_EXCEEDED", report, items + [F.ReportRequest(decision_token="x")])  # no verdict: none counts
        self.refused("LIMIT_EXCEEDED", report, [])
        self.refused("LIMIT_EXCEEDED", report, items[:1] * 1001)
        results = report(items + items[:1] + [F.ReportRequest(decision_token="x", verdict=F.VERDICT_WRONG)]).results
        self.assertEqual([r.outcome for r in results], [F.REPORT_OUTCOME_ACCEPTED] * 5 + [F.REPORT_OUTCOME_DUPLICATE, F.REPORT_OUTCOME_BAD_TOKEN])
        self.assertEqual([r.feedback_id for r in results[:5]], ["0", "1", "2", "3", "4"])
        self.assertEqual(self.describe().live.feedback_count, 5)
        tokens = [self.get("how does it run", 0.5).decision.token for _ in range(3)]
        result = subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", "-o", "json", "feedback", "--file", "-"],
                                input="".join(f"{token} correct\n" for token in tokens), capture_output=True, text=True, timeout=60, cwd=FOLDER)
        self.assertEqual((result.returncode, json.loads(result.stdout)), (0, {"ACCEPTED": 3}))

    def command(self, *arguments):
        return subprocess.run([str(BIN / "reprise"), "--endpoint", self.server.address, "--timeout", "60s", *arguments], capture_output=True, text=True,
                              timeout=60, cwd=FOLDER)

    def test_the_command(self):
        run = self.command
        self.set("q", 0, "faq")
        result = run("policy", "set", "faq", "--mode", "adaptive", "--threshold", "0.8", "--min-similarity", "0.5", "--names-off")
        self.assertEqual(result.returncode, 0, result.stderr)
        found = json.loads(run("-o", "json", "policy", "get", "faq").stdout)
        self.assertEqual(found["set"], {"mode": "POLICY_MODE_ADAPTIVE", "minSimilarity": 0.5, "staticThreshold": 0.8, "guardsOff": ["GUARD_NAMES"], "adaptive": {}})
        self.assertEqual(found["version"], 1)
        self.assertIn("adaptive", run("policy", "describe", "faq").stdout)
        self.assertEqual(run("policy", "set", "faq", "--if-version", "7").returncode, 1)
        self.assertEqual(run("policy", "set", "faq", "--mode", "strict").returncode, 2)
        self.assertEqual(run("policy", "set", "faq", "--threshold", "2").returncode, 2)
        self.assertRegex(run("policy", "get", "faq").stdout, r"floor +0\.5\n")
        self.assertEqual(run("policy", "set", "faq", "--min-similarity", "-1").returncode, 2)
        self.assertEqual(run("policy", "guess").returncode, 2)


if __name__ == "__main__":
    unittest.main()
