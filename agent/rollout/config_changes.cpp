#include "agent/rollout/config_changes.hpp"

#include <algorithm>
#include <utility>

#include "agent/base/error.hpp"
#include "agent/domain/github.hpp"

namespace deploy::rollout {

namespace {

using domain::ConfigChange;
using domain::ConfigPhase;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int attempts_max = 3;
constexpr milliseconds first_pause = seconds(1);
constexpr milliseconds longest_pause = seconds(15);
constexpr seconds written_down_pause{5};

std::string digits(const std::string& commit) { return commit.substr(0, 7); }

std::string counted_files(std::size_t count) { return std::to_string(count) + (count == 1 ? " file" : " files"); }

std::string joined(const std::vector<std::string>& texts, const std::string& between) {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : between) + text;
  return all;
}

}  // namespace

ConfigChanges::ConfigChanges(asio::any_io_executor executor, domain::ConfigRepo config, ConfigPorts ports,
                             Journal& journal, store::Database& database, Previews& previews, milliseconds retry,
                             FilesChanged files_changed, std::function<void()> on_jobs, Say complain)
    : config_(std::move(config)),
      ports_(ports),
      journal_(journal),
      jobs_(database),
      previews_(previews),
      retry_(retry),
      files_changed_(std::move(files_changed)),
      on_jobs_(std::move(on_jobs)),
      complain_(std::move(complain)),
      executor_(executor),
      changed_(executor) {}

template <class Make, class MayAgain>
auto ConfigChanges::persistently(Make make, MayAgain may_again) -> decltype(make()) {
  const auto start = ports_.clock.steady_now();
  for (milliseconds pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    try {
      co_return co_await make();
    } catch (const Error& error) {
      if (!error.transient() || !may_again() || ports_.clock.steady_now() - start >= retry_) throw;
    }
    co_await ports_.clock.sleep_for(pause);
  }
}

Task<void> ConfigChanges::recover() {
  for (auto change : journal_.configs.unfinished()) {
    if (change.phase != ConfigPhase::running) continue;
    std::string foreign;
    try {
      const auto pull = co_await ports_.work_tree.recall(change.from, change.to);
      co_await ports_.work_tree.put_back(pull);
    } catch (const Error& error) {
      const bool for_a_person = error.kind() == ErrorKind::conflict || error.kind() == ErrorKind::invalid ||
                                error.kind() == ErrorKind::not_found;
      if (!for_a_person) throw;
      foreign = error.message();
    }
    if (!foreign.empty()) {
      end(change, ConfigPhase::needs_operator, "deployd ended in the middle of it, and " + foreign);
      continue;
    }
    change.phase = ConfigPhase::queued;
    journal_.configs.update(change);
  }
}

Task<void> ConfigChanges::run() {
  for (;;) {
    woken_ = false;
    std::string problem;
    try {
      co_await recover();
      if (auto next = take_next()) {
        co_await make(std::move(*next));
        continue;
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      problem = error.message();
    }
    if (!problem.empty()) {
      complain_(problem);
      co_await ports_.clock.sleep_for(written_down_pause);
    } else if (!woken_) {
      co_await changed_.wait();
    }
  }
}

void ConfigChanges::wake() {
  woken_ = true;
  changed_.notify_all();
}

/// The newest; those before it that were not begun to the end give way to it.
std::optional<ConfigChange> ConfigChanges::take_next() {
  const auto unfinished = journal_.configs.unfinished();
  if (unfinished.empty()) return std::nullopt;
  if (unfinished.front().phase == ConfigPhase::keeping) return unfinished.front();
  auto newest = unfinished.back();
  journal_.transaction([&] {
    for (const auto& change : unfinished) {
      if (change.id == newest.id) continue;
      // Nginx may still serve with what an attempt of that one loaded.
      newest.attempts = std::max(newest.attempts, std::min(change.attempts, 1));
      end(change, ConfigPhase::superseded, "a newer push took its place");
    }
    journal_.configs.update(newest);
  });
  return newest;
}

Task<void> ConfigChanges::make(ConfigChange change) {
  if (change.phase == ConfigPhase::keeping) {
    auto proved = co_await ports_.work_tree.recall(change.from, change.to);
    co_await keep(change, std::move(proved), "deployd ended after Nginx was proved to serve with it");
    co_return;
  }
  if (change.attempts > 0) {
    const bool known = co_await load_again(change);
    if (!known) co_return;
  }
  const auto found = co_await look(&change);
  if (!found) co_return;
  change.from = found->from;
  change.to = found->to;
  change.phase = ConfigPhase::running;
  ++change.attempts;
  journal_.transaction([&] {
    journal_.configs.update(change);
    journal_.tell_of_config("config.started", change.cause + ": " + config_.folder + " goes from " +
                                                  digits(change.from) + " to " + digits(change.to));
  });
  const auto report = co_await load(change, *found);
  if (!report) co_return;
  change.phase = ConfigPhase::keeping;
  journal_.configs.update(change);
  const std::string well = change.from == change.to ? "Nginx was tested and reloaded" : "Nginx serves with it";
  auto loaded = report->proxied ? well : "there is no Nginx to load it";
  for (const auto& note : report->notes) loaded += "; " + note;
  co_await keep(change, *found, std::move(loaded));
}

/// What is in the files is what Nginx serves with, after an attempt that was cut short. Returns whether it is; else the
/// change has ended.
Task<bool> ConfigChanges::load_again(ConfigChange change) {
  std::string problem;
  try {
    const auto again = [this] {
      ports::UsersChange nothing;
      nothing.write = []() -> Task<void> { co_return; };
      nothing.put_back = nothing.write;
      return reload(std::move(nothing));
    };
    co_await persistently(again, [] { return true; });
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    problem = error.message();
  }
  if (!problem.empty()) {
    end(change, ConfigPhase::needs_operator,
        "deployd ended in the middle of it; the earlier files are back, and Nginx cannot be made to load them: " +
            problem);
    co_return false;
  }
  if (change.attempts < attempts_max) co_return true;
  end(change, ConfigPhase::rolled_back,
      "deployd ended in the middle of it " + std::to_string(change.attempts) +
          " times; the earlier files are back and loaded; its log says why it ended");
  co_return false;
}

/// What is to be pulled; nullopt: it was refused, and the change has ended.
Task<std::optional<ports::Pull>> ConfigChanges::look(ConfigChange* change) {
  std::optional<ports::Pull> found;
  std::string problem;
  try {
    const auto looking = [this, change] { return fetch_and_look(change); };
    found = co_await persistently(looking, [] { return true; });
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    problem = error.message();
  }
  if (!found) end(*change, ConfigPhase::refused, problem);
  co_return found;
}

Task<ports::Pull> ConfigChanges::fetch_and_look(ConfigChange* change) {
  change->to = co_await fetched_tip();
  co_return co_await ports_.work_tree.prepare(change->to);
}

Task<std::string> ConfigChanges::fetched_tip() {
  const auto quiet = [](std::string_view) {};
  co_await ports_.source.fetch(config_.git, quiet);
  co_return co_await ports_.source.resolve(config_.git, config_.branch);
}

/// A coroutine of its own: what is undone in it switches cancellation off, which must not reach this one's.
Task<ports::SwitchReport> ConfigChanges::reload(ports::UsersChange users) {
  auto work = ports_.traffic.reload_users_files(std::move(users));
  co_return co_await asio::co_spawn(executor_, std::move(work), asio::use_awaitable);
}

/// nullopt: it did not work, and the change has ended.
Task<std::optional<ports::SwitchReport>> ConfigChanges::load(ConfigChange change, ports::Pull pull) {
  bool wrote = false;
  std::optional<ports::SwitchReport> report;
  std::optional<Error> failure;
  try {
    const auto texts = co_await ports_.work_tree.texts(pull);
    const auto loading = [this, &pull, &wrote, &texts] {
      ports::UsersChange users;
      users.texts = texts;
      users.write = [this, &pull, &wrote] {
        wrote = true;
        return ports_.work_tree.write(pull);
      };
      users.put_back = [this, &pull] { return ports_.work_tree.put_back(pull); };
      return reload(std::move(users));
    };
    report = co_await persistently(loading, [&wrote] { return !wrote; });
  } catch (const Error& error) {
    failure = error;
  }
  if (report) co_return report;
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) throw Error(*failure);
  if (failure->kind() == ErrorKind::in_doubt) {
    end(change, ConfigPhase::needs_operator, failure->message());
  } else if (wrote) {
    end(change, ConfigPhase::rolled_back, failure->message());
  } else {
    end(change, ConfigPhase::refused, failure->message() + "; nothing was changed");
  }
  co_return std::nullopt;
}

Task<void> ConfigChanges::keep(ConfigChange change, ports::Pull pull, std::string loaded) {
  std::string problem;
  try {
    const auto keeping = [this, &pull] { return ports_.work_tree.keep(pull); };
    co_await persistently(keeping, [] { return true; });
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    problem = error.message();
  }
  if (!problem.empty()) {
    end(change, ConfigPhase::needs_operator,
        "the files of " + digits(pull.to) + " are there and " + loaded +
            ", but the work tree's branch does not follow: " + problem);
    co_return;
  }
  auto text = pull.from == pull.to ? config_.folder + " was at " + digits(pull.to) + " already"
                                   : config_.folder + " is at " + digits(pull.to) + ", which changes " +
                                         counted_files(pull.files.size());
  text += "; " + loaded;
  co_await finish(std::move(change), std::move(text));
}

/// With what it means for the services.
Task<void> ConfigChanges::finish(ConfigChange change, std::string text) {
  std::vector<std::string> troubles;
  auto jobs = co_await previews_.bringing_settings(&troubles);
  std::vector<std::string> names;
  for (auto& job : jobs) {
    job.cause = "config change " + std::to_string(change.id) + ", commit " + digits(change.to);
    names.push_back(job.service);
  }
  if (!names.empty() && config_.rolls_out) text += "; with other settings these are rolled out: " + joined(names, ", ");
  if (!names.empty() && !config_.rolls_out) {
    text += "; `deployctl plan` shows other settings of " + joined(names, ", ") +
            ", and this brings them: " + "deployctl rollout " + joined(names, " ");
  }
  for (const auto& trouble : troubles) text += "; it cannot be rolled out: " + trouble;
  const auto own = files_changed_();
  if (!own.empty()) text += "; restart deployd, which read these when it started: " + joined(own, ", ");
  journal_.transaction([&] {
    if (config_.rolls_out) {
      for (const auto& job : jobs) jobs_.add(job, ports_.clock.now());
    }
    end(change, ConfigPhase::applied, text);
  });
  if (config_.rolls_out && !jobs.empty()) on_jobs_();
}

void ConfigChanges::end(ConfigChange change, ConfigPhase phase, const std::string& reason) {
  change.phase = phase;
  change.reason = reason;
  change.finished = ports_.clock.now();
  auto words = domain::to_string(phase);
  std::replace(words.begin(), words.end(), '_', ' ');
  journal_.transaction([&] {
    journal_.configs.update(change);
    journal_.tell_of_config("config.ended", words + ": " + reason);
  });
}

Task<std::optional<std::string>> ConfigChanges::missed() {
  if (!idle()) co_return std::nullopt;
  auto tip = co_await ports_.source.tip(config_.git, config_.branch);
  if (tip == skipped_) co_return std::nullopt;
  const bool there = co_await ports_.work_tree.contains(tip);
  if (there) co_return std::nullopt;
  const auto last = journal_.configs.last_ended();
  const bool only_looked = last && last->phase == ConfigPhase::refused && last->from.empty() && last->to == tip;
  if (journal_.configs.was_tried(tip) && !only_looked) co_return std::nullopt;
  const auto fetched = co_await fetched_tip();
  if (fetched != tip) co_return std::nullopt;  // it moves on right now: the next look sees where to
  const auto message = co_await ports_.source.message(config_.git, tip);
  if (domain::asks_to_skip(message)) {
    skipped_ = tip;
    co_return std::nullopt;
  }
  if (only_looked) {
    try {
      co_await ports_.work_tree.prepare(tip);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::conflict && error.kind() != ErrorKind::invalid) throw;
      tip.clear();
    }
    if (tip.empty()) co_return std::nullopt;
  }
  co_return tip;
}

std::string ConfigChanges::queue_missed(const std::string& commit) {
  if (!idle()) return "";
  const auto cause = "poll: " + config_.branch + " of " + config_.repo + " is at " + digits(commit);
  journal_.configs.add(commit, cause, std::nullopt, ports_.clock.now());
  wake();
  return cause;
}

}  // namespace deploy::rollout
