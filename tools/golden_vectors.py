#!/usr/bin/env python3
"""Makes tests/data/encoder_golden.json: ids and vectors of our texts by an implementation that is not ours.

    tools/golden_vectors.py MODELS

MODELS is a folder with minilm-l6/ and bge-small-en/, each with its ONNX file and its tokenizer.json, as in the Maven packages
dev.langchain4j:langchain4j-embeddings-{all-minilm-l6-v2,bge-small-en-v15}. Needs `pip install onnxruntime tokenizers numpy` in an environment of its own; neither the build nor the tests do:
they read the file, which names the versions it was made with.

Per text: its ids by `tokenizers`, without the truncation and padding that the model's tokenizer.json asks for, and its vector by
ONNX Runtime: hidden states in fp32, pooled and divided by the length in fp64. A coordinate x is stored as round(x * 2^19) + 2^18 in
19 bits, which is right to 1e-6 and holds what lies between -0.5 and 0.5; all of them without gaps, highest bit first, in base64url.
"""
import base64
import hashlib
import json
import pathlib
import sys

import numpy
import onnxruntime
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
# name -> ONNX file, tokenizer, pooling, every how manyth of the texts
MODELS = {
    "minilm-l6": ("all-minilm-l6-v2.onnx", "tokenizer.json", "mean", 1),
    "bge-small-en": ("bge-small-en-v1.5.onnx", "bge-small-en-v1.5-tokenizer.json", "first", 5),
}
BITS = 19


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def vector_of(session, ids, pooling):
    row = numpy.array([ids], numpy.int64)
    hidden = session.run(["last_hidden_state"], {"input_ids": row, "attention_mask": numpy.ones_like(row),
                                                 "token_type_ids": numpy.zeros_like(row)})[0][0].astype(numpy.float64)
    pooled = hidden.mean(axis=0) if pooling == "mean" else hidden[0]
    return pooled / numpy.linalg.norm(pooled)


def packed(vector):
    bits = 0
    for x in vector:
        number = round(float(x) * 2 ** BITS) + 2 ** (BITS - 1)
        assert 0 <= number < 2 ** BITS, x
        bits = bits << BITS | number
    return base64.urlsafe_b64encode(bits.to_bytes(len(vector) * BITS // 8, "big")).decode()


def model_rows(models, name, texts):
    weights, tokenizer_file, pooling, stride = MODELS[name]
    tokenizer = tokenizers.Tokenizer.from_file(str(models / name / tokenizer_file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    session = session_of(models / name / weights)
    rows = []
    for text in texts[::stride]:
        ids = tokenizer.encode(text).ids
        rows.append({"text": text, "ids": ids, "vector": packed(vector_of(session, ids, pooling))})
    digest = hashlib.sha256((models / name / weights).read_bytes()).hexdigest()
    return {"model": name, "weights": weights, "weights_sha256": digest, "pooling": pooling, "rows": rows}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    texts = (ROOT / "tests/data/encoder_texts.txt").read_text(encoding="utf-8").splitlines()
    golden = {"made_by": "tools/golden_vectors.py", "bits": BITS,
              "versions": {"onnxruntime": onnxruntime.__version__, "tokenizers": tokenizers.__version__, "numpy": numpy.__version__},
              "models": [model_rows(pathlib.Path(sys.argv[1]), name, texts) for name in MODELS]}
    lines = json.dumps(golden, ensure_ascii=False, separators=(",", ":")).replace('{"text"', '\n{"text"')
    (ROOT / "tests/data/encoder_golden.json").write_text(lines + "\n", encoding="utf-8")
    for model in golden["models"]:
        lengths = [len(row["ids"]) for row in model["rows"]]
        print(f"{model['model']}: {len(lengths)} texts of {min(lengths)} to {max(lengths)} tokens")


if __name__ == "__main__":
    main()
