import shutil
import signal
import uuid

import pytest
from selenium import webdriver

pytest.register_assert_rewrite("harness", "readback")

from harness import PATIENCE, WSCHAT, Endpoint, LocalCloud


def pytest_configure():
    if not WSCHAT.is_file():
        raise pytest.UsageError(f"{WSCHAT} is not there: build it, or name another with WSCHAT_BIN")
    # A signal that ends the test run must also end the processes that it started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    """A local cloud that tests share; each test uses its own names."""
    with LocalCloud(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud


@pytest.fixture(params=["plain", "tls"])
def aws(cloud, request) -> Endpoint:
    """The local cloud's endpoint for boto3, over HTTP and over TLS."""
    return getattr(cloud, request.param)


@pytest.fixture
def name() -> str:
    """A unique name."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="module")
def chromium():
    """Debian's Chromium without a screen, driven by Selenium."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not browser or not driver:
        pytest.fail("These tests drive Chromium, which is not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chromium.set_script_timeout(PATIENCE)
    yield chromium
    chromium.quit()
