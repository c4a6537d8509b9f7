"""kill -9 of the real server under load: what was acknowledged LOGGED or SYNCED is there after the next start, what was deleted is not, no byte is wrong, and
each answer that is findable by meaning has its one vector. (What the page cache held survives a kill; power cuts are tests/unit/storage's.)

REPRISE_KILL_ROUNDS sets the number of rounds: 50 if it is not given, 1,000 in `make soak`. Each writer remembers for its keys the last acknowledged value
and those that came after it, acknowledged MEMORY or on their way when the server ended: one of them must be there. Others ask for compactions and
snapshots meanwhile, drop namespaces and invalidate tags; a fifth of the rounds evicts, and then a key may be gone too, but never be older."""
import os
import pathlib
import random
import tempfile
import threading
import time
import unittest

import grpc

from support import FOLDER, Server, admin_pb2, cache_pb2, common_pb2

A, C, M = admin_pb2, cache_pb2, common_pb2
ROUNDS = int(os.environ.get("REPRISE_KILL_ROUNDS", "50"))
WRITERS, KEYS = 4, 40
GONE = None
ENDED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def has_vector(key):
    return key.endswith(("0", "1", "2", "3"))


def identity(key):
    return M.Identity(model="m", prompt=f"key {key}", params=M.Params() if has_vector(key) else M.Params(temperature=1))


def vector(key):
    chance = random.Random(key)
    return M.Vector(f32=[chance.gauss(0, 1) for _ in range(16)])


class Caller(threading.Thread):
    """One call after the other until the server is gone."""

    def __init__(self, server, seed):
        super().__init__()
        self.server, self.random = server, random.Random(seed)
        self.failure, self.acknowledged = None, 0

    def run(self):
        try:
            while self.step():
                self.acknowledged += 1
        except grpc.RpcError as error:
            self.failure = None if error.code() in ENDED else error
        except BaseException as failure:  # noqa: BLE001 - looked at by the test
            self.failure = failure


class Writer(Caller):
    """Writes its own keys. known[key]: what may be there, the acknowledged one first."""

    def __init__(self, number, server, known, seed, acks):
        super().__init__(server, seed)
        self.known, self.acks, self.ids = known, acks, {}
        self.keys = [f"{number}-{key}" for key in range(KEYS)]

    def request(self, key, value):
        asked, given = self.random.choice(self.acks)
        request = C.SetRequest(identity=identity(key), content=value, ack=asked)
        if has_vector(key):
            request.vector.CopyFrom(vector(key))
        return request, given

    def value(self, key):
        return f"{key}={self.random.random()}" + "x" * self.random.choice((0, 10, 3000))

    def step(self):
        kind = self.random.random()
        keys = self.random.sample(self.keys, 8) if kind < 0.1 else [self.random.choice(self.keys)]
        values = {key: GONE if kind > 0.85 else self.value(key) for key in keys}
        for key in keys:
            self.known[key].append(values[key])  # from here on it may be there
        if kind > 0.85:
            self.server.cache.Delete(C.DeleteRequest(identity=identity(keys[0])), timeout=30)
        else:
            requests = [self.request(key, values[key]) for key in keys]
            given = [ack for _, ack in requests]
            replies = self.send([request for request, _ in requests])
            self.check(given, replies)
            self.ids.update(zip(keys, (reply.entry_id for reply in replies)))
            if self.random.random() < 0.2:
                self.touch(keys)
        for key in keys:
            if values[key] is GONE or given[keys.index(key)] != M.ACK_MEMORY:
                self.known[key] = [values[key]]
        return True

    def touch(self, keys):
        """A longer life changes nothing of what is there."""
        ids = [self.ids[key] for key in keys if key in self.ids]
        if ids:
            self.server.cache.Touch(C.TouchRequest(entry_ids=ids, ttl_ms=3_600_000), timeout=30)

    def send(self, requests):
        if len(requests) == 1:
            return [self.server.cache.Set(requests[0], timeout=30)]
        return [result.response for result in self.server.cache.BatchSet(C.BatchSetRequest(items=requests), timeout=30).results]

    def check(self, given, replies):
        for ack, reply in zip(given, replies):
            assert reply.stored and reply.ack == ack, reply


class Remover(Caller):
    """Fills namespaces of its own and removes them or a tag of theirs. groups: what must be there (True), must not (False), or may (None)."""

    def __init__(self, server, seed, first):
        super().__init__(server, seed)
        self.groups, self.count = {}, first

    def members(self, group):
        return [M.Identity(namespace=group[0], model="m", prompt=f"{group[1]} {n}", params=M.Params(temperature=1)) for n in range(5)]

    def fill(self, group):
        self.groups[group] = None
        items = [C.SetRequest(identity=member, content="there", tags=[group[1]], ack=M.ACK_LOGGED) for member in self.members(group)]
        for result in self.server.cache.BatchSet(C.BatchSetRequest(items=items), timeout=30).results:
            assert result.response.stored, result
        self.groups[group] = True

    def step(self):
        name = f"group{self.count}"
        self.count += 1
        self.server.admin.CreateNamespace(A.CreateNamespaceRequest(namespace=A.Namespace(name=name)), timeout=30)
        kept, removed = (name, "kept"), (name, "removed")
        self.fill(kept)
        self.fill(removed)
        self.groups[removed] = None
        self.server.cache.Invalidate(C.InvalidateRequest(selector=C.Selector(namespace=name, tags=["removed"])), timeout=30)
        self.groups[removed] = False
        if self.random.random() < 0.5:
            self.groups[kept] = None
            self.server.admin.DropNamespace(A.DropNamespaceRequest(name=name, confirm=name), timeout=30)
            self.groups[kept] = False
        return True

    def verify(self, server):
        """After the next start."""
        for group, expected in self.groups.items():
            items = [C.GetRequest(identity=member, tiers=[M.TIER_EXACT]) for member in self.members(group)]
            hits = [result.response.hit for result in server.cache.BatchGet(C.BatchGetRequest(items=items), timeout=60).results]
            assert expected is None or hits == [expected] * len(hits), (group, expected, hits)


class Custodian(Caller):
    """The log is rewritten all the time, so that a kill meets it half-way."""

    def step(self):
        admin = self.server.admin
        if self.random.random() < 0.7:
            admin.Compact(A.CompactRequest(), timeout=30)
        else:
            name = f"s{self.random.getrandbits(60)}"
            admin.CreateSnapshot(A.CreateSnapshotRequest(name=name), timeout=30)
            admin.DeleteSnapshot(A.DeleteSnapshotRequest(name=name), timeout=30)
        return True


class Kill(unittest.TestCase):
    def found(self, server, keys):
        out = {}
        for first in range(0, len(keys), 100):
            part = keys[first:first + 100]
            items = [C.GetRequest(identity=identity(key), tiers=[M.TIER_EXACT]) for key in part]
            results = server.cache.BatchGet(C.BatchGetRequest(items=items), timeout=60).results
            for key, result in zip(part, results):
                self.assertEqual(result.error.reason, "")
                out[key] = result.response.content if result.response.hit else GONE
        return out

    def check(self, server, known, round_number):
        found = self.found(server, list(known))
        for key, value in found.items():
            self.assertIn(value, known[key], f"round {round_number}: {key}")
            known[key] = [value]
        stats = server.admin.Stats(A.StatsRequest(), timeout=60)
        self.assertEqual(stats.journal.damaged_bytes, 0, f"round {round_number}")
        self.assertEqual(stats.entries, sum(value is not GONE for value in found.values()))
        self.assertEqual(stats.tiers[1].entries, sum(value is not GONE and has_vector(key) for key, value in found.items()), f"round {round_number}")

    def end(self, server, callers):
        for caller in callers:
            caller.start()
        time.sleep(self.chance.uniform(0.02, 0.3))
        server.process.kill()
        for caller in callers:
            caller.join()
            if caller.failure is not None:
                raise caller.failure
        server.kill()

    def options(self):
        always = self.chance.random() < 0.4
        options = {"storage_io": self.chance.choice(("auto", "posix")), "journal_durability": "always" if always else self.chance.choice(("everysec", "none"))}
        acks = [(M.ACK_LOGGED, M.ACK_LOGGED), (M.ACK_SYNCED, M.ACK_SYNCED)]
        if always:
            acks = [(M.ACK_UNSPECIFIED, M.ACK_SYNCED)]
        if self.chance.random() < 0.5:
            acks.append((M.ACK_MEMORY, M.ACK_MEMORY))
        return options, acks

    def begin(self, seed):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kill-", dir=FOLDER))
        self.chance = random.Random(seed)
        return {f"{number}-{key}": [GONE] for number in range(WRITERS) for key in range(KEYS)}

    def progress(self, what, done, rounds):
        if done % 50 == 0 and done > 0:
            print(f"{what}: {done} of {rounds} kills", flush=True)

    def writers(self, server, known, acks):
        return [Writer(number, server, known, self.chance.random(), acks) for number in range(WRITERS)]

    def test_what_was_acknowledged_is_there(self):
        rounds = ROUNDS * 3 // 5
        known = self.begin(20261125)
        total = rewritten = 0
        for round_number in range(rounds):
            self.progress("acknowledged", round_number, rounds)
            options, acks = self.options()
            server = Server(storage_path=str(self.folder), embed_provider="none", **options)
            self.check(server, known, round_number)
            callers = self.writers(server, known, acks)
            if self.chance.random() < 0.5:
                callers.append(Custodian(server, self.chance.random()))
            self.end(server, callers)
            total += sum(caller.acknowledged for caller in callers[:WRITERS])
            rewritten += sum(caller.acknowledged for caller in callers[WRITERS:])
        server = Server(storage_path=str(self.folder), embed_provider="none")
        self.check(server, known, rounds)
        server.stop()
        print(f"{rounds} kills, {total} acknowledged changes, 0 lost; the log was rewritten {rewritten} times")
        self.assertGreater(total, rounds)

    def test_what_was_removed_stays_removed(self):
        rounds = ROUNDS // 5
        self.begin(20261126)
        remover, total = None, 0
        for round_number in range(rounds + 1):
            self.progress("removed", round_number, rounds)
            options, _ = self.options()
            server = Server(storage_path=str(self.folder), embed_provider="none", **options)
            if remover is not None:
                remover.verify(server)
            if round_number == rounds:
                server.stop()
                break
            remover = Remover(server, self.chance.random(), first=0 if remover is None else remover.count)
            self.end(server, [remover, Custodian(server, self.chance.random())])
            total += sum(state is False for state in remover.groups.values())
        print(f"{rounds} kills, {total} removals of groups, 0 came back")
        self.assertGreater(total, 0)

    def test_what_was_evicted_is_gone_or_the_newest(self):
        rounds = ROUNDS // 5
        known = self.begin(20261127)
        evicted = 0
        for round_number in range(rounds + 1):
            self.progress("evicted", round_number, rounds)
            options, acks = self.options()
            server = Server(storage_path=str(self.folder), embed_provider="none", storage_entries_max="60", **options)
            for values in known.values():
                values.append(GONE)
            self.check(server, known, round_number)
            if round_number == rounds:
                server.stop()
                break
            callers = self.writers(server, known, acks)
            self.end(server, callers)
            evicted += sum(caller.acknowledged for caller in callers)
        print(f"{rounds} kills, {evicted} acknowledged changes among 60 places for {len(known)} keys, none of them older than it may be")
        self.assertGreater(evicted, 60)


if __name__ == "__main__":
    unittest.main()
