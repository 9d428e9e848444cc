"""What cloud-init makes of a user-data file: its merged cloud-config and the scripts it would run, as JSON.

Usage: merged.py USER_DATA_FILE EMPTY_DIRECTORY. It reads the parts by cloud-init's own code and runs none of them.
"""

import json
import os
import sys

from cloudinit import handlers, helpers, settings, user_data, util
from cloudinit.handlers.cloud_config import CloudConfigPartHandler
from cloudinit.handlers.shell_script import ShellScriptPartHandler


class Source:
    """A data source, as far as paths need one."""

    def get_instance_id(self):
        return "i-1"


def main(file, directory):
    paths = helpers.Paths({"cloud_dir": directory, "run_dir": os.path.join(directory, "run")}, ds=Source())
    with open(file, "rb") as f:
        message = user_data.UserDataProcessor(paths).process(f.read())
    scripts = os.path.join(directory, "scripts")
    known = helpers.ContentHandlers()
    parts = [CloudConfigPartHandler(paths), ShellScriptPartHandler(paths, script_path="scripts")]
    parts[1].script_dir = scripts
    for part in parts:
        known.register(part)
        handlers.call_begin(part, None, settings.PER_INSTANCE)
    state = {
        "handlers": known,
        "handlerdir": directory,
        "data": None,
        "frequency": settings.PER_INSTANCE,
        "handlercount": 0,
        "excluded": [],
    }
    handlers.walk(message, handlers.walker_callback, data=state)
    for part in parts:
        handlers.call_end(part, None, settings.PER_INSTANCE)
    found = sorted(os.listdir(scripts)) if os.path.isdir(scripts) else []
    config = util.load_yaml(util.load_file(paths.get_ipath("cloud_config")))
    json.dump(
        {"config": config, "scripts": {name: util.load_file(os.path.join(scripts, name)) for name in found}},
        sys.stdout,
    )


main(*sys.argv[1:])
