// The JSON Schemas are held to the parser: it is asked for every key that it knows, and must know no other.
#include "agent/config/json_schema.hpp"

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "agent/config/schema.hpp"

using namespace deploy;
using nlohmann::json;

namespace {

using Keys = std::map<std::string, std::set<std::string>>;  // path of a map -> the keys that it may have

/// A schema with its `$ref`s followed, which point into `definitions`.
class Schema {
 public:
  explicit Schema(std::string_view text) : root_(json::parse(text)) {}

  const json& root() const { return root_; }
  const json& resolved(const json& node) const {
    if (!node.contains("$ref")) return node;
    return root_.at("definitions").at(node.at("$ref").get<std::string>().substr(std::string("#/definitions/").size()));
  }

  /// A value that has every key; of several forms the one with the most in it.
  json sample(const json& at) const {
    const auto& node = resolved(at);
    if (node.contains("enum")) return node.at("enum").front();
    if (node.contains("oneOf") && !node.contains("properties")) return sample(richest(node.at("oneOf")));
    const auto type = type_of(node);
    if (type == "object") return sample_object(node);
    if (type == "array") return json::array({node.contains("items") ? sample(node.at("items")) : json("x")});
    if (type == "integer" || type == "number") return node.value("minimum", 1);
    if (type == "boolean") return true;
    return "x";
  }

  void collect(const json& at, const std::string& path, Keys& keys) const {
    const auto& node = resolved(at);
    for (const auto& form : node.value("oneOf", json::array())) collect(form, path, keys);
    if (node.contains("items")) collect(node.at("items"), path + "[0]", keys);
    const auto other = node.find("additionalProperties");
    if (other != node.end() && other->is_object()) collect(*other, path + ".key", keys);
    if (!node.contains("properties")) return;
    for (const auto& [key, value] : node.at("properties").items()) {
      keys[path].insert(key);
      collect(value, path.empty() ? key : path + "." + key, keys);
    }
  }

  /// Why the value is not as the schema says; empty: it is.
  std::string problem(const json& at, const json& value, const std::string& path) const {
    const auto& node = resolved(at);
    if (node.contains("enum")) {
      const auto& words = node.at("enum");
      return std::find(words.begin(), words.end(), value) == words.end() ? path + " is none of the words" : "";
    }
    if (!of_type(node, value)) return path + " has another type";
    for (const auto* several : {"oneOf", "anyOf"}) {
      if (!node.contains(several)) continue;
      const auto& forms = node.at(several);
      const auto fitting = std::count_if(forms.begin(), forms.end(), [&](const json& form) {
        return form.contains("required") && !form.contains("type") ? required_problem(form, value, path).empty()
                                                                   : problem(form, value, path).empty();
      });
      if (fitting == 0 || (std::string(several) == "oneOf" && fitting != 1)) return path + " has no form";
    }
    if (value.is_string() && node.contains("pattern") &&
        !std::regex_search(value.get<std::string>(), std::regex(node.at("pattern").get<std::string>()))) {
      return path + " does not match";
    }
    if (value.is_number() && value < node.value("minimum", value)) return path + " is too small";
    if (value.is_number() && value > node.value("maximum", value)) return path + " is too large";
    if (value.is_array() && node.contains("items")) return first_problem(value, node.at("items"), path);
    return value.is_object() ? object_problem(node, value, path) : "";
  }

 private:
  static std::string type_of(const json& node) {
    if (!node.contains("type")) return "";
    return node.at("type").is_array() ? node.at("type").front().get<std::string>() : node.at("type").get<std::string>();
  }
  const json& richest(const json& forms) const {
    const json* found = &forms.front();
    for (const auto& form : forms) {
      const auto& node = resolved(form);
      if (node.contains("properties") ||
          (node.contains("items") && resolved(node.at("items")).contains("properties"))) {
        found = &form;
      }
    }
    return *found;
  }
  json sample_object(const json& node) const {
    auto object = json::object();
    const auto properties = node.value("properties", json::object());
    for (const auto& [key, value] : properties.items()) object[key] = sample(value);
    const auto other = node.find("additionalProperties");
    if (other != node.end() && other->is_object()) object["key"] = sample(*other);
    return object;
  }
  static bool of_type(const json& node, const json& value) {
    if (!node.contains("type")) return true;
    const auto fits = [&value](const std::string& type) {
      return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
             (type == "string" && value.is_string()) || (type == "boolean" && value.is_boolean()) ||
             (type == "integer" && value.is_number_integer()) || (type == "number" && value.is_number());
    };
    const auto& types = node.at("type");
    if (!types.is_array()) return fits(types.get<std::string>());
    return std::any_of(types.begin(), types.end(), [&](const json& type) { return fits(type.get<std::string>()); });
  }
  static std::string required_problem(const json& node, const json& value, const std::string& path) {
    for (const auto& key : node.value("required", json::array())) {
      if (!value.contains(key.get<std::string>())) return path + " misses " + key.get<std::string>();
    }
    return "";
  }
  std::string first_problem(const json& values, const json& items, const std::string& path) const {
    for (const auto& item : values) {
      if (auto found = problem(items, item, path + "[]"); !found.empty()) return found;
    }
    return "";
  }
  std::string object_problem(const json& node, const json& value, const std::string& path) const {
    if (auto missing = required_problem(node, value, path); !missing.empty()) return missing;
    const auto properties = node.value("properties", json::object());
    for (const auto& [key, member] : value.items()) {
      const auto other = node.find("additionalProperties");
      const bool known = properties.contains(key);
      if (!known && other != node.end() && other->is_boolean()) return path + " has the unknown key " + key;
      const auto at = path + "." + key;
      auto found = known                                       ? problem(properties.at(key), member, at)
                   : other != node.end() && other->is_object() ? problem(*other, member, at)
                                                               : "";
      if (!found.empty()) return found;
    }
    return "";
  }

  json root_;
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// YAML as an editor sees it.
json as_json(const config::Node& node) {
  using Kind = config::Node::Kind;
  if (node.kind == Kind::list) {
    auto list = json::array();
    for (const auto& item : node.items) list.push_back(as_json(*item));
    return list;
  }
  if (node.kind == Kind::map) {
    auto map = json::object();
    for (const auto& [key, value] : node.entries) map[key->text] = as_json(*value);
    return map;
  }
  if (node.kind == Kind::null) return nullptr;
  const auto plain = node.quoted ? json(json::value_t::discarded) : json::parse(node.text, nullptr, false);
  return plain.is_primitive() && !plain.is_discarded() ? plain : json(node.text);
}

json read_yaml(const std::filesystem::path& path) {
  config::Diagnostics diagnostics;
  const auto document = config::Document::parse(path.string(), read_file(path), diagnostics);
  REQUIRE(document);
  return as_json(document->root());
}

/// The keys that `parse` knows of each map of a document.
template <class Parse>
Keys known_keys(const json& document, const Parse& parse) {
  Keys keys;
  config::Diagnostics diagnostics;
  diagnostics.on_map([&keys](const std::string& path, const std::vector<std::string>& known) {
    keys[path].insert(known.begin(), known.end());
  });
  parse(document.dump(), diagnostics);
  return keys;
}

const std::filesystem::path source = DEPLOY_SOURCE_DIR;

}  // namespace

TEST_CASE("the schema of a service's file and the parser know the same keys") {
  const Schema schema(config::service_json_schema());
  Keys wanted;
  schema.collect(schema.root(), "", wanted);
  CHECK(wanted.size() > 15);
  CHECK(known_keys(schema.sample(schema.root()), [](const std::string& text, config::Diagnostics& diagnostics) {
          config::parse_service("s.yaml", text, diagnostics);
        }) == wanted);
}

TEST_CASE("the schema of agent.yaml and the parser know the same keys") {
  const Schema schema(config::agent_json_schema());
  Keys wanted;
  schema.collect(schema.root(), "", wanted);
  CHECK(wanted.size() > 10);
  CHECK(known_keys(schema.sample(schema.root()), [](const std::string& text, config::Diagnostics& diagnostics) {
          config::Place place;
          config::parse_agent("agent.yaml", text, diagnostics, place);
        }) == wanted);
}

TEST_CASE("files that the parser takes are as the schemas say, and others are not") {
  const Schema service(config::service_json_schema());
  const Schema agent(config::agent_json_schema());
  const auto data = source / "tests/config/data";
  for (const auto& file : {data / "service_complete.yaml", source / "deploy.d/backend.yaml",
                           source / "deploy.d/frontend.yaml", source / "deploy.d/llm.yaml"}) {
    CAPTURE(file);
    CHECK(service.problem(service.root(), read_yaml(file), "") == "");
  }
  CHECK(agent.problem(agent.root(), read_yaml(data / "agent_complete.yaml"), "") == "");
  CHECK(agent.problem(agent.root(), read_yaml(data / "agent_broken.yaml"), "") != "");
  auto wrong = read_yaml(data / "service_complete.yaml");
  wrong["replicas"] = "two";
  CHECK(service.problem(service.root(), wrong, "") == ".replicas has another type");
  wrong["replicas"] = 1;
  wrong["brnach"] = "main";
  CHECK(service.problem(service.root(), wrong, "") == " has the unknown key brnach");
}
