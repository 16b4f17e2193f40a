"""The view of the model: the card, the versions and who may change them, and what the service does now."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.browser import Visit
from tests.page.conftest import ADMIN_KEY
from tests.service.process import Process
from tests.service.versions import MAILS, Versions


@pytest.fixture(autouse=True)
def first_again(service: Process, versions: Versions) -> Iterator[None]:
    """Put the first version back into service."""
    yield
    service.client.post(f"/v1/models/{versions.first}/activate", headers={"Authorization": f"Bearer {ADMIN_KEY}"})


def test_the_card_and_its_figures_are_shown(window: Visit, service: Process) -> None:
    """What GET /v1/model says of the version in service, for the test part and for later mail."""
    page = window.open("#model")
    model = service.client.get("/v1/model").json()
    page.wait_for_selector(".figures")
    assert model["digest"] in page.inner_text(".identity")
    for part in ("test", "later"):
        page.click(f".segments >> text={part}")
        caught = model["metrics"][part]["all"]["spam_caught"]["value"]
        assert f"{100 * caught:.1f} %" in page.inner_text("#model-card .figures")
    names = page.locator("#model-card svg").evaluate_all("all => all.map((at) => at.getAttribute('aria-label'))")
    assert [name.split(":")[0] for name in names if not name.startswith("Reliability")] == ["ROC", "Learning"]
    page.click("text=By collection of mail")
    expect(page.locator("th >> text=enron-spam")).to_be_visible()


def test_curves_of_a_card_are_drawn(window: Visit) -> None:
    """Where the card holds the points of ROC and reliability, the pictures have them all."""
    page = window.open("#model")
    drawn = page.evaluate(
        """async () => {
            const { roc, reliability } = await import("/page/pictures.js");
            const of = (value) => ({ value, low: value - 0.01, high: value + 0.01 });
            const all = { ham: 1000, spam: 1000, ham_lost: of(0.02), spam_caught: of(0.9) };
            const curve = roc(all, { ham_lost: [0, 0.01, 0.1, 1], spam_caught: [0.5, 0.8, 0.95, 1] });
            const bins = { probability: [0.1, 0.5, 0.9], spam_share: [0.1, 0.4, 0.95], messages: [90, 10, 400] };
            return [
                curve.querySelector("polyline.series-1").points.length,
                reliability(bins).querySelectorAll("circle").length,
                reliability(undefined),
            ];
        }"""
    )
    assert drawn == [7, 3, None]


def test_activating_takes_the_admin_key(window: Visit, service: Process, versions: Versions) -> None:
    """Without a right key the dialog says so and stays; with it the other version is in service, and back again."""
    window.expected.append("status of 401")
    page = window.open("#model")
    entry = page.locator(".versions li", has_text=versions.second)
    entry.locator("button").click()
    page.fill("#dialog-key", "a guess")
    page.click("#dialog-yes")
    expect(page.locator("#dialog-error")).to_have_text("This key does not open it.")
    assert service.client.get("/v1/model").json()["version"] == versions.first
    page.fill("#dialog-key", ADMIN_KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#dialog")).to_be_hidden()
    expect(page.locator(".versions li.active strong")).to_have_text(versions.second)
    assert service.client.get("/v1/model").json()["version"] == versions.second
    # The key is remembered, so the way back is a yes alone.
    page.locator(".versions li", has_text=versions.first).locator("text=Roll back to this").click()
    page.click("#dialog-yes")
    expect(page.locator(".versions li.active strong")).to_have_text(versions.first)
    assert ADMIN_KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    page.reload()
    page.locator(".versions li", has_text=versions.second).locator("button").click()
    page.click("#dialog-yes")
    expect(page.locator("#dialog-error")).to_have_text("This key does not open it.")


def test_versions_that_cannot_be_served_say_why(window: Visit, versions: Versions) -> None:
    """A torn one has no button; one that gives wrong scores is refused in the dialog, and nothing changes."""
    window.expected.append("status of 409")
    page = window.open("#model")
    torn = page.locator(".versions li", has_text=versions.torn)
    expect(torn).to_contain_text("It cannot be served")
    assert torn.locator("button").count() == 0
    page.locator(".versions li", has_text=versions.wrong).locator("button").click()
    page.fill("#dialog-key", ADMIN_KEY)
    page.click("#dialog-yes")
    expect(page.locator("#dialog-error")).to_contain_text("golden")
    page.click("#dialog-no")
    expect(page.locator(".versions li.active strong")).to_have_text(versions.first)


def test_what_it_does_now_is_drawn(window: Visit, service: Process) -> None:
    """Messages that are scored while somebody looks show as a rate, a time and a distribution."""
    page = window.open("#model")
    page.wait_for_selector("#live .figures li")
    before = int(page.inner_text("#live .figures strong").replace(",", ""))
    service.scores(MAILS[:8])
    expect(page.locator("#live .figures strong").first).to_have_text(f"{before + 8:,}")
    assert page.locator("#live .chart .bar").count() > 10
    assert page.locator("#live .series-1").count() >= 1


def test_metrics_are_read_as_prometheus_reads_them(window: Visit, service: Process) -> None:
    """Sums and quantiles of the page are those of the client library, within a bucket."""
    service.scores(MAILS[:4])
    window.open()
    found = window.page.evaluate(
        """async (text) => {
            const { buckets, difference, parse, quantile, sum } = await import("/page/prometheus.js");
            const samples = parse(text);
            const now = buckets(samples, "hamlet_request_seconds", ({ route }) => route === "/v1/predict");
            return {
                predictions: sum(samples, "hamlet_predictions_total"),
                requests: now.reduce((all, { count }) => all + count, 0),
                median: quantile([{ below: 1, count: 2 }, { below: 2, count: 2 }, { below: Infinity, count: 0 }], 0.75),
                nothing: Number.isNaN(quantile(difference(now, now), 0.5)),
            };
        }""",
        service.fresh_get("/metrics").text,
    )
    counted = sum(service.metric("hamlet_predictions_total", verdict=verdict) for verdict in ("ham", "unsure", "spam"))
    assert found["predictions"] == counted
    assert found["requests"] == service.metric("hamlet_request_seconds_count", route="/v1/predict")
    assert (found["median"], found["nothing"]) == (1.5, True)
