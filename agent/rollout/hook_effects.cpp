// The effects of steps that run the users' hooks. Each hook is a step of its own, so that one that has ended is never
// run again; one that was under way when the agent was killed is looked for before it is begun again.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/domain/labels.hpp"
#include "agent/rollout/dump_file.hpp"
#include "agent/rollout/step_effects.hpp"

namespace deploy::rollout {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds exit_poll{100};
constexpr milliseconds ask_poll{1000};
constexpr milliseconds ask_limit{5000};
constexpr std::chrono::seconds kill_grace{10};

std::string with_names(std::string text, const Work& work) {
  text = replaced(std::move(text), "{service}", work.service.name);
  return replaced(std::move(text), "{revision}", dump_name(work.revision->name, work.rollout.id));
}

std::string has_ended(const domain::Hook& hook, int exit_code) {
  return fmt::format("the hook \"{}\" exited with {}", to_text(hook), exit_code);
}

[[noreturn]] void throw_too_long(const domain::Hook& hook) {
  throw Error(ErrorKind::timed_out, fmt::format("the hook \"{}\" did not end within its timeout, {}", to_text(hook),
                                                human_duration(hook.timeout)));
}

}  // namespace

/// Which of its kind the step is, from 0.
std::size_t StepEffects::nth_of_kind(const domain::Step& step) {
  const auto steps = journal_.rollouts.steps(step.rollout);
  return static_cast<std::size_t>(std::count_if(steps.begin(), steps.end(), [&](const domain::Step& other) {
    return other.kind == step.kind && other.position < step.position;
  }));
}

Task<Outcome> StepEffects::hook_before(Work& work, domain::Step step) {
  const auto hook = work.service.hooks.before.at(nth_of_kind(step));
  Outcome outcome;
  if (hook.in.empty()) {
    outcome.detail = co_await run_one_off(work, step, hook);
  } else {
    outcome.detail = co_await run_inside(work, hook);
  }
  work.rollout.log.clear();
  co_return outcome;
}

std::string StepEffects::one_off_name(const Work& work, const domain::Step& step) {
  return fmt::format("{}-{}-before-{}", work.revision->name, work.rollout.id.value, nth_of_kind(step) + 1);
}

ports::Labels StepEffects::one_off_labels(const Work& work, const domain::Step& step) {
  auto labels = labels_of(work);
  labels[domain::labels::hook] = fmt::format("before-{}", nth_of_kind(step) + 1) + begun_at(work.rollout);
  return labels;
}

/// Its container stays until the rollout has ended, so that an agent that was killed sees that it has run.
Task<std::string> StepEffects::run_one_off(Work& work, domain::Step step, domain::Hook hook) {
  auto service = work.service;
  for (const auto& [name, value] : hook.environment) service.container.environment[name] = value;
  ports::ContainerSpec spec;
  spec.name = one_off_name(work, step);
  spec.image = work.revision->image;
  spec.settings = resolve_(service).container;
  spec.settings.command = hook.run;
  spec.settings.ports.clear();
  spec.settings.restart = "no";
  spec.network.network = site_.network;
  auto own = one_off_labels(work, step);
  const std::string any_address;  // the names of services are on that network
  const auto id = co_await make_container(std::move(spec), std::move(own), any_address);
  const auto made = co_await engine_.inspect(id);
  if (made && made->state == "created") co_await engine_.start(id);
  auto log = logger(work);
  const auto exit_code = co_await first_of(exit_code_of(id, log), clock_.sleep_for(hook.timeout));
  if (!exit_code) {
    co_await engine_.stop(id, kill_grace);
    throw_too_long(hook);
  }
  if (*exit_code != 0) throw Error(ErrorKind::failed, has_ended(hook, *exit_code));
  co_return to_text(hook);
}

/// Returns when it has ended.
Task<int> StepEffects::exit_code_of(std::string container_id, ports::OnLog log) {
  std::size_t heard = 0;
  const ports::OnLog hear = [&](std::string_view line) {
    ++heard;
    log(line);
  };
  std::string unreadable = co_await read_log(container_id, true, hear);
  if (!unreadable.empty()) log(unreadable);
  const auto exit_code = co_await await_end(container_id);
  if (!unreadable.empty()) co_return exit_code;
  // The engine may end the stream of a container that has just ended before its last lines.
  std::size_t again = 0;
  const ports::OnLog rest = [&](std::string_view line) {
    if (++again > heard) log(line);
  };
  unreadable = co_await read_log(container_id, false, rest);
  if (!unreadable.empty()) log(unreadable);
  co_return exit_code;
}

/// From its beginning. Returns why it cannot be read, else nothing: not every log driver can, and whether a container
/// ended well is known all the same.
Task<std::string> StepEffects::read_log(std::string container_id, bool follow, ports::OnLog on_line) {
  ports::LogOptions all;
  all.tail = -1;
  all.follow = follow;
  std::string failure;
  try {
    co_await engine_.follow_logs(container_id, all, on_line);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled || error.transient()) throw;
    failure = error.message();
  }
  co_return failure;
}

Task<int> StepEffects::await_end(std::string container_id) {
  for (;;) {
    const auto container = co_await engine_.inspect(container_id);
    if (!container) {
      throw Error(ErrorKind::not_found,
                  "the container of the hook was removed while it ran; look at what it did, and roll "
                  "out again");
    }
    if (container->state == "exited" || container->state == "dead") co_return container->exit_code;
    co_await clock_.sleep_for(exit_poll);
  }
}

/// A command in a container that runs. Where nobody knows whether it has ended it is not begun again, because it would
/// run beside itself.
Task<ports::ExecResult> StepEffects::run_once(const Work& work, std::string container_id, domain::Hook hook,
                                              std::string container, ports::OnData on_output) {
  ports::ExecRequest request{hook.run, hook.timeout, {}, std::move(on_output)};
  if (!hook.environment.empty()) {
    auto service = work.service;
    service.container.environment = hook.environment;
    request.environment = resolve_(service).container.environment;
  }
  std::optional<Error> failure;
  ports::ExecResult result;
  try {
    result = co_await engine_.exec(container_id, request);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::timed_out && !error.transient()) throw;
    failure = error;
  }
  if (!failure) co_return result;
  const auto what = failure->kind() == ErrorKind::timed_out
                        ? "did not end within its timeout, " + human_duration(hook.timeout)
                        : "was lost sight of: " + failure->message();
  throw Error(ErrorKind::failed,
              fmt::format("the hook \"{}\" {}; it may still run in the container {}", to_text(hook), what, container));
}

/// In a container of the users'. Its output goes to the log, or to a file that is there as a whole or not at all.
Task<std::string> StepEffects::run_inside(Work& work, domain::Hook hook) {
  const auto container = co_await engine_.inspect(hook.in);
  if (!container || container->state != "running") {
    throw Error(
        ErrorKind::not_found,
        fmt::format("the hook \"{}\" wants to run in the container {}, which {}; start it, or name another one "
                    "with `in`",
                    to_text(hook), hook.in, container ? "does not run: it is " + container->state : "is not there"));
  }
  auto log = logger(work);
  if (hook.save.empty()) {
    const auto result = co_await run_once(work, container->id, hook, hook.in, nullptr);
    each_line(result.output, log);
    if (result.exit_code != 0) throw Error(ErrorKind::failed, has_ended(hook, result.exit_code));
    co_return to_text(hook);
  }
  DumpFile file(site_.saved / with_names(hook.save, work));
  ports::OnData on_output = [&file](std::string_view data) { file.write(data); };
  const auto result = co_await run_once(work, container->id, hook, hook.in, on_output);
  each_line(result.output, log);
  if (result.exit_code != 0) throw Error(ErrorKind::failed, has_ended(hook, result.exit_code));
  if (file.bytes() == 0) {
    throw Error(ErrorKind::failed, fmt::format("the hook \"{}\" exited with 0 and wrote nothing", to_text(hook)));
  }
  file.finish();
  const auto pattern = replaced(std::filesystem::path(hook.save).filename().string(), "{service}", work.service.name);
  keep_newest(file.path().parent_path(), pattern, work.service.name, hook.keep,
              [this](domain::RolloutId id) { return journal_.promoted(id); });
  auto said = fmt::format("{} saved, {}", file.path().string(), human_bytes(file.bytes()));
  if (!hook.restore.empty()) said += "; read it back with: " + restore_command(hook, file.path());
  co_return said;
}

Task<Outcome> StepEffects::hook_verify(Work& work, domain::Step step) {
  const auto hook = work.service.hooks.verify.at(nth_of_kind(step));
  Outcome outcome;
  outcome.detail = co_await run_in_target(work, hook, step.targets.front());
  co_return outcome;
}

Task<std::string> StepEffects::run_in_target(Work& work, domain::Hook hook, domain::TargetId target) {
  auto log = logger(work);
  const auto container = journal_.targets.get(target);
  const auto result = co_await run_once(work, container.container_id, hook, container.container_name, nullptr);
  each_line(result.output, log);
  if (result.exit_code != 0) throw Error(ErrorKind::failed, has_ended(hook, result.exit_code));
  work.rollout.log.clear();
  co_return to_text(hook);
}

Task<Outcome> StepEffects::hook_after(Work& work, domain::Step step) {
  const auto hook = work.service.hooks.after.at(nth_of_kind(step));
  Outcome outcome;
  if (!hook.run.empty()) {
    outcome.detail = co_await run_in_target(work, hook, step.targets.front());
    co_return outcome;
  }
  const auto give_up = clock_.steady_now() + hook.timeout;
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(give_up - clock_.steady_now());
    const auto limit = std::clamp(left, milliseconds{1}, ask_limit);
    const auto answer = co_await prober_.ask(hook.host, hook.port, hook.path, limit);
    outcome.detail = answer.reason;
    if (answer.healthy) co_return outcome;
    if (clock_.steady_now() + ask_poll >= give_up) {
      throw Error(ErrorKind::failed, fmt::format("the hook \"{}\" failed for {}: {}", to_text(hook),
                                                 human_duration(hook.timeout), answer.reason));
    }
    co_await clock_.sleep_for(ask_poll);
  }
}

/// What it did to data stays done.
Task<Outcome> StepEffects::undo_before(Work& work, domain::Step step) {
  const auto hook = work.service.hooks.before.at(nth_of_kind(step));
  Outcome outcome;
  if (hook.in.empty()) co_await remove_one_off(work, step);
  if (hook.irreversible && step.state != domain::StepState::failed) {
    outcome.detail = fmt::format("\"{}\" has run, is irreversible and is not undone", to_text(hook));
  }
  co_return outcome;
}

Task<void> StepEffects::remove_one_off(Work& work, domain::Step step) {
  const auto made = co_await engine_.inspect(one_off_name(work, step));
  const auto own = one_off_labels(work, step);
  const bool ours = made && std::includes(made->labels.begin(), made->labels.end(), own.begin(), own.end());
  if (ours && made->state == "running") co_await engine_.stop(made->id, kill_grace);
  if (ours) co_await engine_.remove(made->id);
}

Task<void> StepEffects::remove_one_offs(Work& work) {
  const auto steps = journal_.rollouts.steps(work.rollout.id);
  for (const auto& step : steps) {
    if (step.kind == domain::StepKind::before) co_await remove_one_off(work, step);
  }
}

}  // namespace deploy::rollout
