"""docs/mail-servers.md says what is there; what it tells people to run is run by the other tests of this folder."""

import re
from pathlib import Path

from service.settings import Settings, variable
from tests.mail_servers import postfix, rspamd_proxy

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/mail-servers.md").read_text()
MILTER = "smtpd_milters = inet:127.0.0.1:11332\nmilter_default_action = tempfail\n"


def test_what_the_guide_names_exists() -> None:
    """Files and settings, by their names."""
    for path in re.findall(r"(?:deploy|tests|docs)/[\w./*-]+", GUIDE):
        assert list(ROOT.glob(path.rstrip("."))), path
    assert set(re.findall(r"HAMLET_[A-Z_]+", GUIDE)) - {"HAMLET_SPAM", "HAMLET_HAM", "HAMLET_UNSURE"} <= {
        variable(name) for name in Settings.model_fields
    }


def test_the_lines_for_postfix_are_those_that_were_run() -> None:
    """The milter of the guide listens where Postfix is told to look; the tests change the port alone."""
    assert MILTER in GUIDE
    assert "127.0.0.1:11332" in rspamd_proxy.CONFIGURATION.read_text()
    assert "milter_default_action = tempfail\n" in postfix.MAIN
    assert "smtpd_milters=inet:127.0.0.1:{milter}" in postfix.CHECKED
