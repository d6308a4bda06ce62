// The state database: one SQLite file, one connection, one thread (the io_context's). Every write is durable when its
// transaction has been committed. A transaction never spans a co_await.
#pragma once

#include <SQLiteCpp/Database.h>
#include <SQLiteCpp/Exception.h>
#include <SQLiteCpp/Statement.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/domain/rollout.hpp"

namespace deploy::store {

class Database {
 public:
  /// Opens or creates the file, and brings it to the newest schema. Throws Error: conflict where another agent holds
  /// the state folder, invalid where a newer deployd wrote it, failed with SQLite's own words else.
  explicit Database(const std::filesystem::path& file);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  /// Runs `body` in one transaction; rolls it back when `body` throws. Inside another transaction it is part of that
  /// one. SQLite's errors come out as Error (disk_full where the disk is full).
  void transaction(const std::function<void()>& body);

  /// Tests only: hears of each outermost transaction before (false) and after (true) it is committed. What it throws
  /// comes out of transaction(): before the commit as a write that failed, after it as an agent that died right then.
  void on_commit(std::function<void(bool committed)> hook) { on_commit_ = std::move(hook); }

  /// Runs a statement that returns no rows, with these values bound to its ?1, ?2, …; returns the number of rows it
  /// changed. Outside of a transaction it is one of its own.
  template <class... Values>
  int execute(const std::string& sql, const Values&... values) {
    int changed = 0;
    transaction([&] {
      Reset statement{prepare(sql, values...)};
      changed = statement.of.exec();
    });
    return changed;
  }

  /// One value made by `read` from each row.
  template <class Read, class... Values>
  auto query(const std::string& sql, Read read, const Values&... values) {
    std::vector<std::invoke_result_t<Read, SQLite::Statement&>> rows;
    try {
      Reset statement{prepare(sql, values...)};
      while (statement.of.executeStep()) rows.push_back(read(statement.of));
    } catch (const SQLite::Exception& cause) {
      throw explained(cause);
    }
    return rows;
  }

  std::int64_t last_id() const;

  /// A value of the table meta; nullopt where there is none.
  std::optional<std::string> meta(const std::string& name);
  void set_meta(const std::string& name, const std::string& value);

 private:
  /// A statement that was not reset would keep its read transaction open.
  struct Reset {
    SQLite::Statement& of;
    ~Reset() { of.tryReset(); }
  };

  template <class... Values>
  SQLite::Statement& prepare(const std::string& sql, const Values&... values) {
    auto& statement = cached(sql);
    int index = 0;
    (bind(statement, ++index, values), ...);
    return statement;
  }
  template <class Value>
  static void bind(SQLite::Statement& statement, int index, const Value& value) {
    statement.bind(index, value);
  }
  template <class Tag>
  static void bind(SQLite::Statement& statement, int index, domain::Id<Tag> value) {
    statement.bind(index, value.value);
  }
  static void bind(SQLite::Statement& statement, int index, domain::Time value);
  template <class Value>
  static void bind(SQLite::Statement& statement, int index, const std::optional<Value>& value) {
    if (value) {
      bind(statement, index, *value);
    } else {
      statement.bind(index);
    }
  }

  SQLite::Statement& cached(const std::string& sql);
  void migrate();
  /// With the file's name, and what to do.
  Error explained(const SQLite::Exception& cause) const;

  int lock_ = -1;  // held for as long as the database is open, so that two agents never share a state folder
  std::optional<SQLite::Database> sqlite_;
  std::map<std::string, SQLite::Statement> statements_;
  bool in_transaction_ = false;
  std::function<void(bool)> on_commit_;
};

/// Times are stored as milliseconds since 1970.
std::int64_t to_millis(domain::Time time);
domain::Time from_millis(std::int64_t millis);
std::optional<domain::Time> time_column(const SQLite::Column& column);
/// Commits of several repositories are stored as JSON.
std::string encode_commits(const domain::Commits& commits);
domain::Commits decode_commits(const std::string& text);

}  // namespace deploy::store
