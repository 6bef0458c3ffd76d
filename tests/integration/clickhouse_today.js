/* SPDX-License-Identifier: BSD-3-Clause */
// Runs SQL in the embedded engine of the npm package chdb: one JSON request a line, {"sql": ...} or
// {"insert": table, "file": path}, one JSON answer a line.
const readline = require("readline");
const { Session } = require(process.argv[2]);
const session = new Session(process.argv[3]);

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = { text: session.query(request.sql, request.format || "TabSeparated") };
  } catch (error) {
    answer = { error: String(error.message || error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}).on("close", () => session.close());
