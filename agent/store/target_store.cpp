#include "agent/store/target_store.hpp"

#include <algorithm>

#include "agent/base/error.hpp"

namespace deploy::store {

namespace {

constexpr auto target_columns =
    "SELECT t.id, t.service, t.rollout, t.revision, t.slot, t.container_name, t.container_id, t.address, t.port, "
    "t.state "
    "FROM targets t ";
constexpr auto revision_columns =
    "SELECT id, service, name, commit_id, image, image_asked, image_is_ours, config, config_hash, promoted, pruned, "
    "others FROM revisions ";

domain::Target read_target(SQLite::Statement& row) {
  domain::Target target;
  target.id = domain::TargetId{row.getColumn(0).getInt64()};
  target.service = row.getColumn(1).getString();
  target.rollout = domain::RolloutId{row.getColumn(2).getInt64()};
  if (!row.getColumn(3).isNull()) target.revision = domain::RevisionId{row.getColumn(3).getInt64()};
  target.slot = row.getColumn(4).getInt();
  target.container_name = row.getColumn(5).getString();
  target.container_id = row.getColumn(6).getString();
  target.address = row.getColumn(7).getString();
  target.port = static_cast<std::uint16_t>(row.getColumn(8).getInt());
  const auto state = domain::target_state_from(row.getColumn(9).getString());
  if (!state) {
    throw Error(ErrorKind::invalid,
                "the state database holds a target state that this deployd does not know; install a later one");
  }
  target.state = *state;
  return target;
}

domain::Revision read_revision(SQLite::Statement& row) {
  domain::Revision revision;
  revision.id = domain::RevisionId{row.getColumn(0).getInt64()};
  revision.service = row.getColumn(1).getString();
  revision.name = row.getColumn(2).getString();
  revision.commit = row.getColumn(3).getString();
  revision.image = row.getColumn(4).getString();
  revision.image_asked = row.getColumn(5).getString();
  revision.image_is_ours = row.getColumn(6).getInt() != 0;
  revision.config = row.getColumn(7).getString();
  revision.config_hash = row.getColumn(8).getString();
  revision.promoted = time_column(row.getColumn(9));
  revision.pruned = row.getColumn(10).getInt() != 0;
  revision.others = decode_commits(row.getColumn(11).getString());
  return revision;
}

}  // namespace

domain::TargetId TargetStore::add(const domain::Target& target) {
  database_.execute(
      "INSERT INTO targets (service, rollout, revision, slot, container_name, container_id, address, port, state) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
      target.service, target.rollout, target.revision, target.slot, target.container_name, target.container_id,
      target.address, static_cast<int>(target.port), domain::to_string(target.state));
  return domain::TargetId{database_.last_id()};
}

void TargetStore::update(const domain::Target& target) {
  database_.execute(
      "UPDATE targets SET revision = ?2, container_name = ?3, container_id = ?4, state = ?5 WHERE id = ?1", target.id,
      target.revision, target.container_name, target.container_id, domain::to_string(target.state));
}

void TargetStore::set_address(domain::TargetId id, const std::string& address) {
  database_.execute("UPDATE targets SET address = ?2 WHERE id = ?1", id, address);
}

domain::Target TargetStore::get(domain::TargetId id) {
  const auto found = find(id);
  if (!found) throw Error(ErrorKind::not_found, "there is no target " + std::to_string(id.value));
  return *found;
}

std::optional<domain::Target> TargetStore::find(domain::TargetId id) {
  const auto found = database_.query(std::string(target_columns) + "WHERE t.id = ?1", read_target, id);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::optional<domain::Target> TargetStore::of_container(const std::string& container_id) {
  const auto found = database_.query(
      std::string(target_columns) + "WHERE t.container_id = ?1 AND t.container_id <> '' ORDER BY t.id DESC LIMIT 1",
      read_target, container_id);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<domain::Target> TargetStore::present() {
  return database_.query(std::string(target_columns) + "WHERE t.state <> 'gone' ORDER BY t.id", read_target);
}

std::vector<domain::Target> TargetStore::of_rollout(domain::RolloutId rollout) {
  return database_.query(std::string(target_columns) + "WHERE t.rollout = ?1 ORDER BY t.id", read_target, rollout);
}

std::vector<domain::Target> TargetStore::live(const std::string& service) {
  return database_.query(std::string(target_columns) + "WHERE t.service = ?1 AND t.state = 'live' ORDER BY t.id",
                         read_target, service);
}

std::vector<domain::Target> TargetStore::routed(const std::string& service) {
  return database_.query(
      std::string(target_columns) + "JOIN routes r ON r.target = t.id WHERE r.service = ?1 ORDER BY t.id", read_target,
      service);
}

void TargetStore::set_routed(const std::string& service, const std::vector<domain::TargetId>& targets) {
  database_.transaction([&] {
    database_.execute("DELETE FROM routes WHERE service = ?1", service);
    for (const auto target : targets) {
      database_.execute("INSERT INTO routes (service, target) VALUES (?1, ?2)", service, target);
    }
  });
}

domain::RevisionId RevisionStore::add(const domain::Revision& revision) {
  database_.execute(
      "INSERT INTO revisions (service, name, commit_id, image, image_asked, image_is_ours, config, config_hash, "
      "promoted, pruned, others) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
      revision.service, revision.name, revision.commit, revision.image, revision.image_asked,
      revision.image_is_ours ? 1 : 0, revision.config, revision.config_hash, revision.promoted, revision.pruned ? 1 : 0,
      encode_commits(revision.others));
  return domain::RevisionId{database_.last_id()};
}

void RevisionStore::set_promoted(domain::RevisionId id, domain::Time when) {
  database_.execute("UPDATE revisions SET promoted = ?2 WHERE id = ?1", id, when);
}

void RevisionStore::set_image(const domain::Revision& revision) {
  database_.execute("UPDATE revisions SET image = ?2, image_asked = ?3, image_is_ours = ?4, pruned = 0 WHERE id = ?1",
                    revision.id, revision.image, revision.image_asked, revision.image_is_ours ? 1 : 0);
}

void RevisionStore::set_pruned(domain::RevisionId id) {
  database_.execute("UPDATE revisions SET pruned = 1 WHERE id = ?1", id);
}

domain::Revision RevisionStore::get(domain::RevisionId id) {
  const auto found = database_.query(std::string(revision_columns) + "WHERE id = ?1", read_revision, id);
  if (found.empty()) throw Error(ErrorKind::not_found, "there is no revision with id " + std::to_string(id.value));
  return found.front();
}

std::optional<domain::Revision> RevisionStore::find(const std::string& service, const std::string& name) {
  const auto found =
      database_.query(std::string(revision_columns) + "WHERE service = ?1 AND name = ?2", read_revision, service, name);
  return found.empty() ? std::nullopt : std::optional(found.front());
}

std::vector<domain::Revision> RevisionStore::promoted(const std::string& service) {
  return database_.query(
      std::string(revision_columns) +
          "WHERE service = ?1 AND promoted IS NOT NULL AND pruned = 0 ORDER BY promoted DESC, id DESC",
      read_revision, service);
}

void RevisionStore::set_pulled(const std::string& reference) {
  database_.execute("INSERT INTO pulls (reference) VALUES (?1) ON CONFLICT DO NOTHING", reference);
}

bool RevisionStore::was_pulled(const std::string& reference) {
  const auto all = pulled();
  return std::find(all.begin(), all.end(), reference) != all.end();
}

std::vector<std::string> RevisionStore::pulled() {
  return database_.query("SELECT reference FROM pulls ORDER BY reference",
                         [](SQLite::Statement& row) { return row.getColumn(0).getString(); });
}

void RevisionStore::forget_pulled(const std::string& reference) {
  database_.execute("DELETE FROM pulls WHERE reference = ?1", reference);
}

std::vector<domain::Revision> RevisionStore::with_image(const std::string& service) {
  return database_.query(
      std::string(revision_columns) + "WHERE (?1 = '' OR service = ?1) AND pruned = 0 ORDER BY id DESC", read_revision,
      service);
}

}  // namespace deploy::store
