"""Settings are checked before anything starts."""

import os
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from service.serve import main
from service.settings import NO_MORE_THAN, Settings, load_settings, unknown_variables, variable


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of the machine that runs the tests do not count."""
    for name in [name for name in os.environ if name.startswith("HAMLET_")]:
        monkeypatch.delenv(name)


def test_settings_that_contradict_each_other_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message limit above the request limit fails at start, and the sentence has both names and values."""
    monkeypatch.setenv("HAMLET_MAX_MESSAGE_BYTES", "2000")
    monkeypatch.setenv("HAMLET_MAX_REQUEST_BYTES", "1000")
    with pytest.raises(ConfigError, match=r"HAMLET_MAX_MESSAGE_BYTES must be .* HAMLET_MAX_REQUEST_BYTES, got 2000"):
        load_settings()


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with 2 and one sentence, without a traceback and before the slow imports."""
    monkeypatch.setenv("HAMLET_PORT", "eighty")
    assert main([]) == 2
    told = capsys.readouterr().err
    assert "HAMLET_PORT" in told
    assert "Traceback" not in told


def test_keys_are_split_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas separate keys, blanks do not count, and printing the settings does not print them."""
    monkeypatch.setenv("HAMLET_API_KEYS", " alpha ,beta,, ")
    settings = load_settings()
    assert [key.get_secret_value() for key in settings.api_keys] == ["alpha", "beta"]
    assert "alpha" not in repr(settings)


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`HAMLET_MODELS=` and `HAMLET_API_KEYS=` in a compose file mean unset."""
    monkeypatch.setenv("HAMLET_MODELS", "")
    monkeypatch.setenv("HAMLET_API_KEYS", "")
    assert (load_settings().models, load_settings().api_keys) == (None, ())


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/x", "postgresql://u:secret@h:port/x", "feedback.db"],
)
def test_feedback_goes_to_disk_or_the_service_does_not_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    """A database that keeps nothing, or that we do not know, is refused by name, and its password is not printed."""
    monkeypatch.setenv("HAMLET_DATABASE_URL", url)
    assert main([]) == 2
    told = capsys.readouterr().err
    assert "HAMLET_DATABASE_URL" in told
    assert "secret" not in told


def test_a_misspelt_setting_is_noticed() -> None:
    """Variables with our prefix that are no settings are named, so that a typing mistake is not silent."""
    environment = {"HAMLET_PROT": "1", "HAMLET_PORT": "1", "hamlet_host": "x", "PATH": "/"}
    assert unknown_variables(environment) == ["HAMLET_PROT"]


def test_every_setting_is_described() -> None:
    """Each has a sentence for the table, and the pairs that are checked exist."""
    for name, field in Settings.model_fields.items():
        assert field.description, variable(name)
    assert {name for pair in NO_MORE_THAN for name in pair} <= set(Settings.model_fields)


def test_help_lists_the_settings(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m service --help` says what can be set."""
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert all(variable(name) in told for name in Settings.model_fields)


@pytest.mark.parametrize("value", ["http://example.org/models", "s3://", "S4://bucket"])
def test_a_store_of_no_known_kind_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The sentence names the variable and what may stand there."""
    monkeypatch.setenv("HAMLET_MODELS", value)
    with pytest.raises(ConfigError, match=r"HAMLET_MODELS: .*://"):
        load_settings()


def test_a_file_url_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no cache and no package."""
    monkeypatch.setenv("HAMLET_MODELS", "file:///srv/models")
    assert load_settings().models == Path("/srv/models")
