#!/usr/bin/python3
"""What `reprise calibrate` proves on labelled streams, and whether it holds on questions that it has not seen.

    bench/calibrate_run.py BUILD_FOLDER [LIMIT]

Streams and weights as in quality_run.py. Every question of a stream in its order is searched among all before it, as a Get would, and stored: that
makes a pair of it and its nearest, labelled same where both have the same answer. The command calibrates on the pairs of the stream's first half for
error bounds of 1, 2, 3 and 5 %; what the threshold that it chooses does is then counted on the pairs of the second half. LIMIT: only so many questions.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import quality_run
from quality_run import DATA, EMBEDDERS, MODELS

BOUNDS = (0.01, 0.02, 0.03, 0.05)


def search_request(run, prompt):
    return run.field(1, run.identity(prompt)) + run.varint(3 << 3) + run.varint(1)


def pairs_of(run, server, rows):
    """[(same, question, its nearest of all before)], of those that have one."""
    import grpc
    stored, pairs = {}, []  # entry id -> (group, question)
    with grpc.insecure_channel(server.address) as channel:
        search, store = channel.unary_unary(run.CACHE + "Search"), channel.unary_unary(run.CACHE + "Set")
        for number, (group, text) in enumerate(rows):
            found = run.fields_of(search(search_request(run, text), timeout=60))
            if 1 in found:
                nearest_group, nearest = stored[run.fields_of(found[1])[1]]
                pairs.append((int(nearest_group == group), text, nearest))
            stored[run.fields_of(store(run.set_request(text, group), timeout=60))[1]] = group, text
            if (number + 1) % 2000 == 0:
                run.say(f"    {number + 1} of {len(rows)} questions")
    return pairs


def calibrate(build, server, pairs, bound):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.writelines(f"{same}\t{a}\t{b}\n" for same, a, b in pairs)
        file.flush()
        command = [build / "bin/reprise", "--endpoint", server.address, "--timeout", "60s", "-o", "json", "calibrate", file.name, "--bound", str(bound)]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, 3):  # 3: none is proven
        raise SystemExit(f"bench: {result.stderr}")
    return json.loads(result.stdout)


def at(curve, threshold):
    return min(curve, key=lambda point: abs(point["threshold"] - threshold))


def percent(value):
    return f"{100 * value:.2f} %"


def rows_of(run, build, server, name, stream, limit):
    lines = stream.read_text(encoding="utf-8").splitlines()[1:limit + 1]
    questions = [tuple(line.split("\t")[1:3]) for line in lines]
    run.say(f"  {name}, {stream.parent.name}: {len(questions)} questions")
    pairs = pairs_of(run, server, questions)
    first, second = pairs[:len(pairs) // 2], pairs[len(pairs) // 2:]
    seen_not = calibrate(build, server, second, 0.5)["curve"]
    out = []
    for bound in BOUNDS:
        reply = calibrate(build, server, first, bound)
        chosen = reply.get("chosenThreshold")
        if chosen is None:
            out.append((name, stream.parent.name, percent(bound), "none", "-", "-", "-", "-"))
            continue
        then, later = at(reply["curve"], chosen), at(seen_not, chosen)
        out.append((name, stream.parent.name, percent(bound), f"{chosen:.2f}", percent(then["hitRate"]), percent(then.get("errHit", 0)), percent(later["hitRate"]),
                    percent(later.get("errHit", 0))))
    return out


def main():
    build, limit = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 30
    run = quality_run.load_run()
    results, rows = run.Results(), []
    for name, model, flags in EMBEDDERS:
        if model != "lexical" and not (MODELS / model / "manifest.json").exists():
            run.say(f"  {name}: no {model} in {MODELS}, left out")
            continue
        for stream in sorted(DATA.glob("*/stream.tsv")):
            provider = ["--embed-provider=lexical"] if model == "lexical" else ["--embed-provider=local", f"--embed-model={model}", f"--embed-folder={MODELS}"]
            server = run.Program([build / "bin/reprise-server", "--grpc-listen=127.0.0.1:0", "--http-listen=", "--storage-path=", "--log-level=warning",
                                  *provider, *flags])
            try:
                rows += rows_of(run, build, server, name, stream, limit)
            finally:
                server.stop()
    if not rows:
        raise SystemExit(f"bench: no stream in {DATA}: set REPRISE_DATA")
    results.table("calibrate", "Calibrate: what is proven on the first half of a stream, and what it does on the second",
                  ["embedder", "stream", "bound", "threshold", "hit rate, first half", "wrong of hits", "hit rate, second half", "wrong of hits "], rows,
                  "Pairs of each question and the nearest one before it, over the wire, guard included. The bound is held with 95 % confidence by the pairs of the first half; "
                  "none: no threshold is proven by so few. Thresholds are chosen from 0.50 to 0.99.", "one run; nothing in it is a time")


if __name__ == "__main__":
    main()
