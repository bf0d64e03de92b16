// The job: pretends to sum up the day's orders, or all of them.
console.log(`report by ${require("./version")}: ${process.argv.includes("--all") ? "all orders" : "today's orders"}`);
