// init: proposes how deployctl would deploy what runs on this host, shows it, and writes it; needs no agent.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/rand.h>

#include <algorithm>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/adopt/apply.hpp"
#include "agent/adopt/health_search.hpp"
#include "agent/adopt/host_survey.hpp"
#include "agent/adopt/proposal.hpp"
#include "agent/base/error.hpp"
#include "agent/base/text.hpp"
#include "agent/config/schema.hpp"
#include "agent/ctl/commands.hpp"
#include "agent/engine/docker_client.hpp"
#include "agent/http/client.hpp"
#include "agent/source/host_process_runner.hpp"

namespace deploy::ctl {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr milliseconds question_deadline{5000};
constexpr std::size_t health_bytes_max = 64 << 10;
constexpr std::size_t secret_bytes = 32;
constexpr std::size_t instance_bytes = 8;
constexpr auto this_host = "unix:///var/run/docker.sock";
/// Measured: removing a container, making it and Nginx's start take a second or so; a stop waits for requests.
constexpr auto recreation_takes =
    "about 2 s, in which nothing answers, and up to 10 s more where requests are still under way";

std::string random_hex(std::size_t bytes) {
  std::string random(bytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), static_cast<int>(bytes)) != 1) {
    throw Error(ErrorKind::failed, "OpenSSL gives no random bytes");
  }
  return to_hex(random);
}

Task<adopt::HttpAnswer> get(std::string address, std::uint16_t port, std::string path) {
  adopt::HttpAnswer answer;
  try {
    http::Client client(http::tcp_connector(address, port));
    http::Request request;
    request.target = path;
    request.headers["Host"] = "localhost";
    const auto response = co_await client.send(request, question_deadline, health_bytes_max);
    answer.status = response.status;
    answer.body = response.body;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    answer.problem = error.message();
  }
  co_return answer;
}

Task<bool> accepts(std::string address, std::uint16_t port) {
  try {
    const auto connector = http::tcp_connector(address, port);
    const auto stream = co_await with_deadline(connector.open(), question_deadline, "the connection");
    co_return stream != nullptr;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
  }
  co_return false;
}

std::string copies_folder(const InitOptions& options) {
  return (fs::path(options.config).parent_path() / "init-copies").string();
}

/// The engine and all that is looked at through it.
class Init {
 public:
  /// `interrupted`: what an earlier run left, and is undone by now.
  Init(Session session, InitOptions options, std::optional<config::Configuration> configuration,
       adopt::ChangeJournal::Interrupted interrupted)
      : session_(session),
        options_(std::move(options)),
        interrupted_(std::move(interrupted)),
        configuration_(std::move(configuration)),
        pool_(1),
        engine_(engine_address(), pool_),
        tools_{engine_, runner_, random_hex(instance_bytes), [this](const std::string& text) { session_.say(text); }} {}

  Task<int> run() {
    const auto settled = co_await adopt::settle_interrupted(tools_, interrupted_);
    if (!settled.empty()) session_.say(settled);
    adopt::ChangeJournal(copies_folder(options_)).forget_interrupted();
    config::Diagnostics diagnostics;
    std::vector<std::string> problems;
    const auto survey = co_await look(diagnostics, problems);
    if (!diagnostics.empty()) session_.err << diagnostics.render();
    const adopt::ServiceChoice choice{{options_.services.begin(), options_.services.end()},
                                      {options_.not_services.begin(), options_.not_services.end()}};
    const auto found = adopt::find_services(survey, choice);
    const auto health = co_await ask(survey, found);
    auto proposal = adopt::make_proposal(survey, found, health);
    if (proposal.recreate_can_wait && !options_.recreate_nginx) proposal.recreate.reset();
    problems.insert(problems.end(), proposal.problems.begin(), proposal.problems.end());
    if (!problems.empty() || !diagnostics.empty()) {
      for (const auto& problem : problems) session_.say(problem);
      session_.say("nothing was changed; once that is done, run this again");
      co_return exit_usage;
    }
    if (options_.patch) co_return patch(survey, proposal);
    show(proposal);
    if (proposal.files.empty()) {
      session_.say(found.services.empty() && survey.service_files.empty()
                       ? "no container that runs looks like a service of yours; name one with --service"
                       : "nothing is to be changed");
      co_return exit_done;
    }
    if (!options_.write) {
      tell_recreation(proposal);
      session_.say("nothing was changed; `deployctl init --write` writes this");
      co_return exit_changes;
    }
    co_return co_await write(survey, proposal);
  }

 private:
  std::string engine_address() const {
    if (configuration_) return configuration_->agent.engine;
    return options_.engine.empty() ? this_host : options_.engine;
  }

  Task<adopt::Survey> look(config::Diagnostics& diagnostics, std::vector<std::string>& problems) {
    adopt::SurveyTools tools{engine_, runner_, [this](std::string id) { return engine_.container_json(std::move(id)); },
                             [this](std::string id) { return engine_.image_json(std::move(id)); }};
    adopt::SurveyWish wish;
    wish.folders = options_.folders;
    wish.agent_yaml = options_.config;
    wish.configuration = configuration_;
    wish.state_folder = options_.state.empty() ? config::AgentConfig{}.state.string() : options_.state;
    wish.nginx = options_.nginx;
    wish.webhook_secret = random_hex(secret_bytes);
    co_return co_await adopt::look_at_host(tools, wish, diagnostics, problems);
  }

  /// Those that have a file already have their check there.
  Task<std::map<std::string, adopt::FoundHealth>> ask(const adopt::Survey& survey, const adopt::FoundServices& found) {
    std::map<std::string, adopt::FoundHealth> health;
    const adopt::HealthQuestions questions{get, accepts};
    for (const auto& service : found.services) {
      if (std::ranges::find(survey.service_files, service.name) != survey.service_files.end()) continue;
      const auto& addresses = service.container.addresses;
      const auto address = addresses.find(found.network);
      const auto asked_at = address == addresses.end() ? std::string() : address->second;
      health[service.name] = co_await adopt::search_health(service, asked_at, questions);
    }
    co_return health;
  }

  void show(const adopt::Proposal& proposal) {
    if (session_.json()) {
      auto files = nlohmann::json::array();
      for (const auto& file : proposal.files) {
        files.push_back({{"path", file.path}, {"new", !file.before}, {"diff", file.secret ? "" : diff_of(file)}});
      }
      session_.print({{"files", files},
                      {"changed", proposal.changed},
                      {"notes", proposal.notes},
                      {"recreate_nginx", proposal.recreate.has_value()}});
      return;
    }
    for (const auto& file : proposal.files) {
      if (file.secret) {
        session_.out << fmt::format("new file {}, mode {:04o}; its text is not shown\n", file.path, file.mode);
      } else {
        session_.out << diff_of(file);
      }
    }
    for (const auto& line : proposal.changed) session_.err << "change: " << line << '\n';
    for (const auto& line : proposal.notes) session_.err << "note: " << line << '\n';
  }

  static std::string diff_of(const adopt::FileChange& file) { return adopt::unified_diff(file, file.path.substr(1)); }

  void tell_recreation(const adopt::Proposal& proposal) {
    if (!proposal.recreate) return;
    session_.say(fmt::format("the container {} has to be made anew once, {}: {}", proposal.recreate->container,
                             fmt::join(proposal.recreate->reasons, " and "), recreation_takes));
    tell_holders(proposal.recreate->holders);
  }

  void tell_holders(const std::vector<adopt::PortHolder>& holders) {
    if (holders.empty()) return;
    std::vector<std::string> who;
    std::chrono::seconds longest{0};
    for (const auto& holder : holders) {
      who.push_back(fmt::format("{} (port {})", holder.name, fmt::join(holder.ports, ", ")));
      longest = std::max(longest, holder.grace);
    }
    session_.say(
        fmt::format("right before that, what still answers on these ports with the version from before is stopped, and "
                    "removed afterwards: {}; nobody answers there for up to {} s more",
                    fmt::join(who, ", "), longest.count()));
  }

  bool may_recreate(const adopt::Proposal& proposal) {
    if (!proposal.recreate || options_.recreate_nginx) return true;
    tell_recreation(proposal);
    session_.err << "Do it now? [y/N] " << std::flush;
    const auto answer = session_.environment.answer ? session_.environment.answer() : std::nullopt;
    if (!answer) session_.err << '\n';
    return answer && (*answer == "y" || *answer == "yes");
  }

  Task<int> write(adopt::Survey survey, adopt::Proposal proposal) {
    if (!may_recreate(proposal)) {
      session_.say("nothing was changed; with --recreate-nginx it is done without a question");
      co_return exit_usage;
    }
    const auto applied = co_await adopt::apply_proposal(tools_, survey, proposal, copies_folder(options_));
    if (applied.nginx_away) {
      session_.say(
          fmt::format("{} was made anew in {}", proposal.recreate->container, human_duration(*applied.nginx_away)));
    }
    if (applied.ports_away) {
      session_.say(fmt::format("the ports were without an answer for {}", human_duration(*applied.ports_away)));
    }
    if (!applied.copies.empty()) session_.say("what your files were like before is in " + applied.copies);
    session_.say(
        fmt::format("written: {}; now start deployd (systemctl restart deployd), which takes up the containers "
                    "that run as first revisions, and look at `deployctl status`",
                    counted(proposal.files.size(), "file")));
    co_return exit_done;
  }

  /// The changes of the users' own files, as paths of the repository that they are in.
  int patch(const adopt::Survey& survey, const adopt::Proposal& proposal) {
    std::string root;
    std::vector<std::string> elsewhere;
    for (const auto& file : proposal.files) {
      const auto in = std::ranges::find_if(survey.checkouts, [&](const auto& checkout) {
        return file.before && file.path.starts_with(checkout.root.string() + "/");
      });
      const bool other = in != survey.checkouts.end() && !root.empty() && root != in->root.string();
      if (in == survey.checkouts.end() || other) {
        elsewhere.push_back(file.path);
        continue;
      }
      root = in->root.string();
      session_.out << adopt::unified_diff(file, file.path.substr(root.size() + 1));
    }
    if (root.empty()) {
      session_.say("no file of a git repository is to be changed");
    } else {
      session_.say(
          fmt::format("apply it in a clone of the repository of {}, and bring it here right before `deployctl init "
                      "--write`, which makes the rest; until then do not let Nginx load it",
                      root));
    }
    for (const auto& path : elsewhere) session_.say(path + " is not in the patch: `deployctl init --write` writes it");
    return exit_done;
  }

  Session session_;
  InitOptions options_;
  adopt::ChangeJournal::Interrupted interrupted_;
  std::optional<config::Configuration> configuration_;
  asio::thread_pool pool_;
  engine::DockerClient engine_;
  source::HostProcessRunner runner_;
  adopt::ApplyTools tools_;
};

}  // namespace

Task<int> init(Session session, InitOptions options) {
  options.config = fs::absolute(options.config).lexically_normal().string();
  for (auto& folder : options.folders) {
    std::error_code failure;
    auto whole = fs::canonical(folder, failure);
    if (failure || !fs::is_directory(whole, failure)) {
      throw Error(ErrorKind::invalid,
                  fmt::format("{} is no folder; name folders of Compose projects and repositories", folder));
    }
    folder = whole.string();
  }
  // Before anything is read: agent.yaml may be among what is undone.
  auto interrupted = adopt::ChangeJournal(copies_folder(options)).undo_interrupted();
  if (!interrupted.restored.empty()) {
    session.say(fmt::format("an earlier `deployctl init --write` was cut short, and is undone first: {} as before",
                            fmt::join(interrupted.restored, ", ")));
  }
  std::optional<config::Configuration> configuration;
  std::error_code failure;
  if (fs::exists(options.config, failure)) {
    auto loaded = config::load(options.config);
    if (!loaded.configuration) {
      session.err << loaded.diagnostics.render();
      session.say(options.config + " is not valid; correct it first");
      co_return exit_usage;
    }
    configuration = std::move(loaded.configuration);
  }
  Init run(session, options, configuration, interrupted);
  co_return co_await run.run();
}

}  // namespace deploy::ctl
