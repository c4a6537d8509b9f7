#!/usr/bin/python3
"""Measures the journal, recovery and the table's memory against their anchors; writes into bench/RESULTS.md and goals.tsv.

    bench/storage_run.py BUILD_FOLDER [PART ...]      parts: commit redis recovery warm memory map (default: all)

commit    records of 1 KiB synced by the journal, 1 to 1,024 in flight, both I/O backends, against a plain pwrite + fdatasync group commit
redis     Set over gRPC, 128 in flight, `always` and `everysec`, against Redis with an AOF of the same kind (no pipelining on either side)
recovery  a folder of entries of 1 KiB read back, against a scan of the same files that only checks checksums
warm      a server with that many entries and their vectors (d = 384, ten namespaces) is ended and started: the time to its first semantic hit
memory    resident bytes an entry beyond its body, beside memcached's with the same values
map       nanoseconds a Get of the table, 1 and 2 threads

Rounds alternate; medians count. Servers run on core 0, load on core 1. The data folder is made in BENCH_FOLDER (build/bench-data) and
removed afterwards: name a folder on the disk that is to be measured. BENCH_ROUNDS (5), BENCH_SECONDS (3), BENCH_ENTRIES (1000000).
"""
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = pathlib.Path(os.environ.get("BENCH_FOLDER", ROOT / "build/bench-data"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
ENTRIES = int(os.environ.get("BENCH_ENTRIES", "1000000"))
PARTS = ["commit", "redis", "recovery", "warm", "memory", "map"]
GOALS = {
    "synced-vs-plain-commit": (0.9, True, "plain pwrite + fdatasync group commit, one thread, 128 records of 1 KiB outstanding"),
    "synced-vs-redis-always": (5.0, True, "Redis (Debian), appendfsync always, SET of 1 KiB, 128 connections, no pipelining"),
    "everysec-vs-redis-everysec": (1.0, True, "Redis (Debian), appendfsync everysec, SET of 1 KiB, 128 connections, operations per CPU second"),
    "recovery-1m-seconds": (3.0, False, "seconds for 1,000,000 entries of 1 KiB; anchor: CRC-only scan of the same files"),
    "entry-overhead-bytes": (100.0, False, "resident bytes an entry beyond its body, 1,000,000 entries; beside memcached"),
}
REASONS = {
    "synced-vs-plain-commit": "This disk syncs in about 0.1 ms, so what is compared is processor time: the plain loop copies and sums 1 KiB in 0.7 us a record, ours makes an entry "
                              "with a SHA-256, sets it in the table, hands a ticket to the journal's thread and is called back, 2 to 4 us on two shared cores. At one in flight "
                              "two hand-overs between the caller's thread and the journal's cost about as much as the sync itself.",
    "synced-vs-redis-always": "This disk syncs in about 0.1 ms (the host has a write-back cache), and Redis shares one sync among all that its 128 connections have "
                              "sent: both sides are bound by their processor, not by the disk, and a call of gRPC costs more of it than a line of RESP. Five times "
                              "needs a disk whose syncs cost milliseconds, where the journal's groups are larger than an event loop's.",
    "everysec-vs-redis-everysec": "The price of gRPC: an echo on its C core already costs most of what a Redis SET costs, before a Set is canonicalised and hashed.",
    "entry-overhead-bytes": "72 header and 8 of the allocator's word, 17 for slots at 0.54 fill, 8 for the queue; the rest is glibc's rounding to 16 bytes (13 at these "
                            "sizes) and holes of arrays that have grown. memcached's figure leaves out its key; ours holds the digest.",
}


def load_run():
    loader = importlib.machinery.SourceFileLoader("bench_run", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    loader.exec_module(module)
    module.GOALS.update(GOALS)
    module.REASONS.update(REASONS)
    module.ROUNDS = ROUNDS
    return module


def say(text):
    print(text, file=sys.stderr, flush=True)


def fresh_folder(name):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def program(build, *arguments):
    """One run of bench_storage; it prints one JSON object."""
    command = [str(build / "bin/bench_storage"), *map(str, arguments)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout)


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


def of_the_disk(build):
    """What a sync costs decides who is compared with whom: processors or disks."""
    rates = [program(build, "plain", fresh_folder("plain"), 1, SECONDS)["per_second"] for _ in range(3)]
    return f"A write of 1 KiB with its sync takes {1000 / statistics.median(rates):.2g} ms here."


# ---- commit ----------------------------------------------------------------------------------------------------------

def part_commit(run, results, build):
    backends = ["posix"]
    probe = program(build, "commit", fresh_folder("probe"), "io_uring", 16, 0.2)
    if probe["backend"] == "io_uring":
        backends.insert(0, "io_uring")
    else:
        say(f"  io_uring is not to be had here: {probe['reason']}")
    rows = []
    for in_flight in (1, 16, 128, 1024):
        plain, ours = [], {backend: [] for backend in backends}
        for number in range(ROUNDS):
            plain.append(program(build, "plain", fresh_folder("plain"), in_flight, SECONDS)["per_second"])
            for backend in backends:
                ours[backend].append(program(build, "commit", fresh_folder("commit"), backend, in_flight, SECONDS)["per_second"])
            say(f"  {in_flight} in flight, round {number + 1}/{ROUNDS}: plain {plain[-1]:,.0f}/s; " +
                ", ".join(f"{backend} {figures[-1]:,.0f}/s" for backend, figures in ours.items()))
        for backend, figures in ours.items():
            ratio = run.median_ratio(figures, plain)
            rows.append((f"{in_flight:,} in flight, {backend}", f"{statistics.median(figures):,.0f}", f"{statistics.median(plain):,.0f}", f"{ratio:.2f}x"))
        if in_flight == 128:
            results.goal("synced-vs-plain-commit", max(run.median_ratio(figures, plain) for figures in ours.values()))
    results.table("commit", "Set SYNCED at the journal, against a plain group commit", ["what", "ours, records/s", "plain, records/s", "ratio"], rows,
                  "One thread keeps so many Sets of 1 KiB outstanding; `always`. Ours is the whole Set: entry, table, eviction queue, record, checksum, and the "
                  "call back. Plain copies records with a checksum into a buffer, pwrites it into a zero-filled file, fdatasyncs, and counts them all as done. "
                  f"The goal takes the better backend. {of_the_disk(build)}")


# ---- redis -----------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Redis:
    def __init__(self, how):
        self.port, folder = free_port(), fresh_folder("redis")
        folder.mkdir(parents=True)
        self.process = subprocess.Popen(pinned(0, ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes",
                                                   "--appendfsync", how, "--save", "", "--auto-aof-rewrite-percentage", "0"]), stdout=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit("bench: redis-server did not start")

    def cpu_ns(self):
        return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir())

    def load(self, calls):
        """SET of 1 KiB from 128 connections, one outstanding each; (calls/s, CPU us a call)."""
        before = self.cpu_ns()
        output = subprocess.run(pinned(1, ["redis-benchmark", "-h", "127.0.0.1", "-p", self.port, "-t", "set", "-c", 128, "-n", calls, "-d", 1024, "-r", 100000,
                                           "--csv"]), capture_output=True, text=True, check=True).stdout
        rate = float(re.search(r'"SET","([\d.]+)"', output).group(1))
        return rate, (self.cpu_ns() - before) / 1000 / calls

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def part_redis(run, results, build):
    rows = []
    message = run.set_request(run.PROMPT, run.ANSWERS[1024])
    for how, calls in (("always", 20000), ("everysec", 60000)):
        ours = run.server(build, f"--storage-path={fresh_folder('ours')}", f"--journal-durability={how}", "--embed-provider=none")
        theirs = Redis(how)
        try:
            figures = {"ours": [], "theirs": []}
            ours.prepare(run.CACHE + "Set", message)
            run.load(ours, run.CACHE + "Set", message, calls // 4, streams=32)
            theirs.load(calls // 4)
            for number in range(ROUNDS):
                cpu_us, rate = run.load(ours, run.CACHE + "Set", message, calls, streams=32)
                figures["ours"].append((rate, cpu_us))
                figures["theirs"].append(theirs.load(calls))
                say(f"  {how}, round {number + 1}/{ROUNDS}: ours {figures['ours'][-1][0]:,.0f}/s, {figures['ours'][-1][1]:.1f} us; "
                    f"Redis {figures['theirs'][-1][0]:,.0f}/s, {figures['theirs'][-1][1]:.1f} us")
        finally:
            ours.stop()
            theirs.stop()
        rate = run.median_ratio([f[0] for f in figures["ours"]], [f[0] for f in figures["theirs"]])
        per_core = run.median_ratio([f[1] for f in figures["theirs"]], [f[1] for f in figures["ours"]])
        median = {side: [statistics.median(f[i] for f in figures[side]) for i in (0, 1)] for side in figures}
        rows.append((f"Set of 1 KiB, {how}", f"{median['ours'][0]:,.0f}", f"{median['theirs'][0]:,.0f}", f"{rate:.2f}x", f"{median['ours'][1]:.1f}",
                     f"{median['theirs'][1]:.1f}", f"{per_core:.2f}x"))
        results.goal("synced-vs-redis-always" if how == "always" else "everysec-vs-redis-everysec", rate if how == "always" else per_core)
    results.table("redis", "Set over gRPC against Redis with an append-only file",
                  ["what", "ours/s", "Redis/s", "rate", "ours, CPU us/call", "Redis, CPU us/call", "per core"], rows,
                  "128 in flight on both sides (4 connections x 32 streams; 128 connections), nothing pipelined; exact tier only (no vector). `always`: the reply "
                  "leaves after fdatasync. Not like for like: gRPC is HTTP/2 with protobuf, a Set canonicalises and hashes; Redis answers RESP. "
                  + of_the_disk(build))


# ---- recovery --------------------------------------------------------------------------------------------------------

def part_recovery(run, results, build):
    folder = fresh_folder("recovery")
    say(f"  writing {ENTRIES:,} entries of 1 KiB")
    filled = program(build, "fill", folder, ENTRIES, 1024)
    own, anchor = [], []
    for number in range(ROUNDS):
        anchor.append(program(build, "scan", folder)["seconds"])
        read = program(build, "recover", folder)
        assert read["entries"] == ENTRIES, f"{read['entries']} entries came back"
        own.append(read["seconds"])
        say(f"  round {number + 1}/{ROUNDS}: recovered in {own[-1]:.2f} s, scan {anchor[-1]:.2f} s")
    seconds = statistics.median(own) * 1_000_000 / ENTRIES
    results.goal("recovery-1m-seconds", seconds)
    size = filled["bytes"]
    results.table("recovery", "Recovery", ["what", "seconds", "GB/s", "against the scan"],
                  [(f"{ENTRIES:,} entries of 1 KiB into the table", f"{statistics.median(own):.2f}", f"{size / statistics.median(own) / 1e9:.2f}",
                    f"{run.median_ratio(own, anchor):.2f}x its time"),
                   ("the same files, checksums only, one thread", f"{statistics.median(anchor):.2f}", f"{size / statistics.median(anchor) / 1e9:.2f}", "1")],
                  f"{size / 1e9:.2f} GB of journal after a clean shutdown, page cache warm, both cores.")
    shutil.rmtree(folder)


# ---- warm ------------------------------------------------------------------------------------------------------------

NAMESPACES, DIMENSION, BATCH = 10, 384, 32


class Vectors:
    """Unlike vectors by number: windows of one row of random half-precision floats."""

    def __init__(self):
        chance = random.Random(5)
        count = 1 << 20
        self.halves = struct.pack(f"<{count}e", *(chance.gauss(0, 1) for _ in range(count)))

    def bytes_of(self, number):
        start = number * 7919 % (len(self.halves) // 2 - DIMENSION) * 2
        return self.halves[start:start + DIMENSION * 2]


def question(run, vectors, number):
    identity = run.identity(f"question number {number}", f"warm-{number % NAMESPACES}")
    return identity, run.field(2, vectors.bytes_of(number))


def fill_server(run, program, vectors):
    import grpc
    answer = "a" * 1024
    with grpc.insecure_channel(program.address) as channel:
        batch_set, flying = channel.unary_unary(run.CACHE + "BatchSet"), []
        for first in range(0, ENTRIES, BATCH):
            items = []
            for number in range(first, min(first + BATCH, ENTRIES)):
                identity, vector = question(run, vectors, number)
                items.append(run.field(1, identity) + run.field(3, vector) + run.field(100, answer))
            flying.append(batch_set.future(run.batch(items), timeout=60))
            if len(flying) >= 16:
                flying.pop(0).result()
            if first // BATCH % (100000 // BATCH) == 0:
                say(f"  {first:,} of {ENTRIES:,} set")
        for call in flying:
            call.result()


def is_semantic_hit(reply):
    """GetResponse.hit (1) and .tier (2), which come first."""
    return reply[:4] == b"\x08\x01\x10\x02"


def seconds_to_hit(run, build, folder, vectors, number):
    """From the start of the process until a question in other words is answered from the cache; and the server."""
    import grpc
    started = time.monotonic()
    program = run.server(build, f"--storage-path={folder}", "--embed-provider=none")
    identity, vector = question(run, vectors, number)
    message = run.field(1, run.identity(f"in other words {number}", f"warm-{number % NAMESPACES}")) + run.field(2, vector)
    with grpc.insecure_channel(program.address) as channel:
        get = channel.unary_unary(run.CACHE + "Get")
        while time.monotonic() - started < 600:
            try:
                if is_semantic_hit(get(message, timeout=60)):
                    return time.monotonic() - started, program
            except grpc.RpcError:
                pass  # it is still reading
            time.sleep(0.02)
    raise SystemExit("bench: no hit within ten minutes")


def part_warm(run, results, build):
    folder, vectors = fresh_folder("warm"), Vectors()
    program = run.server(build, f"--storage-path={folder}", "--embed-provider=none")
    fill_server(run, program, vectors)
    say("  ending it")
    program.stop()
    size, times = sum(file.stat().st_size for file in folder.rglob("*.journal")), []
    for number in range(ROUNDS):
        seconds, program = seconds_to_hit(run, build, folder, vectors, ENTRIES - 1 - number)
        times.append(seconds)
        say(f"  round {number + 1}/{ROUNDS}: the first semantic hit after {seconds:.2f} s")
        program.stop()
    results.table("warm", "A warm restart", ["what", "seconds", "journal, GB"],
                  [(f"{ENTRIES:,} entries of 1 KiB with vectors, d = {DIMENSION}, {NAMESPACES} namespaces", f"{statistics.median(times):.2f}", f"{size / 1e9:.2f}")],
                  "From the start of the process until a question in other words, of an entry that was set last, is a semantic hit. Ended by SIGTERM before, page "
                  "cache warm.")
    shutil.rmtree(folder)


# ---- memory ----------------------------------------------------------------------------------------------------------

def resident_bytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) * 1024


def memcached_bytes(value_bytes):
    """Resident bytes an item of memcached with our keys' length (32) and these values, less key and value."""
    port = free_port()
    process = subprocess.Popen(["memcached", "-p", str(port), "-l", "127.0.0.1", "-m", "8192", "-u", "nobody", "-t", "1", "-U", "0"])
    try:
        time.sleep(1)
        before = resident_bytes(process.pid)
        count = min(ENTRIES, 1_000_000)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            value = b"a" * value_bytes
            for first in range(0, count, 1000):
                connection.sendall(b"".join(b"set %032d 0 0 %d noreply\r\n%s\r\n" % (key, value_bytes, value) for key in range(first, first + 1000)))
            connection.sendall(b"version\r\n")
            connection.recv(100)
        return (resident_bytes(process.pid) - before) / count - 32 - value_bytes
    finally:
        process.terminate()
        process.wait(30)


def part_memory(run, results, build):
    rows = []
    for size in (256, 1024):
        own = program(build, "memory", ENTRIES, size)
        rows.append((f"{ENTRIES:,} entries, answers of {size} bytes", f"{own['overhead_bytes']:.1f}", f"{memcached_bytes(size):.1f}"))
        say(f"  {rows[-1]}")
        if size == 1024:
            results.goal("entry-overhead-bytes", own["overhead_bytes"])
    results.table("memory", "Bytes an entry beyond its body", ["what", "ours", "memcached"], rows,
                  "Resident memory of the process, grown by the entries, less their bodies (88 bytes of ids, times and sizes, and the texts); ours holds a digest of "
                  "32 bytes in it, memcached's figure is beyond its key. Header, slot of the table, queue and allocator are all in it.")


def part_map(run, results, build):
    rows = []
    for threads in (1, 2):
        figures = [program(build, "map", ENTRIES, threads)["nanoseconds"] for _ in range(ROUNDS)]
        rows.append((f"Get, {threads} thread{'s' if threads > 1 else ''}", f"{statistics.median(figures):.0f}", f"{threads * 1000 / statistics.median(figures):.1f}"))
        say(f"  {rows[-1]}")
    results.table("map", "Get of the table alone", ["what", "ns a Get", "million Gets/s in total"], rows,
                  f"{ENTRIES:,} keys, uniformly at random, with their stripe's lock, expiry, hit count and a reference taken and dropped.")


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(__doc__)
    run, build = load_run(), pathlib.Path(sys.argv[1]).resolve()
    results = run.Results()
    try:
        for part in sys.argv[2:] or PARTS:
            say(f"== storage {part}")
            globals()[f"part_{part}"](run, results, build)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
