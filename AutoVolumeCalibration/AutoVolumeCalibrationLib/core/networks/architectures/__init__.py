"""Network classes. The only folder of ``core`` that imports torch at file scope: use it through ``registry.py``."""

import getpass
import os

try:
    getpass.getuser()
except (KeyError, OSError):
    # In a container or on a cluster the account may have no name. MONAI asks for one when it is imported.
    os.environ["LOGNAME"] = "user"
