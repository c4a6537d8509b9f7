#!/usr/bin/python3
"""What each embedder is worth on labelled streams, and whether the tokenizer gives the reference's ids on them.

    bench/quality_run.py BUILD_FOLDER [PART ...]     parts: tokenizer quality (default: both)

Streams: $REPRISE_DATA, else ../shared/data beside the project (clinc150/stream.tsv, banking77/stream.tsv: seq, answer_group, text). Weights:
$REPRISE_MODELS, else build/models. What is not there is left out, and said. Each replay runs against a fresh server under policy `static` at the
embedder's own threshold; the second half of a stream is the whole less its first half, for a replay is sequential and repeatable.
The reference tokenizer is PyPI `tokenizers`, in build/bench-venv.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
from encoder_run import MODELS, ROOT, VENV, load_run  # noqa: E402

DATA = pathlib.Path(os.environ.get("REPRISE_DATA", ROOT.parent / "shared/data"))
PARTS = ["tokenizer", "quality"]
EMBEDDERS = [("lexical", "lexical", []), ("MiniLM-L6, int8", "minilm-l6", ["--embed-precision=int8"]),
             ("MiniLM-L6, fp32", "minilm-l6", ["--embed-precision=fp32"]), ("bge-small-en, int8", "bge-small-en", ["--embed-precision=int8"])]
GOALS = {"tokenizer-identity": (1.0, True, "PyPI tokenizers, same vocabulary; share of the streams' texts with equal ids")}

COMPARE = """
import json, pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
import tokenizer_golden
program, vocabulary, files = sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
texts = [line.split("\\t")[2] for file in files for line in pathlib.Path(file).read_text(encoding="utf-8").splitlines()[1:]]
ours = subprocess.run([program, vocabulary, "plain", "65536"], input="".join(text.encode().hex() + "\\n" for text in texts),
                      capture_output=True, text=True, check=True).stdout.splitlines()
theirs = tokenizer_golden.reference(tokenizer_golden.lines_of(vocabulary), False).encode_batch(texts)
print(json.dumps([len(texts), sum(line == " ".join(map(str, each.ids)) for line, each in zip(ours, theirs))]))
"""


def replay(run, build, flags, stream, limit):
    server = run.Program([build / "bin/reprise-server", "--grpc-listen=127.0.0.1:0", "--http-listen=", "--storage-path=", "--log-level=warning", *flags])
    try:
        command = [build / "bin/reprise", "--endpoint", server.address, "--timeout", "60s", "-o", "json", "replay", stream, "--limit", str(limit)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        server.stop()
    if done.returncode != 0:
        sys.exit(f"quality: the replay of {stream.parent.name} ended with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout)


def figures(counts):
    hits, requests = counts["exact"] + counts["semantic"], counts["requests"]
    return f"{hits / requests:.3f} / {counts['wrong'] / max(hits, 1):.4f} / {counts['wrong'] / requests:.4f}"


def row_of(run, build, name, flags, stream):
    rows = sum(1 for _ in stream.open(encoding="utf-8")) - 1
    whole, first = (replay(run, build, flags, stream, limit) for limit in (rows, rows // 2))
    second = {key: whole[key] - first[key] for key in ("requests", "exact", "semantic", "wrong")}
    semantic, miss = whole["latency_us"]["semantic"], whole["latency_us"]["miss"]
    run.say(f"  {name}, {stream.parent.name}: {figures(whole)}")
    return (name, stream.parent.name, figures(whole), figures(first), figures(second), f"{semantic['p50']} / {semantic['p99']}",
            f"{miss['p50']} / {miss['p99']}", f"{whole['requests'] / whole['seconds']:,.0f}")


def part_quality(run, build, results, streams):
    rows = []
    for name, model, flags in EMBEDDERS:
        if model == "lexical":
            choice = ["--embed-provider=lexical"]
        elif (MODELS / model / "manifest.json").is_file():
            choice = ["--embed-provider=local", f"--embed-model={model}", f"--embed-folder={MODELS}"]
        else:
            run.say(f"  {name}: no weights in {MODELS.name}/{model}; left out (make weights MODEL={model})")
            continue
        rows += [row_of(run, build, name, [*choice, *flags], stream) for stream in streams]
    results.table("quality", "What each embedder is worth: policy static at its own threshold, guard on",
                  ["embedder", "stream", "whole: hit rate / err_hit / err_all", "first half", "second half", "hit, p50 / p99 us", "miss, p50 / p99 us", "rows/s"],
                  rows, "Get each text, Set each miss, text in and answer out, one call at a time, times as the client sees them (server and client share 2 cores). "
                  "err_hit = wrong hits / hits, err_all = wrong hits / requests. CLINC150 (Larson et al. 2019, CC BY 3.0) and Banking77 (Casanueva et al. "
                  "2020, CC BY 4.0), half of the intents each.", "one pass, rates of hits and errors are the same in each; times are of this machine as busy as it was")


def part_tokenizer(run, build, results, streams):
    vocabulary = MODELS / "minilm-l6/vocab.txt"
    if not vocabulary.is_file():
        run.say("  tokenizer: no vocabulary; left out (make weights)")
        return
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "tokenizers"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(COMPARE)
        script.flush()
        output = subprocess.run([python, script.name, ROOT / "tools", build / "tests/tokenizer_ids", vocabulary, *streams],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
    texts, equal = json.loads(output)
    results.goal("tokenizer-identity", equal / texts)
    results.table("tokenizer", "Tokenizer against the reference", ["texts", "equal ids"], [(f"{texts:,}", f"{equal:,}")],
                  "Every text of both streams, MiniLM's vocabulary.", "one pass")


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(__doc__)
    run, build = load_run(GOALS), pathlib.Path(sys.argv[1]).resolve()
    streams = [path for path in (DATA / "clinc150/stream.tsv", DATA / "banking77/stream.tsv") if path.is_file()]
    if not streams:
        sys.exit(f"quality: no streams in {DATA}; REPRISE_DATA names the folder")
    results = run.Results()
    for part in sys.argv[2:] or PARTS:
        globals()[f"part_{part}"](run, build, results, streams)


if __name__ == "__main__":
    main()
