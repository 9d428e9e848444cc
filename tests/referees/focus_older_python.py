"""Lets focus-validator run on Python 3.11: one expression in it is written for 3.12.

Run with the Python of the environment that it is installed in.
"""

import pathlib
import sys
import sysconfig

FILE = pathlib.Path(sysconfig.get_path("purelib"), "focus_validator/config_objects/focus_to_duckdb_converter.py")
NEWER = """f"'{k.replace('\\"', '\\"\\"')}'" for k"""
OLDER = """"'" + k.replace('"', '""') + "'" for k"""

if sys.version_info < (3, 12):
    text = FILE.read_text()
    if text.count(NEWER) == 1:
        FILE.write_text(text.replace(NEWER, OLDER))
    elif OLDER not in text:
        sys.exit(f"{FILE} is not the one that this was written for.")
    compile(FILE.read_text(), str(FILE), "exec")
