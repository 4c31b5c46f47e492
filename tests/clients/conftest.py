import signal
import uuid

import pytest

pytest.register_assert_rewrite("harness", "readback")

from harness import WSCHAT, Endpoint, LocalCloud


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
