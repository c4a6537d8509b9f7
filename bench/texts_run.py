#!/usr/bin/python3
"""Measures what stands around the encoder, with MiniLM on labelled streams, and writes into bench/RESULTS.md and goals.tsv.

    bench/texts_run.py BUILD_FOLDER [PART ...]     parts: share rate start nearest (default: all)

share    the tokenizer and the lexical embedder beside the encoder, text by text in turns
rate     texts a second: packs of 16 tokens on one thread and on two, the streams on one
start    a server's start with weights beside `sha256sum` of their file, and its memory beside that of a server without
nearest  whether int8 finds the neighbour that fp32 finds; what the threshold would serve on similarity alone, without a guard

Streams: $REPRISE_DATA, else ../shared/data beside the project. Weights: $REPRISE_MODELS, else build/models (`make weights`); bge-small-en
joins `nearest` where it is there. BENCH_ROUNDS (7) makes it longer or shorter. numpy lives in build/bench-venv, as for encoder_run.py.
"""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
from encoder_run import MODELS, ROOT, Program, enter_venv, load_run, say  # noqa: E402

DATA = pathlib.Path(os.environ.get("REPRISE_DATA", ROOT.parent / "shared/data"))
FOLDER, WEIGHTS = MODELS / "minilm-l6", MODELS / "minilm-l6/model.safetensors"
PARTS = ["share", "rate", "start", "nearest"]
SLICE = 500  # texts of a round
MEMORY_TEXTS = 500
# model -> the cosine from which policy static serves
THRESHOLDS = {"minilm-l6": 0.90, "bge-small-en": 0.93}
GOALS = {
    "tokenizer-share": (0.03, False, "own int8 encoder, same text: tokenizer's part of both, median over texts, the worse stream"),
    "lexical-vs-encoder": (0.05, False, "own tokenizer and int8 encoder, same text; median over texts, the worse stream"),
    "encoder-stream-rate": (900, True, "none: texts a second of one core, tokenised and packed, the worse stream"),
    "encoder-start": (4.0, False, "sha256sum of the weights, CPU time; the server's until it listens"),
    "encoder-memory-mb": (25, False, f"the same server with lexical: resident beyond the weights' mapping, after {MEMORY_TEXTS} texts"),
    "encoder-int8-nearest": (0.95, True, "own fp32: share of texts with the same nearest text, the worse stream"),
}


def streams():
    return [path for path in (DATA / "clinc150/stream.tsv", DATA / "banking77/stream.tsv") if path.is_file()]


def open_all(build, precision="int8", folder=FOLDER):
    return {path.parent.name: Program(build / "bin/bench_texts", folder, precision, path) for path in streams()}


def stop_all(programs):
    for program in programs.values():
        program.stop()


def medians(figures):
    return {name: statistics.median(figure[name] for figure in figures) for name in figures[0]}


# ---- share ---------------------------------------------------------------------------------------------------------

def part_share(run, build, results):
    programs, rows, worst = open_all(build), [], {"tokenise_share": 0, "lexical_share": 0}
    figures = {name: [] for name in programs}
    for turn in range(run.ROUNDS + 1):  # the first warms
        for name, program in programs.items():
            figures[name].append(program.ask("alone", turn * SLICE, SLICE))
    for name in programs:
        figure = medians(figures[name][1:])
        worst = {key: max(value, figure[key]) for key, value in worst.items()}
        rows.append((name, *(f"{figure[key]:.1f}" for key in ("encode_us", "tokenise_us", "lexical_us")),
                     f"{figure['tokenise_share']:.2%}", f"{figure['lexical_share']:.3f}"))
    stop_all(programs)
    results.goal("tokenizer-share", worst["tokenise_share"])
    results.goal("lexical-vs-encoder", worst["lexical_share"])
    results.table("encoder-share", "Around the encoder: tokenizer and lexical vectors",
                  ["stream", "encoder, us", "tokenizer, us", "lexical, us", "tokenizer's share", "lexical / (tokenizer and encoder)"], rows,
                  f"MiniLM, int8. One text after the other, each through all three in turn, so that each finds the caches as the others left them; medians over "
                  f"{SLICE} texts a round, by the wall clock.", f"{run.ROUNDS} rounds, medians")


# ---- rate ----------------------------------------------------------------------------------------------------------

def part_rate(run, build, results):
    programs = open_all(build)
    first = next(iter(programs.values()))
    sides = {f"{texts} x 16 tokens, {threads} thread{'s' * (threads > 1)}": (first, ("rate", texts, 16, 40, threads))
             for texts in (8, 32) for threads in (1, 2)}
    sides |= {f"{name}, tokenised and packed, 1 thread": (program, ("stream", 0, 4 * SLICE)) for name, program in programs.items()}
    figures = [{name: program.ask(*command) for name, (program, command) in sides.items()} for _ in range(run.ROUNDS)]
    stop_all(programs)
    rows, rates = [], {}
    for name in sides:
        of_cpu, of_wall = ([figure[name].get(key, 0) for figure in figures] for key in ("texts_a_second", "by_wall"))
        rates[name] = statistics.median(of_cpu)
        rows.append((name, f"{rates[name]:,.0f}", f"{min(of_cpu):,.0f} to {max(of_cpu):,.0f}", f"{statistics.median(of_wall):,.0f}" if any(of_wall) else "-"))
    results.goal("encoder-stream-rate", min(rates[name] for name in sides if "packed" in name))
    results.table("encoder-rate", "Encoder: texts a second", ["what", "texts/s by CPU time", "slowest and fastest round", "texts/s by the wall clock"], rows,
                  "MiniLM, int8. By CPU time: as if each thread had had a core for itself, at the speed that it has beside the others; by the wall clock: what was "
                  "left of a machine that others use too. Streams in packs of 512 tokens or 32 texts.")


# ---- start ---------------------------------------------------------------------------------------------------------

def memory_mb(pid, mapped):
    """Resident memory without, and of, the mapping of a file."""
    total = beside = 0
    inside = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = line.split()
        if not head[0].endswith(":"):
            inside = head[-1].endswith(mapped)
        elif head[0] == "Rss:":
            total, beside = total + int(head[1]), beside + int(head[1]) * inside
    return (total - beside) / 1024, beside / 1024


class Start:
    """A server, from its beginning until it listens."""

    def __init__(self, build, *flags):
        began = time.monotonic()
        self.process = subprocess.Popen([build / "bin/reprise-server", "--grpc-listen=127.0.0.1:0", "--http-listen=", "--storage-path=", "--log-level=warning",
                                         *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        self.wall_ms = (time.monotonic() - began) * 1000
        if not line.startswith("listening on "):
            raise SystemExit(f"texts: the server did not start: {flags}")
        self.address = line.split()[-1]
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        self.cpu_ms = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6

    def stop(self):
        self.process.terminate()
        self.process.wait(120)
        self.process.stdout.close()


def time_sha256():
    began, process = time.monotonic(), subprocess.Popen(["sha256sum", WEIGHTS], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return {"wall_ms": (time.monotonic() - began) * 1000, "cpu_ms": (usage.ru_utime + usage.ru_stime) * 1000}


def time_start(build, flags):
    server = Start(build, *flags)
    server.stop()
    return {"wall_ms": server.wall_ms, "cpu_ms": server.cpu_ms}


def measure_memory(build, flags):
    """At the start, and after texts have gone through: beside the mapping of the weights, and in it."""
    server = Start(build, *flags)
    before = memory_mb(server.process.pid, WEIGHTS.name)
    subprocess.run([build / "bin/reprise", "--endpoint", server.address, "--timeout", "60s", "replay", streams()[0], "--limit", str(MEMORY_TEXTS)],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = memory_mb(server.process.pid, WEIGHTS.name)
    server.stop()
    return before, after


def part_start(run, build, results):
    lexical, local = ["--embed-provider=lexical"], ["--embed-provider=local", f"--embed-folder={MODELS}", "--embed-precision=int8"]
    sides = {"sha256sum of the weights": time_sha256, "server, lexical": lambda: time_start(build, lexical), "server, MiniLM": lambda: time_start(build, local)}
    for side in sides.values():
        side()  # the files into memory
    figures = [{name: side() for name, side in sides.items()} for _ in range(run.ROUNDS)]
    ratio = statistics.median(figure["server, MiniLM"]["cpu_ms"] / figure["sha256sum of the weights"]["cpu_ms"] for figure in figures)
    rows = []
    for name in sides:
        figure = medians([round_of[name] for round_of in figures])
        against = statistics.median(f[name]["cpu_ms"] / f["sha256sum of the weights"]["cpu_ms"] for f in figures)
        rows.append((name, f"{figure['cpu_ms']:.0f}", f"{figure['wall_ms']:.0f}", f"{against:.2f}x"))
    results.goal("encoder-start", ratio)
    results.table("encoder-start", "Start with weights", ["what", "CPU, ms", "wall, ms", "CPU against sha256sum"], rows,
                  f"MiniLM, {WEIGHTS.stat().st_size / 1e6:.0f} MB, int8, embed.verify = always: lengths and digests are checked, and all weights packed. A server "
                  "until it listens, without a data folder; files in the page cache.")
    without, with_weights = measure_memory(build, lexical), measure_memory(build, local)
    grown = [there[0] - here[0] for here, there in zip(without, with_weights)]
    results.goal("encoder-memory-mb", grown[1])
    results.table("encoder-memory", "Memory with weights", ["when", "server, lexical, MB", "server, MiniLM, beyond the mapping, MB", "difference, MB",
                                                            "resident of the mapping, MB"],
                  [(when, f"{here[0]:.1f}", f"{there[0]:.1f}", f"{more:.1f}", f"{there[1]:.1f}") for when, here, there, more in
                   zip(("it listens", f"after {MEMORY_TEXTS} rows of {streams()[0].parent.name}"), without, with_weights, grown)],
                  "Resident memory. The rows of the word table that texts ask for stay in the mapping.", "one run")


# ---- nearest -------------------------------------------------------------------------------------------------------

def read_rows(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def vectors_of(build, folder, precision, path):
    import numpy
    program = Program(build / "bin/bench_texts", folder, precision, path)
    with tempfile.NamedTemporaryFile(suffix=".f32") as file:
        count = program.ask("vectors", file.name)["texts"]
        program.stop()
        return numpy.fromfile(file.name, numpy.float32).reshape(count, -1)


def nearest(vectors):
    """Of each vector, which other is the most similar."""
    import numpy
    out = numpy.empty(len(vectors), numpy.int64)
    for start in range(0, len(vectors), 1000):
        scores = vectors[start:start + 1000] @ vectors.T
        scores[numpy.arange(len(scores)), numpy.arange(start, start + len(scores))] = -2
        out[start:start + 1000] = scores.argmax(axis=1)
    return out


def replay_unguarded(vectors, groups, threshold):
    """Hit rate, err_hit and err_all of policy static: the nearest stored text serves from the threshold on, whatever it says."""
    import numpy
    stored, owners = numpy.empty_like(vectors), []
    hits = wrong = 0
    for vector, group in zip(vectors, groups):
        scores = stored[:len(owners)] @ vector
        best = int(scores.argmax()) if owners else 0
        if owners and scores[best] >= threshold:
            hits += 1
            wrong += owners[best] != group
        else:
            stored[len(owners)] = vector
            owners.append(group)
    return f"{hits / len(groups):.3f} / {wrong / max(hits, 1):.4f} / {wrong / len(groups):.4f}"


def part_nearest(run, build, results):
    import numpy
    shares, rows, unguarded = {}, [], []
    for model, threshold in THRESHOLDS.items():
        if not (MODELS / model / "manifest.json").is_file():
            say(f"  {model}: no weights; left out (make weights MODEL={model})")
            continue
        for path in streams():
            groups = [row[1] for row in read_rows(path)]
            exact, rounded = (vectors_of(build, MODELS / model, precision, path) for precision in ("fp32", "int8"))
            there, here = nearest(exact), nearest(rounded)
            same = (here == there) | (exact[here] == exact[there]).all(axis=1)  # equal texts are one
            right = [sum(groups[to] == groups[of] for of, to in enumerate(found)) / len(groups) for found in (there, here)]
            cosines = (exact * rounded).sum(axis=1)[exact.any(axis=1)]
            shares[model, path.parent.name] = same.mean()
            rows.append((model, path.parent.name, f"{len(groups):,}", f"{same.mean():.4f}", f"{right[0]:.4f} / {right[1]:.4f}",
                         f"{cosines.mean():.5f} / {numpy.quantile(cosines, 0.01):.5f} / {cosines.min():.5f}"))
            unguarded += [(model, precision, path.parent.name, f"{threshold:.2f}", replay_unguarded(vectors, groups, threshold))
                          for precision, vectors in (("fp32", exact), ("int8", rounded))]
            say(f"  {rows[-1]}, {unguarded[-2:]}")
    results.goal("encoder-int8-nearest", min(share for (model, _), share in shares.items() if model == "minilm-l6"))
    results.table("encoder-nearest", "Encoder: int8 beside fp32 on labelled streams",
                  ["model", "stream", "texts", "same nearest text", "nearest has the same answer, fp32 / int8", "cosine to fp32: mean / 1 % / least"], rows,
                  "Nearest among all other texts of the stream; texts with equal vectors count as one.", "computed once, it is the same each time")
    results.table("encoder-unguarded", "What similarity alone would serve: policy static at the embedder's threshold, no guard",
                  ["model", "precision", "stream", "threshold", "hit rate / err_hit / err_all"], unguarded,
                  "The replay of the table `quality`, over the vectors alone: what is missing there was held back by the guard.", "computed once, it is the same "
                  "each time")


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(__doc__)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    enter_venv(__file__)
    run, build = load_run(GOALS), pathlib.Path(sys.argv[1]).resolve()
    if not WEIGHTS.exists():
        sys.exit(f"texts: no {WEIGHTS}; run make weights")
    if not streams():
        sys.exit(f"texts: no streams in {DATA}; REPRISE_DATA names the folder")
    results = run.Results()
    for part in sys.argv[2:] or PARTS:
        say(f"== {part}")
        globals()[f"part_{part}"](run, build, results)


if __name__ == "__main__":
    main()
