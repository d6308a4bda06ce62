#include "agent/engine/build_context.hpp"

#include <fmt/format.h>

#include <catch2/catch_all.hpp>
#include <map>

#include "agent/base/error.hpp"
#include "tests/fakes/memory_tree.hpp"
#include "tests/fakes/run.hpp"

namespace deploy::engine {
namespace {

using ports::TreeEntry;
using tests::error_of;
using tests::MemoryTree;
using tests::run;

std::string field(std::string_view block, std::size_t offset, std::size_t size) {
  const auto text = block.substr(offset, size);
  return std::string(text.substr(0, text.find('\0')));
}

struct Member {
  std::string name;
  std::string prefix;
  std::string mode;
  std::string size;
  std::string time;
  char type = 0;
  std::string link;
  std::string content;
};

/// Reads an archive as POSIX describes it, checking each header's sum.
std::vector<Member> read_archive(std::string_view archive) {
  std::vector<Member> members;
  REQUIRE(archive.size() % 512 == 0);
  while (archive.size() >= 512 && archive.front() != '\0') {
    const auto block = archive.substr(0, 512);
    archive.remove_prefix(512);
    unsigned long sum = 0;
    for (std::size_t i = 0; i < 512; ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(block[i]);
    CHECK(std::stoul(field(block, 148, 8), nullptr, 8) == sum);
    CHECK(block.substr(257, 8) == std::string_view("ustar\0"
                                                   "00",
                                                   8));
    CHECK(field(block, 108, 8) == "0000000");
    Member member{field(block, 0, 100),   field(block, 345, 155),
                  field(block, 100, 8),   field(block, 124, 12),
                  field(block, 136, 12),  block[156],
                  field(block, 157, 100), ""};
    const auto size = std::stoul(member.size, nullptr, 8);
    REQUIRE(archive.size() >= size);
    member.content = archive.substr(0, size);
    archive.remove_prefix((size + 511) / 512 * 512);
    members.push_back(std::move(member));
  }
  return members;
}

std::string collect(std::shared_ptr<MemoryTree> tree, const std::string& dockerfile, std::size_t* parts = nullptr) {
  asio::thread_pool pool(1);
  auto body = [&]() -> Task<std::string> {
    TarBody tar(pool, tree, context_entries(*tree, dockerfile));
    std::string archive;
    for (;;) {
      auto part = co_await tar.next();
      if (!part) co_return archive;
      CHECK_FALSE(part->empty());
      archive += *part;
      if (parts != nullptr) ++*parts;
    }
  };
  return run(body());
}

std::vector<std::string> kept(MemoryTree& tree, const std::string& dockerfile = "Dockerfile") {
  std::vector<std::string> paths;
  for (const auto& entry : context_entries(tree, dockerfile)) paths.push_back(entry.path);
  return paths;
}

TEST_CASE("tar: the header of a file, byte for byte") {
  const auto archive = tar_member({"a/run.sh", TreeEntry::Kind::executable, ""}, "hi\n", 1'700'000'000);
  REQUIRE(archive.size() == 1024);
  std::string expected(512, '\0');
  const auto put = [&expected](std::size_t offset, std::string_view text) {
    expected.replace(offset, text.size(), text);
  };
  put(0, "a/run.sh");
  put(100, "0000755");
  put(108, "0000000");
  put(116, "0000000");
  put(124, "00000000003");
  put(136, "14524770400");
  put(148, "        ");
  put(156, "0");
  put(257, "ustar");
  put(263, "00");
  unsigned sum = 0;
  for (const char c : expected) sum += static_cast<unsigned char>(c);
  put(148, fmt::format("{:06o}", sum));
  expected[154] = '\0';
  CHECK(archive.substr(0, 512) == expected);
  CHECK(archive.substr(512, 3) == "hi\n");
  CHECK(archive.substr(515) == std::string(509, '\0'));
}

TEST_CASE("tar: an archive has folders before what is in them, and ends with two empty blocks") {
  auto tree = std::make_shared<MemoryTree>();
  tree->add("Dockerfile", "FROM x")
      .add("a/b/c.txt", "c")
      .add("a/b/d", "c.txt", TreeEntry::Kind::symlink)
      .add("a/e", "");
  const auto archive = collect(tree, "Dockerfile");
  CHECK(archive.substr(archive.size() - 1024) == std::string(1024, '\0'));
  const auto members = read_archive(archive);
  std::vector<std::string> names;
  for (const auto& member : members) names.push_back(member.name);
  CHECK(names == std::vector<std::string>{"Dockerfile", "a/", "a/b/", "a/b/c.txt", "a/b/d", "a/e"});
  CHECK(members[1].type == '5');
  CHECK(members[1].mode == "0000755");
  CHECK(members[4].type == '2');
  CHECK(members[4].link == "c.txt");
  CHECK(members[4].content.empty());
  CHECK(members[5].size == "00000000000");
  for (const auto& member : members) CHECK(member.time == "14524770400");
}

TEST_CASE("tar: a name of 100 characters fits, a longer one is cut at a slash, and else goes into a pax header") {
  const auto member_of = [](const std::string& path) {
    return read_archive(tar_member({path, TreeEntry::Kind::file, ""}, "x", 0));
  };
  const std::string fits(100, 'a');
  CHECK(member_of(fits).at(0).name == fits);

  const std::string folder(155, 'd');
  const auto cut = member_of(folder + "/" + fits);
  REQUIRE(cut.size() == 1);
  CHECK(cut[0].prefix == folder);
  CHECK(cut[0].name == fits);

  for (const std::string& path : {std::string(101, 'b'), folder + "x/" + fits, "d/" + std::string(101, 'b')}) {
    const auto extended = member_of(path);
    REQUIRE(extended.size() == 2);
    CHECK(extended[0].type == 'x');
    const auto rest = " path=" + path + "\n";
    const auto length = rest.size() + std::to_string(rest.size() + 2).size();
    CHECK(extended[0].content == std::to_string(length) + rest);
    CHECK(extended[1].content == "x");
  }
}

TEST_CASE("tar: the length of a pax record counts its own digits") {
  // 99 characters without the length: two digits make it 101, which has three.
  for (const std::size_t size :
       {std::size_t{101}, std::size_t{984}, std::size_t{990}, std::size_t{991}, std::size_t{2000}}) {
    const std::string target(size, 't');
    const auto members = read_archive(tar_member({"l", TreeEntry::Kind::symlink, ""}, target, 0));
    REQUIRE(members.size() == 2);
    const auto& record = members[0].content;
    CHECK(std::stoul(record) == record.size());
    CHECK(record.substr(record.find(' ')) == " linkpath=" + target + "\n");
  }
}

TEST_CASE("tar: a large tree comes in parts of bounded size") {
  auto tree = std::make_shared<MemoryTree>();
  tree->add("Dockerfile", "");
  for (int i = 0; i < 40; ++i) tree->add("f" + std::to_string(i), std::string(50'000, 'x'));
  std::size_t parts = 0;
  const auto archive = collect(tree, "Dockerfile", &parts);
  CHECK(read_archive(archive).size() == 41);
  CHECK(parts == 7);  // six files of 50,176 bytes with their headers pass the limit
}

TEST_CASE("context: what .dockerignore names is left out, but not the Dockerfile and the file itself") {
  MemoryTree tree;
  tree.add("Dockerfile", "").add(".dockerignore", "*\n!src\n").add("src/a.c", "").add("README.md", "");
  CHECK(kept(tree) == std::vector<std::string>{".dockerignore", "Dockerfile", "src/a.c"});
}

TEST_CASE("context: an ignore file of the Dockerfile's own comes first") {
  MemoryTree tree;
  tree.add("api.Dockerfile", "")
      .add(".dockerignore", "*.c\n")
      .add("api.Dockerfile.dockerignore", "*.h\n")
      .add("a.c", "")
      .add("a.h", "");
  CHECK(kept(tree, "api.Dockerfile") ==
        std::vector<std::string>{".dockerignore", "a.c", "api.Dockerfile", "api.Dockerfile.dockerignore"});
}

TEST_CASE("context: a missing Dockerfile and a malformed rule are errors that say where") {
  MemoryTree tree;
  tree.add("a", "");
  const auto missing = error_of([&] { kept(tree, "deploy/Dockerfile"); });
  CHECK(missing.kind() == ErrorKind::not_found);
  CHECK(missing.message() ==
        "the build context has no file \"deploy/Dockerfile\"; check source.git.context and source.git.dockerfile, and "
        "that it is "
        "committed");
  tree.add("Dockerfile", "").add(".dockerignore", "ok\n[a-\n");
  const auto malformed = error_of([&] { kept(tree); });
  CHECK(malformed.kind() == ErrorKind::invalid);
  CHECK(malformed.message() ==
        ".dockerignore:2: the pattern \"[a-\" is malformed; close its [ or write \\[ for the character itself");
}

}  // namespace
}  // namespace deploy::engine
