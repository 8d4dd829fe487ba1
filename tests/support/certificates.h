// Certificates made on the spot, as PEM files: an authority, and what it signs.
#pragma once

#include <cstdio>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdexcept>
#include <string>

namespace st8::test {

// Throws std::runtime_error when OpenSSL cannot; a test cannot go on then.
class Certificate {
 public:
  // Self-signed; may sign others.
  static Certificate authority(const std::string& name) { return Certificate(name, nullptr); }
  // Valid for 127.0.0.1 and localhost, as server and as client.
  Certificate sign(const std::string& name) const { return Certificate(name, this); }

  void write(const std::string& certificate_file, const std::string& key_file) const {
    with_file(certificate_file, [this](std::FILE* file) { return PEM_write_X509(file, certificate_.get()); });
    with_file(key_file, [this](std::FILE* file) {
      return PEM_write_PrivateKey(file, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }
  X509* certificate() const { return certificate_.get(); }
  EVP_PKEY* key() const { return key_.get(); }

 private:
  Certificate(const std::string& name, const Certificate* issuer)
      : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate_(X509_new(), &X509_free) {
    static long serial = 1;
    X509* made = certificate_.get();
    check(key_ != nullptr && made != nullptr);
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 24 * 3600);
    X509_set_pubkey(made, key_.get());
    const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8, text, -1, -1, 0);
    X509* signer = issuer != nullptr ? issuer->certificate_.get() : made;
    X509_set_issuer_name(made, X509_get_subject_name(signer));
    X509V3_CTX context;
    X509V3_set_ctx(&context, signer, made, nullptr, nullptr, 0);
    const auto extend = [&](int kind, const char* value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value);
      check(extension != nullptr && X509_add_ext(made, extension, -1) == 1);
      X509_EXTENSION_free(extension);
    };
    extend(NID_basic_constraints, issuer == nullptr ? "critical,CA:TRUE" : "CA:FALSE");
    if (issuer != nullptr) extend(NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    check(X509_sign(made, (issuer != nullptr ? issuer->key_ : key_).get(), EVP_sha256()) > 0);
  }

  static void check(bool holds) {
    if (!holds) throw std::runtime_error("cannot make a certificate");
  }
  template <class Write>
  static void with_file(const std::string& path, Write write) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    check(file != nullptr);
    const bool written = write(file) == 1;
    check(std::fclose(file) == 0 && written);
  }

  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

}  // namespace st8::test
