// The predeploy: would bring the database's schema up to date.
console.log(`schema is what ${require("./version")} needs`);
