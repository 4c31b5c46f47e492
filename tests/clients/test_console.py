"""The console in a real browser: Debian's Chromium, driven by Selenium."""

import http.client
import http.server
import json
import re
import threading

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness import PATIENCE, REGION, LocalCloud, wait_until, wschat

STACK = "console"

HANDLER = """
export const handler = async (event) => {
  const { routeKey } = event.requestContext;
  const body = event.body && JSON.parse(event.body);
  console.log(`handling ${routeKey}`, body?.message ?? "");
  if (routeKey === "fail") throw new Error("broken on purpose");
  if (routeKey === "odd") return "no proxy response";
  return { statusCode: 200, body: body?.message };
};
"""

HEAD = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: { Name: chat, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action }
  Rooms:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{ AttributeName: room, AttributeType: S }, { AttributeName: at, AttributeType: N }]
      KeySchema: [{ AttributeName: room, KeyType: HASH }, { AttributeName: at, KeyType: RANGE }]
      StreamSpecification: { StreamViewType: NEW_AND_OLD_IMAGES }
  Worker:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs22.x, Handler: index.handler, CodeUri: code/ }
  Locked:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs22.x, Handler: index.handler, CodeUri: code/ }
  WorkerPermission:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Worker
      Principal: apigateway.amazonaws.com
      SourceArn: !Sub arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*
  Deployment:
    Type: AWS::ApiGatewayV2::Deployment
    DependsOn: [RouteConnect, RouteDisconnect, RouteEcho, RouteFail, RouteOdd, RouteLocked]
    Properties: { ApiId: !Ref Api }
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: { ApiId: !Ref Api, StageName: test, DeploymentId: !Ref Deployment }
Outputs:
  Uri: { Value: !Sub "wss://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${Stage}" }
""".partition("  Deployment:")

ROUTE = """
  Integration{id}:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{{function}.Arn}}/invocations
  Route{id}:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: {key}
      RouteResponseSelectionExpression: {expression}
      Target: !Sub integrations/${{Integration{id}}}
"""

RESPONSE = """
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: { ApiId: !Ref Api, RouteId: !Ref RouteEcho, RouteResponseKey: $default }
"""


def template() -> str:
    keys = {"Connect": "$connect", "Disconnect": "$disconnect", "Echo": "echo", "Fail": "fail", "Odd": "odd", "Locked": "locked"}
    routes = ""
    for name, key in keys.items():
        text = ROUTE.format(id=name, key=key, function="Locked" if key == "locked" else "Worker", expression="$default")
        routes += text if key == "echo" else text.replace("      RouteResponseSelectionExpression: $default\n", "")
    before, deployment, after = HEAD
    after = after.replace("[RouteConnect", "[Response, RouteConnect")
    return before + routes.lstrip("\n") + RESPONSE + deployment + after


class Served:
    """A deployed stack on a local cloud, and the way into its console."""

    def __init__(self, cloud: LocalCloud, uri: str):
        self.cloud, self.uri, self.port = cloud, uri, cloud.port
        self.record = json.loads((cloud.data / "process.json").read_text())
        (self.table,) = cloud.plain.client("dynamodb").list_tables()["TableNames"]

    def request(self, method: str, path: str, headers: dict = {}, body: bytes | None = None):
        """An answer's status, headers and text. `headers` may name another Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in ({"Host": f"localhost:{self.port}"} | headers).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read().decode()

    def ticket(self) -> str:
        status, _, text = self.request("POST", "/_wschat/ticket", {"x-wschat-token": self.record["token"]})
        assert status == 200, text
        return json.loads(text)["ticket"]

    def url(self) -> str:
        return f"http://localhost:{self.port}/_wschat/console?ticket={self.ticket()}"

    def cookie(self) -> str:
        status, headers, _ = self.request("GET", f"/_wschat/console?ticket={self.ticket()}")
        assert status == 303
        return headers["set-cookie"].partition(";")[0]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("console")
    (folder / "code").mkdir()
    (folder / "code/index.mjs").write_text(HANDLER)
    (folder / "template.yaml").write_text(template())
    with LocalCloud(folder / ".wschat") as cloud:
        target = ("--local", "--data", cloud.data, "--stack", STACK)
        uri = wschat("up", *target, "--template", folder / "template.yaml", "--yes", cwd=folder).strip().splitlines()[-1]
        yield Served(cloud, uri)


class Page:
    """The console in the browser."""

    def __init__(self, driver, served: Served):
        self.driver, self.served = driver, served
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        driver.get(served.url())
        assert driver.current_url == f"http://localhost:{served.port}/_wschat/console"
        driver.execute_script("sessionStorage.clear()")
        driver.refresh()
        wait_until(lambda: self.one("#live").text == "live", "the feed is live")
        wait_until(lambda: self.one("#pane-A .top button").is_enabled(), "the stage is known")

    def all(self, css: str):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css: str) -> str:
        """The text of the elements, hidden or not, as it is at one moment."""
        return self.driver.execute_script("return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent).join('\\n')", css)

    def press(self, keys: str):
        ActionChains(self.driver).send_keys(keys).perform()

    def focus(self, *words: str):
        """Focuses the first row with these words, which the page may draw again in between."""

        def focused() -> bool:
            try:
                self.driver.execute_script("arguments[0].focus()", self.rows(*words)[0])
            except (IndexError, StaleElementReferenceException):
                return False
            return True

        wait_until(focused, f"a row with {words} is focused")

    def leave_fields(self):
        self.driver.execute_script("document.activeElement.blur()")

    def connect(self, pane: str):
        self.one(f"#pane-{pane} .top button").click()
        wait_until(lambda: "open" in self.one(f"#pane-{pane}").get_attribute("class").split(), f"{pane} is connected")

    def say(self, pane: str, message: dict | str):
        text = message if isinstance(message, str) else json.dumps(message)
        self.one(f"#pane-{pane} .compose textarea").send_keys(text, Keys.ENTER)

    def rows(self, *words: str, css: str = "#timeline-rows .row"):
        """The rows whose line has all of these words."""
        found = self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])].filter((row) => arguments[1].every("
            "(word) => row.querySelector('.line').textContent.includes(word)))", css, list(words))
        return found

    def row(self, *words: str, css: str = "#timeline-rows .row"):
        return wait_until(lambda: self.rows(*words, css=css), f"a row has {words}")[-1]

    def opened(self, *words: str, until: str) -> str:
        """Opens a row, and waits until its detail has a text; returns all of its text."""
        row = self.row(*words)
        if row.get_attribute("aria-expanded") != "true":
            self.driver.execute_script("arguments[0].querySelector('.line').click()", row)
        text = lambda: self.driver.execute_script("return arguments[0].querySelector('.detail')?.textContent ?? ''", row)
        wait_until(lambda: until in text(), f"the detail of {words} has {until!r}, not {text()!r}")
        return text()

    def fill(self, css: str, text: str):
        self.driver.execute_script("arguments[0].value = arguments[1]", self.one(css), text)

    def problems(self):
        """What the browser complained about: violated policies, errors of the script. It also notes answers of 409 and 410."""
        severe = [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]
        return [message for message in severe if not re.search(r"responded with a status of (409|410) ", message)]


@pytest.fixture
def page(chromium, served):
    page = Page(chromium, served)
    page.problems()
    yield page
    assert page.problems() == []


def test_a_message_is_followed_from_the_client_to_the_log_line(page):
    page.connect("A")
    page.say("A", {"action": "echo", "message": "hello there"})
    wait_until(lambda: "hello there" in page.text("#pane-A .bubble:not(.mine)"), "the answer arrives")
    text = page.opened("echo", "hello there", "Worker", "✓", until="handling echo hello there")
    assert "success" in text and re.search(r"\d ms", text) and "of 128 MB" in text
    # The answer is a row of its own.
    assert page.rows("answer", "hello there")
    # Both panes are labelled where their connections are.
    page.connect("B")
    assert "B" in wait_until(lambda: page.rows("$connect", "connected", "B"), "B is known")[-1].text

    # The same invocation in its list.
    page.leave_fields()
    page.press("3")
    row = page.row("Worker", "echo", css="#invocation-rows .row")
    page.driver.execute_script("arguments[0].querySelector('.line').click()", row)
    assert "handling echo hello there" in row.text

    # Filters.
    page.press("1")
    page.press("/")
    page.press("hello there")
    wait_until(lambda: page.rows("echo") and not page.rows("$connect"), "only the message is shown")
    page.press(Keys.ESCAPE)
    page.one("#search").clear()
    page.driver.execute_script("document.getElementById('search').dispatchEvent(new Event('input'))")
    page.one("#show-logs").click()
    page.row("Worker", "handling $connect")


def test_why_a_request_failed_is_said_in_words(page):
    page.connect("A")
    for action, words, until in [
        ("fail", ["fail", "✕ 502"], "failed: Error: broken on purpose"),
        ("odd", ["odd", "✕ 502"], "returned something that is not a proxy response"),
        ("locked", ["locked", "✕ 500"], "does not let API Gateway invoke it"),
        ("nowhere", ["no route", "✕ 403"], 'selects the route "nowhere"'),
    ]:
        page.say("A", {"action": action})
        text = page.opened(*words, until=until)
        assert "Where:" in text and "What to do:" in text, text
    assert "handling fail" in page.opened("fail", "✕ 502", until="handling fail")
    assert "AWS::Lambda::Permission" in page.opened("locked", "✕ 500", until="Permission")
    wait_until(lambda: len(page.all("#pane-A .bubble.error")) == 4, "the client got four errors")
    page.one("#only-failures").click()
    wait_until(lambda: page.rows("✕ 502") and not page.rows("connected"), "only failures are shown")


def test_a_stage_that_is_not_there_is_explained(page):
    page.served.request("GET", "/nothere/test", {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    })
    page.opened("refused: 403", until='No API "nothere" here serves a stage "test".')


def test_a_frame_is_replayed_on_its_connection_and_through_another(page):
    page.connect("A")
    page.say("A", {"action": "echo", "message": "once more"})
    wait_until(lambda: page.rows("echo", "once more", "✓"), "the message is handled")
    page.leave_fields()
    page.focus("echo", "once more", "✓")
    page.press("r")
    page.row("replayed", "once more", "✓")
    wait_until(lambda: page.text("#pane-A .bubble:not(.mine)").count("once more") == 2, "the client has two answers")

    # The gateway closes the connection; the frame goes through a new one.
    page.press("4")
    wait_until(lambda: page.all("#connection-rows tr"), "the connection is listed")
    # The rows are drawn again all the time.
    page.driver.execute_script("document.querySelector('#connection-rows td:nth-child(6) button:last-child').click()")
    wait_until(lambda: "closed: 1000" in page.text("#pane-A .event"), "the client learns that it was closed")
    page.press("1")
    page.row("closed by the gateway")
    page.focus("echo", "once more")
    page.press("r")
    wait_until(lambda: page.text("#pane-A .bubble.mine").count("once more") == 2, "pane A has sent it")
    wait_until(lambda: page.text("#pane-A .bubble:not(.mine)").count("once more") == 3, "and has the answer")


def test_rows_are_created_changed_and_deleted(page):
    dynamodb = page.served.cloud.plain.client("dynamodb")
    key = {"room": {"S": "lobby"}, "at": {"N": "7"}}
    item = lambda: dynamodb.get_item(TableName=page.served.table, Key=key).get("Item")
    dynamodb.put_item(TableName=page.served.table, Item=key | {"topic": {"S": "tea"}, "open": {"BOOL": True}})
    page.press("5")
    find = "const found = [...document.querySelectorAll('#row-grid td')].find((cell) => cell.textContent === arguments[0]);"
    cells = lambda text: page.driver.execute_script(find + "return Boolean(found)", text)
    click = lambda text: page.driver.execute_script(find + "found.click()", text)
    wait_until(lambda: cells("lobby"), "the row is shown")
    click("lobby")
    assert json.loads(page.one("#editor-text").get_property("value")) == {"room": "lobby", "at": 7, "topic": "tea", "open": True}

    page.fill("#editor-text", json.dumps({"room": "lobby", "at": 7, "topic": "coffee", "guests": ["a", 2]}))
    page.one("#editor button.main").click()
    wait_until(lambda: cells("coffee"), "the row is saved")
    assert item() == key | {"topic": {"S": "coffee"}, "guests": {"L": [{"S": "a"}, {"N": "2"}]}}

    # Somebody else is faster.
    dynamodb.put_item(TableName=page.served.table, Item=key | {"topic": {"S": "water"}})
    page.fill("#editor-text", json.dumps({"room": "lobby", "at": 7, "topic": "milk"}))
    page.one("#editor button.main").click()
    wait_until(lambda: "has changed since it was loaded" in page.text("#editor-problem"), "the page says so")
    assert item()["topic"] == {"S": "water"}

    # A set has no plain form.
    dynamodb.put_item(TableName=page.served.table, Item=key | {"tags": {"SS": ["x", "y"]}})
    page.one("#rows-refresh").click()
    wait_until(lambda: cells("{x, y}"), "the set is shown")
    click("lobby")
    assert json.loads(page.one("#editor-text").get_property("value"))["tags"] == {"SS": ["x", "y"]}
    assert not page.one("#editor input[value=plain]").is_enabled()

    page.one("#editor-delete").click()
    assert "lobby" in page.one("#confirm-text").text
    page.one("#confirm button[value=no]").click()
    assert item()
    page.one("#editor-delete").click()
    page.one("#confirm-yes").click()
    wait_until(lambda: not cells("lobby"), "the row is gone")
    assert item() is None

    page.one("#row-new").click()
    page.fill("#editor-text", json.dumps({"room": "new", "at": 1}))
    page.one("#editor button.main").click()
    wait_until(lambda: cells("new"), "the row is made")
    # Streams have what the page did.
    streams = page.served.cloud.plain.client("dynamodbstreams")
    (stream,) = streams.list_streams(TableName=page.served.table)["Streams"]
    (shard, *_) = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert {"INSERT", "MODIFY", "REMOVE"} == {record["eventName"] for record in records}
    assert records[-1]["dynamodb"]["Keys"] == {"room": {"S": "new"}, "at": {"N": "1"}}


def test_resources_are_shown_by_stack_and_keys_lead_everywhere(page):
    page.press("6")
    wait_until(lambda: page.served.uri in page.text("#resources"), "the API's address is shown")
    text = page.text("#resources")
    assert STACK in text and "Worker" in text and "nodejs22.x" in text and "room (S), at (N)" in text
    page.press("?")
    assert page.one("#keys").is_displayed()
    page.press(Keys.ESCAPE)
    assert not page.one("#keys").is_displayed()
    page.press("c")
    assert page.driver.switch_to.active_element == page.one("#pane-A .compose textarea")
    page.leave_fields()
    ground = lambda: page.driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    before = ground()
    page.press("t")
    page.press("t")
    assert page.one("#theme").text == "Dark" and ground() != before
    page.press("t")
    assert page.one("#theme").text == "Auto" and ground() == before


def test_texts_of_clients_are_texts(page):
    hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
    page.connect("A")
    page.say("A", {"action": "echo", "message": hostile})
    wait_until(lambda: hostile in page.text("#pane-A .bubble:not(.mine)"), "the answer arrives as it is")
    page.opened("answer", "<img", until=hostile)
    assert not page.all("#board img, #chat img, #board script") and page.driver.title == "wschat console"


def test_it_fits_a_narrow_screen(page):
    page.connect("A")
    page.say("A", {"action": "echo", "message": "x" * 300})
    wait_until(lambda: "xxx" in page.text("#pane-A .bubble:not(.mine)"), "the answer arrives")
    page.leave_fields()
    for width in (800, 360):
        page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 740, "deviceScaleFactor": 1, "mobile": False})
        for key in "123456":
            page.press(key)
            assert page.driver.execute_script("return document.documentElement.scrollWidth") == width, key
    assert not page.one("#chat").is_displayed()
    page.press("2")
    assert page.one("#chat").is_displayed() and not page.one("#board").is_displayed()


def test_the_way_in_is_a_ticket_that_works_once(served):
    assert served.request("POST", "/_wschat/ticket")[0] == 403
    assert served.request("POST", "/_wschat/ticket", {"x-wschat-token": "guess"})[0] == 403
    status, headers, text = served.request("GET", "/_wschat/console")
    assert status == 401 and "wschat open" in text
    assert served.request("GET", "/_wschat/console?ticket=guess")[0] == 401
    ticket = served.ticket()
    status, headers, _ = served.request("GET", f"/_wschat/console?ticket={ticket}")
    assert status == 303 and headers["location"] == "/_wschat/console"
    attributes = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/_wschat"} <= set(attributes)
    assert served.request("GET", f"/_wschat/console?ticket={ticket}")[0] == 401

    status, headers, text = served.request("GET", "/_wschat/console", {"Cookie": attributes[0]})
    assert status == 200 and "<title>wschat console</title>" in text
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ") and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["cache-control"] == "no-store"


PATHS = [
    ("GET", "/_wschat/api/state"),
    ("GET", "/_wschat/api/events"),
    ("GET", "/_wschat/api/events/1"),
    ("POST", "/_wschat/api/replay"),
    ("DELETE", "/_wschat/api/connections/x"),
    ("GET", f"/_wschat/api/tables/{REGION}/t"),
    ("PUT", f"/_wschat/api/tables/{REGION}/t"),
]


@pytest.mark.parametrize("method, path", PATHS)
def test_nobody_else_gets_in(served, method, path):
    json_type = {"Content-Type": "application/json"}
    body = b"{}" if method in ("POST", "PUT") else None
    inside = {"Cookie": served.cookie()} | json_type
    assert served.request(method, path, json_type, body)[0] == 401
    assert served.request(method, path, {"Cookie": inside["Cookie"] + "x"} | json_type, body)[0] == 401
    for refused in (
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "example.com"},
        {"Host": f"localhost.example.com:{served.port}"},
    ):
        status, headers, _ = served.request(method, path, inside | refused, body)
        assert status == 403, refused
        assert not any(name.lower().startswith("access-control-") for name in headers)
    if body:
        assert served.request(method, path, inside | {"Content-Type": "text/plain"}, body)[0] == 415 or "tables" in path


def test_a_page_of_another_port_can_neither_read_nor_drive_it(chromium, served):
    """It is the same site, so the browser sends it the cookie."""
    page = Page(chromium, served)
    page.connect("A")
    (connection,) = page.driver.execute_async_script("""
        const done = arguments[0];
        fetch('/_wschat/api/state').then((answer) => answer.json()).then((state) => done(state.connections.map((one) => one.id)));
    """)

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>other</title>")

        def log_message(self, *_):
            pass

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    chromium.switch_to.new_window("tab")
    try:
        chromium.get(f"http://localhost:{other.server_port}/")
        results = chromium.execute_async_script("""
            const [base, id, done] = arguments;
            const tries = [
              fetch(base + 'state', { credentials: 'include' }),
              fetch(base + 'connections/' + encodeURIComponent(id), { method: 'DELETE', credentials: 'include' }),
              fetch(base + 'replay', { method: 'POST', body: '{"seq":1}', mode: 'no-cors', credentials: 'include' }),
            ];
            Promise.all(tries.map((one) => one.then((answer) => `${answer.type} ${answer.status}`, () => 'refused'))).then(done);
        """, f"http://localhost:{served.port}/_wschat/api/", connection)
        assert results == ["refused"] * 3
    finally:
        chromium.close()
        chromium.switch_to.window(chromium.window_handles[0])
        other.shutdown()
    assert "open" in page.one("#pane-A").get_attribute("class").split()
    page.leave_fields()
    page.press("1")
    assert not page.rows("replayed", "A")
