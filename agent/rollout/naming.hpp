// The names we give: of revisions, containers and images. Pure. And what the daemon knows how to do about a service's
// settings.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "agent/base/async.hpp"
#include "agent/domain/resolved_settings.hpp"
#include "agent/domain/rollout.hpp"

namespace deploy::rollout {

using domain::ResolvedSettings;

/// Throws Error(invalid) that names the variable that is not set.
using Resolve = std::function<ResolvedSettings(const domain::Service&)>;

/// A configured service with all of its settings: what its own file leaves to Compose's files is read now. Throws Error
/// that says what to correct.
using Complete = std::function<Task<domain::Service>(domain::Service)>;

/// The part of a configuration that changes what runs or how it is proved and reached; not where it comes from or how
/// it is rolled out. Settings that are as they are by default are left out.
nlohmann::json what_runs(const domain::Service& service);

/// What distinguishes two configurations of a service: what_runs with the values of variables. Keyed with the
/// installation's own key, so that it tells nothing about the values. 64 hexadecimal digits.
std::string config_hash(const domain::Service& service, const ResolvedSettings& settings, const std::string& key);

/// <service>-<commit, 7 digits>-<configuration, 6 digits>; `origin` is a commit id, or an image id where no commit is
/// known. Where the service is rebuilt by other repositories, 7 digits follow that tell their `others` apart: of the
/// commit where it is one, else of a hash of them all.
std::string revision_name(const std::string& service, const std::string& origin, const std::string& hash,
                          const domain::Commits& others);

/// <revision>-<rollout>-<slot>: one rollout never takes another's container for its own.
std::string container_name(const domain::Revision& revision, const domain::Target& target);

/// "@<ms>": tells rollouts apart whose number came again because a state folder was lost.
std::string begun_at(const domain::Rollout& rollout);

/// deployctl/<service>:<revision>
std::string image_tag(const std::string& service, const std::string& revision);

/// The reference with {sha}, {branch} and {tag} replaced. Throws Error(invalid) where {sha} is asked for and no commit
/// is known, or a value cannot be part of a reference.
std::string expand_image(const std::string& pattern, const std::string& commit, const std::string& ref);

}  // namespace deploy::rollout
