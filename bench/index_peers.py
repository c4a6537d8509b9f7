"""The peers that come as Python wheels, in the conversation of index_peer.h; started by index_run.py.

    index_peers.py usearch-f32|usearch-i8|faiss-wheel FOLDER DIMENSION ROWS

Queries are handed over in blocks, so that Python costs a lookup nothing; inside, both libraries search them one by one. FAISS gets
blocks of 16: from 20 on its flat and IVF indexes would multiply matrices, which a single lookup cannot. With several threads a graph
gets larger blocks, which the library spreads over them.
"""
import json
import os
import pathlib
import sys
import time

import numpy

HIT_QUERIES, NOVEL_QUERIES, NEAREST = 4000, 1000, 8  # as index_files.h says
ALL_CORES = set(range(os.cpu_count()))


class Usearch:
    block, block_all = 256, 512

    def __init__(self, dtype, dimension):
        self.dtype, self.dimension = dtype, dimension

    def make(self, links, ef_construction):
        from usearch.index import Index
        self.index = Index(ndim=self.dimension, metric="ip", dtype=self.dtype, connectivity=links, expansion_add=ef_construction)

    def build(self, rows, kind, links, ef_construction, _lists, threads):
        assert kind == "hnsw"
        self.make(links, ef_construction)
        for first in range(0, len(rows), 50000):
            some = rows[first:first + 50000]
            self.index.add(numpy.arange(first, first + len(some)), some, threads=threads)

    def save(self, path):
        self.index.save(path)

    def load(self, path, links, ef_construction):
        self.make(links, ef_construction)
        self.index.load(path)

    def set(self, breadth):
        self.index.expansion_search = breadth

    def search(self, queries, k, threads):
        return self.index.search(queries, k, threads=threads).keys

    def hot_bytes(self):
        return self.index.serialized_length / len(self.index)


class FaissWheel:
    block = block_all = 16

    def __init__(self, dimension):
        import faiss
        self.faiss, self.dimension = faiss, dimension
        faiss.omp_set_num_threads(1)

    def build(self, rows, kind, links, ef_construction, lists, threads):
        faiss = self.faiss
        faiss.omp_set_num_threads(threads)
        if kind == "flat":
            self.index = faiss.IndexFlatIP(self.dimension)
        elif kind == "hnsw":
            self.index = faiss.IndexHNSWFlat(self.dimension, links, faiss.METRIC_INNER_PRODUCT)
            self.index.hnsw.efConstruction = ef_construction
        else:
            self.index = faiss.index_factory(self.dimension, f"IVF{lists},{'SQ8' if kind == 'ivf-sq8' else 'Flat'}", faiss.METRIC_INNER_PRODUCT)
            self.index.cp.niter, self.index.cp.max_points_per_centroid = 10, 64
        if not self.index.is_trained:
            self.index.train(rows)
        for first in range(0, len(rows), 50000):
            self.index.add(rows[first:first + 50000])
        faiss.omp_set_num_threads(1)

    def save(self, path):
        self.faiss.write_index(self.index, path)

    def load(self, path, _links, _ef_construction):
        self.index = self.faiss.read_index(path)

    def set(self, breadth):
        if hasattr(self.index, "hnsw"):
            self.block_all = 512
            self.index.hnsw.efSearch = breadth
        elif hasattr(self.index, "nprobe"):
            self.index.nprobe = breadth

    def search(self, queries, k, threads):
        if self.faiss.omp_get_max_threads() != threads:
            self.faiss.omp_set_num_threads(threads)
        return self.index.search(queries, k)[1]

    def hot_bytes(self):
        """What its serialised form holds; the row numbers of a graph's levels are within a percent of that."""
        return len(self.faiss.serialize_index(self.index)) / self.index.ntotal


def build(peer, rows, kind, links, ef_construction, lists, threads, path):
    """From the file if it is there, else into it; the CPU seconds lie beside."""
    figures = pathlib.Path(path + ".cpu")
    if path != "-" and os.path.exists(path):
        peer.load(path, links, ef_construction)
        spent = float(figures.read_text())
    else:
        home = os.sched_getaffinity(0)
        if threads > 1:
            os.sched_setaffinity(0, ALL_CORES)
        started = time.process_time()
        peer.build(rows, kind, links, ef_construction, lists, threads)
        spent = time.process_time() - started
        os.sched_setaffinity(0, home)
        if path != "-":
            peer.save(path + ".part")
            os.rename(path + ".part", path)
            figures.write_text(f"{spent}\n")
    return {"cpu_s": spent, "hot_bytes": peer.hot_bytes()}


def recall(peer, queries, truth, hits, novels):
    def share(first, count, k):
        found = numpy.concatenate([peer.search(queries[at:min(at + peer.block, first + count)], k, 1)
                                   for at in range(first, first + count, peer.block)])
        return float((found[:, :, None] == truth[first:first + count, None, :k]).any(axis=1).mean())
    return {"hit": share(0, hits, 1), "novel": share(HIT_QUERIES, novels, 1),
            "hit8": share(0, min(hits, 1000), NEAREST), "novel8": share(HIT_QUERIES, novels, NEAREST)}


def measure(peer, queries, k, threads, seconds):
    """One thread by its CPU time, several by the wall clock."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    block = peer.block if threads == 1 else peer.block_all
    home = os.sched_getaffinity(0)
    if threads > 1:
        os.sched_setaffinity(0, ALL_CORES)
    peer.search(queries[:block], k, threads)
    measure.at = (getattr(measure, "at", 0) + 997) % HIT_QUERIES
    asked, started, spent = 0, clock(), 0.0
    while spent < seconds:
        first = min((measure.at + asked) % HIT_QUERIES, HIT_QUERIES - block)
        peer.search(queries[first:first + block], k, threads)
        asked += block
        spent = clock() - started
    os.sched_setaffinity(0, home)
    return {"qps": asked / spent}


def main():
    name, folder, dimension, rows_count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    shape = f"{dimension}-{rows_count}"
    rows = numpy.memmap(folder / f"rows-{dimension}.f32", numpy.float32, "r").reshape(-1, dimension)[:rows_count]
    queries = numpy.fromfile(folder / f"queries-{shape}.f32", numpy.float32).reshape(-1, dimension)
    truth = numpy.fromfile(folder / f"truth-{shape}.i32", numpy.int32).reshape(-1, NEAREST)
    peer = FaissWheel(dimension) if name == "faiss-wheel" else Usearch(name.split("-")[1], dimension)
    for line in sys.stdin:
        verb, *words = line.split()
        if verb == "build":
            kind, path = words[0], words[5]
            out = build(peer, rows, kind, *map(int, words[1:5]), path)
        elif verb == "set":
            peer.set(int(words[0]))
            out = {}
        elif verb == "recall":
            out = recall(peer, queries, truth, *map(int, words))
        else:
            out = measure(peer, queries, int(words[0]), int(words[1]), float(words[2]) / 1000)
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
