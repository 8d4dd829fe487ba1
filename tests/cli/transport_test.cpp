// The client's connection against servers that behave, misbehave and vanish.
#include <arpa/inet.h>
#include <atomic>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "cli/cli_fixture.h"
#include "client/http_transport.h"

namespace st8::ctl {
namespace {

using test::TempDirectory;
using testing::HasSubstr;

// One connection: what it reads until `wanted` stands at the end, then what `answer` does with the socket.
class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  ~Socket() { ::close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // The head of a request and `body_bytes` behind it; empty at the end.
  std::string request(std::size_t body_bytes = 0) {
    std::string text;
    char buffer[4096];
    while (true) {
      const std::size_t head = text.find("\r\n\r\n");
      if (head != std::string::npos && text.size() >= head + 4 + body_bytes) return text;
      const ssize_t got = ::recv(descriptor_, buffer, sizeof buffer, 0);
      if (got <= 0) return "";
      text.append(buffer, static_cast<std::size_t>(got));
    }
  }
  void send(std::string_view text) {
    EXPECT_EQ(::send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // Until the client has gone.
  void drain() {
    char buffer[4096];
    while (::recv(descriptor_, buffer, sizeof buffer, 0) > 0) {}
  }
  void shut() { ::shutdown(descriptor_, SHUT_RDWR); }

 private:
  int descriptor_;
};

// Serves each connection in turn with the next of `scripts`, then refuses.
class ScriptedServer {
 public:
  using Script = std::function<void(Socket&)>;
  explicit ScriptedServer(std::vector<Script> scripts) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t length = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port_ = ntohs(address.sin_port);
    ::listen(listener_, 16);
    thread_ = std::thread([this, scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (descriptor < 0) return;
        Socket socket(descriptor);
        script(socket);
        ++served_;
      }
    });
  }
  ~ScriptedServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int served() const { return served_; }

 private:
  int listener_ = -1;
  int port_ = 0;
  std::atomic<int> served_{0};
  std::thread thread_;
};

std::unique_ptr<Transport> transport_to(const std::string& url, std::int64_t timeout_ms = 0) {
  HttpOptions options;
  options.url = url;
  options.timeout_ms = timeout_ms;
  auto transport = make_http_transport(options);
  EXPECT_TRUE(transport.has_value());
  return std::move(*transport);
}

HttpRequest read_request() {
  HttpRequest request;
  request.method = "GET";
  request.target = "/x";
  request.safe_to_repeat = true;
  return request;
}

HttpRequest write_request(std::string_view body) {
  HttpRequest request;
  request.method = "POST";
  request.target = "/x";
  request.body = body;
  return request;
}

TEST(HttpTransport, KeepsOneConnectionForSeveralRequests) {
  ScriptedServer server({[](Socket& socket) {
    for (int i = 0; i < 3; ++i) {
      EXPECT_THAT(socket.request(), HasSubstr("GET /x HTTP/1.1\r\nHost: 127.0.0.1:"));
      socket.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + std::to_string(i));
    }
    socket.drain();
  }});
  {
    const auto transport = transport_to(server.url());
    for (int i = 0; i < 3; ++i) {
      const auto response = transport->send(read_request(), {});
      ASSERT_TRUE(response.has_value()) << response.error().message;
      EXPECT_EQ(response->body, std::to_string(i));
    }
    EXPECT_EQ(server.served(), 0);  // Still the first.
  }
}

TEST(HttpTransport, AKeptConnectionThatWasClosedIsTriedAgainForReadsOnly) {
  const auto once = [](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    // The next request is read, and gets no answer.
    socket.request(4);
    socket.shut();
  };
  const auto after = [](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
  };
  {
    ScriptedServer server({once, after});
    const auto transport = transport_to(server.url());
    ASSERT_TRUE(transport->send(read_request(), {}));
    HttpRequest read = read_request();
    read.method = "POST";
    read.body = "body";
    const auto again = transport->send(read, {});
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->body, "again");
  }
  {
    ScriptedServer server({once});
    const auto transport = transport_to(server.url());
    ASSERT_TRUE(transport->send(read_request(), {}));
    const auto lost = transport->send(write_request("body"), {});
    ASSERT_FALSE(lost.has_value());
    EXPECT_EQ(lost.error().code, ErrorCode::kOutcomeUnknown);
    EXPECT_THAT(lost.error().message, HasSubstr("may have been made"));
  }
}

TEST(HttpTransport, AnAnswerCutShortIsNoAnswer) {
  ScriptedServer server({[](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  }});
  const auto transport = transport_to(server.url());
  const auto response = transport->send(read_request(), {});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);
}

TEST(HttpTransport, HearsARefusalWhileItStillSends) {
  ScriptedServer server({[](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    socket.drain();
  }});
  const auto transport = transport_to(server.url());
  const std::string body(32u << 20, 'x');
  const auto response = transport->send(write_request(body), {});
  ASSERT_TRUE(response.has_value()) << response.error().message;
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body, "big");
}

TEST(HttpTransport, ATimeoutOfAWriteLeavesItsOutcomeUnknown) {
  const auto silent = [](Socket& socket) { socket.drain(); };
  ScriptedServer server({silent, silent});
  {
    const auto transport = transport_to(server.url(), 50);
    const auto read = transport->send(read_request(), {});
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code, ErrorCode::kUnavailable);
    EXPECT_THAT(read.error().message, HasSubstr("within 50 ms"));
  }
  const auto transport = transport_to(server.url(), 50);
  const auto written = transport->send(write_request("x"), {});
  ASSERT_FALSE(written.has_value());
  EXPECT_EQ(written.error().code, ErrorCode::kOutcomeUnknown);
}

TEST(HttpTransport, ATimeoutCountsTheWholeRequest) {
  // A byte now and then keeps no deadline from passing.
  std::atomic<bool> done{false};
  ScriptedServer server({[&](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (!done) {
      test::eventually([&] { return done.load(); }, std::chrono::milliseconds(20));
      if (!done) socket.send("x");
    }
  }});
  const auto transport = transport_to(server.url(), 200);
  const auto response = transport->send(read_request(), {});
  done = true;
  ASSERT_FALSE(response.has_value());
  EXPECT_THAT(response.error().message, HasSubstr("within 200 ms"));
}

TEST(HttpTransport, AStreamThatFallsSilentIsLost) {
  ScriptedServer server({[](Socket& socket) {
    socket.request();
    socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    socket.drain();
  }});
  const auto transport = transport_to(server.url());
  std::string got;
  TransferOptions options;
  options.silence_ms_max = 100;
  options.sink = [&](std::string_view piece) {
    got += piece;
    return true;
  };
  const auto response = transport->send(read_request(), options);
  EXPECT_FALSE(response.has_value());
  EXPECT_EQ(got, "abc");
}

TEST(HttpTransport, SaysWhatIsNoHttp) {
  ScriptedServer server({[](Socket& socket) {
    socket.send("SSH-2.0-OpenSSH_9.2\r\n");
    socket.drain();
  }});
  const auto response = transport_to(server.url())->send(read_request(), {});
  ASSERT_FALSE(response.has_value());
  EXPECT_THAT(response.error().message, HasSubstr("not HTTP"));
}

TEST(HttpTransport, ARefusedConnectionSaysSo) {
  std::string url;
  { url = ScriptedServer({}).url(); }
  const auto response = transport_to(url)->send(write_request("x"), {});
  ASSERT_FALSE(response.has_value());
  EXPECT_EQ(response.error().code, ErrorCode::kUnavailable);  // Nothing was sent: there is nothing to be unsure of.
  EXPECT_THAT(response.error().message, HasSubstr("cannot connect to 127.0.0.1:"));
}

TEST(Address, ReadsUrls) {
  struct Case {
    const char* url;
    bool tls;
    const char* host;
    const char* port;
    const char* base;
  };
  for (const Case& one :
       {Case{"http://a", false, "a", "80", ""}, Case{"https://a/", true, "a", "443", ""},
        Case{"http://a:8748/base/", false, "a", "8748", "/base"}, Case{"https://[::1]:9", true, "::1", "9", ""},
        Case{"http://[fe80::1]/x", false, "fe80::1", "80", "/x"}}) {
    const Result<Address> address = parse_address(one.url);
    ASSERT_TRUE(address.has_value()) << one.url;
    EXPECT_EQ(address->tls, one.tls) << one.url;
    EXPECT_EQ(address->host, one.host) << one.url;
    EXPECT_EQ(address->port, one.port) << one.url;
    EXPECT_EQ(address->base_path, one.base) << one.url;
  }
  for (const char* url : {"", "a", "a:8748", "ftp://a", "http://", "http://:80", "http://a:", "http://a:0",
                          "http://a:65536", "http://a:x", "http://a b", "http://a\r\nX: y", "http://u:p@a",
                          "http://a?x", "http://a/#x", "http://[::1", "http://[::1]x", "http://[::1]:"}) {
    EXPECT_FALSE(parse_address(url).has_value()) << url;
  }
  EXPECT_THAT(parse_address("localhost:8748").error().hint, HasSubstr("http://localhost:8748"));
}

// A certificate authority and a server's certificate of it, made by the openssl program.
class Certificates {
 public:
  explicit Certificates(const std::filesystem::path& directory) : directory_(directory) {
    run({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         path("ca.key"), "-out", path("ca.pem"), "-days", "2", "-subj", "/CN=st8 test CA"});
    issue("server", "IP:127.0.0.1");
    issue("other", "DNS:elsewhere.example");
    issue("client", "DNS:client.example");
    run({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
         path("stranger.key"), "-out", path("stranger.pem"), "-days", "2", "-subj", "/CN=a stranger"});
  }
  std::string path(const std::string& name) const { return (directory_ / name).string(); }

 private:
  void issue(const std::string& name, const std::string& alternative) {
    run({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path(name + ".key"),
         "-out", path(name + ".csr"), "-subj", "/CN=" + name});
    test::write_file(path(name + ".ext"), "subjectAltName=" + alternative + "\n");
    run({"x509", "-req", "-in", path(name + ".csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"), "-CAcreateserial",
         "-out", path(name + ".pem"), "-days", "2", "-extfile", path(name + ".ext")});
  }
  void run(std::vector<std::string> words) {
    words.insert(words.begin(), "/usr/bin/openssl");
    const test::RunResult result = test::run_process(words);
    ASSERT_EQ(result.code, 0) << result.err;
  }
  std::filesystem::path directory_;
};

TEST(Tls, TrustsWhatVerifiesAndNothingElse) {
  const TempDirectory directory;
  const Certificates certificates(directory.path());
  test::Cli cli(test::Mode::kServer,
                {"--tls-cert", certificates.path("server.pem"), "--tls-key", certificates.path("server.key")});
  ASSERT_THAT(cli.url(), testing::StartsWith("https://")) << cli.daemon().log();
  const std::vector<std::string> trusting{"--ca-cert", certificates.path("ca.pem")};
  const auto run = [&](std::vector<std::string> words, const std::vector<std::string>& flags) {
    words.insert(words.end(), flags.begin(), flags.end());
    return cli.run(words);
  };
  const test::RunResult applied = run({"apply", "-v", "a=1"}, trusting);
  EXPECT_EQ(applied.code, 0) << applied.err;
  const std::string large(3u << 20, 'x');
  cli.file("large", large);
  EXPECT_EQ(run({"apply", "-f", "large"}, trusting).code, 0);
  EXPECT_TRUE(run({"get", "large"}, trusting).out == large);

  const test::RunResult unknown = run({"get", "a"}, {});
  EXPECT_EQ(unknown.code, 11);
  EXPECT_THAT(unknown.err, HasSubstr("certificate does not verify"));
  EXPECT_THAT(unknown.err, HasSubstr("--ca-cert"));
  EXPECT_EQ(run({"get", "a"}, {"--ca-cert", certificates.path("stranger.pem")}).code, 11);
  EXPECT_EQ(run({"get", "a"}, {"--ca-cert", certificates.path("missing.pem")}).code, 2);
  // The right authority, and another name.
  std::string by_name = cli.url();
  by_name.replace(by_name.find("127.0.0.1"), 9, "localhost");
  const test::RunResult misnamed =
      cli.bare({"get", "a", "--server", by_name, "--ca-cert", certificates.path("ca.pem")});
  EXPECT_EQ(misnamed.code, 11) << misnamed.err;
  EXPECT_THAT(misnamed.err, HasSubstr("mismatch"));
  // Plain HTTP to it, and HTTPS to who speaks none.
  std::string plain = cli.url();
  plain.erase(4, 1);
  EXPECT_NE(cli.bare({"get", "a", "--server", plain}).code, 0);
}

TEST(Tls, ShowsAClientCertificateWhereOneIsAsked) {
  const TempDirectory directory;
  const Certificates certificates(directory.path());
  test::Cli cli(test::Mode::kServer, {"--tls-cert", certificates.path("server.pem"), "--tls-key",
                                      certificates.path("server.key"), "--tls-client-ca", certificates.path("ca.pem")});
  ASSERT_THAT(cli.url(), testing::StartsWith("https://")) << cli.daemon().log();
  const std::string ca = certificates.path("ca.pem");
  EXPECT_EQ(cli.run({"apply", "-v", "a=1", "--ca-cert", ca, "--client-cert", certificates.path("client.pem"),
                     "--client-key", certificates.path("client.key")})
                .code,
            0);
  EXPECT_NE(cli.run({"get", "a", "--ca-cert", ca}).code, 0);
  EXPECT_NE(cli.run({"get", "a", "--ca-cert", ca, "--client-cert", certificates.path("stranger.pem"), "--client-key",
                     certificates.path("stranger.key")})
                .code,
            0);
  EXPECT_EQ(cli.run({"get", "a", "--ca-cert", ca, "--client-cert", certificates.path("client.pem"), "--client-key",
                     certificates.path("stranger.key")})
                .code,
            2);
}

TEST(Tls, HttpsToAServerWithoutTlsSaysSo) {
  test::Cli cli(test::Mode::kServer);
  std::string url = cli.url();
  url.insert(4, "s");
  const test::RunResult result = cli.bare({"get", "a", "--server", url});
  EXPECT_EQ(result.code, 11);
  EXPECT_THAT(result.err, HasSubstr("does the server speak TLS"));
}

}  // namespace
}  // namespace st8::ctl
