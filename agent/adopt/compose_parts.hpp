// The parts of a Compose service that have a form of their own: mounts, ports, devices, limits. Each adds what
// deployctl does not take over to `problems`. Pure. Source: Compose specification; what Compose 2.26 prints.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "agent/adopt/compose_import.hpp"

namespace deploy::adopt {

using ComposeJson = nlohmann::json;

/// A key's value, with the way to it; null where it is absent.
struct ComposeValue {
  const ComposeJson& json;
  std::string path;

  ComposeValue at(const std::string& key) const;
  bool is_null() const { return json.is_null(); }
  /// Text, number or truth value as text.
  std::string text() const;
  std::vector<std::string> texts() const;
  /// Of a map, none where it is absent.
  std::vector<std::string> keys() const;
  std::map<std::string, std::string> map() const;
  std::int64_t number() const;
  /// Throws Error(invalid), naming the place.
  [[noreturn]] void refuse(const std::string& wanted) const;
  /// The elements of a list, none where it is absent.
  std::vector<ComposeValue> items() const;
};

/// `$$` is `$` where no template is taken.
std::string without_dollars(std::string text);

/// Bytes as Compose prints them, "536870912" or "512m".
std::int64_t compose_bytes(const ComposeValue& value);

class ComposeParts {
 public:
  ComposeParts(const ComposeValue& model, const ComposeValue& service, ComposeService& out)
      : model_(model), service_(service), out_(out) {}

  void mounts();
  void files(const std::string& kind, const std::string& folder);  // secrets and configs
  void ports();
  void devices();
  void limits();
  void networks();
  void healthcheck();
  void restart();
  void logging();

 private:
  void unsupported(const ComposeValue& value, std::string hint = "");
  /// Names every key of the map that is not among these.
  void only(const ComposeValue& map, const std::vector<std::string_view>& known, const std::string& hint = "");
  void mount(const ComposeValue& mount);
  void bind(const ComposeValue& mount, std::string source, std::vector<std::string> modes);
  void device_requests(const ComposeValue& list);
  std::string volume_name(const std::string& key);

  const ComposeValue& model_;
  const ComposeValue& service_;
  ComposeService& out_;
};

}  // namespace deploy::adopt
