/* http_tls.c - one self-signed certificate for 127.0.0.1, by OpenSSL. Owns nothing. Threads: any.
 */
#include "tests/support/http_tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

static bool add_address(X509 *certificate)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *address =
        X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
    bool is_added = address != NULL && X509_add_ext(certificate, address, -1) == 1;
    X509_EXTENSION_free(address);
    return is_added;
}

static bool fill(X509 *certificate, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, 2) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -60) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                      -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
           add_address(certificate) && X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool write_pem(X509 *certificate, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return false;
    bool is_written = PEM_write_X509(file, certificate) == 1;
    return fclose(file) == 0 && is_written;
}

SSL_CTX *http_tls_create(const char *certificate_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    bool is_fine = key != NULL && certificate != NULL && context != NULL &&
                   fill(certificate, key) && write_pem(certificate, certificate_path) &&
                   SSL_CTX_use_certificate(context, certificate) == 1 &&
                   SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (is_fine)
        return context;
    SSL_CTX_free(context);
    return NULL;
}
