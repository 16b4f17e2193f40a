"""Every setting of the service: read from the environment, checked against each other before anything starts."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from classifier.errors import ConfigError
from classifier.store_urls import check_store_url
from classifier.threads import available_cores
from service.feedback.urls import check_database_url

PREFIX = "HAMLET_"
# Of the Makefile and the tests: where the mail for training lies, and a server for databases that tests make.
NOT_OURS = {"HAMLET_CORPORA", "HAMLET_TEST_POSTGRES"}
KIB = 1024
MIB = 1024 * KIB

# "no more than" pairs: the service cannot keep its promises when the first is the larger one.
NO_MORE_THAN = (
    ("max_message_bytes", "max_request_bytes"),
    ("max_request_bytes", "max_buffered_bytes"),
    ("max_messages_per_request", "max_messages_in_flight"),
    ("max_batch_messages", "max_messages_in_flight"),
    ("max_batch_tokens", "max_queued_tokens"),
    ("batch_wait_ms", "request_timeout_ms"),
)


class Settings(BaseSettings):
    """The settings; each is the environment variable of its name with HAMLET_ before it."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(1, ge=1, description="Processes that share the port; each has a model and limits of its own.")
    models: Path | str | None = Field(
        None,
        description="Folder of model versions with a file `active` naming one, or the URL of one in an object store "
        "(`s3://bucket/folder`, `gs://...`); the bundled model without it.",
    )
    models_cache: Path | None = Field(
        None,
        description="Where versions from an object store are kept here; `~/.cache/hamlet/models` without it.",
    )
    models_poll_s: float = Field(
        2.0, gt=0, description="How often each process looks whether the file `active` names another version."
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Comma-separated keys for scoring (`Authorization: Bearer`); without any, scoring is open. "
        "A full service says 429 before it looks at the key.",
    )
    admin_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Comma-separated keys for admin calls; without any, these are taken from this machine only."
    )
    database_url: SecretStr | None = Field(
        None,
        description="Where feedback is kept: `sqlite:///path` or `postgresql://user@host/name`; "
        "without it, the file `~/.local/state/hamlet/feedback.db`.",
    )
    database_connections: int = Field(4, ge=1, description="Connections of one process to that database.")
    database_timeout_ms: int = Field(
        5_000, ge=1, description="Longest wait for that database; then 503, for feedback alone."
    )
    feedback_retention_days: int = Field(
        365, ge=1, le=36_500, description="A message of which nothing was said for so long is forgotten."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")

    max_messages_per_request: int = Field(256, ge=1, description="Messages in one request.")
    max_explained_messages: int = Field(
        16, ge=1, description="Messages in one request with `explain`; each takes the time of several."
    )
    max_message_bytes: int = Field(10 * MIB, ge=1, description="Bytes of one message, as it stands on the wire.")
    max_request_bytes: int = Field(32 * MIB, ge=1, description="Bytes of one request body, counted while it arrives.")
    max_buffered_bytes: int = Field(
        256 * MIB, ge=1, description="Bytes of all bodies held at one time; mail to learn, decompressed."
    )
    max_header_bytes: int = Field(64 * KIB, ge=1 * KIB, description="Bytes of the request line and HTTP headers.")
    max_mime_parts: int = Field(200, ge=1, description="MIME parts read from one message.")
    max_mime_depth: int = Field(20, ge=1, description="Levels of MIME nesting read in one message.")
    max_decoded_bytes: int = Field(2 * MIB, ge=1, description="Bytes of decoded parts read from one message.")

    request_timeout_ms: int = Field(
        30_000, ge=1, description="Longest time for one request; `X-Request-Timeout-Ms` can only shorten it."
    )
    max_messages_in_flight: int = Field(2048, ge=1, description="Messages being parsed, queued or scored; then 429.")
    max_queued_tokens: int = Field(1_000_000, ge=1, description="Tokens waiting for the model; then 429.")
    max_batch_messages: int = Field(64, ge=1, description="Messages in one batch.")
    max_batch_tokens: int = Field(49_152, ge=1, description="Padded tokens in one batch: longest x messages.")
    batch_wait_ms: float = Field(
        0.0, ge=0, description="How long the first message waits for company; 0 sends it when the model is free."
    )
    lookahead_batches: int = Field(4, ge=1, description="Batches ahead searched for messages of similar length.")

    device: Literal["auto", "cpu"] = Field(
        "auto",
        description="What runs the LSTM: `auto` is a GPU where torch sees one (CUDA), else the CPU. Each worker needs "
        "its own memory there.",
    )
    inference_threads: int = Field(
        1, ge=1, description="Threads of one inference; one is fastest for a network of the bundled size."
    )
    parse_process: bool | None = Field(
        None,
        description="Whether each worker parses in a process of its own; without it, where there are more cores than "
        "workers.",
    )
    parse_threads: int = Field(
        1,
        ge=1,
        description="Threads that parse large messages, those to be explained, and all of them where no process does; "
        "more let small ones pass a large one, and refusals come later.",
    )
    rspamd_reject: bool = Field(
        False, description="Tell mail servers that speak rspamd's protocol to reject spam, not only to mark it."
    )
    rspamd_mark_unsure: bool = Field(
        False, description="Tell them to mark also what the model is not sure of; else it is delivered as it is."
    )
    stall_s: float = Field(30.0, gt=0, description="A batch that runs longer than this makes the service not ready.")
    drain_delay_s: float = Field(
        0.0, ge=0, description="Time between not ready and refusing work on SIGTERM, for load balancers to notice."
    )
    drain_timeout_s: float = Field(30.0, gt=0, description="Time to finish accepted work after that.")

    @field_validator("api_keys", "admin_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value

    @property
    def has_parse_process(self) -> bool:
        """Whether each worker has a process that parses."""
        return available_cores() > self.workers if self.parse_process is None else self.parse_process

    @field_validator("models", "models_cache", "database_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value  # what `HAMLET_MODELS=` in a compose file means

    @field_validator("models")
    @classmethod
    def _is_folder_or_store(cls, value: Path | str | None) -> Path | str | None:
        if not isinstance(value, str):
            return value
        if "://" not in value:
            return Path(value)
        if value.startswith("file://"):
            return Path(value.removeprefix("file://"))
        try:
            check_store_url(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("database_url")
    @classmethod
    def _keeps_feedback(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                check_database_url(value.get_secret_value())
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _check_each_other(self) -> Self:
        for smaller, larger in NO_MORE_THAN:
            low, high = getattr(self, smaller), getattr(self, larger)
            if low > high:
                raise ValueError(
                    f"{variable(smaller)} must be no more than {variable(larger)}, got {low:g} and {high:g}"
                )
        return self


def variable(field: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + field.upper()


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        ConfigError: one sentence a problem, naming the variables; values of keys are never shown.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_input=False, include_url=False):
            message = problem["msg"].removeprefix("Value error, ")
            field = ".".join(str(part) for part in problem["loc"][:1])
            problems.append(f"{variable(field)}: {message}" if field else message)
        raise ConfigError("; ".join(problems) + ".") from None


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the variables that look like settings but are none, most likely misspelt."""
    known = {variable(field) for field in Settings.model_fields} | NOT_OURS
    return sorted(name for name in environment if name.upper().startswith(PREFIX) and name.upper() not in known)
