"use strict";
// Parses files as Node.js would, and runs none of them. Each line of stdin is an array of their names; it is answered with a line:
// an object with this version and the syntax errors, one a file at most. It ends with stdin.

const { spawnSync } = require("child_process");
const fs = require("fs");
const path = require("path");
const vm = require("vm");

function asScript(text, filename) {
  const parameters = ["exports", "require", "module", "__filename", "__dirname"];
  vm.compileFunction(text.replace(/^#!.*/, ""), parameters, { filename });
}

function asModule(text, identifier) {
  new vm.SourceTextModule(text, { identifier });
}

// "module", "commonjs", or undefined where neither package.json nor the name says it.
function kind(file) {
  if (file.endsWith(".mjs")) return "module";
  if (file.endsWith(".cjs")) return "commonjs";
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, "package.json"))).type;
    } catch (error) {
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR") return undefined;
    }
    if (folder === path.dirname(folder)) return undefined;
  }
}

function errorOf(parse, text, file) {
  try {
    parse(text, file);
    return undefined;
  } catch (error) {
    return error instanceof SyntaxError ? error : undefined;
  }
}

function check(file) {
  const text = fs.readFileSync(file, "utf8");
  const declared = kind(file);
  if (declared === "module") return errorOf(asModule, text, file);
  const asCommon = errorOf(asScript, text, file);
  if (!asCommon || declared === "commonjs") return asCommon;
  // Newer releases run a file as a module if it is one.
  const inModule = errorOf(asModule, text, file);
  const isModule = /^\s*(import|export)\b/m.test(text);
  return inModule && (isModule ? inModule : asCommon);
}

// What is wrong with a file, or nothing. A file that cannot be read is skipped.
function found(file) {
  let error;
  try {
    error = check(file);
  } catch {
    return [];
  }
  if (!error) return [];
  // The stack begins with the place, the line and a caret; that of a module has none, but Node.js prints it.
  const placed = (stack) => /:\d+$/.test(String(stack).split("\n")[0]);
  const stack = placed(error.stack) ? error.stack : String(spawnSync(process.execPath, ["--check", file]).stderr);
  const [place, source, caret] = String(stack).split("\n");
  const line = Number(/:(\d+)$/.exec(place)?.[1]) || 0;
  return [{ file, line, message: error.message, excerpt: line ? [source, caret].join("\n") : "" }];
}

// Node.js keeps every module that was ever parsed. Above this, in bytes, another process goes on.
const MAX_MEMORY = 256 << 20;

let begun = "";
process.stdin.setEncoding("utf8").on("data", (piece) => {
  const lines = (begun + piece).split("\n");
  begun = lines.pop();
  for (const line of lines) {
    const answer = { version: process.versions.node, errors: JSON.parse(line).flatMap(found) };
    process.stdout.write(JSON.stringify(answer) + "\n");
  }
  if (process.memoryUsage().rss > MAX_MEMORY) process.exit();
});
