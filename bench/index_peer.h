/*
 * index_peer.h - what the programs of the C++ peers share: files, measuring, the conversation.
 *
 *   PROGRAM FOLDER DIMENSION ROWS       then lines on standard input, a JSON object for each:
 *     build KIND LINKS EF_CONSTRUCTION LISTS THREADS FILE   from FILE if it is there, else into it
 *     set BREADTH                       ef, or the lists that a search reads
 *     recall HITS NOVELS                of so many queries of each kind, at 1 and at 8
 *     time K THREADS MILLISECONDS       lookups/s of hit queries
 *
 * One thread is measured by its CPU time, on the core that this program was started on; several by
 * the wall clock, one on each core.
 *
 * Threads: the peer's search is called from several at once.
 */
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/index_files.h"

struct IndexPlan {
    std::string kind;
    int links, ef_construction, lists, threads;
    std::string file;
};

class IndexPeer
{
  public:
    virtual ~IndexPeer() = default;
    virtual void build(const IndexPlan &plan) = 0;
    virtual bool load(const IndexPlan &plan) = 0; /* false: there is no such file */
    virtual void save(const IndexPlan &plan) = 0;
    virtual void set_breadth(int breadth) = 0;
    virtual void search(const float *query, int k, int64_t *out_rows) = 0;
    virtual double hot_bytes() = 0; /* a row */
    virtual void start_thread()
    {
    }

    const float *rows = nullptr, *queries = nullptr;
    const int32_t *truth = nullptr;
    size_t dimension = 0, rows_count = 0;
};

inline void must(bool good, const std::string &what)
{
    if (good)
        return;
    std::cerr << "bench_index: " << what << " failed\n";
    std::exit(1);
}

inline const void *map_file(const std::string &path)
{
    const int file = open(path.c_str(), O_RDONLY);
    must(file >= 0, path);
    const off_t size = lseek(file, 0, SEEK_END);
    void *bytes = mmap(nullptr, static_cast<size_t>(size), PROT_READ, MAP_SHARED, file, 0);
    must(bytes != MAP_FAILED, path);
    close(file);
    return bytes;
}

inline double cpu_seconds(clockid_t clock)
{
    timespec now{};
    must(clock_gettime(clock, &now) == 0, "reading the clock");
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/* Rows in parallel, for peers that add one by one. */
inline void for_rows(size_t first, size_t count, int threads,
                     const std::function<void(size_t)> &add)
{
    std::vector<std::thread> workers;
    for (int worker = 1; worker < threads; worker++)
        workers.emplace_back([=] {
            for (size_t row = first + static_cast<size_t>(worker); row < count;
                 row += static_cast<size_t>(threads))
                add(row);
        });
    for (size_t row = first; row < count; row += static_cast<size_t>(threads))
        add(row);
    for (auto &worker : workers)
        worker.join();
}

inline void free_cores()
{
    cpu_set_t all;
    CPU_ZERO(&all);
    for (long core = 0; core < sysconf(_SC_NPROCESSORS_ONLN); core++)
        CPU_SET(static_cast<size_t>(core), &all);
    must(sched_setaffinity(0, sizeof(all), &all) == 0, "moving to all cores");
}

/* The build's CPU seconds are kept beside its file: who loads it later knows them. */
inline std::string run_build(IndexPeer &peer, const IndexPlan &plan)
{
    const std::string figures = plan.file + ".cpu";
    double spent = 0;
    const bool keeps = plan.file != "-";
    if (keeps && peer.load(plan)) {
        std::ifstream(figures) >> spent;
    } else {
        cpu_set_t home;
        must(sched_getaffinity(0, sizeof(home), &home) == 0, "asking for the core");
        if (plan.threads > 1)
            free_cores();
        const double started = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
        peer.build(plan);
        spent = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - started;
        must(sched_setaffinity(0, sizeof(home), &home) == 0, "going back to the core");
        if (keeps) {
            peer.save(plan);
            std::ofstream(figures) << spent << "\n";
        }
    }
    std::ostringstream out;
    out << "{\"cpu_s\":" << spent << ",\"hot_bytes\":" << peer.hot_bytes() << "}";
    return out.str();
}

inline double recall_of(IndexPeer &peer, size_t first, size_t count, int k)
{
    size_t found = 0;
    std::vector<int64_t> rows(static_cast<size_t>(k));
    for (size_t query = first; query < first + count; query++) {
        peer.search(peer.queries + query * peer.dimension, k, rows.data());
        const int32_t *truth = peer.truth + query * INDEX_NEAREST;
        for (int i = 0; i < k; i++)
            found += std::count(rows.begin(), rows.end(), static_cast<int64_t>(truth[i])) > 0;
    }
    return static_cast<double>(found) / static_cast<double>(count * static_cast<size_t>(k));
}

inline std::string run_recall(IndexPeer &peer, size_t hits, size_t novels)
{
    std::ostringstream out;
    out << "{\"hit\":" << recall_of(peer, 0, hits, 1)
        << ",\"novel\":" << recall_of(peer, INDEX_HIT_QUERIES, novels, 1)
        << ",\"hit8\":" << recall_of(peer, 0, std::min<size_t>(hits, 1000), 8)
        << ",\"novel8\":" << recall_of(peer, INDEX_HIT_QUERIES, novels, 8) << "}";
    return out.str();
}

/* Asks for a while; returns lookups/s by that clock. */
inline double ask_for(IndexPeer &peer, int k, double seconds, clockid_t clock, size_t first)
{
    std::vector<int64_t> rows(static_cast<size_t>(k));
    const double started = cpu_seconds(clock);
    size_t asked = 0;
    double spent = 0;
    while (spent < seconds) {
        const size_t query = (first + asked++) % INDEX_HIT_QUERIES;
        peer.search(peer.queries + query * peer.dimension, k, rows.data());
        spent = cpu_seconds(clock) - started;
    }
    return static_cast<double>(asked) / spent;
}

inline double ask_on(IndexPeer &peer, int k, double seconds, int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(core), &set);
    must(sched_setaffinity(0, sizeof(set), &set) == 0, "moving to a core");
    peer.start_thread();
    return ask_for(peer, k, seconds, CLOCK_MONOTONIC, static_cast<size_t>(core) * 1000);
}

inline std::string run_time(IndexPeer &peer, int k, int threads, double seconds)
{
    static size_t next = 0; /* so that rounds do not repeat the same few queries */
    double rate = 0;
    if (threads == 1) {
        rate = ask_for(peer, k, seconds, CLOCK_THREAD_CPUTIME_ID, next += 997);
    } else {
        std::vector<double> rates(static_cast<size_t>(threads));
        std::vector<std::thread> workers;
        for (int core = 0; core < threads; core++)
            workers.emplace_back(
                [&, core] { rates[static_cast<size_t>(core)] = ask_on(peer, k, seconds, core); });
        for (auto &worker : workers)
            worker.join();
        for (const double one : rates)
            rate += one;
    }
    return "{\"qps\":" + std::to_string(rate) + "}";
}

inline std::string answer(IndexPeer &peer, const std::string &line)
{
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "build") {
        IndexPlan plan{};
        words >> plan.kind >> plan.links >> plan.ef_construction >> plan.lists >> plan.threads >>
            plan.file;
        return run_build(peer, plan);
    }
    if (verb == "set") {
        int breadth = 0;
        words >> breadth;
        peer.set_breadth(breadth);
        return "{}";
    }
    if (verb == "recall") {
        size_t hits = 0, novels = 0;
        words >> hits >> novels;
        return run_recall(peer, hits, novels);
    }
    must(verb == "time", "the command " + line);
    int k = 0, threads = 0;
    double milliseconds = 0;
    words >> k >> threads >> milliseconds;
    return run_time(peer, k, threads, milliseconds / 1000);
}

inline int converse(IndexPeer &peer, int count, char **words)
{
    must(count == 4, "usage: PROGRAM FOLDER DIMENSION ROWS;");
    const std::string folder = words[1], dimension = words[2], rows = words[3];
    peer.dimension = std::stoul(dimension);
    peer.rows_count = std::stoul(rows);
    const std::string shape = dimension + "-" + rows;
    peer.rows = static_cast<const float *>(map_file(folder + "/rows-" + dimension + ".f32"));
    peer.queries = static_cast<const float *>(map_file(folder + "/queries-" + shape + ".f32"));
    peer.truth = static_cast<const int32_t *>(map_file(folder + "/truth-" + shape + ".i32"));
    peer.start_thread();
    for (std::string line; std::getline(std::cin, line);)
        std::cout << answer(peer, line) << std::endl;
    return 0;
}
