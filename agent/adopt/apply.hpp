// Makes a proposal true: writes its files, lets Compose and Nginx judge them, makes Nginx's container anew where that
// was allowed, and puts everything back where anything fails.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/adopt/change_journal.hpp"
#include "agent/adopt/proposal.hpp"
#include "agent/adopt/survey.hpp"
#include "agent/ports/container_engine.hpp"
#include "agent/ports/process_runner.hpp"

namespace deploy::adopt {

struct ApplyTools {
  ports::ContainerEngine& engine;
  ports::ProcessRunner& runner;
  std::string instance;  // of a new routing network
  std::function<void(const std::string&)> say;
};

struct Applied {
  std::string copies;                                   // the folder with what was there before; empty: nothing was
  std::optional<std::chrono::milliseconds> nginx_away;  // how long making Nginx's container anew took
};

/// `folder`: where copies of what was there before are kept. Throws Error; everything is as it was before then, but for
/// what the message says.
Task<Applied> apply_proposal(ApplyTools tools, Survey survey, Proposal proposal, std::string folder);

/// Makes Nginx's container anew where a run that was cut short was doing so; its files are undone by now. `note`: of
/// ChangeJournal::Interrupted. Returns what was done, in words; empty: nothing had to be.
Task<std::string> bring_nginx_back(ApplyTools tools, std::string note);

}  // namespace deploy::adopt
