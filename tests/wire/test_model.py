"""Sixteen threads of clients mix all verbs; each keeps a model of its own keys and checks every answer against it.

A second namespace is shared by all: there an answer must be one that somebody has set for that very question, and after the
reply to an Invalidate nothing set before it may be served.
"""
import os
import random
import threading
import time
import unittest

from support import WireTest, admin_pb2, cache_pb2, common_pb2, feedback_pb2, in_threads

C, M, F = cache_pb2, common_pb2, feedback_pb2
SECONDS = float(os.environ.get("REPRISE_MODEL_SECONDS", "8"))
SUBJECTS = ["invoice", "password", "parcel", "refund", "keyboard", "garden", "passport", "subscription", "printer", "violin"]


class Model(WireTest):
    def one_client(self, number, deadline):
        chance = random.Random(number)
        namespace = f"client-{number}"
        model = {}
        identity = lambda subject, n: M.Identity(namespace=namespace, model="m", prompt=f"{n}: tell me all about the {subject}")
        steps = 0
        while time.monotonic() < deadline:
            steps += 1
            subject, n = chance.choice(SUBJECTS), chance.randrange(2, 6)
            key = (subject, n)
            step = chance.random()
            if step < 0.45:
                reply = self.cache.Get(C.GetRequest(identity=identity(*key)), timeout=60)
                if key in model:
                    self.assertEqual((reply.hit, reply.content), (True, model[key][0]))
                elif reply.hit:
                    self.fail(f"{key} was never set or is deleted, and hit {reply.content!r} at {reply.similarity}")
            elif step < 0.75:
                content = f"{subject} {n} {steps} of {number}"
                reply = self.cache.Set(C.SetRequest(identity=identity(*key), content=content, tags=[subject]), timeout=60)
                self.assertTrue(reply.stored)
                model[key] = (content, reply.entry_id)
            elif step < 0.85:
                deleted = self.cache.Delete(C.DeleteRequest(identity=identity(*key)), timeout=60).deleted
                self.assertEqual(deleted, 1 if key in model else 0)
                model.pop(key, None)
            elif step < 0.90:
                selector = C.Selector(namespace=namespace, tags=[subject])
                matched = self.cache.Invalidate(C.InvalidateRequest(selector=selector), timeout=60).matched
                gone = [each for each in model if each[0] == subject]
                self.assertEqual(matched, len(gone))
                for each in gone:
                    del model[each]
            elif step < 0.96:
                keys = [(chance.choice(SUBJECTS), chance.randrange(2, 6)) for _ in range(8)]
                request = C.BatchGetRequest(items=[C.GetRequest(identity=identity(*each)) for each in keys])
                for each, result in zip(keys, self.cache.BatchGet(request, timeout=60).results):
                    expected = model.get(each)
                    self.assertEqual((result.response.hit, result.response.content), (True, expected[0]) if expected else (False, ""))
            else:
                entries = self.admin.Stats(admin_pb2.StatsRequest(namespace=namespace), timeout=60).entries
                self.assertEqual(entries, len(model))
        return steps

    def test_sixteen_threads_against_their_models(self):
        deadline = time.monotonic() + SECONDS
        in_threads(16, lambda number: self.one_client(number, deadline))

    def test_nothing_set_before_an_invalidation_is_served_after_it(self):
        deadline, epoch, lock = time.monotonic() + SECONDS / 2, [0], threading.Lock()
        identity = lambda n: self.identity(f"{n}: how does the shared {SUBJECTS[n % 10]} work")

        def work(number):
            chance = random.Random(number)
            while time.monotonic() < deadline:
                n = chance.randrange(2, 30)
                if number == 0 and chance.random() < 0.05:
                    with lock:  # while nobody sets: everything stored is older than the invalidation
                        selector = C.Selector(namespace=self.namespace)
                        self.cache.Invalidate(C.InvalidateRequest(selector=selector, confirm=self.namespace), timeout=60)
                        epoch[0] += 1
                elif chance.random() < 0.3:
                    with lock:
                        self.cache.Set(C.SetRequest(identity=identity(n), content=f"{epoch[0]}/{n}"), timeout=60)
                else:
                    before = epoch[0]
                    reply = self.cache.Get(C.GetRequest(identity=identity(n)), timeout=60)
                    if reply.hit:
                        its_epoch, its_question = map(int, reply.content.split("/"))
                        self.assertGreaterEqual(its_epoch, before)
                        self.assertEqual(its_question, n)

        in_threads(16, work)


if __name__ == "__main__":
    unittest.main()
