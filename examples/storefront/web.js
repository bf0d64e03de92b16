// The web service: says which version it is, so that a deploy can be seen.
const http = require("node:http");
const version = require("./version");

const server = http.createServer((request, response) => {
  if (request.url === "/healthz") {
    response.end("ok\n");
    return;
  }
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(`${process.env.GREETING} (${version})\n`);
});

server.listen(process.env.PORT, () => console.log(`storefront ${version} listens on ${process.env.PORT}`));

// Finish what is under way, then leave.
process.on("SIGTERM", () => server.close(() => process.exit(0)));
