"""The C client against a real server: c_client.c says what it expects of the two batches."""
import subprocess
import unittest

from support import BIN, WireTest, admin_pb2

PROGRAM = BIN.parent / "tests" / "c_client"


class CClient(WireTest):
    def test_batches_of_sets_and_gets_keep_their_order_and_fail_one_by_one(self):
        ran = subprocess.run([PROGRAM, self.server.address], capture_output=True, text=True, timeout=60)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertEqual(self.admin.Stats(admin_pb2.StatsRequest(namespace="c-client")).sets, 3)


if __name__ == "__main__":
    unittest.main()
