#include "agent/ctl/app.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <charconv>

#include "agent/config/scalars.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/ctl/text.hpp"

namespace deploy::ctl {

namespace {

constexpr const char* default_socket = "/run/deployctl/deployd.sock";
constexpr const char* default_config = "/etc/deployctl/agent.yaml";

using Command = std::function<Task<int>(Session)>;

/// Everything the arguments can say, with their defaults. CLI11 writes into it while it parses.
struct Arguments {
  std::string socket;
  std::string output = "table";
  std::string timeout;
  RolloutOptions rollout;
  RollbackOptions rollback;
  CancelOptions cancel;
  PauseOptions pause;
  bool every_service = false;
  HistoryOptions history;
  std::vector<std::string> planned;
  std::int64_t shown = 0;
  LogOptions logs;
  InitOptions init;
  std::string config = default_config;
  EjectOptions eject;
  std::string schema;
  Command command;
};

std::string duration_problem(const std::string& text) {
  const auto duration = config::parse_duration(text);
  if (duration && duration->count() > 0) return "";
  return "'" + text + "' is not a duration such as 90s, 5m or 1h30m";
}

bool is_positive_number(const std::string& text) {
  const bool digits = text.find_first_not_of("0123456789") == std::string::npos;
  return digits && text.size() <= 18 && text.find_first_not_of('0') != std::string::npos;
}

std::string number_problem(const std::string& text) {
  return is_positive_number(text) ? "" : "'" + text + "' is not the number of a rollout; deployctl history lists them";
}

std::string release_problem(const std::string& text) {
  return is_positive_number(text) ? ""
                                  : "'" + text + "' is not the number of a release; deployctl show ROLLOUT names it";
}

/// Like CLI::Range, whose words differ from version to version.
CLI::Validator from_to(int least, int most) {
  const auto problem = [least, most](const std::string& text) -> std::string {
    int value = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    if (error == std::errc() && stop == end && value >= least && value <= most) return "";
    return fmt::format("'{}' is not a number from {} to {}", text, least, most);
  };
  return {problem, fmt::format("{} to {}", least, most)};
}

std::optional<std::chrono::milliseconds> timeout_of(const Arguments& arguments) {
  if (arguments.timeout.empty()) return std::nullopt;
  return config::parse_duration(arguments.timeout);
}

void add_wait_options(CLI::App& command, Arguments& arguments, WaitOptions& wait) {
  auto* detach = command.add_flag("--detach", wait.detach, "Return as soon as the agent has accepted it");
  command.add_option("--timeout", arguments.timeout, "Wait no longer than this (the rollout goes on): 90s, 5m, 1h30m")
      ->check(CLI::Validator(duration_problem, "DURATION"))
      ->excludes(detach);
}

void add_acting_commands(CLI::App& app, Arguments& arguments) {
  auto* rollout_command = app.add_subcommand("rollout", "Roll out the newest, or a given, version of services");
  auto& wanted = arguments.rollout;
  rollout_command->add_option("SERVICE", wanted.services, "Services, in any order")->required();
  auto* ref =
      rollout_command->add_option("--ref", wanted.ref, "Branch, tag or commit to build; else the configured branch");
  rollout_command->add_option("--image", wanted.image, "Image to run instead of building one")->excludes(ref);
  add_wait_options(*rollout_command, arguments, wanted.wait);
  rollout_command->callback([&arguments] {
    arguments.rollout.wait.timeout = timeout_of(arguments);
    arguments.command = [options = arguments.rollout](Session session) { return rollout(std::move(session), options); };
  });

  auto* rollback_command = app.add_subcommand("rollback", "Go back to an earlier revision of a service");
  auto* service = rollback_command->add_option("SERVICE", arguments.rollback.service, "The service");
  rollback_command->add_option("--release", arguments.rollback.release, "Take back all that this release brought")
      ->check(CLI::Validator(release_problem, "NUMBER"))
      ->excludes(service);
  rollback_command->add_option("--to", arguments.rollback.to, "The revision; else the one that was live before");
  rollback_command->add_flag("--yes", arguments.rollback.yes,
                             "Go back although a hook or the app changed data in a way that cannot be taken back");
  auto* plan = rollback_command->add_flag("--plan", arguments.rollback.plan, "Say what it would do, and do nothing");
  add_wait_options(*rollback_command, arguments, arguments.rollback.wait);
  plan->excludes("--detach")->excludes("--timeout");
  rollback_command->callback([&arguments] {
    if (arguments.rollback.service.empty() && arguments.rollback.release == 0) {
      throw CLI::ValidationError("name a service, or a release with --release");
    }
    arguments.rollback.wait.timeout = timeout_of(arguments);
    arguments.command = [options = arguments.rollback](Session session) {
      return options.plan ? plan_rollback(std::move(session), options) : rollback(std::move(session), options);
    };
  });
}

/// SERVICE or --all, one of them.
void add_whom(CLI::App& command, Arguments& arguments) {
  auto* all = command.add_flag("--all", arguments.every_service, "Every service");
  command.add_option("SERVICE", arguments.pause.service, "The service")->excludes(all);
}

void check_whom(const Arguments& arguments) {
  if (arguments.every_service || !arguments.pause.service.empty()) return;
  throw CLI::ValidationError("name a service, or all of them with --all");
}

void add_queue_commands(CLI::App& app, Arguments& arguments) {
  auto* cancel_command = app.add_subcommand("cancel", "Stop a rollout that has not switched yet, and undo it");
  cancel_command->add_option("SERVICE|ROLLOUT", arguments.cancel.subject, "A service's name or a rollout's number")
      ->required();
  cancel_command->add_option("--timeout", arguments.timeout, "Wait no longer than this: 90s, 5m, 1h30m")
      ->check(CLI::Validator(duration_problem, "DURATION"));
  cancel_command->callback([&arguments] {
    arguments.cancel.wait.timeout = timeout_of(arguments);
    arguments.command = [options = arguments.cancel](Session session) { return cancel(std::move(session), options); };
  });

  auto* pause_command = app.add_subcommand("pause", "Begin no rollout of a service until it is resumed");
  add_whom(*pause_command, arguments);
  pause_command->add_option("--reason", arguments.pause.reason, "Why, for those who wonder");
  pause_command->callback([&arguments] {
    check_whom(arguments);
    arguments.command = [options = arguments.pause](Session session) { return pause(std::move(session), options); };
  });

  auto* resume_command = app.add_subcommand("resume", "Begin rollouts again");
  add_whom(*resume_command, arguments);
  resume_command->callback([&arguments] {
    check_whom(arguments);
    arguments.command = [service = arguments.pause.service](Session session) {
      return resume(std::move(session), service);
    };
  });
}

void add_asking_commands(CLI::App& app, Arguments& arguments) {
  app.add_subcommand("status", "What is live, and what is under way")->callback([&arguments] {
    arguments.command = [](Session session) { return status(std::move(session)); };
  });

  auto* plan_command =
      app.add_subcommand("plan", "What a rollout would do now, and how the configuration differs from what runs");
  plan_command->add_option("SERVICE", arguments.planned, "These services only");
  plan_command->callback([&arguments] {
    arguments.command = [services = arguments.planned](Session session) { return plan(std::move(session), services); };
  });

  auto* history_command =
      app.add_subcommand("history", "Past rollouts, newest first; `show` says why one ended as it did");
  history_command->add_option("SERVICE", arguments.history.service, "Of this service only");
  history_command->add_option("--limit", arguments.history.limit, "At most this many")
      ->check(from_to(1, 1000))
      ->capture_default_str();
  history_command->callback([&arguments] {
    arguments.command = [options = arguments.history](Session session) { return history(std::move(session), options); };
  });

  auto* show_command = app.add_subcommand("show", "One rollout with its steps, and why it ended as it did");
  show_command->add_option("ROLLOUT", arguments.shown, "The rollout's number")
      ->required()
      ->check(CLI::Validator(number_problem, "NUMBER"));
  show_command->callback([&arguments] {
    arguments.command = [id = arguments.shown](Session session) { return show(std::move(session), id); };
  });

  auto* logs_command = app.add_subcommand("logs", "Lines of a service's containers, or of a rollout");
  logs_command->add_option("SERVICE|ROLLOUT", arguments.logs.subject, "A service's name or a rollout's number")
      ->required();
  logs_command->add_flag("-f,--follow", arguments.logs.follow, "Go on as lines come");
  logs_command
      ->add_option("--tail", arguments.logs.tail, "Begin this many lines before the end of a service's log (100)")
      ->check(from_to(0, 10000));
  logs_command->callback([&arguments] {
    arguments.command = [options = arguments.logs](Session session) { return logs(std::move(session), options); };
  });

  app.add_subcommand("version", "Versions of deployctl, deployd and the container engine")->callback([&arguments] {
    arguments.command = [](Session session) { return version(std::move(session)); };
  });
}

void add_host_commands(CLI::App& app, Arguments& arguments) {
  auto* validate_command = app.add_subcommand("validate", "Check the configuration; needs no running agent");
  validate_command->add_option("--config", arguments.config, "The agent's file")->capture_default_str();
  validate_command
      ->add_option("--schema", arguments.schema,
                   "Print the JSON Schema of agent.yaml or of a service's file, for editors")
      ->check(CLI::IsMember({"agent", "service"}));
  validate_command->callback([&arguments] {
    arguments.command = [file = arguments.config, schema = arguments.schema](Session session) {
      return validate(std::move(session), file, schema);
    };
  });

  auto* eject_command = app.add_subcommand(
      "eject", "Write what runs now as Compose files and plain Nginx upstreams, and say how to use them");
  eject_command->add_option("--config", arguments.config, "The agent's file")->capture_default_str();
  eject_command->add_option("--into", arguments.eject.into, "A folder that is made")->capture_default_str();
  eject_command->callback([&arguments] {
    arguments.eject.config = arguments.config;
    arguments.command = [options = arguments.eject](Session session) { return eject(std::move(session), options); };
  });

  auto* doctor_command = app.add_subcommand("doctor", "Look for what is in the way of rollouts on this host");
  doctor_command->add_option("--config", arguments.config, "The agent's file")->capture_default_str();
  doctor_command->callback([&arguments] {
    arguments.command = [file = arguments.config](Session session) { return doctor(std::move(session), file); };
  });

  auto* init_command =
      app.add_subcommand("init", "Propose a configuration, and changes of Nginx's and Compose's files, from what runs");
  auto& init = arguments.init;
  init_command->add_option("DIR", init.folders,
                           "Folders of Compose projects and repositories; else what containers name");
  init_command->add_option("--config", arguments.config, "The agent's file, there or not")->capture_default_str();
  init_command->add_option("--service", init.services, "A container that is a service, although it looks like no app")
      ->allow_extra_args(false);
  init_command->add_option("--not", init.not_services, "A container that is no service")->allow_extra_args(false);
  init_command->add_option("--nginx", init.nginx, "The container that Nginx runs in, where several could be meant");
  init_command->add_option("--state", init.state, "The state folder of a new agent.yaml")
      ->default_str("/var/lib/deployctl");
  init_command->add_option("--engine", init.engine, "The engine's socket of a new agent.yaml");
  auto* write = init_command->add_flag("--write", init.write, "Write it, test it, and undo it where that fails");
  init_command
      ->add_flag("--patch", init.patch, "Print the changes of your own files for `git apply` in their repository")
      ->excludes(write);
  init_command->add_flag("--recreate-nginx", init.recreate_nginx,
                         "With --write: yes, Nginx's container may be made anew where it has to be");
  init_command->callback([&arguments] {
    arguments.init.config = arguments.config;
    arguments.command = [options = arguments.init](Session session) {
      return deploy::ctl::init(std::move(session), options);
    };
  });
}

int exit_code_of(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::invalid:
    case ErrorKind::not_found:
    case ErrorKind::conflict:
      return exit_usage;
    case ErrorKind::unreachable:
      return exit_unreachable;
    default:
      return exit_failed;
  }
}

int execute(const Command& command, const Session& session) {
  asio::io_context context;
  std::exception_ptr failure;
  int code = exit_failed;
  asio::co_spawn(context, command(session), [&](std::exception_ptr cause, int result) {
    failure = cause;
    code = result;
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return code;
}

/// Without a command everything is left over; the first of it was meant as one.
std::string unknown_command(const CLI::App& app, int argc, const char* const* argv) {
  if (!app.get_subcommands().empty()) return "";
  const auto left = app.remaining();
  const auto* const end = argv + argc;
  const auto* const found = std::find_if(argv + 1, end, [&left](const char* argument) {
    return argument[0] != '-' && std::ranges::find(left, std::string_view(argument)) != left.end();
  });
  return found == end ? "" : fmt::format("there is no command \"{}\"", printable(*found));
}

std::string socket_of(const Arguments& arguments, const Environment& environment) {
  if (!arguments.socket.empty()) return arguments.socket;
  const auto from_environment = environment.variable("DEPLOYCTL_SOCKET");
  return from_environment.empty() ? default_socket : from_environment;
}

}  // namespace

int run(int argc, const char* const* argv, std::ostream& out, std::ostream& err, const Environment& environment) {
  Arguments arguments;
  CLI::App app("Zero-downtime rollouts on your Docker hosts: the command line of deployd.", "deployctl");
  app.fallthrough();             // global options may follow the command, too
  app.require_subcommand(0, 1);  // a service may have a command's name; that none is given is said below
  app.set_version_flag("--version", "deployctl " DEPLOYCTL_VERSION);
  app.add_option("--socket", arguments.socket,
                 std::string("The agent's socket; else $DEPLOYCTL_SOCKET, else ") + default_socket);
  app.add_option("-o,--output", arguments.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  add_acting_commands(app, arguments);
  add_queue_commands(app, arguments);
  add_asking_commands(app, arguments);
  add_host_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, out, err);  // --help and --version
    const auto unknown = unknown_command(app, argc, argv);
    err << "deployctl: " << (unknown.empty() ? error.what() : unknown) << "; see deployctl --help\n";
    return exit_usage;
  }

  if (!arguments.command) {
    err << "deployctl: no command was given; see deployctl --help\n";
    return exit_usage;
  }

  const Output output = arguments.output == "json" ? Output::json : Output::table;
  const Session session{out, err, environment, output, ApiClient(socket_of(arguments, environment))};
  try {
    return execute(arguments.command, session);
  } catch (const Error& error) {
    session.say(error.message());
    return exit_code_of(error);
  } catch (const std::exception& error) {
    session.say(std::string("a mistake in deployctl itself: ") + error.what());
    return exit_failed;
  }
}

}  // namespace deploy::ctl
