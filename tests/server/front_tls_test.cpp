// The HTTP front over TLS: versions, client certificates, held streams, slow readers, new certificates while it runs.
#include <atomic>
#include <gtest/gtest.h>
#include <httplib.h>
#include <memory>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string>
#include <thread>
#include <vector>

#include "server/front_fixture.h"
#include "support/certificates.h"
#include "support/temp_directory.h"

namespace st8::http {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::Certificate;
using test::eventually;

// A blocking TLS client over OpenSSL itself, with whatever versions and certificate a test wants.
class TlsClient {
 public:
  struct Options {
    int version_max = 0;  // 0: the newest.
    const Certificate* certificate = nullptr;
  };
  TlsClient(std::uint16_t port, Options options)
      : plain_(port), context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    timeval timeout{10, 0};
    ::setsockopt(plain_.socket(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    SSL_CTX_set_security_level(context_.get(), 0);  // So that old versions are tried at all.
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    if (options.version_max != 0) SSL_CTX_set_max_proto_version(context_.get(), options.version_max);
    if (options.certificate != nullptr) {
      SSL_CTX_use_certificate(context_.get(), options.certificate->certificate());
      SSL_CTX_use_PrivateKey(context_.get(), options.certificate->key());
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), plain_.socket());
    ERR_clear_error();
    connected_ = SSL_connect(ssl_.get()) == 1;
  }
  bool connected() const { return connected_; }
  std::string version() const { return SSL_get_version(ssl_.get()); }
  std::string server_name() const {
    const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(ssl_.get()), &X509_free);
    char name[256] = {};
    if (peer) X509_NAME_get_text_by_NID(X509_get_subject_name(peer.get()), NID_commonName, name, sizeof(name));
    return name;
  }
  bool send(const std::string& bytes) {
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size())) == static_cast<int>(bytes.size());
  }
  // Up to `text` and with it; what came so far when the stream ends or nothing comes.
  std::string receive_until(const std::string& text) {
    std::string all;
    char buffer[16384];
    while (all.find(text) == std::string::npos) {
      const int got = SSL_read(ssl_.get(), buffer, sizeof(buffer));
      if (got <= 0) break;
      all.append(buffer, static_cast<std::size_t>(got));
    }
    return all;
  }
  // True: the stream ended as TLS wants it, with a close_notify.
  bool ended_well() { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
  std::string get(const std::string& target) {
    if (!send("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")) return {};
    return receive_until("never comes");
  }

 private:
  test::RawClient plain_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  bool connected_ = false;
};

class FrontTls : public FrontFixture {
 protected:
  FrontTls() {
    authority.write(file("ca.pem"), file("ca-key.pem"));
    authority.sign("first").write(file("cert.pem"), file("key.pem"));
    options.tls = TlsOptions{file("cert.pem"), file("key.pem"), "", true};
  }
  std::string file(const std::string& name) const { return (directory.path() / name).string(); }
  TlsClient tls(TlsClient::Options client_options = {}) { return TlsClient(server->port(), client_options); }

  test::TempDirectory directory;
  const Certificate authority = Certificate::authority("st8 test authority");
};

TEST_F(FrontTls, AnswersAnotherLibrarysClientThatVerifiesIt) {
  start();
  EXPECT_TRUE(server->url().starts_with("https://127.0.0.1:"));
  httplib::SSLClient client("127.0.0.1", server->port());
  client.set_ca_cert_path(file("ca.pem").c_str());
  client.enable_server_certificate_verification(true);
  client.set_keep_alive(true);
  for (int i = 0; i < 5; ++i) {
    const auto put = client.Put("/echo", std::string(3'000'000, 'p'), "application/octet-stream");
    ASSERT_TRUE(put) << httplib::to_string(put.error());
    EXPECT_EQ(put->body.size(), 3'000'000u);
    EXPECT_EQ(put->get_header_value("X-Secure"), "yes");
    const auto source = client.Get("/source?chunks=3");
    ASSERT_TRUE(source);
    EXPECT_EQ(source->body.size(), 3'000'000u);
  }
  EXPECT_EQ(metric("st8_http_connections_accepted_total"), 1);
}

TEST_F(FrontTls, SpeaksNothingOlderThanTls12) {
  start();
  for (const int old : {TLS1_VERSION, TLS1_1_VERSION}) EXPECT_FALSE(tls({.version_max = old}).connected()) << old;
  EXPECT_EQ(tls({.version_max = TLS1_2_VERSION}).version(), "TLSv1.2");
  EXPECT_EQ(tls().version(), "TLSv1.3");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client = tls({.version_max = version});
    ASSERT_TRUE(client.connected());
    EXPECT_TRUE(client.get("/echo").starts_with("HTTP/1.1 200 OK"));
    EXPECT_TRUE(client.ended_well());
  }
  EXPECT_GE(metric("st8_http_tls_handshakes_failed_total"), 2);
}

TEST_F(FrontTls, AsksForClientCertificatesOfItsAuthority) {
  options.tls->client_ca_file = file("ca.pem");
  start();
  const Certificate mine = authority.sign("deploy-bot");
  const Certificate foreign = Certificate::authority("somebody else").sign("deploy-bot");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::string with = tls({.version_max = version, .certificate = &mine}).get("/echo");
    EXPECT_TRUE(with.starts_with("HTTP/1.1 200 OK")) << with;
    EXPECT_NE(with.find("X-Client: CN=deploy-bot\r\n"), std::string::npos) << with;
    EXPECT_EQ(tls({.version_max = version}).get("/echo"), "");
    EXPECT_EQ(tls({.version_max = version, .certificate = &foreign}).get("/echo"), "");
  }
  EXPECT_EQ(handler.handled, 2);
}

TEST_F(FrontTls, LetsClientsWithoutACertificateInWhenToldSo) {
  options.tls->client_ca_file = file("ca.pem");
  options.tls->client_certificate_required = false;
  start();
  const std::string without = tls().get("/echo");
  EXPECT_NE(without.find("X-Client: \r\n"), std::string::npos) << without;
  const Certificate foreign = Certificate::authority("somebody else").sign("deploy-bot");
  EXPECT_EQ(tls({.certificate = &foreign}).get("/echo"), "") << "a certificate that is shown must be good";
}

TEST_F(FrontTls, TakesNewCertificatesWhileItRuns) {
  start();
  TlsClient before = tls();
  EXPECT_EQ(before.server_name(), "first");
  authority.sign("second").write(file("cert.pem"), file("key.pem"));
  ASSERT_TRUE(server->reload_tls());
  EXPECT_EQ(tls().server_name(), "second");
  EXPECT_TRUE(before.get("/echo").starts_with("HTTP/1.1 200 OK")) << "connections that are open go on";
  authority.sign("third").write(file("cert.pem"), file("other-key.pem"));
  const Status mismatch = server->reload_tls();
  ASSERT_FALSE(mismatch);
  EXPECT_NE(mismatch.error().message.find("key.pem"), std::string::npos) << mismatch.error().message;
  EXPECT_EQ(tls().server_name(), "second") << "the old ones stay in use";
}

TEST_F(FrontTls, RefusesFilesThatWillNotDo) {
  std::ofstream(file("garbage.pem")) << "garbage";
  const TlsOptions cases[] = {
      {file("nowhere.pem"), file("key.pem"), "", true},
      {file("garbage.pem"), file("key.pem"), "", true},
      {file("cert.pem"), file("garbage.pem"), "", true},
      {file("cert.pem"), file("ca-key.pem"), "", true},
      {file("cert.pem"), file("key.pem"), file("garbage.pem"), true},
  };
  for (const TlsOptions& bad : cases) {
    options.tls = bad;
    const auto refused = Server::start(options, handler, metrics, log);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument) << refused.error().message;
    EXPECT_NE(refused.error().message.find(".pem"), std::string::npos) << refused.error().message;
  }
}

TEST_F(FrontTls, EndsHandshakesThatDoNotEnd) {
  options.header_timeout = milliseconds(150);
  start();
  RawClient silent = connect();
  RawClient plain = connect();
  plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(plain.receive_all());
  EXPECT_TRUE(silent.receive_all());
  EXPECT_TRUE(eventually([&] { return metric("st8_http_connections_open") == 0; }));
}

TEST_F(FrontTls, HoldsStreamsAndPipelines) {
  start();
  std::vector<std::unique_ptr<TlsClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<TlsClient>(server->port(), TlsClient::Options{}));
    ASSERT_TRUE(clients.back()->send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"));
  }
  ASSERT_TRUE(eventually([&] { return handler.channel_count() == clients.size(); }));
  const auto event = std::make_shared<const std::string>("data: " + std::string(100'000, 'e') + "\n\n");
  for (const auto& channel : handler.channels) EXPECT_TRUE(channel->send(event));
  for (const auto& client : clients) EXPECT_TRUE(client->receive_until(*event).ends_with(*event));

  // A pipeline that arrives in one record: what OpenSSL holds already makes no event of the socket.
  TlsClient pipeline = tls();
  std::string requests;
  for (int i = 0; i < 40; ++i)
    requests += "GET /echo HTTP/1.1\r\nHost: a\r\nX-Request-Id: number-" + std::to_string(i) + "\r\n\r\n";
  ASSERT_TRUE(pipeline.send(requests));
  const std::string answers = pipeline.receive_until("number-39\r\nContent-Length: 0\r\n\r\n");
  std::size_t at = 0;
  for (int i = 0; i < 40; ++i) {
    at = answers.find("X-Request-Id: number-" + std::to_string(i) + "\r\n", at);
    ASSERT_NE(at, std::string::npos) << i;
  }
}

TEST_F(FrontTls, AnswersManyClientsAtOnce) {
  start();
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      httplib::SSLClient client("127.0.0.1", server->port());
      client.enable_server_certificate_verification(false);
      client.set_keep_alive(true);
      for (int i = 0; i < 50; ++i) {
        const std::string body(static_cast<std::size_t>(i) * 997, 'b');
        const auto response = client.Post("/echo", body, "text/plain");
        if (response && response->status == 200 && response->body == body) ++answered;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 16 * 50);
}

}  // namespace
}  // namespace st8::http
