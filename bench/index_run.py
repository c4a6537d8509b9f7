#!/usr/bin/python3
"""Measures the index against FAISS, hnswlib and usearch and writes into bench/RESULTS.md and goals.tsv.

    bench/index_run.py BUILD_FOLDER [PART ...] [--rows 1k,10k,100k] [--dims 384,1024] [--ef-construction 64]
                       [--peers faiss-avx2,hnswlib] [--words-only]

Parts: lookup   lookups/s, recall, building, bytes, at each number of rows and each dimension
       churn    searches beside 500 inserts/s, against FAISS that stands still
       merge    latency of searches while rows are sealed, built into the structure and swapped in
       writes   10 to 50 % writes at capacity, each evicting the oldest row
       scopes   the same rows in 1, 1,000 and 10,000 scopes
--words-only measures nothing: it writes what is said above the lookup tables anew, and leaves their figures and what was left out.
1m is a number of rows too; it takes hours and about 12 GiB (churn and its goal are measured there), and is done only when asked for.

Peers: FAISS of Debian as it is; the same version built for AVX2 from Debian's source package; the newest FAISS and usearch, wheels
from PyPI; hnswlib of Debian, compiled for this processor. All have as many links and as wide a construction as we. For each index
the smallest breadth (ef, or lists read) that finds the true nearest often enough is chosen, so that all are compared at equal
recall. Rounds alternate over all of them, medians count. What has to be fetched, built and drawn is kept in
BUILD_FOLDER/bench-index; a first run needs about 5 minutes for it. BENCH_ROUNDS (7) makes it longer or shorter.
"""
import argparse
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CORES = os.cpu_count()
HOME_CORE = str(CORES - 1)
PARTS = ["lookup", "churn", "merge", "writes", "scopes"]
PEERS = ["faiss-avx2", "faiss-debian", "faiss-wheel", "hnswlib", "usearch-f32", "usearch-i8"]
LINKS = 16
FLAT_ROWS_MAX = 16384  # up to here our index is flat (its promotion rule)
ROUND_MS = 300
EF = [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
NPROBE = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]  # as fine as EF: between two doublings lies a third of the work
NOVEL_BAR = 0.95
HIT_QUERIES, NOVEL_QUERIES = 4000, 1000
FAISS_AVX2 = "FAISS 1.7.3 built for AVX2 from Debian's source"
GOALS = {
    "hnsw-100k-vs-hnswlib": (1.5, True, "hnswlib of Debian, this processor's code; 100k rows, d = 384, hit recall >= 0.999, one thread"),
    "hnsw-100k-vs-faiss-avx2": (3.0, True, FAISS_AVX2 + "; 100k rows, d = 384, hit recall >= 0.999, one thread"),
    "churn-1m-vs-faiss-idle": (0.9, True, FAISS_AVX2 + ", idle; ours beside 500 inserts/s; 1M rows, d = 384, hit recall >= 0.96"),
    "merge-p99-vs-idle": (1.5, False, "own p99 without inserts; 100k rows, d = 384, builder on another core"),
    "hot-bytes-per-row": (560.0, False, "bytes a search reads from, a row: codes, scale, tag, expiry, links; d = 384 (FAISS HNSW: 1680)"),
    "ivf-vs-hnsw": (1.2, True, "own HNSW, 100k rows, d = 384, both at hit recall >= 0.998, one thread"),
}
REASONS = {
    "ivf-vs-hnsw": "Profiled beside a full load (AMD EPYC, perf by the thread's CPU time): IVF at eight lists 49 us, the graph at ef 12 59 us. Some 13 are the "
                   "same work in both: the 1,696 of 100,000 rows that no segment holds yet are scanned (8), the best ranked again in fp32 (3.5), the rest "
                   "merged. Of its own IVF has 24 for products with 632 centroids and 1,273 rows, and 9 for offering them; the graph 29 for products with 395 "
                   "rows and 14 for following links. So it is five times the bytes in order against a fifth of them scattered: which is faster is for a "
                   "processor's memory to say, and the ratio moves with it, 0.98 on the Xeon, 1.09 to 1.2 there.",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def load_run():
    """bench/run, which has no .py: its Results write the page and the goals."""
    loader = importlib.machinery.SourceFileLoader("bench_run", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    module.GOALS.update(GOALS)
    module.REASONS.update(REASONS)
    return module


def short(count):
    return f"{count // 1000000}M" if count % 1000000 == 0 else f"{count // 1000}k"


def number(text):
    match = re.fullmatch(r"(\d+)([km]?)", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows")
    return int(match.group(1)) * {"": 1, "k": 1000, "m": 1000000}[match.group(2)]


# ---- the peers: fetched and built once -----------------------------------------------------------------------------

def newer(target, *sources):
    return target.exists() and all(target.stat().st_mtime >= source.stat().st_mtime for source in sources)


def run_logged(log, *command, **more):
    with open(log, "a") as out:
        subprocess.run([str(word) for word in command], stdout=out, stderr=out, check=True, **more)


def source_lists(folder):
    """This machine's own package sources, with the source packages instead of the binary ones."""
    suite = re.search(r"VERSION_CODENAME=(\w+)", pathlib.Path("/etc/os-release").read_text()).group(1)
    etc, out = pathlib.Path("/etc/apt"), folder / "sources.list.d"
    out.mkdir(parents=True, exist_ok=True)
    for path in [*etc.glob("sources.list"), *etc.glob("sources.list.d/*.list")]:
        lines = [re.sub(r"^deb\b", "deb-src", line) for line in path.read_text().splitlines() if line.startswith("deb ") and suite in line.split()]
        (out / f"{path.stem}.list").write_text("\n".join(lines) + "\n")
    for path in etc.glob("sources.list.d/*.sources"):
        parts = [part for part in re.split(r"\n\s*\n", path.read_text()) if re.search(rf"^Suites:.*\b{suite}(\s|$)", part, re.MULTILINE)]
        (out / path.name).write_text("\n\n".join(re.sub(r"^Types:.*$", "Types: deb-src", part, flags=re.MULTILINE) for part in parts) + "\n")
    return out


def fetch_faiss_source(folder, log):
    """apt-get source with lists of its own, so that the machine's stay as they are. Returns the source's folder."""
    there = sorted(folder.glob("faiss-*/faiss"))
    if not there:
        lists = source_lists(folder)
        for sub in ("lists/partial", "cache/archives/partial"):
            (folder / sub).mkdir(parents=True, exist_ok=True)
        (folder / "apt.conf").write_text(f'Dir::State::lists "{folder}/lists";\nDir::Cache "{folder}/cache";\nDir::Etc::sourcelist "-";\n'
                                         f'Dir::Etc::sourceparts "{lists}";\nAPT::Sandbox::User "root";\n')
        version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", "libfaiss-dev"], capture_output=True, text=True, check=True).stdout
        env = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
        run_logged(log, "apt-get", "update", env=env)
        run_logged(log, "apt-get", "source", "--only-source", f"faiss={version}", env=env, cwd=folder)
        there = sorted(folder.glob("faiss-*/faiss"))
    return there[0].parent


def build_faiss_avx2(cache):
    """The same version as Debian's, for AVX2; about two minutes of CPU time. None if the source is not to be had."""
    folder, program = cache / "faiss-avx2", cache / "bench_index_faiss_avx2"
    library, log = folder / "build/faiss/libfaiss_avx2.a", cache / "faiss-avx2.log"
    try:
        if not library.exists():
            say("index: fetching FAISS's source package and building it for AVX2, about 2 minutes")
            folder.mkdir(parents=True, exist_ok=True)
            source = fetch_faiss_source(folder, log)
            run_logged(log, "cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DFAISS_ENABLE_GPU=OFF",
                       "-DFAISS_ENABLE_PYTHON=OFF", "-DBUILD_TESTING=OFF", "-DFAISS_OPT_LEVEL=avx2", "-DBLA_VENDOR=OpenBLAS")
            run_logged(log, "cmake", "--build", folder / "build", "--target", "faiss_avx2")
        source = fetch_faiss_source(folder, log)
        if not newer(program, HERE / "index_faiss.cpp", HERE / "index_peer.h", library):
            serial = next(pathlib.Path("/usr/lib").glob("*/openblas-serial"))
            run_logged(log, "g++", "-std=c++17", "-O3", "-mavx2", "-mfma", "-mf16c", "-mpopcnt", "-fopenmp", f"-I{source}", f"-I{ROOT}",
                       HERE / "index_faiss.cpp", library, f"-L{serial}", "-lopenblas", f"-Wl,-rpath,{serial}", "-lgomp", "-lpthread", "-o", program)
        return program
    except (subprocess.CalledProcessError, OSError, StopIteration) as error:
        say(f"index: no FAISS for AVX2 to be had here ({error}; {log}); the wheel of PyPI stands in for it, where its goals are concerned")
        return None


def build_hnswlib(cache):
    program, log = cache / "bench_index_hnswlib", cache / "hnswlib.log"
    try:
        if not pathlib.Path("/usr/include/hnswlib/hnswlib.h").exists():
            say("index: installing libhnswlib-dev")
            root = [] if os.geteuid() == 0 else ["sudo"]
            run_logged(log, *root, "apt-get", "update")
            run_logged(log, *root, "apt-get", "install", "-y", "--no-install-recommends", "libhnswlib-dev")
        if not newer(program, HERE / "index_hnswlib.cpp", HERE / "index_peer.h"):
            run_logged(log, "g++", "-std=c++17", "-O3", "-march=native", f"-I{ROOT}", HERE / "index_hnswlib.cpp", "-lpthread", "-o", program)
        return program
    except (subprocess.CalledProcessError, OSError) as error:
        say(f"index: no hnswlib to be had here ({error}; {log}); it is left out")
        return None


def build_wheels(cache):
    """An environment with the wheels. None if they are not to be had."""
    folder, log = cache / "venv", cache / "wheels.log"
    try:
        if not (folder / "ready").exists():
            say("index: making an environment with faiss-cpu, usearch and numpy")
            run_logged(log, sys.executable, "-m", "venv", folder)
            run_logged(log, folder / "bin/python", "-m", "pip", "install", "--disable-pip-version-check", "faiss-cpu", "usearch", "numpy")
            (folder / "ready").touch()
        return folder / "bin/python"
    except (subprocess.CalledProcessError, OSError) as error:
        say(f"index: no wheels to be had here ({error}; {log}); they are left out")
        return None


class Tools:
    """Where the programs are, and what is known of the peers."""

    def __init__(self, build, peers):
        self.build, self.cache = build, build / "bench-index"
        self.cache.mkdir(exist_ok=True)
        wheels = build_wheels(self.cache)
        self.programs = {
            "ours": [build / "bin/bench_index"],
            "faiss-debian": [build / "bin/bench_index_faiss"],
            "faiss-avx2": [build_faiss_avx2(self.cache)],
            "hnswlib": [build_hnswlib(self.cache)],
            **{name: [wheels, HERE / "index_peers.py", name] for name in ("faiss-wheel", "usearch-f32", "usearch-i8")},
        }
        self.programs = {name: words for name, words in self.programs.items() if words[0] is not None and (name == "ours" or name in peers)}
        self.versions = self.wheel_versions(wheels) if wheels else {}

    @staticmethod
    def wheel_versions(python):
        out = subprocess.run([python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True).stdout
        return {row["name"]: row["version"] for row in json.loads(out)}

    def faiss_anchor(self):
        """For the goals that name FAISS for AVX2: the newest wheel where the source package is not to be had."""
        return "faiss-avx2" if "faiss-avx2" in self.programs else "faiss-wheel"

    def name_anchor(self, goals):
        if self.faiss_anchor() == "faiss-wheel":
            stand_in = f"FAISS {self.versions.get('faiss-cpu', '')} of PyPI, as {FAISS_AVX2} was not to be had"
            goals.update({name: (bar, larger, anchor.replace(FAISS_AVX2, stand_in)) for name, (bar, larger, anchor) in GOALS.items()})

    def draw(self, dimension, rows):
        say(f"  vectors: d = {dimension}, {rows:,} rows")
        subprocess.run([self.build / "bin/bench_index_data", self.cache, str(dimension), str(rows)], check=True)


LABELS = {
    ("ours", "flat"): "Reprise, flat", ("ours", "hnsw"): "**Reprise, HNSW**", ("ours", "ivf"): "Reprise, IVF", ("ours", "auto"): "Reprise",
    ("faiss-debian", ""): "FAISS 1.7.3 of Debian", ("faiss-avx2", ""): "FAISS 1.7.3 for AVX2", ("faiss-wheel", ""): "FAISS {faiss-cpu}, PyPI",
    ("hnswlib", ""): "hnswlib 0.6.2", ("usearch-f32", ""): "usearch {usearch}, f32", ("usearch-i8", ""): "usearch {usearch}, i8",
}
SHORT_LABELS = {"ours": "Reprise", "faiss-debian": "FAISS of Debian", "faiss-avx2": "FAISS for AVX2", "faiss-wheel": "FAISS of PyPI", "hnswlib": "hnswlib",
                "usearch-f32": "usearch f32", "usearch-i8": "usearch i8"}
KINDS = {"flat": "flat", "hnsw": "HNSW", "ivf": "IVF", "ivf-sq8": "IVF,SQ8"}


class Engine:
    """One index in a process of its own, pinned to the last core; answers a JSON line for each command."""

    def __init__(self, tools, peer, kind, dimension, rows):
        self.tools, self.peer, self.kind, self.dimension, self.rows = tools, peer, kind, dimension, rows
        command = ["taskset", "-c", HOME_CORE, *tools.programs[peer], tools.cache, dimension, rows]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_WAIT_POLICY": "passive"})
        self.breadth, self.figures = None, {}

    def label(self):
        if (self.peer, self.kind) in LABELS:
            return LABELS[self.peer, self.kind]
        name = re.sub(r"\{([\w-]+)\}", lambda match: self.tools.versions.get(match.group(1), ""), LABELS[self.peer, ""])
        return name if self.peer == "hnswlib" or self.peer.startswith("usearch") else f"{name}, {KINDS[self.kind]}"

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"index: {shlex.join(self.process.args)} ended at: {words}")
        return json.loads(line)

    def lists(self):
        """As ours: 2 sqrt(rows), at least 64, never above rows / 39."""
        return max(min(max(int(2 * self.rows ** 0.5), 64), self.rows // 39), 1)

    def build(self, ef_construction):
        """Big ones are kept in a file (ours is always built anew), and built by all cores; rates are a core's."""
        path, threads = "-", 1
        if self.rows >= 100000 and self.peer != "ours" and self.kind != "flat":
            same = "faiss-1.7.3" if self.peer in ("faiss-debian", "faiss-avx2") else self.peer  # one format: the graph is built once
            path = self.tools.cache / f"{same}-{self.kind}-{self.dimension}-{self.rows}-{LINKS}-{ef_construction}.index"
            threads = CORES if self.rows >= 1000000 else 1
        shared = self.peer == "faiss-debian" and path != "-" and path.exists()
        say(f"  {self.label()}: building {self.rows:,} rows")
        self.figures = self.ask("build", self.kind, LINKS, ef_construction, self.lists(), threads, path)
        self.figures["rows_per_s"] = None if shared else self.rows / max(self.figures["cpu_s"], 1e-6)

    def pick(self, bar, novel=False):
        """The smallest breadth that reaches the bar of hit recall, else the largest; also the one for novel queries."""
        exact = self.kind == "flat" or (self.kind == "auto" and self.rows <= FLAT_ROWS_MAX)
        breadths = NPROBE if self.kind.startswith("ivf") else [0] if exact else EF
        few = 2000000 // self.rows
        queries = (few, few) if exact and few < NOVEL_QUERIES else (HIT_QUERIES, NOVEL_QUERIES)
        seen = []
        for breadth in breadths:
            if breadth:
                self.ask("set", breadth)
            seen.append((breadth, self.ask("recall", *queries)))
            if seen[-1][1]["hit"] >= bar and (not novel or seen[-1][1]["novel"] >= NOVEL_BAR):
                break
        self.breadth, self.recall = next((pair for pair in seen if pair[1]["hit"] >= bar), seen[-1])
        self.wide_breadth, self.wide_recall = next((pair for pair in seen if pair[1]["novel"] >= NOVEL_BAR), seen[-1])
        self.set(self.breadth)
        say(f"  {self.label()}: breadth {self.breadth or '-'}: hit recall {self.recall['hit']:.4f}, novel {self.recall['novel']:.4f}" +
            (f"; {self.wide_breadth or '-'}: novel {self.wide_recall['novel']:.4f}" if novel else ""))

    def set(self, breadth):
        if breadth:
            self.ask("set", breadth)

    def qps(self, k, threads, milliseconds=ROUND_MS):
        return self.ask("time", k, threads, milliseconds)["qps"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(600)


# ---- lookup --------------------------------------------------------------------------------------------------------

def bar_for(rows):
    """One graph of a million rows is not to be brought to 0.999 at any reasonable breadth."""
    return 0.999 if rows < 1000000 else 0.96


def line_up(tools, rows):
    own = [("ours", "flat")] + ([("ours", "hnsw"), ("ours", "ivf")] if rows > FLAT_ROWS_MAX else [])
    peers = [(peer, kind) for peer in ("faiss-avx2", "faiss-debian", "faiss-wheel") for kind in ("flat", "hnsw", "ivf", "ivf-sq8")
             if not (kind == "flat" and rows >= 1000000) and not (kind == "ivf-sq8" and peer != "faiss-avx2")
             and not (peer == "faiss-debian" and kind == "ivf")]
    peers += [("hnswlib", "hnsw"), ("usearch-f32", "hnsw"), ("usearch-i8", "hnsw")]
    return [pair for pair in own + peers if pair[0] in tools.programs]


def memory_fits(pairs, dimension, rows):
    """Leaves peers out, the least telling first, until all fit into three quarters of what is free."""
    free = int(re.search(r"MemAvailable:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1)) * 1024 * 0.75
    order = [("faiss-wheel", "ivf"), ("usearch-f32", "hnsw"), ("faiss-debian", "hnsw"), ("ours", "flat"), ("faiss-wheel", "hnsw"),
             ("usearch-i8", "hnsw"), ("faiss-avx2", "ivf"), ("faiss-avx2", "ivf-sq8")]
    def needed(pair):
        return rows * ((dimension * 5 + 300) * 1.3 if pair[0] == "ours" else dimension * (1 if "8" in pair[1] + pair[0][-2:] else 4) + 250)
    left_out = []
    while sum(map(needed, pairs)) + rows * dimension * 4 > free and order:
        if order[0] in pairs:
            pairs = [pair for pair in pairs if pair != order[0]]
            left_out.append(order[0])
        order.pop(0)
    return pairs, left_out


def measure_rounds(engines, rounds, label):
    for number_now in range(rounds):
        for engine in engines:
            for name, k, threads, milliseconds in (("one", 1, 1, ROUND_MS), ("eight", 8, 1, ROUND_MS // 2), ("all", 1, CORES, ROUND_MS // 2)):
                engine.figures.setdefault(name, []).append(engine.qps(k, threads, milliseconds))
            engine.set(engine.wide_breadth)
            engine.figures.setdefault("wide", []).append(engine.qps(1, 1, ROUND_MS))
            engine.set(engine.breadth)
        say(f"  {label}: round {number_now + 1}/{rounds}: " + ", ".join(f"{engine.label().strip('*')} {engine.figures['one'][-1]:,.0f}" for engine in engines))


def ratio_of(own, peer, name="one"):
    return statistics.median(a / b for a, b in zip(own.figures[name], peer.figures[name]))


def ivf_against_hnsw(run, results, engines):
    """Both at hit recall 0.998, alternating; at 0.999 they stand in the table."""
    pair = [next(engine for engine in engines if (engine.peer, engine.kind) == ("ours", kind)) for kind in ("ivf", "hnsw")]
    kept = [(engine.breadth, engine.recall, engine.wide_breadth, engine.wide_recall) for engine in pair]
    for engine in pair:
        engine.pick(0.998)
    ratio = statistics.median(pair[0].qps(1, 1) / pair[1].qps(1, 1) for _ in range(run.ROUNDS))
    if all(engine.recall["hit"] >= 0.998 for engine in pair):
        results.goal("ivf-vs-hnsw", ratio)
    for engine, figures in zip(pair, kept):
        engine.breadth, engine.recall, engine.wide_breadth, engine.wide_recall = figures
    return ratio


def lookup_row(engine, main, bar):
    figure, recall = engine.figures, engine.recall
    missed = "" if recall["hit"] >= bar else " (below the bar)"
    middle = {name: statistics.median(figure[name]) for name in ("one", "eight", "all", "wide")}
    wide = f"{middle['wide']:,.0f} ({engine.wide_breadth or '-'}: {engine.wide_recall['novel']:.3f})"
    return (str(engine.dimension), engine.label(), str(engine.breadth or "-"), f"{recall['hit']:.4f}{missed}", f"{recall['novel']:.3f}",
            f"{recall['hit8']:.3f} / {recall['novel8']:.3f}", f"{middle['one']:,.0f}", f"{ratio_of(main, engine):.2f}x", f"{middle['eight']:,.0f}",
            f"{middle['all']:,.0f}", wide, f"{ratio_of(main, engine, 'wide'):.2f}x", f"{figure['rows_per_s']:,.0f}" if figure["rows_per_s"] else "-", f"{figure['hot_bytes']:.0f}")


def lookup_goals(tools, results, engines, main):
    by_peer = {(engine.peer, engine.kind): engine for engine in engines}
    anchor = by_peer.get((tools.faiss_anchor(), "hnsw"))
    for name, peer in (("hnsw-100k-vs-hnswlib", by_peer.get(("hnswlib", "hnsw"))), ("hnsw-100k-vs-faiss-avx2", anchor)):
        if peer is None:
            say(f"index: {name} is left as it is: its peer is not here")
        elif min(main.recall["hit"], peer.recall["hit"]) < bar_for(main.rows):
            say(f"index: {name} is left as it is: the bar of recall was not reached")
        else:
            results.goal(name, ratio_of(main, peer))
    results.goal("hot-bytes-per-row", main.figures["hot_bytes"])


def lookup_at(tools, run, results, dimension, rows, ef_construction):
    """Returns the rows of the table and what was left out."""
    tools.draw(dimension, rows)
    pairs, left_out = memory_fits(line_up(tools, rows), dimension, rows)
    engines = [Engine(tools, peer, kind, dimension, rows) for peer, kind in pairs]
    for engine in engines:
        engine.build(ef_construction)
        engine.pick(bar_for(rows), novel=True)
    main = next(engine for engine in engines if (engine.peer, engine.kind) == ("ours", "flat" if rows <= FLAT_ROWS_MAX else "hnsw"))
    measure_rounds(engines, run.ROUNDS, f"d = {dimension}, {short(rows)}")
    if (dimension, rows) == (384, 100000):
        lookup_goals(tools, results, engines, main)
        say(f"  IVF against HNSW at hit recall 0.998: {ivf_against_hnsw(run, results, engines):.2f}")
    table = [lookup_row(engine, main, bar_for(rows)) for engine in engines]
    for engine in engines:
        engine.stop()
    return table, left_out


def left_out_sentence(left_out):
    """left_out: dimension, peer, kind of each."""
    if not left_out:
        return ""
    at = {}
    for dimension, peer, kind in left_out:
        at.setdefault(dimension, []).append(f"{SHORT_LABELS[peer]} {KINDS[kind]}")
    return ("Left out, since all that are compared are held at once and may take three quarters of the memory that is free, the least telling first: "
            + "; ".join(f"at d = {dimension} {', '.join(names)}" for dimension, names in at.items()) + ".")


def lookup_note(rows, ef_construction, left_out):
    note = (f"Each at the smallest ef (lists read for IVF) that finds the true nearest of at least {bar_for(rows)} of {HIT_QUERIES} hit queries; "
            f"M = {LINKS}, efConstruction = {ef_construction} for all. Hit: a stored vector and noise, cosine 0.86 to 0.98; novel: a fresh draw; "
            f"r@1 is the recall of the nearest, r@8 of the eight nearest. Near-copies are found at small breadths; the columns with novel "
            "r@1 are the comparison for questions with nothing close stored (breadth and recall in brackets). Lookups/s: one thread by its "
            f"CPU time, all {CORES} cores by the clock; ours in int8 with re-rank in fp32. Build rates are a core's. The wheels search in "
            "blocks, without Python between lookups.")
    if rows > FLAT_ROWS_MAX:
        note += (" Our HNSW and IVF are walked by the product's own loop (`segment_search`), called from `bench/index_segments.c`, which scans the last rows and "
                 "ranks again as a partition does: without the directory, its epoch and its statistics, which our flat index and the tables of churn, "
                 "merge, writes and scopes go through.")
    if rows >= 1000000:
        note += " FAISS's flat indexes are not tried at this size: each lookup of theirs would read 1.5 GB and more."
    return note + (" " + left_out if left_out else "")


def rewrite_words(results, args):
    for rows in args.rows:
        def note_of(before, rows=rows):
            kept = re.search(r"Left out, .*?\.(?= `bench)", before)
            return lookup_note(rows, args.ef_construction, kept.group() if kept else "") + " `bench/index_run.py BUILD lookup`."
        results.rewrite_note(f"index-lookup-{short(rows)}", note_of)


def part_lookup(tools, run, results, args):
    for rows in args.rows:
        table, left_out = [], []
        for dimension in args.dims:
            more, left = lookup_at(tools, run, results, dimension, rows, args.ef_construction)
            table += more
            left_out += [(dimension, *pair) for pair in left]
        note = lookup_note(rows, args.ef_construction, left_out_sentence(left_out))
        results.table(f"index-lookup-{short(rows)}", f"Index: lookups in {short(rows)} rows",
                      ["d", "index", "breadth", "hit r@1", "novel r@1", "r@8 hit / novel", "lookups/s", "ours against it", "k = 8", f"{CORES} threads",
                       f"lookups/s where novel r@1 >= {NOVEL_BAR}", "ours against it", "build rows/s", "hot bytes a row"], table, note + " `bench/index_run.py BUILD lookup`.")


# ---- churn and merge -----------------------------------------------------------------------------------------------

EXTRA_ROWS = 131072  # as index_files.h says


def own_index(tools, rows, ef_construction, kind="auto"):
    tools.draw(384, rows)
    engine = Engine(tools, "ours", kind, 384, rows)
    engine.build(ef_construction)
    engine.pick(bar_for(rows))
    return engine


def part_churn(tools, run, results, args):
    if tools.faiss_anchor() not in tools.programs:
        say("index: churn is left out: there is no FAISS to compare with")
        return
    per_s, seconds = 500, 10
    rounds = min(run.ROUNDS, EXTRA_ROWS // (per_s * seconds + per_s))
    for rows in [count for count in args.rows if count >= 100000] or [max(args.rows)]:
        ours = own_index(tools, rows, args.ef_construction)
        anchor = Engine(tools, tools.faiss_anchor(), "hnsw", 384, rows)
        anchor.build(args.ef_construction)
        anchor.pick(bar_for(rows))
        out = []
        for number_now in range(rounds):
            idle = anchor.qps(1, 1, 1000)
            churn = ours.ask("churn", per_s, seconds)
            out.append((idle, churn))
            say(f"  churn, {short(rows)}: round {number_now + 1}/{rounds}: {churn['busy_qps']:,.0f} lookups/s beside inserts, {churn['idle_qps']:,.0f} alone; "
                f"FAISS idle {idle:,.0f}; {churn['builds']} builds, inserts late by {churn['late_ms']:.1f} ms at most, recall {churn['recall']:.4f}")
        ratio = statistics.median(churn["busy_qps"] / idle for idle, churn in out)
        own_ratio = statistics.median(churn["busy_qps"] / churn["idle_qps"] for _, churn in out)
        recall = min(churn["recall"] for _, churn in out)
        if rows == 1000000 and min(recall, anchor.recall["hit"]) >= bar_for(rows):
            results.goal("churn-1m-vs-faiss-idle", ratio)
        middle = lambda name: statistics.median(churn[name] for _, churn in out)
        late = max(churn["late_ms"] for _, churn in out)
        results.table(f"index-churn-{short(rows)}", f"Index: {per_s} inserts/s beside searches, {short(rows)} rows",
                      ["lookups/s beside inserts", "alone", "FAISS idle", "against FAISS idle", "against own idle", "p99 beside / alone, us", "hit recall ours / FAISS",
                       "builds", "an insert late by at most"],
                      [(f"{middle('busy_qps'):,.0f}", f"{middle('idle_qps'):,.0f}", f"{statistics.median(idle for idle, _ in out):,.0f}", f"{ratio:.2f}x",
                        f"{own_ratio:.2f}x", f"{statistics.median(churn['busy']['p99_us'] for _, churn in out):.0f} / "
                        f"{statistics.median(churn['idle']['p99_us'] for _, churn in out):.0f}", f"{recall:.4f} / {anchor.recall['hit']:.4f}",
                        str(sum(churn["builds"] for _, churn in out)), f"{late:.1f} ms")],
                      f"d = 384, one searching thread (CPU time), inserts and builder on another core, {seconds} s a round. FAISS 1.7.3 HNSW cannot be "
                      f"inserted into beside searches: it stands still ({anchor.label()}, breadth {anchor.breadth}; ours {ours.breadth}). "
                      "`bench/index_run.py BUILD churn`.")
        ours.stop()
        anchor.stop()


def part_merge(tools, run, results, args):
    rows, per_s = max([count for count in args.rows if count <= 100000] or [100000]), 4000
    seconds = min(4.0, 0.9 * EXTRA_ROWS / per_s / run.ROUNDS)
    ours, out = own_index(tools, rows, args.ef_construction), []
    for number_now in range(run.ROUNDS):
        out.append(ours.ask("churn", per_s, seconds))
        busy, idle = out[-1]["busy"], out[-1]["idle"]
        say(f"  merge: round {number_now + 1}/{run.ROUNDS}: p99 {busy['p99_us']:.0f} us during {out[-1]['builds']} builds, {idle['p99_us']:.0f} us idle")
    ratio = {name: statistics.median(one["busy"][name] / one["idle"][name] for one in out) for name in ("p50_us", "p99_us", "p999_us")}
    builds = sum(one["builds"] for one in out)
    if builds > 0 and rows == 100000:
        results.goal("merge-p99-vs-idle", ratio["p99_us"])
    else:
        say(f"index: merge-p99-vs-idle is left as it is: {builds} builds, {rows:,} rows")
    middle = lambda when, name: statistics.median(one[when][name] for one in out)
    results.table("index-merge" if rows == 100000 else f"index-merge-{short(rows)}", "Index: latency while rows are sealed, built in and swapped in", ["latency", "idle, us", "during builds, us", "ratio"],
                  [(text, f"{middle('idle', name):.1f}", f"{middle('busy', name):.1f}", f"{ratio[name]:.2f}x")
                   for text, name in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us"))],
                  f"{short(rows)} rows, d = 384, one searching thread by the clock, {per_s} inserts/s and the builder on another core, {builds} builds in "
                  f"{run.ROUNDS} rounds of {seconds:.1f} s. `bench/index_run.py BUILD merge`.")
    ours.stop()


# ---- writes and scopes ---------------------------------------------------------------------------------------------

def part_writes(tools, run, results, args):
    table = []
    for rows in [count for count in args.rows if 10000 <= count <= 100000] or [100000]:
        for percent in (0, 10, 25, 50):
            ours = own_index(tools, rows, args.ef_construction)
            figure = ours.ask("writes", percent, max(run.ROUNDS, 2))
            ours.stop()
            say(f"  writes, {short(rows)}, {percent} %: {figure['per_s']:,.0f} operations/s, recall {figure['recall']:.3f}")
            table.append((short(rows), f"{percent} %", f"{figure['per_s']:,.0f}", f"{figure['search']['p50_us']:.1f} / {figure['search']['p99_us']:.1f}",
                          f"{figure['write']['p50_us']:.1f} / {figure['write']['p99_us']:.1f}" if percent else "-", f"{figure['recall']:.3f}",
                          f"{figure['all_bytes']:.0f}"))
    results.table("index-writes", "Index: writes at capacity, each evicting the oldest row",
                  ["rows", "writes", "operations/s", "search p50 / p99, us", "write p50 / p99, us", "recall at the end", "bytes a row, all"], table,
                  "d = 384, one thread; a write is a removal and an insert. Recall of hit queries against an exact scan of the rows that live at the end. "
                  "`bench/index_run.py BUILD writes`.")


def part_scopes(tools, run, results, args):
    rows = max([count for count in args.rows if count <= 100000] or [100000])
    tools.draw(384, rows)
    engine, table = Engine(tools, "ours", "auto", 384, rows), []
    for scopes in [count for count in (1, 1000, 10000) if count <= rows]:
        out = [engine.ask("scopes", scopes, 1) for _ in range(run.ROUNDS)]
        middle = {name: statistics.median(one[name] for one in out) for name in out[0]}
        say(f"  scopes: {scopes:,}: {middle['qps']:,.0f} lookups/s, {middle['all_bytes']:.0f} bytes a row")
        table.append((f"{scopes:,}", f"{middle['qps']:,.0f}", f"{middle['recall']:.4f}", f"{middle['rows_per_s']:,.0f}", f"{middle['all_bytes']:.0f}"))
    engine.stop()
    results.table("index-scopes", f"Index: {short(rows)} rows in many scopes", ["scopes", "lookups/s", "hit r@1", "inserts/s", "bytes a row, all"], table,
                  "d = 384, one thread by its CPU time; each query in the scope of its nearest row. `bench/index_run.py BUILD scopes`.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--rows", type=lambda text: [number(one) for one in text.split(",")], default=[1000, 10000, 100000])
    parser.add_argument("--dims", type=lambda text: [int(one) for one in text.split(",")], default=[384, 1024])
    parser.add_argument("--ef-construction", type=int, default=64)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=PEERS, help=", ".join(PEERS))
    parser.add_argument("--words-only", action="store_true")
    args = parser.parse_args()
    if not set(args.peers) <= set(PEERS):
        parser.error(f"peers are {', '.join(PEERS)}")
    if not set(args.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    run = load_run()
    if args.words_only:
        return rewrite_words(run.Results(), args)
    tools, results = Tools(args.build.resolve(), args.peers), run.Results()
    tools.name_anchor(run.GOALS)
    for part in args.parts or PARTS:
        say(f"== index {part}")
        globals()[f"part_{part}"](tools, run, results, args)


if __name__ == "__main__":
    main()
