"""What wire tests share: stubs made at test time, a server on a free port, and short ways to ask it.

REPRISE_BIN names the folder of the programs (build/dev/bin otherwise). Every server a test starts listens on a free
loopback port, lives in a temporary folder and is ended by the test; its exit code must be 0 and its log free of
sanitizer reports.
"""
import atexit
import itertools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("REPRISE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ.get("REPRISE_BIN", SOURCE / "build/dev/bin"))
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="reprise-wire-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
NUMBERS = itertools.count()  # a log each: what is appended to must not be an earlier server's


def make_stubs():
    """Runs protoc and grpc_python_plugin over the public files. The standard gRPC packages are compiled relative to
    proto/grpc and proto/google, because a Python package named `grpc` would hide the library."""
    out = FOLDER / "stubs"
    out.mkdir()
    plugin = shutil.which("grpc_python_plugin")
    well_known = "/usr/include"
    groups = [(["."], ["reprise/v1/common.proto", "reprise/v1/cache.proto", "reprise/v1/feedback.proto", "reprise/v1/admin.proto"]),
              (["grpc"], ["health/v1/health.proto", "reflection/v1/reflection.proto", "reflection/v1alpha/reflection.proto"]),
              (["google"], ["rpc/status.proto", "rpc/error_details.proto"])]
    for roots, files in groups:
        includes = [f"-I{SOURCE / 'proto' / root}" for root in roots] + [f"-I{well_known}"]
        subprocess.run(["protoc", *includes, f"--python_out={out}", f"--grpc_python_out={out}",
                        f"--plugin=protoc-gen-grpc_python={plugin}", *files], check=True)
    sys.path.insert(0, str(out))


make_stubs()

import grpc  # noqa: E402
from reprise.v1 import admin_pb2, admin_pb2_grpc, cache_pb2, cache_pb2_grpc, common_pb2, feedback_pb2, feedback_pb2_grpc  # noqa: E402,F401
from health.v1 import health_pb2, health_pb2_grpc  # noqa: E402,F401
from reflection.v1 import reflection_pb2, reflection_pb2_grpc  # noqa: E402,F401
from rpc import error_details_pb2, status_pb2  # noqa: E402


class Server:
    """reprise-server on a free port, with the given options as flags: Server(semantic_policy="off"). Vectors are lexical unless a test says
    otherwise, so that similarities are the same whether or not this machine has weights; and it has no data folder unless it is given one.
    With one it is waited for until it serves, or not (serving=False), and it is written by what REPRISE_TEST_IO says."""

    def __init__(self, serving=True, **options):
        options.setdefault("embed_provider", "lexical")
        options.setdefault("storage_path", "")
        if options["storage_path"] != "":
            options.setdefault("journal_segment_size", "16MiB")
            options.setdefault("journal_spares", 0)
            options.setdefault("storage_io", os.environ.get("REPRISE_TEST_IO", "auto"))
        flags = [f"--{name.replace('_', '-', 1)}={value}" for name, value in options.items()]  # restore=NAME has no room
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REPRISE_")}
        environment.setdefault("ASAN_OPTIONS", "detect_leaks=1")
        self.log = open(FOLDER / f"server-{next(NUMBERS)}.log", "a+")
        self.process = subprocess.Popen([str(BIN / "reprise-server"), "--grpc-listen=127.0.0.1:0", "--http-listen=", *flags],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=FOLDER, env=environment)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.process.wait(30)
            self.process.stdout.close()
            with self.log:
                raise RuntimeError(f"the server did not start: {line!r}\n{self.read_log()}")
        self.address = line.split()[-1]
        self.channel = self.open_channel()
        self.cache = cache_pb2_grpc.CacheStub(self.channel)
        self.feedback = feedback_pb2_grpc.FeedbackStub(self.channel)
        self.admin = admin_pb2_grpc.AdminStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)
        if serving and options["storage_path"] != "":
            self.await_serving()

    def await_serving(self, timeout=60):
        end = time.monotonic() + timeout
        while not self.is_serving():
            if self.process.poll() is not None or time.monotonic() > end:
                code = self.process.poll()
                self.process.kill()
                raise RuntimeError(f"the server does not serve (exit code {code}):\n{self.read_log()[-8000:]}")
            time.sleep(0.005)

    def is_serving(self):
        try:
            return self.health.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True).status == 1
        except grpc.RpcError:
            return False

    def open_channel(self):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1),
                   ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        return grpc.insecure_channel(self.address, options=options)

    def read_log(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=60):
        code = self.process.wait(timeout)
        text = self.read_log()
        if "Sanitizer" in text or "runtime error" in text or "Assertion" in text:
            raise AssertionError(f"the server's log:\n{text[-8000:]}")
        return code

    def close(self):
        """What is left when the process has ended."""
        self.channel.close()
        self.process.stdout.close()
        self.log.close()

    def kill(self):
        """As kill -9 does."""
        self.process.kill()
        self.process.wait(30)
        text = self.read_log()
        self.close()
        if "Sanitizer" in text or "runtime error" in text or "Assertion" in text:
            raise AssertionError(f"the server's log:\n{text[-8000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.signal()
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the server did not stop:\n{self.read_log()[-8000:]}") from None
        self.final_log = self.read_log()
        self.close()
        if code != 0:
            raise AssertionError(f"the server ended with {code}:\n{self.final_log[-8000:]}")


class WireTest(unittest.TestCase):
    """One server for all tests of a class; `options` become its flags. Each test works in a namespace of its own."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.options)
        cls.cache, cls.feedback, cls.admin = cls.server.cache, cls.server.feedback, cls.server.admin

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    @property
    def namespace(self):
        return self._testMethodName[:64]

    def identity(self, prompt="", **fields):
        fields.setdefault("model", "m")
        fields.setdefault("namespace", self.namespace)
        return common_pb2.Identity(prompt=prompt, **fields)

    def get(self, prompt="", timeout=30, identity=None, **fields):
        identity_fields = {name: fields.pop(name) for name in list(fields) if name in common_pb2.Identity.DESCRIPTOR.fields_by_name}
        identity = identity or self.identity(prompt, **identity_fields)
        return self.cache.Get(cache_pb2.GetRequest(identity=identity, **fields), timeout=timeout)

    def set(self, prompt="", content="answer", timeout=30, identity=None, **fields):
        identity_fields = {name: fields.pop(name) for name in list(fields) if name in common_pb2.Identity.DESCRIPTOR.fields_by_name}
        identity = identity or self.identity(prompt, **identity_fields)
        return self.cache.Set(cache_pb2.SetRequest(identity=identity, content=content, **fields), timeout=timeout)

    def refused(self, call, code, reason, field=None):
        """The call must fail with this code, reason and field; returns the message for people."""
        with self.assertRaises(grpc.RpcError) as caught:
            call()
        error = caught.exception
        self.assertEqual(error.code(), code, error.details())
        details = error_details(error)
        self.assertEqual(details["reason"], reason, error.details())
        self.assertEqual(details["domain"], "reprise")
        if field is not None:
            self.assertEqual(details["field"], field, error.details())
        return error.details()


def error_details(error):
    """{reason, domain, field, description, retry_ms} out of the trailer grpc-status-details-bin."""
    out = {"reason": None, "domain": None, "field": None, "description": None, "retry_ms": None}
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        assert status.code == error.code().value[0], (status.code, error.code())
        for packed in status.details:
            kind = packed.type_url.rsplit("/", 1)[-1]
            message = {"google.rpc.ErrorInfo": error_details_pb2.ErrorInfo, "google.rpc.BadRequest": error_details_pb2.BadRequest,
                       "google.rpc.RetryInfo": error_details_pb2.RetryInfo}[kind].FromString(packed.value)
            if kind == "google.rpc.ErrorInfo":
                out["reason"], out["domain"] = message.reason, message.domain
            elif kind == "google.rpc.BadRequest":
                out["field"] = message.field_violations[0].field
                out["description"] = message.field_violations[0].description
            else:
                out["retry_ms"] = message.retry_delay.seconds * 1000 + message.retry_delay.nanos // 1_000_000
    return out


def word(number):
    """A word of its own for each number, without a digit for the guard to compare."""
    letters = ""
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters += "abcdefghijklmnopqrstuvwxyz"[letter]
    return "x" + letters


def gauss(number, dimension):
    """Numbers that are always the same for one number, and of two numbers far apart."""
    chance = random.Random(number)
    return [chance.gauss(0, 1) for _ in range(dimension)]


def in_threads(count, work):
    """Runs work(number) in `count` threads and re-raises the first failure."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as failure:  # noqa: BLE001 - handed to the caller's thread
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
