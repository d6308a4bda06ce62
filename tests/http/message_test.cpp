#include "agent/http/message.hpp"

#include <catch2/catch_all.hpp>

#include "agent/http/response_text.hpp"

using namespace deploy;
using namespace deploy::http;

TEST_CASE("field names compare without case and absent ones are empty") {
  Request request;
  request.headers["Content-Type"] = "text/plain";
  CHECK(request.header("content-type") == "text/plain");
  CHECK(request.header("Content-Typ").empty());
}

TEST_CASE("path and query of a target") {
  Request request;
  request.target = "/logs?tail=10&name=a%20b+c&flag&bad=%zz&tail=20";
  CHECK(request.path() == "/logs");
  CHECK(request.query("tail") == "10");
  CHECK(request.query("name") == "a b c");
  CHECK(request.query("flag", "x").empty());
  CHECK(request.query("bad", "fallback") == "fallback");
  CHECK(request.query("absent", "fallback") == "fallback");
}

TEST_CASE("url coding there and back") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(url_decode(url_encode(all)) == all);
  CHECK(url_encode("a-b.c_d~e/f") == "a-b.c_d~e%2Ff");
  CHECK(url_decode("%") == std::nullopt);
  CHECK(url_decode("%4") == std::nullopt);
  CHECK(url_decode("%g1") == std::nullopt);
  CHECK(url_decode("%41") == "A");
}

TEST_CASE("errors are answered by their kind") {
  const auto status = [](ErrorKind kind) { return error_response(Error(kind, "x")).status; };
  CHECK(status(ErrorKind::invalid) == 400);
  CHECK(status(ErrorKind::not_found) == 404);
  CHECK(status(ErrorKind::conflict) == 409);
  CHECK(status(ErrorKind::timed_out) == 504);
  CHECK(status(ErrorKind::failed) == 500);
  CHECK(status(ErrorKind::unreachable) == 503);
  CHECK(status(ErrorKind::cancelled) == 500);
  CHECK(status(ErrorKind::disk_full) == 500);
  const auto response = error_response(Error(ErrorKind::disk_full, "no \"space\""));
  CHECK(response.header("Content-Type") == "application/json");
  CHECK(response.body == "{\"error\":{\"kind\":\"disk_full\",\"message\":\"no \\\"space\\\"\"}}\n");
}

TEST_CASE("a message that is not UTF-8 is answered all the same") {
  CHECK(error_response(Error(ErrorKind::failed, "exit \xff")).body ==
        "{\"error\":{\"kind\":\"failed\",\"message\":\"exit \xef\xbf\xbd\"}}\n");
}

TEST_CASE("a response's head frames the body and cannot be split by a value") {
  Response response;
  response.status = 202;
  response.headers["X-Note"] = "a\r\nSet-Cookie: b";
  response.headers["Content-Length"] = "99";
  response.body = "12345";
  auto head = response_head(response, Framing::length, true);
  const auto date = head.find("Date: ");
  REQUIRE(date != std::string::npos);
  head.erase(date, head.find("\r\n", date) + 2 - date);
  CHECK(head ==
        "HTTP/1.1 202 Accepted\r\nX-Note: a  Set-Cookie: b\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
  CHECK(response_head(response, Framing::chunked, false)
            .ends_with("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"));
  CHECK(chunk("hello, world, hello") == "13\r\nhello, world, hello\r\n");
}
