// One change of what Nginx has loaded: test, signal, prove; and put back.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/proxy/nginx.hpp"

namespace deploy::proxy {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds poll_interval{5};
constexpr int answers_wanted_beside = 3;

/// A file that Nginx reads as it was before, although it was changed; empty: there is none.
std::string not_seen(const std::map<std::string, std::string>& read, const std::vector<ports::TextChange>& texts) {
  const auto reads = [&](const std::string& text, const std::string& name) {
    return std::any_of(read.begin(), read.end(), [&](const auto& file) {
      const bool named = name.empty() || std::filesystem::path(file.first).filename() == name;
      return named && trim(file.second) == trim(text);
    });
  };
  const auto found = std::find_if(texts.begin(), texts.end(), [&](const ports::TextChange& change) {
    const auto name = std::filesystem::path(change.path).filename().string();
    return trim(change.before) != trim(change.after) && reads(change.before, name) && !reads(change.after, "");
  });
  return found == texts.end() ? "" : found->path;
}

}  // namespace

/// Does every worker answer with this generation, without a reload?
Task<bool> Nginx::confirmed(std::string generation, int answers_wanted) {
  for (int answers = 0; answers < answers_wanted; ++answers) {
    if (answers > 0) co_await clock_.sleep_for(poll_interval);
    const auto answer = co_await ask_marker_();
    if (answer != generation) co_return false;
  }
  co_return true;
}

Task<void> Nginx::make(Change* change, ports::SwitchReport* report) {
  folder_.remember(change->before);
  for (auto& note : folder_.replace(change->wanted)) report->notes.push_back(std::move(note));
  std::string output;
  if (change->rehearsed) {
    output = rehearsal_->output;
  } else {
    output = co_await tested(change, report);
  }
  std::set<std::string> upstreams;
  for (const auto& [upstream, route] : change->from_outside) upstreams.insert(upstream);
  facts_->dump = read_dump(output, upstreams);
  idle_connections_live_ =
      std::max(idle_connections_live_, facts_->dump.keepalive_min_timeout.value_or(milliseconds{0}));

  change->signalled = true;
  const auto proof = co_await reload_and_prove(change->nginx, change->generation, report);
  if (proof.given) {
    note_unnamed(*change, report);
    co_return;
  }
  const auto reason = co_await place_.why_not_loaded(change->nginx.id);
  throw Error(ErrorKind::timed_out,
              fmt::format("Nginx {} was told to reload and did not prove the new configuration within {:g} s: {}{}",
                          place_.text(), static_cast<double>(settings_.proof_deadline.count()) / 1000.0, proof.seen,
                          reason.empty() ? "" : "; " + reason));
}

/// What `nginx -T` says to the new files.
Task<std::string> Nginx::tested(Change* change, ports::SwitchReport* report) {
  const auto start = clock_.steady_now();
  auto test = co_await place_.test(change->nginx.id, change->master_title);
  report->test = since(start);
  if (!test.passed) {
    change->refusal = trim(test.output);
    throw Error(ErrorKind::invalid, "");  // the words depend on whether the previous files pass: throw_failure()
  }
  const bool complete = read_dump(test.output).complete;
  if (complete && test.output.find(generation_line(change->generation)) == std::string::npos) {
    throw Error(ErrorKind::invalid, fmt::format("Nginx {} does not read the folder {}: {}", place_.text(),
                                                folder_.path().string(), place_.how_to_include(folder_.path())));
  }
  std::string output = std::move(test.output);
  co_return output;
}

Task<Nginx::Proof> Nginx::reload_and_prove(RunningNginx nginx, std::optional<std::string> generation,
                                           ports::SwitchReport* report) {
  auto workers = co_await watch(nginx);
  auto start = clock_.steady_now();
  co_await place_.reload(nginx);
  report->reload = since(start);
  start = clock_.steady_now();
  auto proof = co_await prove(nginx, std::move(workers.accepting), std::move(generation));
  report->prove = since(start);
  co_return proof;
}

/// The marker answers with `generation` (nullopt: does not answer) several times in a row, and none of the `earlier`
/// workers accepts connections any more.
Task<Nginx::Proof> Nginx::prove(RunningNginx nginx, std::set<std::int64_t> earlier,
                                std::optional<std::string> generation) {
  const auto start = clock_.steady_now();
  std::optional<std::string> answer;
  auto left = std::move(earlier);
  for (int answers = 0;;) {
    answer = co_await ask_marker_();
    answers = answer == generation ? answers + 1 : 0;
    if (answers > 0) {
      if (!left.empty()) {  // a worker that has stopped accepting never begins again
        const auto workers = co_await watch(nginx);
        std::erase_if(left, [&](const auto pid) { return !workers.accepting.contains(pid); });
      }
      if (left.empty() && answers >= answers_wanted_beside) {
        Proof proof{true, ""};
        co_return proof;
      }
      // Nobody is left to be waited for: the other answers are asked for at once.
      if (left.empty()) continue;
    }
    if (since(start) >= settings_.proof_deadline) break;
    co_await clock_.sleep_for(poll_interval);
  }
  Proof proof;
  if (answer == generation) {
    proof.seen = fmt::format("workers of the earlier configuration still accept connections (process ids {})",
                             fmt::join(left, ", "));
  } else if (answer) {
    proof.seen = fmt::format("the marker at {}:{} still answers with generation {}", settings_.marker_address(),
                             settings_.marker_port, *answer);
  } else {
    proof.seen = fmt::format("the marker at {}:{} does not answer", settings_.marker_address(), settings_.marker_port);
    if (!settings_.on_host) {
      proof.seen +=
          fmt::format("; can this machine reach the network {}? (an agent in a container must be connected to it)",
                      settings_.network);
    }
  }
  co_return proof;
}

/// The users' own files have just been written: reads what is in them now, and loads it. Our files are rendered for it.
Task<void> Nginx::load_users_files(std::vector<ports::Route> routes, Change* change, ports::SwitchReport* report) {
  facts_.reset();
  change->refusal = co_await read_anew(change->nginx, change->master_title);
  if (!change->refusal.empty()) throw Error(ErrorKind::invalid, "");  // its words: throw_failure()
  const auto unseen = not_seen(facts_->dump.users_files, change->users->texts);
  if (!unseen.empty()) {
    throw Error(
        ErrorKind::conflict,
        fmt::format("Nginx {} still reads the earlier text of {}: its container mounts that file by itself, and "
                    "somebody (an editor, git checkout) has put another in its place since; make the container "
                    "anew, or better mount the folder, and push again",
                    place_.text(), unseen));
  }
  const auto remembered = folder_.remembered();
  auto wanted = input(routes, upstreams_in(change->before));
  change->generation = next_generation(change->before, remembered);
  wanted.generation = change->generation;
  change->wanted = render_upstream_files(wanted);
  if (remembered) change->before = *remembered;
  co_await make(change, report);
}

Task<ports::SwitchReport> Nginx::reload_users_files(std::vector<ports::Route> routes, ports::UsersChange users) {
  ports::SwitchReport report;
  Change change;
  co_await meet(routes, &change, &report);
  change.before = folder_.own_files();
  change.interrupted = folder_.remembered().has_value();
  change.users = &users;
  rehearsal_.reset();
  std::exception_ptr failure;
  try {
    co_await users.write();
    co_await load_users_files(routes, &change, &report);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) co_await undo(&change, failure);
  facts_->proved = change.generation;
  folder_.forget();
  report.changed = true;
  co_return report;
}

/// A cancelled change is undone like any other. Throws what the whole came to.
Task<void> Nginx::undo(Change* change, std::exception_ptr failure) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  Restored restored;
  try {
    restored = co_await restore(change);
  } catch (...) {
    restored.in_doubt = true;
    restored.outcome = std::string("putting the ") + (change->users == nullptr ? "previous upstream" : "earlier") +
                       " files back failed, too: " + message_of(std::current_exception());
  }
  // What was learnt was of the files that are gone again.
  if (change->users != nullptr) facts_.reset();
  co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
  throw_failure(*change, failure, restored);
}

/// Puts the previous files back, and makes Nginx load them where it may have loaded others.
Task<Nginx::Restored> Nginx::restore(Change* change) {
  Restored restored;
  if (change->users != nullptr) co_await change->users->put_back();
  folder_.replace(change->before);
  const auto test = co_await place_.test(change->nginx.id, change->master_title);
  restored.outcome = change->users == nullptr ? "the previous upstream files are back" : "the earlier files are back";
  if (!test.passed) {
    restored.in_doubt = change->signalled || change->interrupted;
    restored.refusal = trim(test.output);
    restored.outcome += ", but nginx -t refuses the configuration now: " + restored.refusal;
  } else if (change->signalled || change->interrupted) {
    ports::SwitchReport unused;
    const auto proof = co_await reload_and_prove(change->nginx, generation_in(change->before), &unused);
    restored.in_doubt = !proof.given;
    restored.outcome +=
        proof.given ? " and loaded" : fmt::format(", but Nginx does not prove that it has loaded them: {}", proof.seen);
  }
  folder_.forget();
  co_return restored;
}

void Nginx::throw_failure(const Change& change, const std::exception_ptr& cause, const Restored& restored) const {
  if (restored.in_doubt) {
    const auto happened = change.refusal.empty() ? message_of(cause) : "nginx -t refuses: " + change.refusal;
    throw Error(ErrorKind::in_doubt, fmt::format("{}; {}", happened, restored.outcome));
  }
  if (change.refusal.empty()) {
    throw Error(kind_of(cause), fmt::format("{}; {}", message_of(cause), restored.outcome));
  }
  if (change.users != nullptr) {
    throw Error(ErrorKind::invalid, fmt::format("nginx -t {} refuses the new files: {}; {}", place_.text(),
                                                change.refusal, restored.outcome));
  }
  if (!restored.refusal.empty()) {
    throw Error(ErrorKind::invalid, broken_before(restored.refusal));
  }
  throw Error(ErrorKind::invalid, fmt::format("nginx -t {} refuses the new upstream files; {}: {}", place_.text(),
                                              restored.outcome, change.refusal));
}

std::string Nginx::broken_before(std::string_view refusal) const {
  return fmt::format(
      "the configuration of Nginx {} was broken before this change, and nothing was switched; "
      "repair it until nginx -t accepts it: {}",
      place_.text(), refusal);
}

}  // namespace deploy::proxy
