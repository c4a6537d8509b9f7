"""kill -9 under load: what was acknowledged LOGGED or SYNCED is there after the next start, what was deleted is not, and nothing else was changed.

The client remembers the last acknowledged value of each key and the one that may have followed it unacknowledged. REPRISE_KILL_ROUNDS sets the
number of rounds (`make soak`: 1,000)."""
import os
import pathlib
import random
import tempfile
import threading
import time
import unittest

import grpc

from support import FOLDER, Server, cache_pb2, common_pb2

C, M = cache_pb2, common_pb2
ROUNDS = int(os.environ.get("REPRISE_KILL_ROUNDS", "50"))
WRITERS, KEYS = 4, 40
GONE = None


def identity(key):
    return M.Identity(model="m", prompt=f"key {key}", params=M.Params(temperature=1))


class Writer(threading.Thread):
    """Writes its own keys, one call after the other, until the server is gone. known[key]: what may be there, the acknowledged one first."""

    def __init__(self, number, server, known, seed):
        super().__init__()
        self.server, self.known, self.random = server, known, random.Random(seed)
        self.keys = [f"{number}-{key}" for key in range(KEYS)]
        self.failure, self.acknowledged = None, 0

    def run(self):
        try:
            while self.step():
                self.acknowledged += 1
        except BaseException as failure:  # noqa: BLE001 - looked at by the test
            self.failure = failure

    def step(self):
        key = self.random.choice(self.keys)
        deletes = self.random.random() < 0.15
        value = GONE if deletes else f"{key}={self.random.random()}" + "x" * self.random.choice((0, 10, 3000))
        self.known[key].append(value)  # from here on it may be there
        try:
            if deletes:
                self.server.cache.Delete(C.DeleteRequest(identity=identity(key)), timeout=30)
            else:
                ack = self.random.choice((M.ACK_LOGGED, M.ACK_LOGGED, M.ACK_SYNCED))
                reply = self.server.cache.Set(C.SetRequest(identity=identity(key), content=value, ack=ack), timeout=30)
                assert reply.stored and reply.ack == ack, reply
        except grpc.RpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            return False
        self.known[key] = [value]
        return True


class Kill(unittest.TestCase):
    def found(self, server, keys):
        out = {}
        for first in range(0, len(keys), 100):
            part = keys[first:first + 100]
            items = [C.GetRequest(identity=identity(key)) for key in part]
            results = server.cache.BatchGet(C.BatchGetRequest(items=items), timeout=60).results
            for key, result in zip(part, results):
                self.assertEqual(result.error.reason, "")
                out[key] = result.response.content if result.response.hit else GONE
        return out

    def check(self, server, known, round_number):
        for key, value in self.found(server, list(known)).items():
            self.assertIn(value, known[key], f"round {round_number}: {key}")
            known[key] = [value]

    def test_what_was_acknowledged_is_there(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="kill-", dir=FOLDER))
        known = {f"{number}-{key}": [GONE] for number in range(WRITERS) for key in range(KEYS)}
        chance = random.Random(20261125)
        total = 0
        for round_number in range(ROUNDS):
            backend = chance.choice(("auto", "posix"))
            server = Server(storage_path=str(folder), storage_io=backend, embed_provider="none")
            self.check(server, known, round_number)
            writers = [Writer(number, server, known, chance.random()) for number in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(chance.uniform(0.02, 0.25))
            server.process.kill()
            for writer in writers:
                writer.join()
                if writer.failure is not None:
                    raise writer.failure
                total += writer.acknowledged
            server.kill()
        server = Server(storage_path=str(folder), embed_provider="none")
        self.check(server, known, ROUNDS)
        server.stop()
        print(f"{ROUNDS} kills, {total} acknowledged changes, 0 lost")
        self.assertGreater(total, ROUNDS)


if __name__ == "__main__":
    unittest.main()
