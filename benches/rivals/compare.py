"""Measures wschat beside its rivals in one run on one machine, and rewrites the section "Side by side" of docs/performance.md.

On the developer's machine, with the same Node.js handlers: wschat, ministack (PyPI) and serverless-offline under osls (npm). Deploys
under docs/aws-conditions.toml: wschat, the sequential script beside this folder, and chalice (PyPI). What cannot be installed or run is
said in the section and does not end the run. Everything is started for its measurement and stopped after it; only pip and npm use the
network.
"""

import argparse
import concurrent.futures
import contextlib
import datetime
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import boto3

import rig
from clients import first_message, held, messages, saves
from measure import Cloud, middle
from rig import CONDITIONS, INSTALLED, KEYS, ROOT, Failed, wschat

BENCHES = Path(__file__).resolve().parent.parent
CHAT = BENCHES / "local/app"
ANSWERS = BENCHES / "dev/app"
PAGE = ROOT / "docs/performance.md"
BEGINS, ENDS = "<!-- Written by benches/run, from here -->", "<!-- to here -->"
HANDLERS = ["connect", "disconnect", "send-message", "default"]
NODE = 'exports.handler = async () => ({ statusCode: 200, body: "VERSION" });\n'


class Table:
    """What was measured: a list of values for each row and column; and what was not, with the reason."""

    def __init__(self, rows, columns):
        # Each row: its name and how its values are written.
        self.rows, self.columns = rows, columns
        self.values, self.missing, self.reasons = {}, {}, []

    def add(self, row, column, *values):
        self.values.setdefault((row, column), []).extend(values)
        print(f"{column}, {row}: {self.rows[row](list(values))}", file=sys.stderr, flush=True)

    def lacks(self, row, column, words):
        """Instead of a figure."""
        self.missing[row, column] = words

    @contextlib.contextmanager
    def attempt(self, column, what):
        """What fails within is a line below the table, and the run goes on."""
        try:
            yield
        except (Exception, SystemExit) as error:
            print(f"{column}, {what}: {error}", file=sys.stderr, flush=True)
            first, *more = (str(error) or type(error).__name__).strip().replace(f"{ROOT}/", "").splitlines()
            reason = f"{column}, {what}: {first.rstrip(':')}"
            if more:
                reason += f" ... {next((line for line in more if 'error' in line.lower()), more[-1])}"
            if reason not in self.reasons:
                self.reasons.append(reason)

    def cell(self, row, column):
        if values := self.values.get((row, column)):
            return self.rows[row](values)
        return self.missing.get((row, column), "not measured")

    def markdown(self, title):
        lines = [f"| {title} | {' | '.join(self.columns)} |", "|---" * (len(self.columns) + 1) + "|"]
        lines += [f"| {row} | {' | '.join(self.cell(row, column) for column in self.columns)} |" for row in self.rows]
        lines += ["", *(f"- Not measured: {reason}" for reason in self.reasons)] if self.reasons else []
        return "\n".join(lines)


def seconds(values):
    return middle(values)


def tenths(values):
    """The median, and in brackets the tenth and the ninetieth percentile, in milliseconds; for many values."""
    values = [value * 1000 for value in values]
    parts = statistics.quantiles(values, n=10)
    return f"{statistics.median(values):.1f} ({parts[0]:.1f} to {parts[-1]:.1f})"


def megabytes(values):
    return middle([value / 1e6 for value in values], 0)


# --- On the developer's machine ---

START, NEW, ONE, FIFTY, BEFORE, COUNT, OPEN, GROWTH, OWN, SAVE = (
    "from the command to the first message at another client, s",
    "the same in a new folder, s",
    "a message to one other, ms",
    "a message to 50 others, ms",
    "memory after these messages, MB",
    "in so many processes",
    "1,000 more sockets, until all are open, s",
    "growth of memory with them, MB",
    "of it in the process that holds them, MB",
    "from a save to the first answer of the new code, s",
)
LOCAL = {
    START: seconds,
    NEW: seconds,
    ONE: tenths,
    FIFTY: tenths,
    BEFORE: megabytes,
    COUNT: lambda values: middle(values, 0),
    OPEN: lambda values: middle(values, 1),
    GROWTH: megabytes,
    OWN: megabytes,
    SAVE: seconds,
}


def saving(app):
    """Saves the handler that answers with its version."""
    return lambda version: (app / "node/index.js").write_text(NODE.replace("VERSION", version))


class Rival:
    """`chat` starts the chat in a folder that has a copy of it and yields the URI, the process, and when the command was given. `answers`
    starts the application whose code is saved, likewise, and yields the URI and what saves it."""

    def prepare(self, folder, table):
        """What is done once for a folder with the chat."""
        table.lacks(NEW, self.name, "not before `npm install`")


class Wschat(Rival):
    name = "wschat"

    def __init__(self):
        build = Path(rig.BINARY).parent.name
        build = f"{build} build" if build in ("release", "debug") else "the binary of WSCHAT_BIN"
        self.version = f"{wschat('--version', folder=ROOT)} ({build})"

    def prepare(self, folder, table):
        """The first start in a folder installs the SDK that Lambda's runtimes bring, as `npm install` has done for the others."""
        with self.chat(folder) as (uri, _, begun):
            first_message(uri)
            table.add(NEW, self.name, time.perf_counter() - begun)
            wschat("down", "--local", "--yes", "--stack", "bench", folder=folder)

    @contextlib.contextmanager
    def chat(self, folder):
        begun = time.perf_counter()
        try:
            uri = wschat("up", "--local", "--yes", "--stack", "bench", folder=folder).splitlines()[-1]
            yield uri, rig.server(folder), begun
        finally:
            wschat("local", "stop", folder=folder)

    @contextlib.contextmanager
    def answers(self, folder):
        with rig.dev(folder) as uri:
            yield uri, saving(folder)


class Ministack(Rival):
    name = "ministack"

    def __init__(self, node):
        self.python = rig.python_packages("ministack", ROOT / "tests/clients/requirements-ministack.txt")
        self.version = f"ministack {rig.python_version(self.python, 'ministack')}"
        # It brings no SDK for Node.js.
        self.variables = {"NODE_PATH": str(node / "node_modules")}

    @contextlib.contextmanager
    def deployed(self, folder, *parameters):
        begun = time.perf_counter()
        with rig.ministack(self.python, folder, self.variables) as (endpoint, pid):
            gateway = f"{endpoint}/_aws/execute-api/API/live"
            parameters = [text.replace("GATEWAY", gateway) for text in parameters]
            arguments = ("--yes", "--stack", "bench", "--endpoint-url", endpoint, *parameters)
            printed = wschat("up", *arguments, folder=folder, variables=KEYS).splitlines()[-1]
            # ministack says http://API.execute-api.localhost:PORT/live, a name that not every machine resolves.
            api = printed.split("//")[1].split(".")[0]
            yield gateway.replace("http", "ws").replace("API", api), pid, begun, endpoint

    @contextlib.contextmanager
    def chat(self, folder):
        with self.deployed(folder, "--parameter", "Gateway=GATEWAY") as (uri, pid, begun, _):
            yield uri, pid, begun

    @contextlib.contextmanager
    def answers(self, folder):
        with self.deployed(folder) as (uri, _, _, endpoint):
            functions = client("lambda", endpoint)
            names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
            name = next(name for name in names if "Node" in name)
            save = saving(folder)

            def save_and_update(version):
                save(version)
                functions.update_function_code(FunctionName=name, ZipFile=zipped(folder / "node"))

            yield uri, save_and_update


class ServerlessOffline(Rival):
    name = "serverless-offline"

    def __init__(self, node):
        self.node = node
        versions = [rig.node_version(node, package) for package in ("serverless-offline", "serverless")]
        self.version = f"serverless-offline {versions[0]} under osls {versions[1]}"

    def with_packages(self, folder):
        (folder / "node_modules").symlink_to(self.node / "node_modules")
        return folder

    @contextlib.contextmanager
    def chat(self, folder):
        # The table is wschat's, in a folder of its own.
        tables = folder.with_name(f"{folder.name}-tables")
        shutil.copytree(CHAT, tables)
        with rig.local_cloud(tables):
            wschat("up", "--local", "--yes", "--stack", "bench", folder=tables)
            variables = rig.exported(tables)
            app = self.with_packages(folder)
            begun = time.perf_counter()
            with rig.serverless_offline(app, "--noTimeout", variables=variables) as (uri, pid):
                yield uri, pid, begun

    @contextlib.contextmanager
    def answers(self, folder):
        with rig.serverless_offline(self.with_packages(folder), "--reloadHandler") as (uri, _):
            yield uri, saving(folder)


def rivals_on_this_machine(table):
    """Those that can be installed."""
    found = [Wschat()]
    node = None
    with table.attempt(ServerlessOffline.name, "to be installed"):
        node = rig.node_packages(BENCHES / "rivals/package.json")
    if node is None:
        table.reasons.append("ministack: without npm it has no SDK for the handlers")
    else:
        with table.attempt(Ministack.name, "to be installed"):
            found.append(Ministack(node))
        found.append(ServerlessOffline(node))
    return found


def on_this_machine(scratch, rounds, arguments):
    table = Table(LOCAL, [Wschat.name, Ministack.name, ServerlessOffline.name])
    rivals = rivals_on_this_machine(table)
    # The first round does not count: what is compiled or cached at the first start on a machine is there for all others.
    for number in range(rounds + 1):
        for rival in rivals:
            folder = Path(scratch) / f"{rival.name}-{number}"
            with table.attempt(rival.name, "the chat"):
                shutil.copytree(CHAT, folder)
                chat(table if number else Table(LOCAL, []), rival, folder, arguments if number else None)
            if number == 0:
                continue
            with table.attempt(rival.name, "saves"):
                folder = folder.with_name(f"{folder.name}-answers")
                shutil.copytree(ANSWERS, folder)
                with rival.answers(folder) as (uri, save):
                    table.add(SAVE, rival.name, *saves(uri, "node", save, arguments.saves, patience=20))
    return table, rivals


def to_fifty(arguments):
    """How many messages go to 50 others in a round."""
    return max(arguments.messages // 4, 10)


def chat(table, rival, folder, arguments):
    """Without arguments, a start and nothing else."""
    rival.prepare(folder, table)
    with rival.chat(folder) as (uri, pid, begun):
        first_message(uri)
        table.add(START, rival.name, time.perf_counter() - begun)
        if not arguments:
            return
        table.add(ONE, rival.name, *messages(uri, 1, arguments.messages))
        table.add(FIFTY, rival.name, *messages(uri, 50, to_fifty(arguments)))
        time.sleep(2)
        own, handlers = rig.memory(pid)
        table.add(BEFORE, rival.name, own + handlers)
        table.add(COUNT, rival.name, len(rig.family(pid)))
        opened, (own_then, handlers_then) = held(uri, 1000, lambda: rig.memory(pid))
        table.add(OPEN, rival.name, opened)
        table.add(GROWTH, rival.name, own_then + handlers_then - own - handlers)
        table.add(OWN, rival.name, own_then - own)


# --- Deploys ---

COLD, IDLE, CHANGE, DELETE = "deploy from nothing", "nothing has changed", "the code of one function has changed", "delete"
DEPLOYS = dict.fromkeys((COLD, IDLE, CHANGE, DELETE), seconds)
FLOOR, FLOOR_COLUMN = BENCHES / "floor", "floor"
SCRIPT, CHALICE = "the sequential script", "chalice"


def client(service, endpoint):
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def zipped(folder):
    """The files of a folder as a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return packed.getvalue()


def node_chat(folder):
    """templates/chat.yaml, its resources unchanged, with the Node.js handlers of examples/node-chat."""
    folder.mkdir(parents=True)
    text = (ROOT / "templates/chat.yaml").read_text()
    for old, new in (
        ("    Metadata:\n      BuildMethod: rust-cargolambda\n", ""),
        ("Runtime: provided.al2023", "Runtime: nodejs22.x"),
        ("Handler: bootstrap", "Handler: index.handler"),
        ("CodeUri: ../lambdas/", "CodeUri: "),
    ):
        assert text.count(old) == len(HANDLERS), old
        text = text.replace(old, new)
    (folder / "template.yaml").write_text(text)
    for handler in HANDLERS:
        shutil.copytree(ROOT / "examples/node-chat" / handler, folder / handler)
    return folder


def change_code(file, comment):
    file.write_text(f"{file.read_text()}{comment} changed\n")


def send_message(folder):
    """The file with the code of the function that is changed."""
    return next((folder / "send-message").glob("index.*"))


def check(cloud):
    """What was deployed is a chat that works."""
    gateway = client("apigatewayv2", cloud.endpoint)
    (api,) = gateway.get_apis()["Items"]
    (stage,) = gateway.get_stages(ApiId=api["ApiId"])["Items"]
    first_message(f"ws://127.0.0.1:{cloud.port}/{api['ApiId']}/{stage['StageName']}")


def floor(cloud, app, table, row, verb):
    """What the program `benches/floor` says of the plan that a command of wschat prints. It is the same in every round."""
    if not FLOOR.exists() or (row, FLOOR_COLUMN) in table.values:
        return
    with table.attempt(FLOOR_COLUMN, row):
        words = [rig.BINARY, verb, "--json", "--stack", "bench", "--endpoint-url", cloud.endpoint]
        # It ends with 2 if there is something to do, and `down` with an error, because nobody has agreed: both have printed the plan.
        plan = subprocess.run(words, cwd=app, env=rig.clean() | KEYS, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
        said = rig.command(str(FLOOR), "--json", "--conditions", str(CONDITIONS), folder=ROOT, text=plan)
        table.add(row, FLOOR_COLUMN, json.loads(said)["floor"])


def deploy_wschat(cloud, folder, table):
    app = node_chat(folder / "app")
    floor(cloud, app, table, COLD, "plan")
    taken = cloud.stack("up", "--yes", folder=app)[1]
    check(cloud)
    table.add(COLD, Wschat.name, taken)
    floor(cloud, app, table, IDLE, "plan")
    table.add(IDLE, Wschat.name, cloud.stack("up", "--yes", folder=app)[1])
    change_code(send_message(app), "//")
    table.add(CHANGE, Wschat.name, cloud.stack("up", "--yes", folder=app)[1])
    # Another change of the same kind: code that a plan has built is not built again.
    change_code(send_message(app), "//")
    floor(cloud, app, table, CHANGE, "plan")
    floor(cloud, app, table, DELETE, "down")
    table.add(DELETE, Wschat.name, cloud.stack("down", "--yes", folder=app)[1])


def deploy_by_script(cloud, folder, table):
    app = node_chat(folder / "app")
    zips = folder / "zips"
    zips.mkdir()
    for handler in HANDLERS:
        (zips / f"{handler}.zip").write_bytes(zipped(app / handler))
    change_code(send_message(app), "//")
    (folder / "another.zip").write_bytes(zipped(app / "send-message"))
    words = [sys.executable, str(BENCHES / "sequential.py"), cloud.endpoint, str(zips), str(folder / "another.zip")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as script:
        took = json.loads(script.stdout.readline() or "{}")
        if took:
            check(cloud)
        out, errors = script.communicate("\n")
    for line in out.splitlines():
        took |= json.loads(line)
    for row, name in ((COLD, "up"), (CHANGE, "change"), (DELETE, "down")):
        if name in took:
            table.add(row, SCRIPT, took[name])
    if script.returncode:
        raise Failed(f"the script ended with {script.returncode}:\n{errors}")


def deploy_chalice(cloud, folder, table, python):
    app = folder / "app"
    shutil.copytree(BENCHES / "rivals/chalice", app)
    # chalice makes no tables.
    tables = client("dynamodb", cloud.endpoint)
    key = {"AttributeName": "connectionId"}
    tables.create_table(
        TableName="chat-connections",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[key | {"KeyType": "HASH"}],
        AttributeDefinitions=[key | {"AttributeType": "S"}],
    )
    tables.get_waiter("table_exists").wait(TableName="chat-connections", WaiterConfig={"Delay": 1})
    variables = KEYS | {"AWS_ENDPOINT_URL": cloud.endpoint}

    def run(row, verb):
        begun = time.perf_counter()
        rig.command(str(Path(python).parent / "chalice"), verb, folder=app, variables=variables)
        taken = time.perf_counter() - begun
        if row == COLD:
            check(cloud)
        table.add(row, CHALICE, taken)

    run(COLD, "deploy")
    run(IDLE, "deploy")
    change_code(app / "app.py", "#")
    run(CHANGE, "deploy")
    run(DELETE, "delete")


def slow(rounds):
    """The rounds of deployers that take minutes, nearly all of it fixed waits."""
    return min(rounds, 2)


def deploys(scratch, rounds):
    columns = [Wschat.name, SCRIPT, CHALICE]
    table = Table(DEPLOYS, [*columns, FLOOR_COLUMN] if FLOOR.exists() else columns)
    table.lacks(IDLE, SCRIPT, "cannot tell")
    deployers = {Wschat.name: deploy_wschat, SCRIPT: deploy_by_script}
    version = None
    with table.attempt(CHALICE, "to be installed"):
        python = rig.python_packages("chalice", BENCHES / "rivals/chalice.txt")
        version = f"chalice {rig.python_version(python, 'chalice')}"
        deployers[CHALICE] = lambda cloud, folder, table: deploy_chalice(cloud, folder, table, python)

    def all_rounds(name):
        for number in range(rounds if name == Wschat.name else slow(rounds)):
            folder = Path(scratch) / f"deploy-{name.split()[-1]}-{number}"
            with table.attempt(name, "deploys"), Cloud(folder / "cloud") as cloud:
                deployers[name](cloud, folder, table)

    # wschat alone; then the others at the same time, each with a cloud of its own: they wait nearly all the time.
    all_rounds(Wschat.name)
    with concurrent.futures.ThreadPoolExecutor() as threads:
        list(threads.map(all_rounds, [name for name in deployers if name != Wschat.name]))
    return table, version


# --- The section of the page ---


NOTES = """\
- **The same handlers.** The chat is `benches/local/app/chat/index.js` everywhere, the code that is saved
  `benches/dev/app/node/index.js`. ministack and serverless-offline must tell the chat the address of `@connections` in a variable: the
  `domainName` of their events does not lead there.
- **wschat** is started with `wschat up --local` (the local cloud included), for the saves with `wschat dev`. Each execution environment is
  a process of its own in a sandbox, as on Lambda: messages and connects that come at once start several. In a new folder its first start
  installs the SDK that Lambda's runtimes bring. For the others `npm install` has done that before the clock runs.
- **ministack** runs handlers as it does by default, without Docker, in processes that it keeps. It has no command that deploys, so its
  start includes `wschat up --endpoint-url`. It does not watch files: a save is followed at once by a zip of the one file and
  `UpdateFunctionCode`. It brings no SDK for Node.js: the benchmark gives it one.
- **serverless-offline** runs handlers in its own process, straight from the folder: nothing is deployed. It has no table, so it uses one
  on a local cloud of wschat, of which neither the start nor the memory is counted. For the saves it has its option to reload the handler
  with every message; without it, saved code does not answer before it is started again.
- Clients are Python's websockets and send no pings. Memory is that of all processes (PSS), after 2 s of rest, and 3 s after the sockets
  are open, eight at a time. Each socket has been through `$connect` and is in the table."""

DEPLOY_NOTES = """\
- **wschat** and **the script** create the 28 resources of `templates/chat.yaml` with the Node.js handlers of `examples/node-chat` (zips of
  1 kB). The script (`benches/sequential.py`) has its zips ready, and its user says which function has changed; nothing else tells it
  whether anything has.
- **chalice** has the same chat as an application of its own (`benches/rivals/chalice`): Python, one zip of 20 kB, three functions instead
  of four, no log groups. It makes no table: that is there before the clock runs and stays. A second `chalice deploy` updates all
  functions, deletes all routes and integrations and makes them again. It reaches the local cloud by
  `AWS_ENDPOINT_URL`; {lacked}.
- After each deploy from nothing a message goes from one client to another, or the deploy counts as failed. wschat is measured alone; the
  script and chalice at the same time, each with a cloud of its own."""

FLOOR_NOTE = """\
- *Floor* is what a deployer with perfect foresight would need under the same conditions, as `floor` in `benches/` computes it from
  wschat's plan. chalice's application is smaller, so its floor is at most that."""


def times(count, what):
    return f"{count} {what}{'s' if count > 1 else ''}"


def section(local, rivals, deployed, chalice, machine, arguments):
    rounds = arguments.rounds
    versions = [rival.version for rival in rivals] + ([chalice] if chalice else [])
    python = sys.version.split()[0]
    with contextlib.suppress(Failed):
        versions.append(f"Node.js {rig.command('node', '--version', folder=ROOT).removeprefix('v')}")
    made = f"""Made on {datetime.date.today()} with {", ".join(versions)} and Python {python}, on {machine}.
Medians; in brackets the minimum and the maximum of {times(rounds, "round")}, {times(rounds * arguments.saves, "save")}, and
{times(slow(rounds), "round")} of the script and chalice; for messages the 10th and the 90th percentile of
{rounds * arguments.messages} to one other and {rounds * to_fifty(arguments)} to 50."""
    floor = FLOOR_NOTE if FLOOR.exists() else "- The floor is left out: the program that computes it is not in this checkout."
    complete = all((row, CHALICE) in deployed.values for row in DEPLOYS)
    lacked = "it lacked nothing there" if complete else "what it lacked there is listed above"
    return f"""{textwrap.fill(made, 140, break_on_hyphens=False)}

{local.markdown("on the developer's machine")}

{NOTES}

{deployed.markdown("under AWS's conditions, s")}

{DEPLOY_NOTES.format(lacked=lacked)}
{floor}
"""


def write(text):
    page = PAGE.read_text()
    before, begins, rest = page.partition(BEGINS)
    _, ends, after = rest.partition(ENDS)
    if not (begins and ends):
        sys.exit(f"{PAGE} has no lines {BEGINS!r} and {ENDS!r}")
    PAGE.write_text(f"{before}{begins}\n\n{text}\n{ends}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    rounds = "how often everything is started and deployed (3); the script and chalice at most twice"
    parser.add_argument("--rounds", type=int, default=3, help=rounds)
    parser.add_argument("--messages", type=int, default=100, help="a round, to one other; a quarter of that to 50 (100)")
    parser.add_argument("--saves", type=int, default=5, help="a round (5)")
    parser.add_argument("--quick", action="store_true", help="a rehearsal: one round; the page is not written")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.messages, arguments.saves = 1, 20, 2
    machine = rig.machine()
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch).resolve()
        local, rivals = on_this_machine(scratch, arguments.rounds, arguments)
        deployed, chalice = deploys(scratch, arguments.rounds)
    text = section(local, rivals, deployed, chalice, machine, arguments)
    print(text)
    if not arguments.quick:
        write(text)


if __name__ == "__main__":
    main()
