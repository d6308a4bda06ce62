#include "agent/source/git_job.hpp"

#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"

namespace deploy::source {

using nlohmann::json;

namespace {

/// One line, whatever bytes a server sent into a message.
std::string dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"; }

struct AsJson {
  json operator()(const FetchProgress& progress) const { return {{"progress", progress.text}}; }
  json operator()(const FetchDone& done) const { return {{"done", done.tip}}; }
  json operator()(const FetchFailed& failed) const {
    return {{"failed",
             {{"kind", error_kind_name(failed.error.kind())},
              {"message", failed.error.message()},
              {"mirror_damaged", failed.mirror_damaged}}}};
  }
};

}  // namespace

std::string to_line(const FetchJob& job) {
  return dump({{"url", job.url},
               {"mirror", job.mirror},
               {"ssh_key", job.ssh_key},
               {"ssh_known_hosts", job.ssh_known_hosts},
               {"token", job.token},
               {"tip_of", job.tip_of}});
}

std::string to_line(const FetchLine& line) { return dump(std::visit(AsJson{}, line)); }

FetchJob job_from_line(const std::string& text) {
  try {
    const json value = json::parse(text);
    return {value.at("url"),   value.at("mirror"), value.at("ssh_key"), value.at("ssh_known_hosts"),
            value.at("token"), value.at("tip_of")};
  } catch (const json::exception&) {
    // The text holds a token: it must not get into a message.
    throw Error(ErrorKind::failed, "git-fetch is run by deployd only: its standard input is not a job");
  }
}

FetchLine fetch_line_from(const std::string& text) {
  try {
    const json value = json::parse(text);
    if (value.contains("progress")) return FetchProgress{value.at("progress")};
    if (value.contains("done")) return FetchDone{value.at("done")};
    const json& failed = value.at("failed");
    const Error error(error_kind_from(failed.at("kind").get<std::string>()), failed.at("message").get<std::string>());
    return FetchFailed{error, failed.at("mirror_damaged").get<bool>()};
  } catch (const json::exception& problem) {
    throw Error(ErrorKind::failed, std::string("git-fetch answered what cannot be read: ") + problem.what());
  }
}

}  // namespace deploy::source
