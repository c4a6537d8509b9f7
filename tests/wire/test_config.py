"""The command line and the configuration: what somebody types wrong is named, all of it, before anything starts."""
import os
import pathlib
import subprocess
import unittest

from support import BIN, FOLDER, SOURCE, Server


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
    return subprocess.run([str(BIN / "reprise-server"), *arguments], capture_output=True, text=True, timeout=60,
                          env={**clean, "REPRISE_STORAGE_PATH": "", **environment}, cwd=FOLDER)


class Configuration(unittest.TestCase):
    def file(self, text):
        path = FOLDER / f"{self._testMethodName}.yaml"
        path.write_text(text)
        return str(path)

    def test_an_unknown_flag_names_its_nearest(self):
        result = run("--storage-memry=1GiB")
        self.assertEqual(result.returncode, 2)
        self.assertIn("storage-memory", result.stderr.replace(".", "-"))

    def test_ten_planted_errors_are_shown_at_once(self):
        path = self.file("storage:\n  memory: lots\n  entries_max: -1\nsemantic:\n  policy: sometimes\n  static_threshold: 1.5\n"
                         "cache:\n  ttl_default: 10parsecs\nlimits:\n  batch: 0\n  promt: 1KiB\nnosuch:\n  room: 1\n"
                         "server:\n  inflight_max: many\n  io_threads: 100000\n")
        result = run("--check-config", "--config", path)
        self.assertEqual(result.returncode, 2)
        lines = [line for line in result.stderr.splitlines() if ".yaml:" in line]
        self.assertEqual(len(lines), 10, result.stderr)
        for word in ("memory", "entries_max", "policy", "static_threshold", "ttl_default", "batch", "promt", "nosuch", "inflight_max", "io_threads"):
            self.assertTrue(any(word in line for line in lines), word)

    def test_a_good_file_is_good_and_flags_win(self):
        path = self.file("storage: {memory: 64MiB, entries_max: 1000}\nsemantic: {policy: adaptive}\n")
        self.assertEqual(run("--check-config", "--config", path).returncode, 0)
        printed = run("--print-config", "--config", path, "--semantic-policy=off", REPRISE_STORAGE_ENTRIES_MAX="7").stdout
        lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
        self.assertIn("off", lines["semantic.policy"])
        self.assertIn("7", lines["storage.entries_max"])
        self.assertIn("64MiB", lines["storage.memory"])

    def test_a_file_that_is_not_there_is_said_so_and_nothing_else_is_blamed(self):
        result = run("--check-config", "--config", "no-such-file.yaml")
        self.assertEqual(result.returncode, 2)
        self.assertIn("no-such-file.yaml: No such file or directory", result.stderr)
        self.assertNotIn("option is unknown", result.stderr)

    def test_an_unknown_environment_variable_is_only_a_warning(self):
        result = run("--check-config", REPRISE_SERVICE_HOST="10.0.0.1")
        self.assertEqual(result.returncode, 0)
        self.assertIn("REPRISE_SERVICE_HOST", result.stderr)
        self.assertEqual(run("--check-config", "--embed-provider=lexical", REPRISE_ENDPOINT="127.0.0.1:1").stderr, "", "the command's own variable is known")

    def test_adaptive_limits_must_make_sense(self):
        result = run("--grpc-listen=127.0.0.1:0", "--adaptive-min=0.9", "--adaptive-max=0.8")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("adaptive", result.stderr)

    def test_the_check_finds_what_the_start_would_refuse(self):
        for flags, word in ((["--adaptive-min=0.9", "--adaptive-max=0.8"], "adaptive"), (["--grpc-listen=0.0.0.0:1"], "grpc.listen"),
                            (["--cache-ttl-default=30d", "--cache-ttl-max=1h"], "cache.ttl_default")):
            result = run("--check-config", *flags)
            self.assertEqual(result.returncode, 1, flags)
            self.assertIn(word, result.stderr)
        unwise = run("--check-config", "--limits-answer=15MiB")
        self.assertEqual(unwise.returncode, 0)
        self.assertIn("server.reply_max", unwise.stderr)

    def test_only_loopback_addresses_are_listened_on(self):
        for address in ("0.0.0.0:0", "192.168.1.1:7371", "nonsense"):
            result = run(f"--grpc-listen={address}")
            self.assertNotEqual(result.returncode, 0, address)
            self.assertIn("grpc.listen", result.stderr)

    def test_the_manual_lists_what_the_server_knows(self):
        described = run("--describe-options").stdout
        manual = (SOURCE / "docs/configuration.md").read_text()
        rows = lambda text: [line for line in text.splitlines() if line.startswith("| `")]
        self.assertEqual(rows(described), rows(manual), "docs/configuration.md is older than the options: make docs")

    def test_the_self_check_names_each_part(self):
        folder = pathlib.Path(FOLDER / "self-check")
        folder.mkdir()
        result = run(f"--self-check={folder}")
        self.assertEqual(result.returncode, 0, result.stdout)
        for part in ("grpc core", "protobuf-c", "openssl", "faiss", "openblas", "io_uring", "kernels"):
            self.assertIn(part, result.stdout)
        self.assertEqual(list(folder.iterdir()), [])

    def test_the_log_speaks_json_when_asked(self):
        server = Server(storage_entries_max=5, log_format="json")
        server.stop()
        self.assertIn('"event":"serving"', server.final_log.replace(" ", ""))


if __name__ == "__main__":
    unittest.main()
