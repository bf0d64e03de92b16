// The worker: pretends to send order confirmations.
const version = require("./version");

let orders = 0;
const timer = setInterval(() => console.log(`worker ${version}: ${++orders} orders confirmed`), 5000);
console.log(`worker ${version} started`);

process.on("SIGTERM", () => {
  clearInterval(timer);
  console.log(`worker ${version} stopped after ${orders} orders`);
});
