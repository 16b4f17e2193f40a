"""rspamd_proxy of Debian as a milter, with nothing behind it but the backend of the test."""

import subprocess
from pathlib import Path
from types import TracebackType

from tests.mail_servers.programs import free_port, listens, wait_until

CONFIGURATION = Path(__file__).parents[2] / "deploy/rspamd/hamlet-proxy.conf"


class RspamdProxy:
    """A proxy on `port` with the file of deploy/rspamd, but for the addresses.

    Args:
        folder: an empty one.
        backend: host:port.
        milter: whether it speaks with a mail server, as the file says, or with rspamc.
    """

    def __init__(self, folder: Path, backend: str, *, milter: bool = True) -> None:
        self.port = free_port()
        self.log = folder / "rspamd.log"
        configuration = folder / "rspamd.conf"
        lines_of_guide = CONFIGURATION.read_text().replace("127.0.0.1:11332", f"127.0.0.1:{self.port}")
        lines_of_guide = lines_of_guide.replace("127.0.0.1:8000", backend)
        configuration.write_text(lines_of_guide if milter else lines_of_guide.replace("milter = true;", ""))
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
