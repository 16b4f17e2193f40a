"""rspamd_proxy of Debian as a milter, with nothing behind it but the backend of the test."""

import subprocess
from pathlib import Path
from types import TracebackType

from tests.mail_servers.programs import free_port, listens, wait_until

# What docs/mail-servers.md shows, with the ports of the test.
CONFIGURATION = """
options {{
    pidfile = "{folder}/rspamd.pid";
    dns {{ nameserver = ["127.0.0.1"]; }}
    filters = "";
}}
logging {{ type = "console"; level = "info"; }}
worker {{
    type = "rspamd_proxy";
    bind_socket = "127.0.0.1:{port}";
    milter = true;
    timeout = 30s;
    count = 1;
    upstream "hamlet" {{ default = true; hosts = "{backend}"; }}
}}
"""


class RspamdProxy:
    """A milter on `port` that asks the backend at `host:port` of its own address family."""

    def __init__(self, folder: Path, backend: str) -> None:
        self.port = free_port()
        self.log = folder / "rspamd.log"
        configuration = folder / "rspamd.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=self.port, backend=backend))
        folders = [f"--var={name}={folder}" for name in ("DBDIR", "RUNDIR", "LOGDIR", "LOCAL_CONFDIR")]
        with self.log.open("wb") as lines:
            self._process = subprocess.Popen(
                ["/usr/bin/rspamd", "--no-fork", "--insecure", "--config", str(configuration), *folders],
                stdout=lines,
                stderr=lines,
            )

    def __enter__(self) -> "RspamdProxy":
        wait_until(lambda: listens(self.port), "rspamd_proxy", self.log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
