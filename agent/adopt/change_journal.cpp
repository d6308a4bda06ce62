#include "agent/adopt/change_journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "agent/base/atomic_file.hpp"
#include "agent/base/unique_fd.hpp"

namespace deploy::adopt {

namespace {

namespace fs = std::filesystem;

constexpr auto list_file = "under-way.json";
constexpr std::size_t file_bytes_max = 8 << 20;
constexpr mode_t private_mode = 0600;

std::string stamp() {
  const auto now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

/// Overwrites the file where it is: no reader that has it open, and no mount of it alone, sees another file.
void write_in_place(const std::string& path, const std::string& text) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) throw file_error("write", path, errno);
  for (std::size_t done = 0; done < text.size();) {
    const auto written = ::write(file.get(), text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw file_error("write", path, errno);
    done += static_cast<std::size_t>(written);
  }
  if (ftruncate(file.get(), static_cast<off_t>(text.size())) != 0 || fsync(file.get()) != 0) {
    throw file_error("write", path, errno);
  }
}

std::optional<std::string> text_now(const std::string& path) {
  std::error_code failure;
  if (!fs::exists(path, failure)) return std::nullopt;
  return read_file(path, file_bytes_max);
}

void make_folders(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw file_error("make the folder", folder, failure.value());
}

/// Why the file cannot be written; empty: it can.
std::string write_problem(const FileChange& change) {
  if (change.before) {
    const UniqueFd file(open(change.path.c_str(), O_WRONLY | O_CLOEXEC));
    return file.get() < 0 ? file_error("write", change.path, errno).message() : "";
  }
  auto folder = fs::path(change.path).parent_path();
  std::error_code failure;
  while (folder.has_relative_path() && !fs::exists(folder, failure)) folder = folder.parent_path();
  if (access(folder.c_str(), W_OK | X_OK) == 0) return "";
  return file_error("write into", folder, errno).message();
}

}  // namespace

void ChangeJournal::begin(const std::vector<FileChange>& files, const std::vector<std::string>& folders) {
  std::vector<std::string> problems;
  for (const auto& file : files) {
    if (auto problem = write_problem(file); !problem.empty()) problems.push_back(std::move(problem));
  }
  if (!problems.empty()) {
    throw Error(ErrorKind::failed, fmt::format("nothing was changed: {}", fmt::join(problems, "; ")));
  }
  for (const auto& file : files) {
    if (text_now(file.path) == file.before) continue;
    throw Error(ErrorKind::conflict,
                fmt::format("nothing was changed: {} was changed meanwhile; run this again", file.path));
  }
  files_ = files;
  run_ = folder_ / stamp();
  for (int number = 2; fs::exists(run_); ++number) run_ = folder_ / fmt::format("{}-{}", stamp(), number);
  make_folders(run_);
  std::error_code failure;
  fs::permissions(folder_, fs::perms::owner_all, failure);
  int number = 0;
  for (const auto& file : files_) {
    Entry entry{file.path, file.before.has_value(), ""};
    if (file.before) {
      entry.copy = fmt::format("{}-{}", ++number, fs::path(file.path).filename().string());
      write_atomically(run_ / entry.copy, *file.before, private_mode);
    }
    entries_.push_back(std::move(entry));
  }
  std::vector<std::string> wanted = folders;
  for (const auto& file : files_) wanted.push_back(fs::path(file.path).parent_path().string());
  for (const auto& folder : wanted) {
    for (auto at = fs::path(folder); at.has_relative_path() && !fs::exists(at); at = at.parent_path()) {
      const bool known = std::ranges::find(made_folders_, at.string()) != made_folders_.end();
      if (!known) made_folders_.push_back(at.string());
    }
  }
  // The outermost first.
  std::ranges::sort(made_folders_);
  save();
}

void ChangeJournal::save() const {
  nlohmann::json list{{"files", nlohmann::json::array()}, {"folders", made_folders_}, {"note", note_}, {"kept", kept_}};
  for (const auto& entry : entries_) {
    list["files"].push_back({{"path", entry.path}, {"existed", entry.existed}, {"copy", entry.copy}});
  }
  write_atomically(run_ / list_file, list.dump(2) + "\n", private_mode);
}

void ChangeJournal::load(const fs::path& run) {
  run_ = run;
  entries_.clear();
  const auto list = nlohmann::json::parse(read_file(run / list_file, file_bytes_max), nullptr, false);
  if (!list.is_object()) {
    throw Error(ErrorKind::invalid,
                fmt::format("{} cannot be read: it lists what an earlier run began to change; compare "
                            "the copies beside it with your files, then remove it",
                            (run / list_file).string()));
  }
  for (const auto& file : list.value("files", nlohmann::json::array())) {
    entries_.push_back({file.value("path", ""), file.value("existed", false), file.value("copy", "")});
  }
  made_folders_ = list.value("folders", std::vector<std::string>{});
  note_ = list.value("note", "");
  kept_ = list.value("kept", false);
}

void ChangeJournal::write() {
  for (const auto& folder : made_folders_) make_folders(folder);
  for (const auto& file : files_) {
    if (file.before) {
      write_in_place(file.path, file.after);
    } else {
      write_atomically(file.path, file.after, file.mode);
    }
  }
}

void ChangeJournal::mark(const std::string& note) {
  note_ = note;
  save();
}

/// The last one written is put back first.
void ChangeJournal::restore(bool keep_what_was_found) {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    const auto now = text_now(entry->path);
    if (!entry->existed) {
      if (now) remove_file(entry->path);
      // What write_atomically leaves where it is killed.
      const fs::path path(entry->path);
      std::error_code not_there;
      fs::remove(path.parent_path() / ("." + path.filename().string() + ".tmp"), not_there);
      continue;
    }
    const auto before = read_file(run_ / entry->copy, file_bytes_max);
    if (now == before) continue;
    // Somebody may have gone on with it since then.
    if (now && keep_what_was_found) write_atomically(run_ / (entry->copy + ".found"), *now, private_mode);
    write_in_place(entry->path, before);
  }
  for (auto folder = made_folders_.rbegin(); folder != made_folders_.rend(); ++folder) {
    std::error_code not_empty;
    fs::remove(*folder, not_empty);
  }
}

void ChangeJournal::undo() {
  restore(false);
  if (note_.empty()) return forget();
  entries_.clear();
  made_folders_.clear();
  save();
}

void ChangeJournal::keep(const std::string& note) {
  kept_ = true;
  mark(note);
}

void ChangeJournal::forget() {
  fs::remove_all(run_);
  std::error_code not_empty;
  fs::remove(folder_, not_empty);
}

std::vector<fs::path> ChangeJournal::unfinished_runs() const {
  std::error_code failure;
  std::vector<fs::path> runs;
  for (fs::directory_iterator at(folder_, failure), end; !failure && at != end; at.increment(failure)) {
    if (fs::exists(at->path() / list_file)) runs.push_back(at->path());
  }
  std::ranges::sort(runs);
  return runs;
}

ChangeJournal::Interrupted ChangeJournal::undo_interrupted() {
  Interrupted found;
  for (const auto& run : unfinished_runs()) {
    load(run);
    if (!kept_) {
      restore(true);
      for (const auto& entry : entries_) found.restored.push_back(entry.path);
    }
    // Once: somebody may go on with the files before a later run hears of the note.
    entries_.clear();
    made_folders_.clear();
    if (note_.empty()) {
      remove_file(run / list_file);
      continue;
    }
    save();
    found.note = note_;
    found.kept = kept_;
    found.list = (run / list_file).string();
  }
  note_.clear();
  kept_ = false;
  return found;
}

void ChangeJournal::forget_interrupted() {
  for (const auto& run : unfinished_runs()) remove_file(run / list_file);
}

std::string ChangeJournal::finish() {
  remove_file(run_ / list_file);
  const bool has_copies = std::ranges::any_of(entries_, &Entry::existed);
  if (has_copies) return run_.string();
  fs::remove_all(run_);
  std::error_code not_empty;
  fs::remove(folder_, not_empty);
  return "";
}

}  // namespace deploy::adopt
