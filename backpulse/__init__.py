"""Backpulse: trains multilayer neural networks inside an analog crossbar array.

The packages below lie at the top of the repository; here they have the one name that an installation owns.
"""

import os
import sys

if os.path.isfile(os.path.join(os.path.dirname(__file__), "host")):  # a link checked out as a file that holds its path
    _sentence = (
        "In this checkout the links in the folder backpulse are plain files, as git makes them where it is not to make links: "
        "call git config core.symlinks true and git checkout -- backpulse, or install the wheel"
    )
    # A command ends with the sentence; so does python -m, which has this place while it looks for the module.
    if sys.argv[0] == "-m" or os.path.splitext(os.path.basename(sys.argv[0]))[0] == "backpulse":
        print(f"Error: {_sentence}", file=sys.stderr)
        sys.exit(2)
    raise ImportError(_sentence)
