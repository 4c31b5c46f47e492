#!/usr/bin/env node
// Makes the npm packages: one for each platform that carries its binary, and `wschat`, which starts the one for the
// machine that it is installed on. npm installs only the package whose `os` and `cpu` fit.
//
//     pack.mjs VERSION OUTPUT PLATFORM=BINARY...      for example: pack.mjs 0.1.0 target/dist linux-x64=target/.../wschat
//
// OUTPUT gets a .tgz a package. PLATFORM is one of those below; `wschat` names them all, whether they are given here or not.
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PLATFORMS = ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"];

const [version, output, ...given] = process.argv.slice(2);
const binaries = given.map((argument) => argument.split("="));
if (!output || binaries.some(([platform, binary]) => !PLATFORMS.includes(platform) || !binary)) {
  console.error(`usage: pack.mjs VERSION OUTPUT PLATFORM=BINARY...; PLATFORM is one of ${PLATFORMS.join(", ")}`);
  process.exit(64);
}

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
const scratch = mkdtempSync(join(tmpdir(), "wschat-npm-"));
const common = {
  version,
  license: "MIT OR Apache-2.0",
  repository: { type: "git", url: "git+https://github.com/wschat/wschat.git" },
};

function pack(name, manifest, files) {
  const folder = join(scratch, name);
  mkdirSync(join(folder, "bin"), { recursive: true });
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name, ...common, ...manifest }, null, 2));
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(root, licence), join(folder, licence));
  for (const [path, source] of Object.entries(files)) {
    copyFileSync(source, join(folder, path));
    if (path.startsWith("bin/")) chmodSync(join(folder, path), 0o755);
  }
  execFileSync("npm", ["pack", "--silent", "--pack-destination", output, folder], { stdio: ["ignore", "inherit", "inherit"] });
}

mkdirSync(output, { recursive: true });
try {
  for (const [platform, binary] of binaries) {
    const [os, cpu] = platform.split("-");
    const description = `The wschat binary for ${os} on ${cpu}.`;
    pack(`wschat-${platform}`, { description, os: [os], cpu: [cpu] }, { "bin/wschat": binary });
  }
  const optionalDependencies = Object.fromEntries(PLATFORMS.map((platform) => [`wschat-${platform}`, version]));
  const description = "A SAM or CloudFormation template to a running serverless WebSocket stack: on AWS, or on your machine.";
  const manifest = { description, bin: { wschat: "bin/wschat.js" }, engines: { node: ">=18" }, optionalDependencies };
  pack("wschat", manifest, { "bin/wschat.js": join(here, "wschat.js"), "README.md": join(root, "README.md") });
} finally {
  rmSync(scratch, { recursive: true });
}
