"""A swap of versions every second under load: every reply has the scores of the version that it names."""

import base64
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.in_process import score_alone
from tests.benchmarks.load import JSON, Work, closed_loop
from tests.benchmarks.mail import json_bodies, sample_mail
from tests.benchmarks.results import Result, Table, milliseconds
from tests.benchmarks.running import hamlet, model_folder, url

CLIENTS = 8
BATCH_MESSAGES = 8
ADMIN_KEY = "benchmark"
EVERY_S = 1.0
SCORE_TOLERANCE = 1e-4  # of the contract; rounding, which depends on the machine
MIXED_UP_FROM = 1e-3  # more than rounding


def measure(*, quick: bool) -> Result:
    """Serve two versions in turn, and compare every score with that of the version, computed in process."""
    swaps = 5 if quick else 60
    raws = sample_mail(512).raws
    bodies = json_bodies(raws, BATCH_MESSAGES)
    with tempfile.TemporaryDirectory() as name:
        models = Path(name)
        versions = _two_versions(models)
        wanted = {version: [alone.probability for alone in score_alone(models / version, raws)] for version in versions}
        differ = sum(abs(one - other) > 2 * MIXED_UP_FROM for one, other in zip(*wanted.values(), strict=True))
        with (
            hamlet(HAMLET_MODELS=str(models), HAMLET_ADMIN_KEYS=ADMIN_KEY) as service,
            ProcessPoolExecutor(1, get_context("spawn")) as process,
        ):
            work = Work(url(service), bodies, JSON, BATCH_MESSAGES)
            seconds = (swaps + 2) * EVERY_S
            answers = process.submit(closed_loop, work, clients=CLIENTS, seconds=seconds, warm_up_s=0, keep=True)
            service.wait_until(lambda: service.client.get("/health").json()["queue"]["messages_in_flight"] > 0)
            swap_s, statuses = [], []
            begun = time.monotonic()
            for number in range(swaps):
                time.sleep(max(begun + number * EVERY_S - time.monotonic(), 0))
                started = time.monotonic()
                answer = service.client.post(
                    f"/v1/models/{versions[(number + 1) % 2]}/activate",
                    headers={"Authorization": f"Bearer {ADMIN_KEY}"},
                )
                swap_s.append(time.monotonic() - started)
                statuses.append(answer.status_code)
            replies = answers.result()
    apart, named = [0.0], dict.fromkeys(versions, 0)
    for body, status, text in zip(replies.body, replies.status, replies.text, strict=True):
        if status == 200:
            answered = json.loads(text)
            version = answered["model"]["version"]
            named[version] += 1
            for place, one in enumerate(answered["results"]):
                right = wanted[version][body * BATCH_MESSAGES + place]
                apart.append(abs(one["spam_probability"] - right))
    result = Result(
        notes=[f"{CLIENTS} clients, batches of {BATCH_MESSAGES}; the versions differ on {differ} of {len(raws)} mails."]
    )
    rows = [(version, f"{count:,}") for version, count in named.items()]
    result.tables.append(Table(("version", "replies"), rows))
    result.exactly("swaps that were carried out", statuses.count(200), swaps)
    result.exactly("requests without a 200", len(replies.status) - replies.count(200), 0)
    wrong = sum(difference > MIXED_UP_FROM for difference in apart)
    result.exactly("scores that are not those of the version named", wrong, 0)
    result.at_most("largest difference of a score from that alone", max(apart), SCORE_TOLERANCE)
    result.at_least("replies of the version that was seen less", min(named.values()), 1)
    result.notes.append(
        f"Replies p50 {milliseconds(replies.quantile_s(0.5))} ms, p99 {milliseconds(replies.quantile_s(0.99))} ms; "
        f"activation, median {milliseconds(sorted(swap_s)[len(swap_s) // 2])} ms."
    )
    return result


def _two_versions(models: Path) -> tuple[str, str]:
    """Write the model in service and a copy with smaller weights, each with the golden scores that it gives."""
    from classifier.artifact import activate, load_artifact, save_artifact
    from classifier.pipeline import SpamClassifier

    original = load_artifact(model_folder())
    # Other weights, and a slope that moves every score, also those near 0 and 1.
    altered = replace(
        original,
        weights={name: tensor * 0.8 for name, tensor in original.weights.items()},
        calibration=replace(original.calibration, slope=original.calibration.slope / 4),
    )
    versions = []
    for artifact in (original, altered):
        classifier = SpamClassifier(artifact)
        golden = []
        for message in original.golden:
            raw = base64.b64decode(message.raw_base64)
            golden.append(replace(message, spam_probability=classifier.score([classifier.prepare(raw)])[0].probability))
        versions.append(save_artifact(replace(artifact, golden=golden), models, "2026.01.01").name)
    activate(models, versions[0])
    return versions[0], versions[1]
