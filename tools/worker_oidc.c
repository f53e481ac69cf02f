#include "tools/worker_oidc.h"

#include <jansson.h>
#include <pthread.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"

/* Keys as they were fetched; used by several threads at once. */
struct key_set {
	struct jwt_keys *keys;
	unsigned users; /* guarded by the oidc's mutex; the oidc itself is one */
};

struct oidc {
	struct net *net;
	struct jwt_policy policy;
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct key_set *set;         /* guarded by mutex, as all below; NULL: none yet */
	unsigned long fetched;       /* how often it succeeded */
	int64_t fetched_ms, next_ms; /* when, and not before */
	bool fetching;
};

/* --- URLs --------------------------------------------------------------------------------------
 */

static bool is_loopback(const char *url)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "[::1]" };
	if (strncmp(url, "http://", 7) != 0)
		return false;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++) {
		size_t len = strlen(hosts[i]);
		if (strncmp(url + 7, hosts[i], len) == 0 &&
		    (!url[7 + len] || strchr(":/", url[7 + len])))
			return true;
	}
	return false;
}

static bool is_https(const char *url)
{
	return strncmp(url, "https://", 8) == 0 && url[8] && url[8] != '/';
}

static bool is_plain(const char *url)
{
	for (const char *c = url; *c; c++)
		if (*c <= ' ' || *c > '~' || *c == '@' || *c == '#')
			return false;
	return true;
}

/* --- asking the issuer -------------------------------------------------------------------------
 */

static int get(const struct oidc *o, const char *url, struct buf *out, struct error *err)
{
	struct http_response response = { 0 };
	const struct http_request request = {
		.method = "GET",
		.url = url,
		.body_max = OIDC_ANSWER_BYTES_MAX,
		.direct = is_loopback(url),
		.whole_ms = OIDC_FETCH_MS,
	};
	int r = net_call(o->net, &request, &response);
	if (r < 0) {
		error_set(err, -EAGAIN, "%s: %s", url,
		          response.reason ? response.reason : strerror(-r));
	} else if (response.status != 200) {
		r = error_set(err, -EAGAIN, "%s: status %d", url, response.status);
	} else {
		*out = response.body;
		response.body = BUF_INIT;
	}
	http_response_release(&response);
	return r < 0 ? -EAGAIN : 0;
}

/* Where the keys are. */
static int discover(const struct oidc *o, char **keys_url, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	const char *issuer = o->policy.issuer;
	size_t len = strlen(issuer);
	while (len > 0 && issuer[len - 1] == '/')
		len--;
	scoped_free char *url = xformat("%.*s/.well-known/openid-configuration", (int)len, issuer);
	int r = get(o, url, &text, err);
	if (r < 0)
		return r;
	json_t *object =
	        json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	const char *said = json_string_value(json_object_get(object, "issuer"));
	const char *keys = json_string_value(json_object_get(object, "jwks_uri"));
	/* An http issuer is one of this machine's, and so may its keys be. */
	bool good = said && strcmp(said, issuer) == 0 && keys && is_plain(keys) &&
	            (is_https(keys) || (is_loopback(issuer) && is_loopback(keys)));
	if (good)
		*keys_url = xstrdup(keys);
	else
		r = error_set(err, -EAGAIN, "%s: what it says is not this issuer's configuration",
		              url);
	json_decref(object);
	return r;
}

static int fetch(const struct oidc *o, struct jwt_keys **out, struct error *err)
{
	scoped_buf struct buf text = BUF_INIT;
	scoped_free char *url = NULL;
	int r = discover(o, &url, err);
	if (r == 0)
		r = get(o, url, &text, err);
	if (r == 0 && jwt_keys_parse(text.data ? text.data : "", text.len, out, err) < 0)
		r = error_prefix(err, -EAGAIN, "%s", url);
	return r < 0 ? -EAGAIN : 0;
}

/* --- keys --------------------------------------------------------------------------------------
 */

static void let_go(struct oidc *o, struct key_set *set)
{
	pthread_mutex_lock(&o->mutex);
	bool last = set && --set->users == 0;
	pthread_mutex_unlock(&o->mutex);
	if (last) {
		jwt_keys_free(set->keys);
		free(set);
	}
}

/* With the mutex held; *old is to be let go of. */
static void take_keys(struct oidc *o, struct jwt_keys *keys, struct key_set **old)
{
	struct key_set *set = xcalloc(1, sizeof(*set));
	*set = (struct key_set){ .keys = keys, .users = 1 };
	*old = o->set;
	o->set = set;
	o->fetched++;
	o->fetched_ms = now_ms();
}

/* Asks the issuer, unless somebody has done so since `fetched` was read, or not long ago. Whether
 * there are newer keys. */
static bool refresh(struct oidc *o, unsigned long fetched)
{
	struct error err = ERROR_INIT;
	struct jwt_keys *keys = NULL;
	struct key_set *old = NULL;
	pthread_mutex_lock(&o->mutex);
	while (o->fetching)
		pthread_cond_wait(&o->changed, &o->mutex);
	bool newer = o->fetched != fetched;
	bool ask = !newer && now_ms() >= o->next_ms;
	o->fetching = ask;
	pthread_mutex_unlock(&o->mutex);
	if (!ask)
		return newer;
	int r = fetch(o, &keys, &err);
	if (r < 0)
		log_warning("the issuer's keys cannot be had: %s", error_text(&err));
	pthread_mutex_lock(&o->mutex);
	if (r == 0)
		take_keys(o, keys, &old);
	o->next_ms = now_ms() + (o->set ? OIDC_HOLD_MS : OIDC_HOLD_FIRST_MS);
	o->fetching = false;
	pthread_cond_broadcast(&o->changed);
	pthread_mutex_unlock(&o->mutex);
	let_go(o, old);
	return r == 0;
}

/* The keys there are, to be let go of, or NULL; *age_ms of them. */
static struct key_set *hold(struct oidc *o, unsigned long *fetched, int64_t *age_ms)
{
	pthread_mutex_lock(&o->mutex);
	struct key_set *set = o->set;
	if (set)
		set->users++;
	*fetched = o->fetched;
	*age_ms = now_ms() - o->fetched_ms;
	pthread_mutex_unlock(&o->mutex);
	return set;
}

static int verify_by(const struct jwt *t, const struct key_set *set, int64_t age_ms,
                     struct error *err)
{
	if (!set || age_ms > OIDC_KEYS_MS_MAX)
		return error_set(err, -EAGAIN, "the issuer's keys cannot be had");
	return jwt_verify(t, set->keys, err);
}

static int verify(struct oidc *o, const struct jwt *t, struct error *err)
{
	unsigned long fetched;
	int64_t age_ms;
	struct key_set *set = hold(o, &fetched, &age_ms);
	if (set && age_ms > OIDC_KEYS_MS && refresh(o, fetched)) {
		let_go(o, set);
		set = hold(o, &fetched, &age_ms);
	}
	int r = verify_by(t, set, age_ms, err);
	if ((r == -ENOKEY || r == -EAGAIN) && refresh(o, fetched)) {
		let_go(o, set);
		set = hold(o, &fetched, &age_ms);
		r = verify_by(t, set, age_ms, err);
	}
	let_go(o, set);
	return r == -ENOKEY ? -EACCES : r;
}

int oidc_check(struct oidc *o, const char *token, struct error *err)
{
	struct jwt t = { 0 };
	int r = jwt_parse(token, strlen(token), &t, err);
	if (r < 0)
		return -EACCES;
	/* First what asks nobody: nonsense does not make us ask the issuer. */
	r = jwt_check(&t, &o->policy, wall_ns() / 1000000000, err);
	if (r == 0)
		r = verify(o, &t, err);
	jwt_release(&t);
	return r;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

int oidc_new(struct net *net, const struct jwt_policy *policy, struct oidc **out, struct error *err)
{
	const char *issuer = policy->issuer;
	if (!is_plain(issuer) || strchr(issuer, '?') || (!is_https(issuer) && !is_loopback(issuer)))
		return error_set(err, -EINVAL,
		                 "\"%s\" is no issuer's URL: https, or http on this machine's "
		                 "loopback",
		                 issuer);
	struct oidc *o = xcalloc(1, sizeof(*o));
	o->net = net;
	o->policy = *policy;
	pthread_mutex_init(&o->mutex, NULL);
	pthread_cond_init(&o->changed, NULL);
	*out = o;
	return 0;
}

void oidc_free(struct oidc *o)
{
	if (!o)
		return;
	let_go(o, o->set);
	pthread_mutex_destroy(&o->mutex);
	pthread_cond_destroy(&o->changed);
	free(o);
}
