#include "agent/store/job_queue.hpp"

namespace deploy::store {

std::int64_t JobQueue::add(const Job& job, domain::Time now) {
  database_.execute(
      "INSERT INTO jobs (created, delivery, kind, service, commit_id, ref, image, revision, cause, others) "
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
      now, job.delivery, domain::to_string(job.kind), job.service, job.commit, job.ref, job.image, job.revision,
      job.cause, encode_commits(job.others));
  return database_.last_id();
}

std::vector<Job> JobQueue::waiting() {
  return database_.query(
      "SELECT id, created, delivery, kind, service, commit_id, ref, image, revision, cause, others FROM jobs "
      "WHERE release_id IS NULL AND outcome = '' ORDER BY id",
      [](SQLite::Statement& row) {
        Job job;
        job.id = row.getColumn(0).getInt64();
        job.created = from_millis(row.getColumn(1).getInt64());
        if (!row.getColumn(2).isNull()) job.delivery = domain::DeliveryId{row.getColumn(2).getInt64()};
        job.kind = domain::rollout_kind_from(row.getColumn(3).getString()).value_or(domain::RolloutKind::deploy);
        job.service = row.getColumn(4).getString();
        job.commit = row.getColumn(5).getString();
        job.ref = row.getColumn(6).getString();
        job.image = row.getColumn(7).getString();
        job.revision = row.getColumn(8).getString();
        job.cause = row.getColumn(9).getString();
        job.others = decode_commits(row.getColumn(10).getString());
        return job;
      });
}

std::int64_t JobQueue::last_id() {
  return database_
      .query("SELECT COALESCE(max(id), 0) FROM jobs",
             [](SQLite::Statement& row) { return row.getColumn(0).getInt64(); })
      .front();
}

bool JobQueue::came_after(std::int64_t id, const std::string& service) {
  const auto found = database_.query(
      "SELECT 1 FROM jobs WHERE id > ?1 AND service = ?2 LIMIT 1", [](SQLite::Statement&) { return true; }, id,
      service);
  return !found.empty();
}

void JobQueue::set_release(std::int64_t job, domain::ReleaseId release) {
  database_.execute("UPDATE jobs SET release_id = ?2 WHERE id = ?1", job, release);
}

void JobQueue::set_outcome(std::int64_t job, const std::string& outcome) {
  database_.execute("UPDATE jobs SET outcome = ?2 WHERE id = ?1", job, outcome);
}

}  // namespace deploy::store
