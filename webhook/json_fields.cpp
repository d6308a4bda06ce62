#include "webhook/json_fields.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/base/error.hpp"
#include "agent/domain/github.hpp"

namespace deploy::webhook {

namespace {

using Json = nlohmann::json;

constexpr std::size_t text_bytes_max = 512;

/// Listens to nlohmann's parser, which keeps its own stack on the heap, and notes the wanted values.
class Collector : public nlohmann::json_sax<Json> {
 public:
  Collector(const std::set<std::string>& wanted, std::size_t depth_max) : wanted_(wanted), depth_max_(depth_max) {}

  std::map<std::string, Json> values;
  std::string problem;

  bool null() override { return note(nullptr); }
  bool boolean(bool value) override { return note(value); }
  bool number_integer(number_integer_t value) override { return note(value); }
  bool number_unsigned(number_unsigned_t value) override { return note(value); }
  bool number_float(number_float_t value, const string_t&) override { return note(value); }
  bool string(string_t& value) override { return !parents_.empty() && !is_wanted() ? true : note(std::move(value)); }
  bool binary(binary_t&) override { return fail("JSON has no binary values"); }

  bool start_object(std::size_t) override { return enter(Json::object()); }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override {
    if (!enter(Json::array())) return false;
    // What is inside an array has a path that nothing asks for.
    path_ += "[]";
    return true;
  }
  bool end_array() override { return leave(); }

  bool key(string_t& name) override {
    path_.resize(parents_.back());
    if (!path_.empty()) path_ += '.';
    // A key with a dot must not pass for a path of two keys.
    path_ += name.find('.') == std::string::npos ? name : "?";
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return fail("the body is not JSON: syntax error at byte " + std::to_string(position));
  }

 private:
  bool fail(std::string what) {
    problem = std::move(what);
    return false;
  }

  bool is_wanted() const { return wanted_.contains(path_); }

  bool note(Json value) {
    if (parents_.empty()) return fail("the body is not a JSON object");
    if (!is_wanted()) return true;
    if (!values.emplace(path_, std::move(value)).second) return fail("field \"" + path_ + "\" is there twice");
    return true;
  }

  bool enter(Json type) {
    if (parents_.empty() && type.is_array()) return fail("the body is not a JSON object");
    if (parents_.size() == depth_max_) {
      return fail("the body is nested deeper than " + std::to_string(depth_max_) + " levels");
    }
    if (!parents_.empty() && !note(std::move(type))) return false;
    parents_.push_back(path_.size());
    return true;
  }

  bool leave() {
    path_.resize(parents_.back());
    parents_.pop_back();
    return true;
  }

  const std::set<std::string>& wanted_;
  const std::size_t depth_max_;
  std::string path_;                  // of the value that comes next
  std::vector<std::size_t> parents_;  // for each open object or array, the length of its own path
};

[[noreturn]] void wrong_type(const std::string& path, std::string_view wanted, const Json& actual) {
  throw Error(ErrorKind::invalid,
              "field \"" + path + "\" must be " + std::string(wanted) + " and is of type " + actual.type_name());
}

}  // namespace

JsonFields::JsonFields(std::string_view text, std::set<std::string> wanted, std::size_t depth_max) {
  Collector collector(wanted, depth_max);
  if (!Json::sax_parse(text.begin(), text.end(), &collector)) throw Error(ErrorKind::invalid, collector.problem);
  values_ = std::move(collector.values);
}

bool JsonFields::absent(const std::string& path) const {
  const auto found = values_.find(path);
  return found == values_.end() || found->second.is_null();
}

const Json& JsonFields::at(const std::string& path) const {
  const auto found = values_.find(path);
  if (found == values_.end()) throw Error(ErrorKind::invalid, "field \"" + path + "\" is missing");
  return found->second;
}

std::int64_t JsonFields::integer(const std::string& path) const {
  const Json& value = at(path);
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX))) {
    wrong_type(path, "a whole number of 64 bits", value);
  }
  return value.get<std::int64_t>();
}

bool JsonFields::boolean(const std::string& path) const {
  const Json& value = at(path);
  if (!value.is_boolean()) wrong_type(path, "true or false", value);
  return value.get<bool>();
}

std::string JsonFields::text(const std::string& path) const {
  const Json& value = at(path);
  if (!value.is_string()) wrong_type(path, "text", value);
  auto content = value.get<std::string>();
  if (content.size() > text_bytes_max) {
    throw Error(ErrorKind::invalid,
                "field \"" + path + "\" is longer than " + std::to_string(text_bytes_max) + " bytes");
  }
  const bool control = std::any_of(content.begin(), content.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
  if (control) throw Error(ErrorKind::invalid, "field \"" + path + "\" holds a control character");
  return content;
}

std::string JsonFields::text_or_empty(const std::string& path) const {
  return absent(path) ? std::string() : text(path);
}

std::string JsonFields::prose_or_empty(const std::string& path) const {
  if (absent(path)) return "";
  const Json& value = at(path);
  if (!value.is_string()) wrong_type(path, "text", value);
  return value.get<std::string>();
}

std::string JsonFields::commit(const std::string& path) const {
  auto content = text(path);
  if (!domain::is_commit_id(content)) {
    throw Error(ErrorKind::invalid, "field \"" + path + "\" must be a commit id of 40 lower-case hexadecimal digits");
  }
  return content;
}

}  // namespace deploy::webhook
