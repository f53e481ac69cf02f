#include "tests/lib/test.h"

#include "objstore/s3_place.h"

static struct aws_config *config_of(char **environment)
{
	struct error err;
	struct aws_config *config;
	const struct aws_config_options options = { .environ = environment };
	assert_ok(aws_config_load(&options, &config, &err));
	return config;
}

static int place_of(struct s3_place *place, const struct far_options *options, struct error *err)
{
	char none[] = "AWS_CONFIG_FILE=/nonexistent";
	char nor_keys[] = "AWS_SHARED_CREDENTIALS_FILE=/nonexistent";
	char region[] = "AWS_REGION=eu-central-1";
	char *environment[] = { none, nor_keys, region, NULL };
	struct aws_config *config = config_of(environment);
	int r = s3_place_init(place, config, options, err);
	aws_config_free(config);
	return r;
}

static void keys_are_prefix_kind_and_split_digest(void **state)
{
	(void)state;
	struct error err;
	struct s3_place place;
	struct digest d = { { 0xab, 0xcd } }, back;
	assert_ok(place_of(&place,
	                   &(struct far_options){ .url = "s3://bucket/a b/%41/", .path_style = -1 },
	                   &err));
	scoped_free char *key = s3_key(&place, S3_OBJECTS, &d);
	assert_int_equal(strncmp(key, "a b/%41/objects/ab/cd00", 23), 0);
	assert_string_equal(place.url, "s3://bucket/a b/%41");
	assert_true(s3_key_parse(&place, S3_OBJECTS, key, &back));
	assert_true(digest_equal(&d, &back));
	assert_false(s3_key_parse(&place, S3_MEMOS, key, &back));
	assert_false(s3_key_parse(&place, S3_OBJECTS, key + 1, &back));
	key[strlen(key) - 1] = 'G';
	assert_false(s3_key_parse(&place, S3_OBJECTS, key, &back));
	s3_place_release(&place);
}

static void path_is_encoded_once(void **state)
{
	(void)state;
	struct error err;
	struct s3_place place;
	assert_ok(place_of(&place,
	                   &(struct far_options){ .url = "s3://bucket/\xc3\xbc +%41",
	                                          .endpoint = "http://127.0.0.1:9000/",
	                                          .path_style = -1 },
	                   &err));
	scoped_free char *path = s3_path(&place, "\xc3\xbc +%41/x");
	scoped_free char *bucket = s3_path(&place, NULL);
	assert_string_equal(path, "/bucket/%C3%BC%20%2B%2541/x");
	assert_string_equal(bucket, "/bucket");
	assert_string_equal(place.host, "127.0.0.1:9000");
	assert_string_equal(place.scheme, "http");
	s3_place_release(&place);
}

static void amazon_has_the_bucket_in_the_host_and_others_in_the_path(void **state)
{
	(void)state;
	static const struct {
		const char *url, *endpoint, *host, *base;
		int path_style;
	} cases[] = {
		{ "s3://bucket", NULL, "bucket.s3.eu-central-1.amazonaws.com", "", -1 },
		{ "s3://bucket", NULL, "s3.eu-central-1.amazonaws.com", "/bucket", 1 },
		/* No certificate is for two labels. */
		{ "s3://buc.ket", NULL, "s3.eu-central-1.amazonaws.com", "/buc.ket", -1 },
		{ "s3://bucket", "https://storage.googleapis.com", "storage.googleapis.com",
		  "/bucket", -1 },
		{ "s3://bucket", "https://example.com:444", "bucket.example.com:444", "", 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err;
		struct s3_place place;
		assert_ok(place_of(&place,
		                   &(struct far_options){ .url = cases[i].url,
		                                          .endpoint = cases[i].endpoint,
		                                          .path_style = cases[i].path_style },
		                   &err));
		assert_string_equal(place.host, cases[i].host);
		assert_string_equal(place.base, cases[i].base);
		assert_string_equal(place.region, "eu-central-1");
		s3_place_release(&place);
	}
}

static void what_names_no_bucket_is_einval(void **state)
{
	(void)state;
	static const char *const urls[] = { "",
		                            "bucket",
		                            "http://bucket",
		                            "s3://",
		                            "s3:///x",
		                            "s3://ab",
		                            "s3://bu cket",
		                            "s3://-bucket",
		                            "s3://bucket//x",
		                            "s3://bucket/../x",
		                            "s3://bucket/x/./y",
		                            "s3://bucket/x\ny" };
	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		struct error err;
		struct s3_place place;
		assert_error(place_of(&place,
		                      &(struct far_options){ .url = urls[i], .path_style = -1 },
		                      &err),
		             -EINVAL);
	}
}

static void endpoint_is_scheme_host_and_port_alone(void **state)
{
	(void)state;
	static const char *const endpoints[] = { "",
		                                 "example.com",
		                                 "ftp://example.com",
		                                 "http://",
		                                 "http://user@example.com",
		                                 "http://example.com/path",
		                                 "http://example.com?x" };
	for (size_t i = 0; i < sizeof(endpoints) / sizeof(*endpoints); i++) {
		struct error err;
		struct s3_place place;
		assert_error(place_of(&place,
		                      &(struct far_options){ .url = "s3://bucket",
		                                             .endpoint = endpoints[i],
		                                             .path_style = -1 },
		                      &err),
		             -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_prefix_kind_and_split_digest),
		cmocka_unit_test(path_is_encoded_once),
		cmocka_unit_test(amazon_has_the_bucket_in_the_host_and_others_in_the_path),
		cmocka_unit_test(what_names_no_bucket_is_einval),
		cmocka_unit_test(endpoint_is_scheme_host_and_port_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
