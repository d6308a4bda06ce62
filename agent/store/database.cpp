#include "agent/store/database.hpp"

#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Transaction.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "agent/base/error.hpp"
#include "migrations.hpp"

namespace deploy::store {

namespace {

/// A person may look into the database with the sqlite3 shell while we write.
constexpr int busy_timeout_ms = 2000;

Error to_error(const SQLite::Exception& cause, const std::filesystem::path& file) {
  if (cause.getErrorCode() == SQLITE_FULL) {
    return Error(ErrorKind::disk_full,
                 "cannot write " + file.string() + ": the disk is full; free some space and try again");
  }
  const std::string what = "the state database " + file.string() + ": " + cause.what();
  switch (cause.getErrorCode()) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return Error(ErrorKind::failed,
                   what +
                       "; stop deployd, move the file away, with those beside it that end in -wal and -shm, and start "
                       "it again: it goes on with the containers that run, and the history begins anew");
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return Error(ErrorKind::failed, what +
                                          "; it must be a file that deployd may read and write, in a folder where it "
                                          "may make others");
    default:
      return Error(ErrorKind::failed, what);
  }
}

int lock_state_folder(const std::filesystem::path& file) {
  const std::string path = file.string() + ".lock";
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    throw Error(ErrorKind::failed, "cannot open " + path + ": " + std::generic_category().message(errno) +
                                       "; is `state` in agent.yaml a folder that deployd may write?");
  }
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor);
    throw Error(ErrorKind::conflict, "another deployd is using the state folder " + file.parent_path().string() +
                                         "; stop it first, or give this one another `state` folder");
  }
  return descriptor;
}

}  // namespace

Database::Database(const std::filesystem::path& file) : lock_(lock_state_folder(file)) {
  try {
    sqlite_.emplace(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, busy_timeout_ms);
    sqlite_->exec("PRAGMA journal_mode = WAL");
    sqlite_->exec("PRAGMA synchronous = FULL");
    sqlite_->exec("PRAGMA foreign_keys = ON");
    migrate();
  } catch (const SQLite::Exception& cause) {
    ::close(lock_);
    throw to_error(cause, file);
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

Database::~Database() {
  statements_.clear();
  sqlite_.reset();
  ::close(lock_);
}

Error Database::explained(const SQLite::Exception& cause) const { return to_error(cause, sqlite_->getFilename()); }

void Database::migrate() {
  const auto version = static_cast<std::size_t>(sqlite_->execAndGet("PRAGMA user_version").getInt());
  if (version > migrations.size()) {
    throw Error(ErrorKind::invalid, "the state database " + sqlite_->getFilename() +
                                        " was written by a newer deployd; install that version or a later one");
  }
  for (std::size_t next = version; next < migrations.size(); ++next) {
    SQLite::Transaction change(*sqlite_);
    sqlite_->exec(std::string(migrations[next]));
    sqlite_->exec("PRAGMA user_version = " + std::to_string(next + 1));
    change.commit();
  }
}

void Database::transaction(const std::function<void()>& body) {
  if (in_transaction_) return body();
  try {
    SQLite::Transaction change(*sqlite_, SQLite::TransactionBehavior::IMMEDIATE);
    in_transaction_ = true;
    body();
    if (on_commit_) on_commit_(false);
    change.commit();
    in_transaction_ = false;
  } catch (const SQLite::Exception& cause) {
    in_transaction_ = false;
    throw explained(cause);
  } catch (...) {
    in_transaction_ = false;
    throw;
  }
  if (on_commit_) on_commit_(true);
}

SQLite::Statement& Database::cached(const std::string& sql) {
  auto found = statements_.find(sql);
  if (found == statements_.end()) found = statements_.emplace(sql, SQLite::Statement(*sqlite_, sql)).first;
  found->second.reset();
  found->second.clearBindings();
  return found->second;
}

std::int64_t Database::last_id() const { return sqlite_->getLastInsertRowid(); }

std::optional<std::string> Database::meta(const std::string& name) {
  const auto values = query(
      "SELECT value FROM meta WHERE name = ?1", [](SQLite::Statement& row) { return row.getColumn(0).getString(); },
      name);
  return values.empty() ? std::nullopt : std::optional(values.front());
}

void Database::set_meta(const std::string& name, const std::string& value) {
  execute("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
          name, value);
}

void Database::bind(SQLite::Statement& statement, int index, domain::Time value) {
  statement.bind(index, to_millis(value));
}

std::int64_t to_millis(domain::Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

domain::Time from_millis(std::int64_t millis) { return domain::Time(std::chrono::milliseconds(millis)); }

std::optional<domain::Time> time_column(const SQLite::Column& column) {
  if (column.isNull()) return std::nullopt;
  return from_millis(column.getInt64());
}

std::string encode_commits(const domain::Commits& commits) { return nlohmann::json(commits).dump(); }

domain::Commits decode_commits(const std::string& text) { return nlohmann::json::parse(text).get<domain::Commits>(); }

}  // namespace deploy::store
