"""Who sits at the keyboard, for the audit table."""

import os
import pwd
import socket


def who() -> str:
    """Give the login name and the host, as in `ada@office-3`.

    The name is that of the terminal's login, which stays the same under `sudo`; without a terminal it is that of the
    process's user, or its number.
    """
    return f"{_login()}@{socket.gethostname()}"


def _login() -> str:
    try:
        return os.getlogin()
    except OSError:
        pass  # no terminal: a job, a container
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
