/* SPDX-License-Identifier: BSD-3-Clause */
// Reads a node's status with the npm package tslocal, a client of tailscaled's local API that others wrote, and prints
// it as JSON. Arguments: the package's folder, the socket.
import { pathToFileURL } from "node:url";

const { Client } = await import(pathToFileURL(`${process.argv[2]}/dist/index.mjs`));
const client = new Client({ socketPath: process.argv[3], useSocketOnly: true });
const status = { with: await client.status(), without: await client.statusWithoutPeers() };
client.destroy();
// Its numbers of 64 bits have no JSON of their own.
console.log(JSON.stringify(status, (_key, value) => (typeof value === "bigint" ? Number(value) : value)));
