#!/usr/bin/python3
"""embed.py NAME FILE OUT.c: a file's bytes as a C array NAME, and NAME_size."""
import sys

name, source, out = sys.argv[1:]
with open(source, "rb") as f:
    data = f.read()
with open(out, "w", encoding="ascii") as f:
    f.write('#include "engine/worker/relocate.h"\n\n')
    f.write(f"const unsigned char {name}[] = {{\n")
    for i in range(0, len(data), 16):
        f.write("\t" + " ".join(f"{b}," for b in data[i:i + 16]) + "\n")
    f.write(f"}};\nconst size_t {name}_size = sizeof({name});\n")
