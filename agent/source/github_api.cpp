#include "agent/source/github_api.hpp"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "agent/base/error.hpp"

namespace deploy::source {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds answer_deadline{20};
constexpr std::size_t answer_bytes_max = 8 << 20;  // GitHub repeats the repository in every run
constexpr int runs_max = 50;

domain::Repository repository_from(const json& value) {
  domain::Repository repository;
  repository.id = value.at("id").get<std::int64_t>();
  repository.full_name = value.at("full_name").get<std::string>();
  return repository;
}

std::string text_or_empty(const json& value, const char* key) {
  const auto found = value.find(key);
  return found == value.end() || found->is_null() ? "" : found->get<std::string>();
}

/// What becomes part of a command's argument or an image's name must be a commit's id and nothing else.
std::string commit_from(const json& value) {
  auto commit = value.get<std::string>();
  if (!domain::is_commit_id(commit)) throw Error(ErrorKind::failed, "a commit's id is not 40 hexadecimal digits");
  return commit;
}

domain::WorkflowRun run_from(const json& value) {
  domain::WorkflowRun run;
  run.repository = repository_from(value.at("repository"));
  run.conclusion = text_or_empty(value, "conclusion");
  run.event = value.at("event").get<std::string>();
  run.head_branch = text_or_empty(value, "head_branch");
  run.head_sha = commit_from(value.at("head_sha"));
  run.path = domain::workflow_file(value.at("path").get<std::string>());
  if (const auto& head = value.at("head_repository"); !head.is_null()) run.head_repository = repository_from(head);
  const auto commit = value.find("head_commit");
  if (commit != value.end() && commit->is_object()) run.message = text_or_empty(*commit, "message");
  return run;
}

/// Reads an answer; what is not there or of another type is an Error that says whose answer it was.
template <class Read>
auto read_answer(const std::string& repo, const Read& read) {
  const std::string what = "GitHub's answer about " + repo + " is not as its API describes it: ";
  try {
    return read();
  } catch (const json::exception& error) {
    throw Error(ErrorKind::failed, what + error.what());
  } catch (const Error& error) {
    throw Error(ErrorKind::failed, what + error.message());
  }
}

}  // namespace

GithubApi::Address GithubApi::parse(const std::string& api) {
  constexpr std::string_view scheme = "https://";
  const auto refuse = [&] {
    return Error(ErrorKind::invalid, "\"" + api +
                                         "\" is not the address of GitHub's API; write https://api.github.com, or "
                                         "https://HOST/api/v3 of your own, under github.api in agent.yaml");
  };
  if (!api.starts_with(scheme)) throw refuse();
  std::string rest = api.substr(scheme.size());
  while (rest.ends_with('/')) rest.pop_back();
  Address address;
  const auto slash = std::min(rest.find('/'), rest.size());
  address.path = rest.substr(slash);
  address.host = rest.substr(0, slash);
  const auto colon = address.host.find(':');
  if (colon != std::string::npos) {
    const auto port = address.host.substr(colon + 1);
    const auto [end, problem] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (problem != std::errc() || end != port.data() + port.size() || address.port == 0) throw refuse();
    address.host.resize(colon);
  }
  if (address.host.empty()) throw refuse();
  return address;
}

GithubApi::GithubApi(const std::string& api, std::string token)
    : address_(parse(api)), token_(std::move(token)), client_(http::tls_connector(address_.host, address_.port)) {}

Task<ports::BranchTip> GithubApi::branch_tip(std::string repo, std::string branch) {
  const auto answer = co_await ask(repo, "/branches/" + http::url_encode(branch));
  co_return read_answer(repo, [&answer] {
    const auto& commit = answer.at("commit");
    ports::BranchTip tip;
    tip.commit = commit_from(commit.at("sha"));
    tip.message = commit.at("commit").at("message").get<std::string>();
    return tip;
  });
}

Task<std::vector<domain::WorkflowRun>> GithubApi::green_runs(std::string repo, std::string branch, std::string commit) {
  const auto path = "/actions/runs?head_sha=" + http::url_encode(commit) + "&branch=" + http::url_encode(branch) +
                    "&event=push&status=success&per_page=" + std::to_string(runs_max);
  const auto answer = co_await ask(repo, path);
  co_return read_answer(repo, [&answer] {
    std::vector<domain::WorkflowRun> runs;
    for (const auto& value : answer.at("workflow_runs")) runs.push_back(run_from(value));
    return runs;
  });
}

Task<json> GithubApi::ask(std::string repo, std::string path) {
  const std::string what = "cannot ask " + address_.host + " about " + repo;
  http::Request request;
  request.target = address_.path + "/repos/" + repo + path;
  request.headers = {{"Accept", "application/vnd.github+json"},
                     {"Authorization", "Bearer " + token_},
                     {"User-Agent", std::string("deployctl/") + DEPLOYCTL_VERSION},
                     {"X-GitHub-Api-Version", "2022-11-28"}};
  http::Response answer;
  try {
    answer = co_await client_.send(std::move(request), answer_deadline, answer_bytes_max);
  } catch (const Error& error) {
    throw error.with_context(what);
  }
  if (answer.status != 200) throw refusal(what, answer);
  auto value = json::parse(answer.body, nullptr, false);
  if (value.is_discarded()) throw Error(ErrorKind::failed, what + ": its answer is no JSON");
  co_return value;
}

Error GithubApi::refusal(const std::string& what, const http::Response& answer) const {
  const auto status = answer.status;
  const bool used_up = answer.header("X-RateLimit-Remaining") == "0" || !answer.header("Retry-After").empty();
  if (status / 100 == 3) {
    return Error(ErrorKind::failed, what +
                                        ": it redirects to another address, which is not followed; if the repository "
                                        "was renamed, set `repo` in the service's file to its present name");
  }
  if (status == 401) {
    return Error(ErrorKind::invalid,
                 what +
                     ": it refused the token; make a new one that may read the repository's contents and actions, "
                     "and put it where github.token in agent.yaml says");
  }
  if ((status == 403 || status == 429) && used_up) {
    return Error(ErrorKind::failed,
                 what + ": the token's limit of requests is used up for now; a longer `poll` in agent.yaml asks less");
  }
  if (status == 403) {
    return Error(ErrorKind::invalid, what + ": the token may not; let it read the repository's contents and actions");
  }
  if (status == 404) {
    return Error(ErrorKind::not_found,
                 what +
                     ": there is no such repository or branch, or the token may not see it; check `repo` and "
                     "`branch` in the service's file, and what the token may read");
  }
  return Error(status >= 500 ? ErrorKind::unreachable : ErrorKind::failed,
               what + ": it answered " + std::to_string(status));
}

}  // namespace deploy::source
