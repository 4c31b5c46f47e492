"""Web pages that call the local cloud with the AWS SDK for JavaScript, in a real browser."""

import http.server
import json
import subprocess
import threading

import pytest

from harness import INSTALLING, LocalCloud, free_port, wschat

# What is bundled for the page.
BUNDLED = """
export { DescribeTableCommand, DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb";
"""

# Sends calls, and returns what of their answers the page can read.
CALL = """
const [port, key, secret, done] = arguments;
const { DescribeTableCommand, DynamoDBClient, ListTablesCommand } = window.sdk;
const client = new DynamoDBClient({
  endpoint: `http://localhost:${port}`,
  region: "us-east-1",
  credentials: { accessKeyId: key, secretAccessKey: secret },
  maxAttempts: 1,
});
const sent = async (command) => {
  try {
    const answer = await client.send(command);
    return { tables: answer.TableNames, request: answer.$metadata.requestId };
  } catch (error) {
    return { error: error.name, request: error.$metadata?.requestId };
  }
};
sent(new ListTablesCommand({}))
  .then(async (listed) => done([listed, await sent(new DescribeTableCommand({ TableName: "nowhere" }))]));
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A folder with a page that has the SDK."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "entry.mjs").write_text(BUNDLED)
    install = ("npm", "install", "--silent", "--no-audit", "--no-fund", "@aws-sdk/client-dynamodb@3", "esbuild@0.25")
    subprocess.run(install, cwd=folder, check=True, timeout=INSTALLING)
    options = ("--bundle", "--format=iife", "--global-name=sdk", "--outfile=www/sdk.js", "--log-level=error")
    bundle = ("npx", "--no-install", "esbuild", "entry.mjs", *options)
    subprocess.run(bundle, cwd=folder, check=True, timeout=INSTALLING)
    (folder / "www/index.html").write_text('<!doctype html><title>page</title><script src="sdk.js"></script>')
    return folder / "www"


@pytest.fixture(scope="module")
def served(pages):
    """The port on which the page is served, on all names of loopback."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=pages)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory, served):
    """A local cloud that lets pages of localhost call it, and no others."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), ("--origin", f"http://localhost:{served}")) as cloud:
        variables = json.loads(wschat("env", "--json", "--data", cloud.data))["variables"]
        cloud.key, cloud.secret = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
        yield cloud


def call(chromium, page: str, cloud: LocalCloud, key: str) -> list[dict]:
    chromium.get(page)
    return chromium.execute_async_script(CALL, cloud.port, key, cloud.secret)


def test_a_page_of_a_named_origin_calls_with_the_sdk(chromium, served, cloud):
    listed, described = call(chromium, f"http://localhost:{served}/", cloud, cloud.key)
    assert listed["tables"] == [] and listed["request"], listed
    assert described["error"] == "ResourceNotFoundException" and described["request"], described


def test_a_page_of_a_named_origin_needs_the_access_key(chromium, served, cloud):
    listed, _ = call(chromium, f"http://localhost:{served}/", cloud, "AKIAIOSFODNN7EXAMPLE")
    assert listed["error"] == "UnrecognizedClientException", listed


def test_a_page_of_another_origin_does_not_get_through(chromium, served, cloud):
    # Another host name is another origin; the page is the same.
    listed, described = call(chromium, f"http://127.0.0.1:{served}/", cloud, cloud.key)
    for answer in (listed, described):
        assert answer["error"] == "TypeError" and not answer.get("request"), answer
    assert "blocked by CORS policy" in "".join(line["message"] for line in chromium.get_log("browser"))
