// deployd: the agent, and the child process that fetches from git remotes.
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <filesystem>
#include <iostream>

#include "agent/base/error.hpp"
#include "agent/config/schema.hpp"
#include "agent/daemon/app.hpp"
#include "agent/source/git_fetch.hpp"

namespace {

constexpr int exit_failed = 1;
constexpr int exit_invalid_configuration = 2;

deploy::Task<void> until_signalled() {
  deploy::asio::signal_set signals(co_await deploy::asio::this_coro::executor, SIGTERM, SIGINT);
  const int number = co_await signals.async_wait(deploy::asio::use_awaitable);
  spdlog::info("stopping on {}", number == SIGTERM ? "SIGTERM" : "SIGINT");
}

int run_agent(const std::filesystem::path& file) {
  auto loaded = deploy::config::load(file);
  if (!loaded.configuration) {
    std::cerr << loaded.diagnostics.render();
    return exit_invalid_configuration;
  }
  const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
  deploy::asio::io_context context(1);
  std::exception_ptr failure;
  deploy::daemon::App app(context, std::move(*loaded.configuration), file, program);
  auto life = deploy::first_of(app.run(), until_signalled());
  deploy::asio::co_spawn(context, std::move(life), [&failure](std::exception_ptr cause, auto) { failure = cause; });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // A client that goes away while it is written to is an error of that write, not the end of the agent.
  std::signal(SIGPIPE, SIG_IGN);
  spdlog::set_default_logger(spdlog::stderr_color_mt("deployd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");

  CLI::App options("deployd, the agent of deployctl", "deployd");
  std::string file = "/etc/deployctl/agent.yaml";
  options.add_option("-c,--config", file, "The agent's configuration")->capture_default_str();
  options.set_version_flag("--version", "deployd " DEPLOYCTL_VERSION);
  // Started by deployd itself; it takes its orders from standard input.
  auto* git_fetch = options.add_subcommand("git-fetch", "")->group("");
  try {
    options.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return options.exit(error) == 0 ? 0 : exit_invalid_configuration;
  }

  try {
    if (git_fetch->parsed()) return deploy::source::git_fetch_main(std::cin, std::cout);
    return run_agent(file);
  } catch (const std::exception& error) {
    spdlog::error("{}", error.what());
    return exit_failed;
  }
}
