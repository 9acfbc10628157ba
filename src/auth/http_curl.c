// SPDX-License-Identifier: ISC
// Module `http`: one question and its answer by libcurl.
#include "auth/http.h"

#include "base/memory.h"
#include "base/text.h"

#include <curl/curl.h>

extern const struct auth_http auth_http_module;

// Before any thread: when the module is loaded.
__attribute__((constructor)) static void prepare(void)
{
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t take(char *data, size_t one, size_t count, void *arg)
{
	return buf_add(arg, data, one * count) ? 0 : one * count;
}

static int error_number(CURLcode code)
{
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return ERR_TLS;
	case CURLE_WRITE_ERROR:
		return ERR_LIMIT;
	default:
		return ERR_UNAVAILABLE;
	}
}

static void set_trust(CURL *c, const struct auth_http_question *q)
{
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (q->ca.len) {
		struct curl_blob pem = {.data = (void *)q->ca.data, .len = q->ca.len, .flags = CURL_BLOB_COPY};

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &pem);
	}
	if (q->ca.len || q->ca_path)
		curl_easy_setopt(c, CURLOPT_CAPATH, q->ca_path);
}

static void set_question(CURL *c, const struct auth_http_question *q)
{
	curl_easy_setopt(c, CURLOPT_URL, q->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, q->plain_ok ? "http,https" : "https");
	if (q->post) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body.data);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)q->body.len);
	}
	if (q->user) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, q->user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, q->password ? q->password : "");
	}
	if (q->bearer) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, q->bearer);
	}
}

static int ask(const struct auth_http_question *q, unsigned *out_status, struct buf *out,
	struct error *err)
{
	char words[CURL_ERROR_SIZE] = "";
	CURL *c = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: application/json");
	CURLcode code;
	long status = 0;

	if (!c || !headers)
		fatal("out of memory");
	out->limit = q->limit;
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, words);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "pabal/" PABAL_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, out);
	set_trust(c, q);
	set_question(c, q);
	code = curl_easy_perform(c);
	if (code == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	*out_status = (unsigned)status;
	if (code == CURLE_OK)
		return 0;
	return error_set(err, error_number(code), "%s", words[0] ? words : curl_easy_strerror(code));
}

const struct auth_http auth_http_module = {ask};
