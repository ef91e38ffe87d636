#include "checkpoint/pipeline.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <future>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <mantissa/core/error.h>
#include <mantissa/core/version.h>
#include <mantissa/core/worker_pool.h>
#include <mantissa/primitives/convert.h>

#include "checkpoint/block_reader.h"
#include "checkpoint/hash.h"
#include "checkpoint/input_file.h"
#include "checkpoint/journal.h"
#include "checkpoint/manifest.h"
#include "checkpoint/unit_writer.h"
#include "core/crash_point.h"
#include "core/process_memory.h"
#include "core/stopwatch.h"

namespace mantissa {
namespace {

constexpr std::chrono::milliseconds kTick{100};

struct UnitState {
  WorkUnit unit;
  bool done = false;
  std::vector<std::uint64_t> xxh3 = {};
};

// Everything that OUT will hold.
std::set<std::string> file_names(const Plan& plan) {
  std::set<std::string> names = {Manifest::kFile};
  for (const Shard& shard : plan.shards) names.insert(shard.file);
  for (const TextFile& text : plan.texts) names.insert(text.name);
  for (const Companion& companion : plan.companions) {
    names.insert(companion.name);
  }
  return names;
}

class Run {
 public:
  Run(const Plan& plan,
      const CheckpointSource& source,
      const ConfigPtr& recorded,
      const RunOptions& options)
      : plan_(plan),
        source_(source),
        options_(options),
        head_(Journal::head(plan, source, recorded)),
        states_(plan.tensors.size()) {
    result_.tensors.resize(plan.tensors.size());
    result_.identity = run_identity(plan, source, recorded);
    result_.workers = options.workers;
    progress_.tensors = static_cast<std::int64_t>(plan.tensors.size());
    progress_.bytes = plan.source_bytes;
    progress_.worst_sqnr = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
      for (const WorkUnit& unit : work_units(plan, i)) {
        states_[i].push_back({unit});
      }
      result_.tensors[i].resumed = true;
    }
  }

  RunResult run() {
    const bool published =
        options_.existing.resume && is_published_with_journal(options_.out);
    if (published) {
      tidy();
    } else {
      write();
    }
    measure();
    return std::move(result_);
  }

 private:
  // An earlier run was killed between its rename and its end.
  void tidy() {
    const auto contents =
        read_journal(options_.out / OutputDirectory::kJournal, head_, plan_);
    if (contents) {
      take_over(*contents, nullptr);
      take_hashes();
      tell(options_.before_publish);
    }
    tell(options_.published);
    tidy_published(options_.out);
  }

  // Of tensors that were written in several units, which the journal lacks.
  void take_hashes() {
    const auto published = published_hashes(plan_, options_.out);
    if (!published) return;
    for (std::size_t i = 0; i < plan_.tensors.size(); ++i) {
      result_.tensors[i].xxh3 = published->tensors[i].xxh3;
    }
  }

  void measure() {
    result_.seconds = seconds_since(start_);
    result_.peak_memory = peak_memory();
  }

  void tell(const std::function<void(const RunResult&)>& listener) {
    measure();
    if (listener) listener(result_);
  }

  void write() {
    OutputDirectory out(options_.out, options_.existing);
    std::int64_t kept = 0;
    std::optional<JournalContents> contents;
    const std::filesystem::path path = out.path(OutputDirectory::kJournal);
    if (options_.existing.resume) {
      contents = read_journal(path, head_, plan_);
      if (contents) {
        out.require_only(file_names(plan_));
      } else {
        out.clear();
      }
    }
    for (const Shard& shard : plan_.shards) out.open_shard(shard);
    if (contents) {
      take_over(*contents, &out);
      kept = contents->bytes;
    }
    try {
      Journal journal(path, head_, kept, [&out] { out.sync_data(); });
      write_tensors(out, journal);
      // The disk takes what is left of the data while it is read back.
      std::future<void> synced =
          std::async(std::launch::async, [&journal] { journal.sync(); });
      check_written(out);
      synced.get();
    } catch (const Error& error) {
      // With this input nothing of it will ever be published.
      if (error.kind() == ErrorKind::Input) out.discard();
      throw;
    }
    const Manifest manifest = write_small_files(out);
    out.write_text(Manifest::kFile, manifest.to_json());
    tell(options_.before_publish);
    crash_point("report.written");
    out.publish([this] { tell(options_.published); });
  }

  // Believes the claims of a journal whose bytes are still what they were.
  void take_over(const JournalContents& contents, const OutputDirectory* out) {
    const auto count = static_cast<std::int64_t>(contents.entries.size());
    WorkerPool(options_.workers).run(count, [&](std::int64_t i, int) {
      const JournalEntry& entry = contents.entries[static_cast<std::size_t>(i)];
      if (out != nullptr && !is_intact(entry.unit, entry.result.xxh3, *out)) {
        return;
      }
      const std::lock_guard lock(mutex_);
      accept(entry.unit, entry.result);
    });
  }

  bool is_intact(const WorkUnit& unit,
                 const std::vector<std::uint64_t>& xxh3,
                 const OutputDirectory& out) const {
    const std::vector<ByteRange> ranges =
        unit_ranges(plan_.tensors[unit.tensor], unit);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      const ByteRange& range = ranges[i];
      if (out.hash(range.shard, range.offset, range.bytes) != xxh3[i]) {
        return false;
      }
    }
    return true;
  }

  void write_tensors(OutputDirectory& out, Journal& journal) {
    std::exception_ptr worker_failure;
    std::jthread monitor([&](std::stop_token token) { watch(token, journal); });
    try {
      WorkerPool(options_.workers)
          .run(progress_.tensors, [&](std::int64_t index, int) {
            write_tensor(static_cast<std::size_t>(index), out, journal);
          });
    } catch (...) {
      worker_failure = std::current_exception();
    }
    monitor.request_stop();
    monitor.join();
    // Workers that stop because the monitor failed do not know the reason.
    if (monitor_failure_) std::rethrow_exception(monitor_failure_);
    if (!worker_failure) return;
    // What is done stays done, whatever the reason to stop.
    try {
      journal.sync();
    } catch (const Error&) {  // the first failure is the one to tell
    }
    std::rethrow_exception(worker_failure);
  }

  // Syncs the journal in time and tells how far the run is.
  void watch(const std::stop_token& token, Journal& journal) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    while (true) {
      wake_.wait_for(lock, token, kTick, [&] { return journal.is_due(); });
      if (token.stop_requested()) return;
      try {
        if (journal.is_due()) journal.sync();
      } catch (...) {
        monitor_failure_ = std::current_exception();
        failed_ = true;
        return;
      }
      if (!options_.tick) continue;
      const std::lock_guard progress_lock(mutex_);
      progress_.seconds = seconds_since(start_);
      options_.tick(progress_);
    }
  }

  void check_stop() const {
    if (failed_) {
      throw Error(ErrorKind::Resources, "the journal cannot be written");
    }
    if (!options_.stop || !options_.stop()) return;
    throw Error(ErrorKind::Interrupted,
                fmt::format("stopped; {}.partial keeps what is done: --resume "
                            "continues it, --restart discards it",
                            options_.out.string()));
  }

  void write_tensor(std::size_t index, OutputDirectory& out, Journal& journal) {
    const PlannedTensor& planned = plan_.tensors[index];
    UnitWriter writer(planned, source_, out, writer_options_);
    for (const UnitState& state : states_[index]) {
      if (state.done) continue;
      check_stop();
      const TensorResult result = writer.write(state.unit);
      if (journal.add(plan_, {state.unit, result})) wake_.notify_one();
      const std::lock_guard lock(mutex_);
      accept(state.unit, result);
    }
  }

  // The lock is held.
  void accept(const WorkUnit& unit, const TensorResult& part) {
    std::vector<UnitState>& states = states_[unit.tensor];
    const auto state = std::ranges::find(states, unit, &UnitState::unit);
    if (state->done) return;
    state->done = true;
    state->xxh3 = part.xxh3;
    TensorResult& all = result_.tensors[unit.tensor];
    const auto first = static_cast<std::size_t>(unit.first_matrix);
    all.errors.resize(std::max(all.errors.size(), first + part.errors.size()));
    std::ranges::copy(part.errors, all.errors.begin() + unit.first_matrix);
    all.scales.add(part.scales);
    all.crests.add(part.crests);
    all.max_weight = std::max(all.max_weight, part.max_weight);
    all.resumed = all.resumed && part.resumed;
    if (states.size() == 1) {
      all.xxh3 = part.xxh3;
      all.source_xxh3 = part.source_xxh3;
    }
    if (std::ranges::all_of(states, &UnitState::done)) finish(unit.tensor);
  }

  void finish(std::size_t index) {
    const PlannedTensor& planned = plan_.tensors[index];
    const TensorResult& all = result_.tensors[index];
    result_.resumed += all.resumed ? 1 : 0;
    ++progress_.tensors_done;
    progress_.bytes_done += planned.source_bytes;
    progress_.seconds = seconds_since(start_);
    if (!all.errors.empty() && all.total().sqnr() < progress_.worst_sqnr) {
      progress_.worst_sqnr = all.total().sqnr();
      progress_.worst_tensor = planned.tensor.name;
    }
    if (options_.finished) options_.finished(planned, all, progress_);
  }

  // Reads everything back before it is published.
  void check_written(const OutputDirectory& out) {
    WorkerPool(options_.workers)
        .run(progress_.tensors, [&](std::int64_t index, int) {
          check_stop();
          check_tensor(static_cast<std::size_t>(index), out);
        });
  }

  void check_tensor(std::size_t index, const OutputDirectory& out) {
    const PlannedTensor& planned = plan_.tensors[index];
    for (const UnitState& state : states_[index]) {
      if (is_intact(state.unit, state.xxh3, out)) continue;
      throw Error(ErrorKind::Unexpected,
                  fmt::format("{}: the bytes read back are not those written; "
                              "memory or disk is faulty, or another program "
                              "writes to {}.partial. Nothing is published",
                              planned.tensor.name,
                              options_.out.string()));
    }
    if (states_[index].size() == 1) return;
    TensorResult& all = result_.tensors[index];
    for (const ByteRange& range : unit_ranges(planned, {index})) {
      all.xxh3.push_back(out.hash(range.shard, range.offset, range.bytes));
    }
  }

  // config.json, the index, companions; returns what the manifest says.
  Manifest write_small_files(OutputDirectory& out) {
    Manifest manifest;
    manifest.tool_version = kVersion;
    for (const Shard& shard : plan_.shards) {
      manifest.add_header(shard.file, shard.header);
    }
    for (const TextFile& text : plan_.texts) {
      out.write_text(text.name, text.text);
      note_file(out, text.name, manifest);
    }
    for (const Companion& companion : plan_.companions) {
      out.copy(companion);
      note_file(out, companion.name, manifest);
    }
    for (std::size_t i = 0; i < plan_.tensors.size(); ++i) {
      const std::vector<FileTensor>& outputs = plan_.tensors[i].outputs;
      for (std::size_t f = 0; f < outputs.size(); ++f) {
        manifest.tensors[outputs[f].name] = {
            plan_.shards[outputs[f].shard].file,
            byte_count(outputs[f].dtype, outputs[f].shape),
            result_.tensors[i].xxh3.at(f)};
      }
    }
    return manifest;
  }

  static void note_file(const OutputDirectory& out,
                        const std::string& name,
                        Manifest& manifest) {
    const auto [bytes, xxh3] = hash_file(out.path(name));
    manifest.files[name] = {"", bytes, xxh3};
  }

  const Plan& plan_;
  const CheckpointSource& source_;
  const RunOptions& options_;
  const UnitWriterOptions writer_options_{[this] { check_stop(); },
                                          options_.allow_nonfinite};
  const std::string head_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;  // of everything below
  std::vector<std::vector<UnitState>> states_;
  RunProgress progress_;
  RunResult result_;
  std::atomic<bool> failed_ = false;
  std::condition_variable_any wake_;  // the monitor
  std::exception_ptr monitor_failure_;
};

}  // namespace

RunResult run_plan(const Plan& plan,
                   const CheckpointSource& source,
                   const ConfigPtr& recorded,
                   const RunOptions& options) {
  require_runnable(plan);
  return Run(plan, source, recorded, options).run();
}

std::optional<RunResult> published_hashes(const Plan& plan,
                                          const std::filesystem::path& out) {
  const std::optional<Manifest> manifest = read_manifest(out);
  if (!manifest) return {};
  RunResult result;
  result.tensors.resize(plan.tensors.size());
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    for (const FileTensor& file : plan.tensors[i].outputs) {
      const auto entry = manifest->tensors.find(file.name);
      if (entry == manifest->tensors.end()) return {};
      result.tensors[i].xxh3.push_back(entry->second.xxh3);
    }
  }
  return result;
}

std::map<std::string, std::string> find_nonfinite_tensors(
    const Plan& plan, const CheckpointSource& source, int workers) {
  std::map<std::string, std::string> found;
  std::mutex mutex;
  WorkerPool(workers).run(static_cast<std::int64_t>(plan.tensors.size()),
                          [&](std::int64_t index, int) {
                            const PlannedTensor& planned =
                                plan.tensors[static_cast<std::size_t>(index)];
                            if (!is_encoded(planned)) return;
                            BlockReader reader(source, planned.tensor);
                            for (const RowBlock& block : reader.blocks(1)) {
                              const std::optional<std::int64_t> bad =
                                  find_nonfinite(reader.delivered(block));
                              if (!bad) continue;
                              const std::lock_guard lock(mutex);
                              found[planned.tensor.name] =
                                  fmt::format("NaN or Inf at index {}",
                                              reader.flat_index(block, *bad));
                              return;
                            }
                          });
  return found;
}

}  // namespace mantissa
