#include "tests/lib/test.h"

#include <fcntl.h>
#include <string.h>

#include "common/io.h"
#include "engine/settings.h"

static int directory(void)
{
	scoped_free char *path = test_directory();
	int fd = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void write_config(int fd, const char *text)
{
	struct error err;
	assert_ok(replace_file_at(fd, "config", text, strlen(text), 0600, &err));
}

static void expect(int fd, char **environment, const char *name, const char *value,
                   const char *source)
{
	struct error err;
	struct settings *s;
	const char *from;
	assert_ok(settings_load(fd, environment, &s, &err));
	assert_string_equal(settings_get(s, name, &from), value);
	assert_string_equal(from, source);
	settings_free(s);
}

static void absent_file_leaves_everything_at_its_standard(void **state)
{
	(void)state;
	scoped_fd int fd = directory();
	expect(fd, NULL, "engine", "local", "standard");
	expect(fd, NULL, "far.url", "", "standard");
	expect(-1, NULL, "lambda.function", "ggfs-worker", "standard");
}

static void file_is_heeded_and_the_environment_overrides_it(void **state)
{
	(void)state;
	scoped_fd int fd = directory();
	char variable[] = "GGFS_FAR_URL=s3://other/x", empty[] = "GGFS_ENGINE=";
	char *environment[] = { variable, empty, NULL };
	write_config(fd, "# ours\n\n  far.url=s3://bucket/p \nengine = lambda=5\n");
	expect(fd, NULL, "far.url", "s3://bucket/p", "config");
	expect(fd, environment, "far.url", "s3://other/x", "environment GGFS_FAR_URL");
	expect(fd, environment, "engine", "lambda=5", "config");
}

static void faulty_file_is_einval_and_names_the_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "engine = local\nfoo = 1\n", "line 2: there is no setting 'foo'" },
		{ "engine\n", "line 1: there is no '='" },
		{ "far.url = http://x\n", "far.url is s3://BUCKET[/PREFIX], not 'http://x'" },
		{ "far.connections = many\n", "far.connections is a number" },
		{ "far.path_style = 1\n", "yes or no" },
		{ "lambda.endpoint = localhost\n", "is a URL" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped_fd int fd = directory();
		struct error err;
		struct settings *s = NULL;
		write_config(fd, cases[i].text);
		assert_error(settings_load(fd, NULL, &s, &err), -EINVAL);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_null(s);
	}
}

static void setting_one_keeps_comments_and_the_others(void **state)
{
	(void)state;
	scoped_fd int fd = directory();
	struct error err;
	scoped_buf struct buf text = BUF_INIT;
	write_config(fd, "# first\nengine = local\n# last\nengine = local=3");
	assert_ok(settings_set(fd, "engine", "lambda", &err));
	assert_ok(settings_set(fd, "far.url", "s3://b", &err));
	assert_ok(read_file_at(fd, "config", &text, 1000, &err));
	assert_string_equal(text.data, "# first\nengine = lambda\n# last\nfar.url = s3://b\n");
	assert_ok(settings_set(fd, "engine", NULL, &err));
	expect(fd, NULL, "engine", "local", "standard");
	expect(fd, NULL, "far.url", "s3://b", "config");
}

static void setting_nonsense_is_einval_and_leaves_the_file_alone(void **state)
{
	(void)state;
	scoped_fd int fd = directory();
	struct error err;
	assert_ok(settings_set(fd, "far.url", "s3://b", &err));
	assert_error(settings_set(fd, "far.url", "file:///x", &err), -EINVAL);
	assert_error(settings_set(fd, "far.url", "s3://b\nengine = x", &err), -EINVAL);
	assert_error(settings_set(fd, "nothing", "1", &err), -EINVAL);
	expect(fd, NULL, "far.url", "s3://b", "config");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_file_leaves_everything_at_its_standard),
		cmocka_unit_test(file_is_heeded_and_the_environment_overrides_it),
		cmocka_unit_test(faulty_file_is_einval_and_names_the_line),
		cmocka_unit_test(setting_one_keeps_comments_and_the_others),
		cmocka_unit_test(setting_nonsense_is_einval_and_leaves_the_file_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
