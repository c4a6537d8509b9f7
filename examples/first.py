"""A first client: a miss, a Set, an exact hit, a semantic hit, feedback.

    python3 -m grpc_tools.protoc -Iproto --python_out=stubs --grpc_python_out=stubs proto/reprise/v1/*.proto
    PYTHONPATH=stubs python3 examples/first.py [HOST:PORT]

Debian's packages do the same without grpc_tools:
    mkdir -p stubs && protoc -Iproto --python_out=stubs --grpc_python_out=stubs \\
        --plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin proto/reprise/v1/*.proto
"""
import sys

import grpc
from reprise.v1 import cache_pb2 as c, cache_pb2_grpc, common_pb2 as m, feedback_pb2 as f, feedback_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7371")
cache, feedback = cache_pb2_grpc.CacheStub(channel), feedback_pb2_grpc.FeedbackStub(channel)
get = lambda prompt: cache.Get(c.GetRequest(identity=m.Identity(model="gpt-4o-mini", prompt=prompt)), timeout=1)
print(get("How do I reset my password?").hit)                                      # False
cache.Set(c.SetRequest(identity=m.Identity(model="gpt-4o-mini", prompt="How do I reset my password?"), content="Under Settings, Security."))
print(get("How do I reset my password?").content)                                  # exact
near = get("How can I reset my password?")                                         # semantic
print(near.content, feedback.Report(f.ReportRequest(decision_token=near.decision.token, verdict=f.VERDICT_CORRECT)).outcome)
