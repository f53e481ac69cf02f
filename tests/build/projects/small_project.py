"""A small C project that needs nothing but a toolchain and make, and has in it what makes builds hard:
several objects, static, shared and thin libraries, a generated header, a program that the build runs, a make
in a sub-directory, depfiles that are read back, products moved, copied, linked and changed in place."""
import os

FILES = {
    "Makefile": r"""
CFLAGS = -O2 -g -Wall -Iinclude -I.
OBJECTS = main.o greet.o table.o start.o

all: prog prog.stripped libshared.so user both out/prog many.o thin

prog: $(OBJECTS) lib/libx.a
	$(CC) -g -o $@ $(OBJECTS) lib/libx.a -lm

prog.stripped: prog
	strip -o $@ prog
	objcopy --only-keep-debug prog prog.debug

out/prog: prog
	mkdir -p out
	install -m 755 prog out/prog
	cp prog out/copy
	ln -f out/copy out/hard
	ln -sf copy out/soft

libshared.so: shared.c
	$(CC) $(CFLAGS) -fPIC -c -o shared.tmp shared.c
	mv shared.tmp shared.lo
	$(CC) -shared -Wl,-soname,libshared.so -o $@ shared.lo

user: user.c libshared.so
	$(CC) $(CFLAGS) -o $@ user.c -L. -lshared -Wl,-rpath,'$$ORIGIN'

both: one.c two.c
	$(CC) $(CFLAGS) -o $@ one.c two.c

many.o: one.o two.o
	ld -r -o $@ one.o two.o

thin: one.o two.o
	rm -f libthin.a
	ar rcT libthin.a two.o
	$(CC) -o $@ one.o libthin.a

config.h: config.h.in
	sed 's/@GREETING@/hello/' config.h.in >$@.tmp
	mv $@.tmp $@

table.h: generate
	./generate >$@

generate: generate.c
	$(CC) $(CFLAGS) -o $@ generate.c

greet.o main.o: config.h
table.o: table.h
start.o: start.S
	$(CC) -c -o $@ start.S

lib/libx.a: force
	$(MAKE) -C lib

%.o: %.c
	$(CC) $(CFLAGS) -MMD -MP -MF $*.d -c -o $@ $<

force:
.PHONY: all force
-include $(wildcard *.d)
""",
    "config.h.in": '#define GREETING "@GREETING@"\n',
    "include/greet.h": "void greet(int table_sum);\nint x_add(int a, int b);\nint start(void);\n"
                       "int table_sum(void);\nint x_mul(int a, int b);\n",
    "main.c": '#include "greet.h"\n\nint main(void)\n{\n'
              "\tgreet(x_add(table_sum(), start()) + x_mul(0, 1));\n\treturn 0;\n}\n",
    "greet.c": '#include <stdio.h>\n#include "config.h"\n#include "greet.h"\n\n'
               "void greet(int sum)\n{\n\tprintf(GREETING \" %d\\n\", sum);\n}\n",
    "table.c": '#include "table.h"\n#include "greet.h"\n\nint table_sum(void)\n{\n\tint sum = 0;\n'
               "\tfor (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)\n"
               "\t\tsum += table[i];\n\treturn sum;\n}\n",
    "start.S": ".text\n.globl start\n.type start, @function\nstart:\n\tmovl $7, %eax\n\tret\n"
               '.size start, .-start\n.section .note.GNU-stack,"",@progbits\n',
    "generate.c": '#include <stdio.h>\n\nint main(void)\n{\n\tputs("static const int table[] = { 1, 2, 3 };");'
                  "\n\treturn 0;\n}\n",
    "shared.c": "int shared(void);\nint shared(void)\n{\n\treturn 42;\n}\n",
    "user.c": "#include <stdio.h>\n\nint shared(void);\n\nint main(void)\n{\n"
              '\tprintf("%d\\n", shared());\n\treturn 0;\n}\n',
    "one.c": "int two(void);\n\nint main(void)\n{\n\tint unused_thing;\n\treturn two() - 2;\n}\n",
    "two.c": "int two(void);\nint two(void)\n{\n\treturn 2;\n}\n",
    "lib/Makefile": "libx.a: add.o mul.o\n\tar rc $@ add.o\n\tar r $@ mul.o\n\tranlib $@\n\n"
                    "%.o: %.c\n\t$(CC) -g -O1 -I../include -c $<\n\n"
                    "add.o mul.o: ../include/greet.h x.h\n",
    "lib/x.h": "#define X_ZERO 0\n",
    "lib/add.c": '#include "greet.h"\n#include "x.h"\n\nint x_add(int a, int b)\n{\n'
                 "\treturn a + b + X_ZERO;\n}\n",
    "lib/mul.c": '#include "greet.h"\n#include "x.h"\n\nint x_mul(int a, int b)\n{\n'
                 "\treturn a * b + X_ZERO;\n}\n",
}


def fill(path):
    for name, text in FILES.items():
        full = os.path.join(path, name)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as f:
            f.write(text)
        # All of one age, and not so young that make could doubt what is newer.
        os.utime(full, (1_690_000_000, 1_690_000_000))
